// ICMPv6 errors: packet too big against scapy's bytes, what is quoted, and what must not be
// answered.

import { describe, expect, it } from "vitest";
import {
  icmpv6ChecksumValid,
  icmpv6Code,
  icmpv6Mtu,
  icmpv6Type,
} from "../../../src/wire/icmpv6.js";
import { emitIcmpv6Error, emitPacketTooBig } from "../../../src/wire/icmpv6-errors.js";
import { parseIp } from "../../../src/wire/ip-address.js";
import { walkIpv6Extensions, walkOffset } from "../../../src/wire/ipv6.js";
import { wireVector } from "../../vectors/wire-vectors.js";
import { emitted, guarded, patched } from "./support.js";

const IP = 14;
const ICMP = 54;
const ROUTER = parseIp("fd00:10::ff")!;

describe("packet too big", () => {
  const answer = (frame: Uint8Array, end = frame.length) =>
    emitted((out, at) => emitPacketTooBig(guarded(frame, IP, end), IP, end, ROUTER, 1430, out, at));

  it("is, for a packet of 1500 bytes, what scapy writes: 1280 bytes with the MTU", () => {
    const expected = wireVector("ipv6-packet-too-big");
    expect(expected.field("icmpv6.checksum.status")).toBe("1");
    expect(expected.bytes.length - IP).toBe(1280);
    expect(answer(wireVector("ipv6-udp-1500").bytes)).toEqual(expected.bytes.slice(IP));
    expect(icmpv6Mtu(expected.bytes, ICMP)).toBe(expected.number("icmpv6.mtu"));
  });

  it("quotes a short packet whole, without padding", () => {
    const { bytes } = wireVector("ipv6-udp");
    const packet = answer(new Uint8Array([...bytes, 0, 0, 0]));
    expect(packet.slice(48)).toEqual(bytes.slice(IP));
    expect([icmpv6Type(packet, 40), icmpv6Code(packet, 40)]).toEqual([2, 0]);
    expect(icmpv6ChecksumValid(packet, 0, 40, packet.length)).toBe(true);
  });

  it("answers echo requests, fragments and multicast", () => {
    expect(answer(wireVector("ipv6-echo-request").bytes).length).toBe(48 + 71);
    expect(answer(wireVector("ipv6-fragment-later").bytes).length).toBe(48 + 80);
    expect(answer(patched(wireVector("ipv6-udp").bytes, 38, 0xff)).length).toBe(48 + 71);
  });

  it("does not answer errors, redirects or what could be one", () => {
    expect(answer(wireVector("ipv6-packet-too-big").bytes).length).toBe(0);
    const echo = wireVector("ipv6-echo-request").bytes;
    expect(answer(patched(echo, ICMP, 137)).length).toBe(0);
    expect(answer(patched(echo, ICMP, 127)).length).toBe(0);
    expect(answer(patched(echo, 18, 0, 0)).length).toBe(0);
    const fragment = wireVector("ipv6-fragment-later").bytes;
    expect(answer(patched(patched(fragment, ICMP, 58), ICMP + 8, 128)).length).toBe(0);
  });

  it("does not answer to unspecified or multicast sources, or malformed packets", () => {
    const { bytes } = wireVector("ipv6-udp");
    expect(answer(patched(bytes, 22, 0xff)).length).toBe(0);
    expect(answer(patched(bytes, 22, ...new Array<number>(16).fill(0))).length).toBe(0);
    const extensions = wireVector("ipv6-extensions-udp").bytes;
    expect(answer(patched(extensions, 55, 200)).length).toBe(0);
    expect(answer(patched(bytes, IP, 0x40)).length).toBe(0);
  });

  it("needs of a packet its headers and 8 bytes, or all of it", () => {
    const { bytes } = wireVector("ipv6-udp");
    for (let end = IP; end < IP + 48; end++) expect(answer(bytes, end).length).toBe(0);
    for (let end = IP + 48; end <= bytes.length; end++) {
      const packet = answer(bytes, end);
      expect(packet.slice(48)).toEqual(bytes.slice(IP, end));
      expect(icmpv6ChecksumValid(packet, 0, 40, packet.length)).toBe(true);
    }
    const short = patched(bytes, 18, 0, 3);
    expect(answer(short, IP + 42).length).toBe(0);
    expect(answer(short, IP + 43).length).toBe(48 + 43);
    const extensions = wireVector("ipv6-extensions-udp").bytes;
    const lengths = Array.from({ length: extensions.length - IP + 1 }, (_, n) => n);
    const answered = lengths.filter((n) => answer(extensions, IP + n).length > 0);
    expect(answered[0]).toBe(walkOffset(walkIpv6Extensions(extensions, IP, extensions.length)) + 8);
    expect(answered.at(-1)).toBe(extensions.length - IP);
  });
});

describe("any other error", () => {
  const error = (frame: Uint8Array) =>
    emitted((out, at) => emitIcmpv6Error(1, 3, frame, IP, frame.length, ROUTER, out, at));

  it("is what its type and code say, with nothing in its body", () => {
    const { bytes } = wireVector("ipv6-udp");
    const packet = error(bytes);
    expect([icmpv6Type(packet, 40), icmpv6Code(packet, 40), icmpv6Mtu(packet, 40)]).toEqual([
      ...[1, 3, 0],
    ]);
    expect(packet.slice(48)).toEqual(bytes.slice(IP));
    expect(packet.slice(24, 40)).toEqual(bytes.slice(22, 38));
    expect(icmpv6ChecksumValid(packet, 0, 40, packet.length)).toBe(true);
  });

  it("is not sent about what went to a group, nor about errors", () => {
    expect(error(patched(wireVector("ipv6-udp").bytes, 38, 0xff)).length).toBe(0);
    expect(error(wireVector("ipv6-packet-too-big").bytes).length).toBe(0);
  });
});
