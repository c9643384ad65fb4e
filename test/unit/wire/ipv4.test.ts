// IPv4: tshark's fields, emission, checksum, truncation, wrong lengths, field writers.

import { describe, expect, it } from "vitest";
import { formatIpv4 } from "../../../src/wire/ip-address.js";
import {
  checkIpv4,
  emitIpv4,
  ipv4Checksum,
  ipv4ChecksumValid,
  ipv4DontFragment,
  ipv4HeaderLength,
  ipv4IsFragment,
  ipv4TotalLength,
  parseIpv4,
  writeIpv4Checksum,
  writeIpv4Destination,
  writeIpv4DontFragment,
  writeIpv4Identification,
  writeIpv4Source,
  writeIpv4Tos,
  writeIpv4TotalLength,
  writeIpv4Ttl,
} from "../../../src/wire/ipv4.js";
import { wireVector, wireVectorNames } from "../../vectors/wire-vectors.js";
import { emitted, expectTruncationRefused, patched } from "./support.js";

const names = wireVectorNames.filter((name) => name.startsWith("ipv4-"));

describe("ipv4", () => {
  it.each(names)("reads %s as tshark does", (name) => {
    const { bytes, field, number } = wireVector(name);
    const repr = parseIpv4(bytes, 14, bytes.length)!;
    expect({
      ...repr,
      source: formatIpv4(repr.source),
      destination: formatIpv4(repr.destination),
    }).toEqual({
      tos: number("ip.dsfield"),
      identification: number("ip.id"),
      dontFragment: number("ip.flags.df") === 1,
      moreFragments: number("ip.flags.mf") === 1,
      fragmentOffset_bytes: number("ip.frag_offset") * 8,
      ttl: number("ip.ttl"),
      protocol: number("ip.proto"),
      source: field("ip.src"),
      destination: field("ip.dst"),
      payload_bytes: number("ip.len") - number("ip.hdr_len"),
    });
    expect(ipv4HeaderLength(bytes, 14)).toBe(number("ip.hdr_len"));
    expect(ipv4Checksum(bytes, 14)).toBe(number("ip.checksum"));
    expect(ipv4IsFragment(bytes, 14)).toBe(name.includes("-fragment-"));
  });

  it.each(names.filter((name) => !name.includes("options")))("writes %s as scapy does", (name) => {
    const { bytes } = wireVector(name);
    const repr = parseIpv4(bytes, 14, bytes.length)!;
    expect(emitted((out, at) => emitIpv4(repr, out, at))).toEqual(bytes.slice(14, 34));
  });

  it("computes the checksum over options too", () => {
    const { bytes } = wireVector("ipv4-options-udp");
    const spoiled = patched(bytes, 24, 0xa5, 0xa5);
    expect(ipv4ChecksumValid(spoiled, 14)).toBe(false);
    expect(parseIpv4(spoiled, 14, bytes.length)).toBeUndefined();
    writeIpv4Checksum(spoiled, 14);
    expect(spoiled).toEqual(bytes);
  });

  it("refuses every truncation of the packet, and takes padding", () => {
    const { bytes } = wireVector("ipv4-udp-padded");
    expect(bytes.length).toBe(60);
    expectTruncationRefused(checkIpv4, bytes, 14, 29);
    expectTruncationRefused(checkIpv4, wireVector("ipv4-options-udp").bytes, 14, 55);
  });

  it.each([
    ["version 6", [0x65]],
    ["a header of 16 bytes", [0x44]],
    ["a total length below the header's", [0x45, 0, 0, 19]],
    ["a header beyond the total length", [0x46, 0, 0, 20]],
    ["a total length of 0", [0x45, 0, 0, 0]],
    ["a total length beyond the end", [0x45, 0, 0, 52]],
  ])("refuses %s", (_, start) => {
    const { bytes } = wireVector("ipv4-udp");
    expect(checkIpv4(bytes, 14, bytes.length)).toBe(true);
    expect(checkIpv4(patched(bytes, 14, ...start), 14, bytes.length)).toBe(false);
  });

  it("writes single fields: one header becomes another", () => {
    const { bytes } = wireVector("ipv4-udp");
    writeIpv4Tos(bytes, 14, 0x03);
    writeIpv4TotalLength(bytes, 14, 50);
    writeIpv4Identification(bytes, 14, 0xfeed);
    writeIpv4Ttl(bytes, 14, 255);
    writeIpv4Source(bytes, 14, 0xfffefdfc);
    writeIpv4Destination(bytes, 14, 0x01020304);
    writeIpv4DontFragment(bytes, 14, true);
    expect(ipv4DontFragment(bytes, 14)).toBe(true);
    writeIpv4DontFragment(bytes, 14, false);
    writeIpv4Checksum(bytes, 14);
    expect(ipv4TotalLength(bytes, 14)).toBe(50);
    expect(parseIpv4(bytes, 14, bytes.length)).toEqual({
      tos: 3,
      identification: 0xfeed,
      dontFragment: false,
      moreFragments: false,
      fragmentOffset_bytes: 0,
      ttl: 255,
      protocol: 17,
      source: 0xfffefdfc,
      destination: 0x01020304,
      payload_bytes: 30,
    });
  });
});
