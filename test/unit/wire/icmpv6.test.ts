// ICMPv6: neighbour discovery against scapy's bytes and tshark's fields, and what is refused.

import { describe, expect, it } from "vitest";
import {
  checkIcmpv6,
  checkNeighbourAdvertisement,
  checkNeighbourSolicitation,
  emitNeighbourAdvertisement,
  emitNeighbourSolicitation,
  icmpv6ChecksumValid,
  ndSourceMacAt,
  ndSourceUnspecified,
  ndTargetMacAt,
  ndTargetWord,
  parseNeighbourAdvertisement,
  parseNeighbourSolicitation,
  writeIcmpv6Checksum,
} from "../../../src/wire/icmpv6.js";
import { parseIp } from "../../../src/wire/ip-address.js";
import { ipv6PayloadLength } from "../../../src/wire/ipv6.js";
import { parseMac } from "../../../src/wire/mac.js";
import { wireVector } from "../../vectors/wire-vectors.js";
import { emitted, expectTruncationRefused, guarded, patched } from "./support.js";

const IP = 14;
const ICMP = 54;

/** The frame with bytes replaced and the ICMPv6 checksum made right again. */
function repaired(bytes: Uint8Array, at: number, ...values: number[]): Uint8Array {
  const changed = patched(bytes, at, ...values);
  writeIcmpv6Checksum(changed, IP, ICMP, ICMP + ipv6PayloadLength(changed, IP));
  return changed;
}

const isSolicitation = (bytes: Uint8Array) => checkNeighbourSolicitation(bytes, IP, bytes.length);
const isAdvertisement = (bytes: Uint8Array) => checkNeighbourAdvertisement(bytes, IP, bytes.length);

describe("neighbour solicitation", () => {
  it.each(["nd-solicitation", "nd-solicitation-dad"])("reads and writes %s", (name) => {
    const { bytes, field } = wireVector(name);
    const repr = parseNeighbourSolicitation(bytes, IP, bytes.length)!;
    expect(repr).toEqual({
      source: parseIp(field("ipv6.src")),
      destination: parseIp(field("ipv6.dst")),
      target: parseIp(field("icmpv6.nd.ns.target_address")),
      sourceMac: name.endsWith("dad") ? undefined : parseMac(field("icmpv6.opt.linkaddr")),
    });
    expect(emitted((out, at) => emitNeighbourSolicitation(repr, out, at))).toEqual(bytes.slice(IP));
  });

  it("gives the data path what it decides by", () => {
    const { bytes } = wireVector("nd-solicitation");
    const view = guarded(bytes, IP, bytes.length);
    expect([0, 1, 2, 3].map((word) => ndTargetWord(view, IP, word))).toEqual([
      0xfd000011, 0, 0, 0xb,
    ]);
    expect(ndSourceMacAt(view, IP)).toBe(ICMP + 26);
    expect(ndTargetMacAt(view, IP)).toBe(-1);
    expect(ndSourceUnspecified(view, IP)).toBe(false);
    expect(ndSourceUnspecified(wireVector("nd-solicitation-dad").bytes, IP)).toBe(true);
  });

  it("finds the source MAC behind options it does not know", () => {
    const { bytes } = wireVector("nd-solicitation");
    const longer = new Uint8Array([
      ...bytes.slice(0, 78),
      14,
      1,
      1,
      2,
      3,
      4,
      5,
      6,
      ...bytes.slice(78),
    ]);
    const packet = repaired(longer, 18, 0, 40);
    expect(isSolicitation(packet)).toBe(true);
    expect(ndSourceMacAt(packet, IP)).toBe(ICMP + 34);
  });

  it("refuses every truncation", () => {
    expectTruncationRefused(
      checkNeighbourSolicitation,
      wireVector("nd-solicitation").bytes,
      IP,
      72,
    );
  });

  // [RFC 4861 § 7.1.1]
  it.each([
    ["a hop limit of 254", 21, [254]],
    ["code 1", 55, [1]],
    ["another type", 54, [136]],
    ["a multicast target", 62, [0xff]],
    ["an option of length 0", 79, [0]],
    ["an option beyond the end", 79, [2]],
    ["another next header", 20, [17]],
  ])("refuses %s", (_, at, values) => {
    const { bytes } = wireVector("nd-solicitation");
    expect(isSolicitation(repaired(bytes, 61, 0))).toBe(true);
    expect(isSolicitation(repaired(bytes, at, ...values))).toBe(false);
  });

  it("refuses a wrong checksum", () => {
    const { bytes } = wireVector("nd-solicitation");
    expect(isSolicitation(patched(bytes, 85, 0x0c))).toBe(false);
  });

  it("refuses an unspecified source with a MAC, or not to the solicited-node address", () => {
    const { bytes } = wireVector("nd-solicitation");
    const zeros = new Array<number>(16).fill(0);
    expect(isSolicitation(repaired(bytes, 22, ...zeros))).toBe(false);
    const dad = wireVector("nd-solicitation-dad").bytes;
    expect(isSolicitation(dad)).toBe(true);
    for (const at of [39, 45, 49, 50]) expect(isSolicitation(repaired(dad, at, 0x77))).toBe(false);
  });
});

describe("neighbour advertisement", () => {
  it("reads and writes R, S, O and the target's MAC as tshark and scapy do", () => {
    const { bytes, field } = wireVector("nd-advertisement");
    const repr = parseNeighbourAdvertisement(bytes, IP, bytes.length)!;
    expect(repr).toEqual({
      source: parseIp(field("ipv6.src")),
      destination: parseIp(field("ipv6.dst")),
      target: parseIp(field("icmpv6.nd.na.target_address")),
      targetMac: parseMac(field("icmpv6.opt.linkaddr")),
      router: field("icmpv6.nd.na.flag.r") === "1",
      solicited: field("icmpv6.nd.na.flag.s") === "1",
      override: field("icmpv6.nd.na.flag.o") === "1",
    });
    const written = emitted((out, at) => emitNeighbourAdvertisement(repr, out, at));
    expect(written).toEqual(bytes.slice(IP));
  });

  it.each([
    ["router", 0x80],
    ["solicited", 0x40],
    ["override", 0x20],
  ] as const)("has %s in its own bit", (flag, bit) => {
    const { bytes } = wireVector("nd-advertisement");
    const none = { router: false, solicited: false, override: false };
    const repr = parseNeighbourAdvertisement(bytes, IP, bytes.length)!;
    const one = { ...repr, ...none, [flag]: true };
    const packet = emitted((out, at) => emitNeighbourAdvertisement(one, out, at));
    expect(packet[44]).toBe(bit);
    expect(parseNeighbourAdvertisement(packet, 0, packet.length)).toEqual(one);
  });

  it("may come without a MAC", () => {
    const { bytes } = wireVector("nd-advertisement");
    const repr = parseNeighbourAdvertisement(bytes, IP, bytes.length)!;
    const bare = { ...repr, targetMac: undefined };
    const packet = emitted((out, at) => emitNeighbourAdvertisement(bare, out, at));
    expect(packet.length).toBe(64);
    expect(parseNeighbourAdvertisement(packet, 0, 64)).toEqual(bare);
  });

  it("refuses every truncation, and solicited to multicast", () => {
    const { bytes } = wireVector("nd-advertisement");
    expectTruncationRefused(checkNeighbourAdvertisement, bytes, IP, 72);
    expect(isAdvertisement(repaired(bytes, 38, 0xff, 0x02))).toBe(false);
    expect(isAdvertisement(repaired(repaired(bytes, 38, 0xff, 0x02), 58, 0xa0))).toBe(true);
    expect(isAdvertisement(wireVector("nd-solicitation").bytes)).toBe(false);
  });
});

describe("icmpv6", () => {
  it("needs four bytes", () => {
    expectTruncationRefused(checkIcmpv6, wireVector("ipv6-echo-request").bytes, ICMP, 4);
  });

  it("has the checksum that tshark calls good", () => {
    const { bytes, field } = wireVector("ipv6-echo-request");
    expect(field("icmpv6.checksum.status")).toBe("1");
    expect(icmpv6ChecksumValid(bytes, IP, ICMP, bytes.length)).toBe(true);
    const spoiled = patched(bytes, ICMP + 2, 0xa5, 0xa5);
    expect(icmpv6ChecksumValid(spoiled, IP, ICMP, bytes.length)).toBe(false);
    expect(repaired(spoiled, ICMP, 128)).toEqual(bytes);
  });
});
