// UDP headers: tshark's fields, emission, checksum and its two zeros, truncation.

import { describe, expect, it } from "vitest";
import { finish, transportSum } from "../../../src/wire/checksum.js";
import {
  checkUdp,
  emitUdp,
  parseUdp,
  udpChecksum,
  udpChecksumValid,
  writeUdpChecksum,
} from "../../../src/wire/udp.js";
import { wireVector } from "../../vectors/wire-vectors.js";
import { emitted, expectTruncationRefused, patched } from "./support.js";

const frames = [
  ["ipv4-udp", 34],
  ["ipv4-options-udp", 38],
  ["ipv6-udp", 54],
] as const;

describe("udp", () => {
  it.each(frames)("reads and writes %s as tshark and scapy do", (name, at) => {
    const { bytes, number } = wireVector(name);
    const repr = parseUdp(bytes, at, bytes.length)!;
    expect(repr).toEqual({
      sourcePort: number("udp.srcport"),
      destinationPort: number("udp.dstport"),
      payload_bytes: number("udp.length") - 8,
    });
    expect(udpChecksum(bytes, at)).toBe(number("udp.checksum"));
    const written = emitted((out, outAt) => emitUdp(repr, out, outAt));
    expect(written).toEqual(patched(bytes, at + 6, 0, 0).slice(at, at + 8));
  });

  it.each(frames)("computes and verifies the checksum of %s", (name, at) => {
    const { bytes } = wireVector(name);
    expect(udpChecksumValid(bytes, 14, at)).toBe(true);
    const spoiled = patched(bytes, at + 6, 0xa5, 0xa5);
    expect(udpChecksumValid(spoiled, 14, at)).toBe(false);
    writeUdpChecksum(spoiled, 14, at);
    expect(spoiled).toEqual(bytes);
  });

  it("takes no checksum over IPv4, refuses it over IPv6", () => {
    const v4 = wireVector("ipv4-udp").bytes;
    expect(udpChecksumValid(patched(v4, 40, 0, 0), 14, 34)).toBe(true);
    const v6 = wireVector("ipv6-udp").bytes;
    expect(udpChecksumValid(patched(v6, 60, 0, 0), 14, 54)).toBe(false);
  });

  it("sends a computed zero as all ones", () => {
    const { bytes } = wireVector("ipv4-udp");
    // The first two payload bytes take the value that makes the whole sum 0xffff, so the checksum
    // 0.
    const blank = patched(patched(bytes, 40, 0, 0), 42, 0, 0);
    const missing = finish(transportSum(blank, 14, 34, bytes.length, 17));
    const crafted = patched(blank, 42, missing >> 8, missing & 0xff);
    expect(finish(transportSum(crafted, 14, 34, bytes.length, 17))).toBe(0);
    writeUdpChecksum(crafted, 14, 34);
    expect(udpChecksum(crafted, 34)).toBe(0xffff);
    expect(udpChecksumValid(crafted, 14, 34)).toBe(true);
  });

  it("refuses truncation and wrong lengths", () => {
    const { bytes } = wireVector("ipv4-udp");
    expectTruncationRefused(checkUdp, bytes, 34, 31);
    expect(checkUdp(patched(bytes, 38, 0, 7), 34, bytes.length)).toBe(false);
    expect(checkUdp(patched(bytes, 38, 0, 32), 34, bytes.length)).toBe(false);
    expect(checkUdp(patched(bytes, 38, 0, 8), 34, bytes.length)).toBe(true);
  });
});
