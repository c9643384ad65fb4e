// IPv6: tshark's fields, emission, truncation, the walk over extension headers.

import { describe, expect, it } from "vitest";
import { formatIp, type IpAddress } from "../../../src/wire/ip-address.js";
import {
  checkIpv6,
  emitIpv6,
  IPV6_EXTENSIONS_MAX,
  IPV6_WALK_TOO_LONG,
  IPV6_WALK_TRUNCATED,
  ipv6DestinationWord,
  ipv6SourceWord,
  ipv6TrafficClass,
  parseIpv6,
  walkIpv6Extensions,
  walkIsFragment,
  walkIsLaterFragment,
  walkOffset,
  walkProtocol,
  writeIpv6HopLimit,
  writeIpv6PayloadLength,
  writeIpv6TrafficClass,
} from "../../../src/wire/ipv6.js";
import { wireVector, wireVectorNames } from "../../vectors/wire-vectors.js";
import { emitted, expectTruncationRefused, guarded, patched } from "./support.js";

const names = wireVectorNames.filter((name) => /^(ipv6|nd)-/.test(name));
const text = ({ w0, w1, w2, w3 }: IpAddress) => formatIp(w0, w1, w2, w3);

/** An IPv6 packet whose extension headers are given as bytes; the rest is zero. */
function packet(next: number, ...payload: number[]): Uint8Array {
  const bytes = new Uint8Array(40 + payload.length);
  bytes.set([0x60, 0, 0, 0, payload.length >> 8, payload.length & 0xff, next, 64]);
  bytes.set(payload, 40);
  return bytes;
}

const walkOf = (bytes: Uint8Array) =>
  walkIpv6Extensions(guarded(bytes, 0, bytes.length), 0, bytes.length);

describe("ipv6", () => {
  it.each(names)("reads and writes %s as tshark and scapy do", (name) => {
    const { bytes, field, number } = wireVector(name);
    const repr = parseIpv6(bytes, 14, bytes.length)!;
    expect({ ...repr, source: text(repr.source), destination: text(repr.destination) }).toEqual({
      trafficClass: number("ipv6.tclass"),
      flowLabel: number("ipv6.flow"),
      payload_bytes: number("ipv6.plen"),
      nextHeader: number("ipv6.nxt"),
      hopLimit: number("ipv6.hlim"),
      source: field("ipv6.src"),
      destination: field("ipv6.dst"),
    });
    expect(emitted((out, at) => emitIpv6(repr, out, at))).toEqual(bytes.slice(14, 54));
  });

  it("gives addresses word by word", () => {
    const { bytes } = wireVector("ipv6-udp");
    const words = [0, 1, 2, 3];
    expect(words.map((word) => ipv6SourceWord(bytes, 14, word))).toEqual([0xfd000010, 0, 0, 1]);
    expect(words.map((word) => ipv6DestinationWord(bytes, 14, word))).toEqual([
      0xfd000011, 0, 0, 0xb,
    ]);
  });

  it("refuses every truncation and another version", () => {
    const { bytes } = wireVector("ipv6-udp");
    expectTruncationRefused(checkIpv6, bytes, 14, 71);
    expectTruncationRefused(checkIpv6, new Uint8Array([...bytes, 0, 0, 0]), 14, 71);
    expect(checkIpv6(patched(bytes, 14, 0x40), 14, bytes.length)).toBe(false);
  });

  it("writes single fields and leaves their neighbours alone", () => {
    const { bytes } = wireVector("ipv6-udp");
    const before = parseIpv6(bytes, 14, bytes.length)!;
    writeIpv6TrafficClass(bytes, 14, 0xd3);
    writeIpv6HopLimit(bytes, 14, 1);
    writeIpv6PayloadLength(bytes, 14, 30);
    expect(ipv6TrafficClass(bytes, 14)).toBe(0xd3);
    const after = { ...before, trafficClass: 0xd3, hopLimit: 1, payload_bytes: 30 };
    expect(parseIpv6(bytes, 14, bytes.length)).toEqual(after);
  });
});

describe("the walk over extension headers", () => {
  it.each([
    ["ipv6-udp", 17, 40, false, false],
    ["ipv6-echo-request", 58, 40, false, false],
    ["ipv6-extensions-udp", 17, 64, false, false],
    ["ipv6-ah-udp", 17, 64, false, false],
    ["ipv6-fragment-first", 17, 48, true, false],
    ["ipv6-fragment-later", 17, 48, true, true],
  ])("finds L4 of %s", (name, protocol, offset, fragment, later) => {
    const { bytes } = wireVector(name);
    const walk = walkIpv6Extensions(guarded(bytes, 14, bytes.length), 14, bytes.length);
    expect(walkProtocol(walk)).toBe(protocol);
    expect(walkOffset(walk)).toBe(offset);
    expect(walkIsFragment(walk)).toBe(fragment);
    expect(walkIsLaterFragment(walk)).toBe(later);
  });

  it("ends at ESP and at no next header", () => {
    for (const protocol of [50, 59]) {
      const walk = walkOf(packet(60, protocol, 0, 1, 4, 0, 0, 0, 0));
      expect([walkProtocol(walk), walkOffset(walk)]).toEqual([protocol, 48]);
    }
  });

  it("knows mobility, HIP, shim6 and routing headers by their length", () => {
    for (const header of [43, 135, 139, 140]) {
      const walk = walkOf(packet(header, 6, 1, ...new Array<number>(14).fill(0)));
      expect([walkProtocol(walk), walkOffset(walk)]).toEqual([6, 56]);
    }
  });

  it("does not read on behind the header of a later fragment", () => {
    const walk = walkOf(packet(44, 60, 0, 0, 0x08, 0, 0, 0, 9, 0xff, 0xff));
    expect(walkIsLaterFragment(walk)).toBe(true);
    expect([walkProtocol(walk), walkOffset(walk)]).toEqual([60, 48]);
  });

  it("goes on behind the header of a first fragment", () => {
    const walk = walkOf(packet(44, 60, 0, 0, 1, 0, 0, 0, 9, 17, 0, 1, 4, 0, 0, 0, 0));
    expect(walkIsFragment(walk)).toBe(true);
    expect([walkProtocol(walk), walkOffset(walk)]).toEqual([17, 56]);
  });

  it("is bounded", () => {
    const option = [60, 0, 1, 4, 0, 0, 0, 0];
    const last = [17, 0, 1, 4, 0, 0, 0, 0];
    const chain = (n: number) => [...new Array<number[]>(n - 1).fill(option).flat(), ...last];
    const longest = walkOf(packet(60, ...chain(IPV6_EXTENSIONS_MAX)));
    expect([walkProtocol(longest), walkOffset(longest)]).toEqual([17, 40 + 8 * 8]);
    expect(walkOf(packet(60, ...chain(IPV6_EXTENSIONS_MAX + 1)))).toBe(IPV6_WALK_TOO_LONG);
  });

  it("keeps the largest offset it can reach", () => {
    const header = (next: number) => [next, 255, ...new Array<number>(2046).fill(0)];
    const headers = [...new Array<number>(7).fill(60), 17].flatMap(header);
    const walk = walkOf(packet(60, ...headers));
    expect([walkProtocol(walk), walkOffset(walk)]).toEqual([17, 40 + 8 * 2048]);
  });

  it.each(["ipv6-extensions-udp", "ipv6-ah-udp", "ipv6-fragment-first"])(
    "says truncated for every end within the headers of %s",
    (name) => {
      const { bytes } = wireVector(name);
      const l4At = 14 + walkOffset(walkIpv6Extensions(bytes, 14, bytes.length));
      for (let end = 54; end <= bytes.length; end++) {
        const walk = walkIpv6Extensions(guarded(bytes, 14, end), 14, end);
        if (end < l4At) expect(walk).toBe(IPV6_WALK_TRUNCATED);
        else expect(walk).toBeGreaterThan(0);
      }
    },
  );
});
