// ICMP: tshark's fields, emission, and fragmentation needed byte by byte, with all that must not be
// answered.

import { describe, expect, it } from "vitest";
import {
  checkIcmp,
  emitFragmentationNeeded,
  emitIcmp,
  emitIcmpError,
  icmpChecksum,
  icmpNextHopMtu,
  isIcmpError,
  parseIcmp,
} from "../../../src/wire/icmp.js";
import { parseIp } from "../../../src/wire/ip-address.js";
import {
  ipv4TotalLength,
  parseIpv4,
  writeIpv4Destination,
  writeIpv4Source,
} from "../../../src/wire/ipv4.js";
import { wireVector } from "../../vectors/wire-vectors.js";
import { emitted, expectTruncationRefused, guarded, patched } from "./support.js";

const ROUTER = parseIp("192.168.10.254")!.w3;

/** The answer to the packet in a frame, its input guarded. */
const answer = (frame: Uint8Array, end = frame.length, mtu_bytes = 1450) =>
  emitted((out, at) =>
    emitFragmentationNeeded(guarded(frame, 14, end), 14, end, ROUTER, mtu_bytes, out, at),
  );

describe("icmp", () => {
  it.each(["ipv4-echo-request", "ipv4-fragmentation-needed"])("reads and writes %s", (name) => {
    const { bytes, number } = wireVector(name);
    const repr = parseIcmp(bytes, 34, bytes.length)!;
    expect(repr.type).toBe(number("icmp.type"));
    expect(repr.code).toBe(number("icmp.code"));
    expect(icmpChecksum(bytes, 34)).toBe(number("icmp.checksum"));
    expect(emitted((out, at) => emitIcmp(repr, out, at))).toEqual(bytes.slice(34));
  });

  it("reads identifier and sequence, and the MTU", () => {
    const echo = wireVector("ipv4-echo-request").bytes;
    expect(parseIcmp(echo, 34, echo.length)?.rest).toBe(0xabcd0007);
    const { bytes, number } = wireVector("ipv4-fragmentation-needed");
    expect(icmpNextHopMtu(bytes, 34)).toBe(number("icmp.mtu"));
  });

  it("refuses truncation and a wrong checksum", () => {
    const { bytes } = wireVector("ipv4-echo-request");
    expectTruncationRefused(checkIcmp, bytes, 34, 8);
    for (let end = 34; end < bytes.length; end++) {
      expect(parseIcmp(bytes, 34, end)).toBeUndefined();
    }
    expect(parseIcmp(patched(bytes, 64, 0), 34, bytes.length)).toBeUndefined();
  });

  it("knows the errors", () => {
    const types = Array.from({ length: 256 }, (_, type) => type);
    expect(types.filter(isIcmpError)).toEqual([3, 4, 5, 11, 12]);
  });
});

describe("fragmentation needed", () => {
  it("is, for a packet of 1500 bytes, what scapy writes: 576 bytes with the MTU", () => {
    const { bytes } = wireVector("ipv4-udp-1500-df");
    const expected = wireVector("ipv4-fragmentation-needed").bytes.slice(14);
    expect(expected.length).toBe(576);
    expect(answer(bytes)).toEqual(expected);
  });

  it("quotes a short packet whole, without the frame's padding", () => {
    const { bytes } = wireVector("ipv4-udp-padded");
    const packet = answer(bytes);
    expect(ipv4TotalLength(packet, 0)).toBe(packet.length);
    expect(parseIpv4(packet, 0, packet.length)?.ttl).toBe(64);
    const message = parseIcmp(packet, 20, packet.length)!;
    expect(message).toMatchObject({ type: 3, code: 4, rest: 1450 });
    expect(message.data).toEqual(bytes.slice(14, 43));
  });

  it("caps an MTU that the field cannot hold", () => {
    const packet = answer(wireVector("ipv4-udp").bytes, undefined, 70_000);
    expect(icmpNextHopMtu(packet, 20)).toBe(0xffff);
  });

  it("answers echo requests and first fragments", () => {
    expect(answer(wireVector("ipv4-echo-request").bytes).length).toBe(28 + 51);
    expect(answer(wireVector("ipv4-fragment-first").bytes).length).toBe(28 + 60);
  });

  it("does not answer errors or later fragments", () => {
    expect(answer(wireVector("ipv4-fragmentation-needed").bytes).length).toBe(0);
    expect(answer(wireVector("ipv4-fragment-later").bytes).length).toBe(0);
  });

  it("does not answer ICMP without a type", () => {
    const { bytes } = wireVector("ipv4-echo-request");
    expect(answer(patched(bytes, 16, 0, 20)).length).toBe(0);
    expect(answer(patched(bytes, 16, 0, 21)).length).toBe(28 + 21);
  });

  it.each(["224.0.0.1", "239.1.2.3", "255.255.255.255"])("does not answer to %s", (to) => {
    const { bytes } = wireVector("ipv4-udp");
    writeIpv4Destination(bytes, 14, parseIp(to)!.w3);
    expect(answer(bytes).length).toBe(0);
  });

  it.each(["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"])(
    "does not answer from %s",
    (from) => {
      const { bytes } = wireVector("ipv4-udp");
      writeIpv4Source(bytes, 14, parseIp(from)!.w3);
      expect(answer(bytes).length).toBe(0);
    },
  );

  it("needs of a packet its header and 8 bytes, or all of it", () => {
    const { bytes } = wireVector("ipv4-udp");
    for (let end = 14; end < 14 + 28; end++) expect(answer(bytes, end).length).toBe(0);
    for (let end = 14 + 28; end <= bytes.length; end++) {
      const packet = answer(bytes, end);
      expect(packet.length).toBe(28 + end - 14);
      expect(parseIcmp(packet, 20, packet.length)?.data).toEqual(bytes.slice(14, end));
    }
    const short = patched(bytes, 16, 0, 24);
    expect(answer(short, 14 + 23).length).toBe(0);
    expect(answer(short, 14 + 24).length).toBe(28 + 24);
  });

  it("does not answer what is not IPv4, or has no header", () => {
    const { bytes } = wireVector("ipv4-udp");
    expect(answer(patched(bytes, 14, 0x65)).length).toBe(0);
    expect(answer(patched(bytes, 14, 0x44)).length).toBe(0);
    expect(answer(patched(bytes, 16, 0, 19)).length).toBe(0);
  });
});

describe("any error", () => {
  it("is what its type, code and rest say, about the same packets", () => {
    const { bytes } = wireVector("ipv4-udp");
    const error = (frame: Uint8Array) =>
      emitted((out, at) =>
        emitIcmpError(3, 1, 0x01020304, frame, 14, frame.length, ROUTER, out, at),
      );
    const packet = error(bytes);
    expect(parseIcmp(packet, 20, packet.length)).toEqual({
      ...{ type: 3, code: 1, rest: 0x01020304, data: bytes.slice(14) },
    });
    const header = parseIpv4(packet, 0, packet.length)!;
    expect([header.source, header.destination]).toEqual([ROUTER, parseIpv4(bytes, 14, 65)!.source]);
    expect(error(wireVector("ipv4-fragmentation-needed").bytes).length).toBe(0);
  });
});
