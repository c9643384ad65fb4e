// ICMPv6: neighbour discovery and packet too big against scapy's bytes and tshark's fields, and
// what is refused.

import { describe, expect, it } from "vitest";
import {
  checkIcmpv6,
  checkNeighbourAdvertisement,
  checkNeighbourSolicitation,
  emitNeighbourAdvertisement,
  emitNeighbourSolicitation,
  emitPacketTooBig,
  icmpv6ChecksumValid,
  icmpv6Code,
  icmpv6Mtu,
  icmpv6Type,
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

describe("packet too big", () => {
  const ROUTER = parseIp("fd00:10::ff")!;
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
    for (let end = IP; end < bytes.length; end++) expect(answer(bytes, end).length).toBe(0);
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
