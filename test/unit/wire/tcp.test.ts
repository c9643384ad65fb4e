// TCP headers: tshark's fields, options, emission, checksum, truncation.

import { describe, expect, it } from "vitest";
import {
  checkTcp,
  emitTcp,
  parseTcp,
  tcpChecksum,
  tcpChecksumValid,
  tcpHeaderLength,
  writeTcpChecksum,
} from "../../../src/wire/tcp.js";
import { wireVector } from "../../vectors/wire-vectors.js";
import { emitted, expectTruncationRefused, patched } from "./support.js";

const frames = [
  ["ipv4-tcp-syn", 34],
  ["ipv6-tcp-syn", 54],
] as const;

describe("tcp", () => {
  it.each(frames)("reads and writes %s as tshark and scapy do", (name, at) => {
    const { bytes, number } = wireVector(name);
    const repr = parseTcp(bytes, at, bytes.length)!;
    expect(repr).toEqual({
      sourcePort: number("tcp.srcport"),
      destinationPort: number("tcp.dstport"),
      sequence: number("tcp.seq_raw"),
      acknowledgement: number("tcp.ack_raw"),
      flags: number("tcp.flags"),
      window: number("tcp.window_size_value"),
      urgent: 0,
      options: bytes.slice(at + 20),
    });
    expect(tcpHeaderLength(bytes, at)).toBe(number("tcp.hdr_len"));
    expect(tcpChecksum(bytes, at)).toBe(number("tcp.checksum"));
    const written = emitted((out, outAt) => emitTcp(repr, out, outAt));
    expect(written).toEqual(patched(bytes, at + 16, 0, 0).slice(at));
  });

  it.each(frames)("computes and verifies the checksum of %s", (name, at) => {
    const { bytes } = wireVector(name);
    expect(tcpChecksumValid(bytes, 14, at, bytes.length)).toBe(true);
    const spoiled = patched(bytes, at + 16, 0xa5, 0xa5);
    expect(tcpChecksumValid(spoiled, 14, at, bytes.length)).toBe(false);
    writeTcpChecksum(spoiled, 14, at, bytes.length);
    expect(spoiled).toEqual(bytes);
  });

  it("refuses a header that is truncated or says less than 20 bytes", () => {
    const { bytes } = wireVector("ipv4-tcp-syn");
    expectTruncationRefused(checkTcp, bytes, 34, 40);
    expect(checkTcp(patched(bytes, 46, 0x40), 34, bytes.length)).toBe(false);
    expect(checkTcp(patched(bytes, 46, 0x50), 34, 54)).toBe(true);
    expect(parseTcp(bytes, 34, 73)).toBeUndefined();
  });
});
