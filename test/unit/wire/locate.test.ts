// Locating layers: every vector, every truncation of it, and each kind of malformation by name.

import { describe, expect, it } from "vitest";
import {
  LOCATE_BAD_EXTENSION,
  LOCATE_BAD_IHL,
  LOCATE_BAD_L4,
  LOCATE_BAD_LENGTH,
  LOCATE_BAD_VERSION,
  LOCATE_COLUMNS,
  LOCATE_END,
  LOCATE_ETHERTYPE,
  LOCATE_FLAGS,
  LOCATE_FRAGMENT,
  LOCATE_L3,
  LOCATE_L4,
  LOCATE_PAYLOAD,
  LOCATE_PROTOCOL,
  LOCATE_TRUNCATED_L2,
  LOCATE_TRUNCATED_L3,
  LOCATE_VERSION,
  LOCATE_VLAN_TAGS,
  locateFrame,
  locatePacket,
} from "../../../src/wire/locate.js";
import { wireVector, wireVectorNames } from "../../vectors/wire-vectors.js";
import { guarded, patched } from "./support.js";

const out = new Int32Array(LOCATE_COLUMNS);

function columns() {
  return {
    l3: out[LOCATE_L3],
    l4: out[LOCATE_L4],
    payload: out[LOCATE_PAYLOAD],
    protocol: out[LOCATE_PROTOCOL],
    version: out[LOCATE_VERSION],
    tags: out[LOCATE_VLAN_TAGS],
    type: out[LOCATE_ETHERTYPE],
    flags: out[LOCATE_FLAGS],
    end: out[LOCATE_END],
  };
}

/** locateFrame into columns full of rubbish, the frame guarded at both ends. */
function frame(bytes: Uint8Array, end = bytes.length): number {
  out.fill(0x5a5a5a);
  return locateFrame(guarded(bytes, 0, end), 0, end, out);
}

function packet(bytes: Uint8Array, at = 0): number {
  out.fill(0x5a5a5a);
  return locatePacket(guarded(bytes, at, bytes.length), at, bytes.length, out);
}

describe("locateFrame", () => {
  // name, l3, l4, payload, protocol, version, tags, type, flags, end
  it.each([
    ["arp-request", 14, -1, -1, -1, 0, 0, 0x0806, 0, 60],
    ["stp-802.3", 14, -1, -1, -1, 0, 0, 38, 0, 52],
    ["ipv4-udp", 14, 34, 42, 17, 4, 0, 0x0800, 0, 65],
    ["ipv4-udp-padded", 14, 34, 42, 17, 4, 0, 0x0800, 0, 43],
    ["ipv4-tcp-syn", 14, 34, 74, 6, 4, 0, 0x0800, 0, 74],
    ["ipv4-sctp", 14, 34, 46, 132, 4, 0, 0x0800, 0, 54],
    ["ipv4-options-udp", 14, 38, 46, 17, 4, 0, 0x0800, 0, 69],
    ["ipv4-echo-request", 14, 34, 42, 1, 4, 0, 0x0800, 0, 65],
    ["ipv4-protocol-4", 14, 34, -1, 4, 4, 0, 0x0800, 0, 85],
    ["ipv4-fragment-first", 14, 34, -1, 17, 4, 0, 0x0800, LOCATE_FRAGMENT, 74],
    ["ipv4-fragment-later", 14, -1, -1, 17, 4, 0, 0x0800, LOCATE_FRAGMENT, 66],
    ["vlan-ipv4-udp", 18, 38, 46, 17, 4, 1, 0x0800, 0, 69],
    ["qinq-ipv6-udp", 22, 62, 70, 17, 6, 2, 0x86dd, 0, 93],
    ["vlan-three-tags", 22, -1, -1, -1, 0, 2, 0x8100, 0, 77],
    ["ipv6-tcp-syn", 14, 54, 94, 6, 6, 0, 0x86dd, 0, 94],
    ["ipv6-extensions-udp", 14, 78, 86, 17, 6, 0, 0x86dd, 0, 109],
    ["ipv6-echo-request", 14, 54, 58, 58, 6, 0, 0x86dd, 0, 85],
    ["ipv6-fragment-first", 14, 62, -1, 17, 6, 0, 0x86dd, LOCATE_FRAGMENT, 102],
    ["ipv6-fragment-later", 14, -1, -1, 17, 6, 0, 0x86dd, LOCATE_FRAGMENT, 94],
  ])(
    "fills the columns for %s",
    (name, l3, l4, payload, protocol, version, tags, type, flags, end) => {
      expect(frame(wireVector(name).bytes)).toBe(0);
      expect(columns()).toEqual({ l3, l4, payload, protocol, version, tags, type, flags, end });
    },
  );

  it.each(wireVectorNames)("finds every truncation of %s", (name) => {
    const { bytes } = wireVector(name);
    expect(frame(bytes)).toBe(0);
    const { l3, version, end } = columns();
    const header_bytes = version === 6 ? 40 : 20;
    for (let length = 0; length <= bytes.length; length++) {
      const result = frame(bytes, length);
      if (length < l3) expect(result).toBe(LOCATE_TRUNCATED_L2);
      else if (version === 0 || length >= end) expect(result).toBe(0);
      else
        expect(result).toBe(length < l3 + header_bytes ? LOCATE_TRUNCATED_L3 : LOCATE_BAD_LENGTH);
      // What the columns name can be read: no offset lies beyond the end.
      for (const column of [LOCATE_L3, LOCATE_L4, LOCATE_PAYLOAD, LOCATE_END]) {
        expect(out[column]).toBeLessThanOrEqual(length);
      }
    }
  });

  it.each([
    ["a version that the type does not say (4)", "ipv4-udp", 14, [0x65], LOCATE_BAD_VERSION],
    ["a version that the type does not say (6)", "ipv6-udp", 14, [0x45], LOCATE_BAD_VERSION],
    ["an IHL of 4", "ipv4-udp", 14, [0x44], LOCATE_BAD_IHL],
    ["an IHL beyond the total length", "ipv4-udp", 14, [0x4f, 0, 0, 40], LOCATE_BAD_IHL],
    ["an IPv4 total length too large", "ipv4-udp", 16, [0, 52], LOCATE_BAD_LENGTH],
    ["an IPv6 payload length too large", "ipv6-udp", 18, [0, 32], LOCATE_BAD_LENGTH],
    ["an extension header beyond the packet", "ipv6-extensions-udp", 55, [9], LOCATE_BAD_EXTENSION],
    ["UDP without room for its header", "ipv4-udp", 16, [0, 27], LOCATE_BAD_L4],
    ["a UDP length of 7", "ipv4-udp", 38, [0, 7], LOCATE_BAD_L4],
    ["a UDP length beyond the packet", "ipv4-udp", 38, [0, 32], LOCATE_BAD_L4],
    ["a TCP data offset of 4", "ipv4-tcp-syn", 46, [0x40], LOCATE_BAD_L4],
    ["a TCP data offset beyond the packet", "ipv6-tcp-syn", 66, [0xf0], LOCATE_BAD_L4],
    ["ICMP of 7 bytes", "ipv4-echo-request", 16, [0, 27], LOCATE_BAD_L4],
    ["ICMPv6 of 3 bytes", "ipv6-echo-request", 18, [0, 3], LOCATE_BAD_L4],
    ["SCTP of 11 bytes", "ipv4-sctp", 16, [0, 31], LOCATE_BAD_L4],
  ])("names %s", (_, name, at, values, error) => {
    const bytes = patched(wireVector(name).bytes, at, ...values);
    expect(frame(bytes)).toBe(error);
    expect(out[LOCATE_L4]).toBe(-1);
    expect(out[LOCATE_PAYLOAD]).toBe(-1);
  });

  it("does not take padding for extension headers", () => {
    const { bytes } = wireVector("ipv6-extensions-udp");
    const shorter = patched(bytes, 18, 0, 20);
    expect(frame(shorter)).toBe(LOCATE_BAD_EXTENSION);
    expect(out[LOCATE_END]).toBe(74);
  });

  it("gives no L4 for a first fragment too short for the header, or an empty packet", () => {
    expect(frame(patched(wireVector("ipv4-fragment-first").bytes, 16, 0, 27))).toBe(0);
    expect(columns()).toMatchObject({ l4: -1, payload: -1, flags: LOCATE_FRAGMENT });
    expect(frame(patched(wireVector("ipv4-protocol-4").bytes, 16, 0, 20))).toBe(0);
    expect(columns()).toMatchObject({ l4: -1, payload: -1, protocol: 4, end: 34 });
  });
});

describe("locatePacket", () => {
  it.each(["ipv4-udp", "ipv4-tcp-syn", "ipv4-fragment-later", "ipv6-extensions-udp"])(
    "agrees with locateFrame on %s",
    (name) => {
      const { bytes } = wireVector(name);
      frame(bytes);
      const expected = columns();
      expect(packet(bytes, 14)).toBe(0);
      expect(columns()).toEqual(expected);
    },
  );

  it("refuses an empty packet, and one that is neither IPv4 nor IPv6", () => {
    expect(packet(new Uint8Array(0))).toBe(LOCATE_TRUNCATED_L3);
    for (let version = 0; version < 16; version++) {
      const result = packet(new Uint8Array(64).fill(version << 4));
      if (version !== 4 && version !== 6) {
        expect(result).toBe(LOCATE_BAD_VERSION);
        expect(columns()).toMatchObject({ l3: -1, version: 0, type: 0 });
      } else expect(result).toBeLessThan(0);
    }
  });
});
