// VXLAN headers: tshark's fields, every flag and reserved bit, emission, truncation.

import { describe, expect, it } from "vitest";
import {
  checkVxlan,
  emitVxlan,
  parseVxlan,
  VXLAN_FLAG_VNI,
  VXLAN_HEADER_BYTES,
  VXLAN_VNI_MAX,
  vxlanFlags,
  vxlanReservedClean,
  vxlanVni,
  writeVxlan,
} from "../../../src/wire/vxlan.js";
import { wireVector } from "../../vectors/wire-vectors.js";
import { emitted, expectTruncationRefused, patched } from "./support.js";

const AT = 42;

describe("vxlan", () => {
  it("reads and writes the header as tshark and scapy do", () => {
    const { bytes, number } = wireVector("vxlan-ipv4-tcp");
    expect(vxlanVni(bytes, AT)).toBe(number("vxlan.vni"));
    expect(vxlanFlags(bytes, AT)).toBe(number("vxlan.flags") >> 8);
    expect(vxlanFlags(bytes, AT)).toBe(VXLAN_FLAG_VNI);
    const repr = parseVxlan(bytes, AT, bytes.length)!;
    expect(emitted((out, at) => emitVxlan(repr, out, at))).toEqual(bytes.slice(AT, AT + 8));
  });

  it.each([0, 1, 0x800000, VXLAN_VNI_MAX])("carries VNI %i", (vni) => {
    const bytes = emitted((out, at) => {
      writeVxlan(out, at, vni);
      return VXLAN_HEADER_BYTES;
    });
    expect(parseVxlan(bytes, 0, 8)).toEqual({ vni });
    expect(vxlanReservedClean(bytes, 0, false, false)).toBe(true);
  });

  /** Bits of the header, the first one 0, that are not clean when they alone are flipped. */
  function dirtyBits(header: Uint8Array, gbp: boolean, rco: boolean): number[] {
    const bits = Array.from({ length: 64 }, (_, bit) => bit);
    return bits.filter((bit) => {
      const byte = bit >> 3;
      const flipped = patched(header, byte, header[byte] ^ (0x80 >> (bit & 7)));
      return !vxlanReservedClean(flipped, 0, gbp, rco);
    });
  }
  const reservedBut = (...used: number[]) =>
    Array.from({ length: 64 }, (_, bit) => bit).filter(
      (bit) => bit !== 4 && (bit < 32 || bit > 55) && !used.includes(bit),
    );
  const range = (first: number, last: number) =>
    Array.from({ length: last - first + 1 }, (_, i) => first + i);

  it("sees every reserved bit, and only those", () => {
    const clean = Uint8Array.of(8, 0, 0, 0, 0xff, 0xff, 0xff, 0);
    expect(dirtyBits(clean, false, false)).toEqual(reservedBut());
  });

  it("takes the bits of an extension that is on, where its flag is set", () => {
    const plain = Uint8Array.of(8, 0, 0, 0, 0, 0, 1, 0);
    expect(dirtyBits(plain, true, true)).toEqual(reservedBut(0, 10));
    const group = Uint8Array.of(0x88, 0, 0, 0, 0, 0, 1, 0);
    expect(dirtyBits(group, true, false)).toEqual(reservedBut(0, 9, 12, ...range(16, 31)));
    expect(vxlanReservedClean(group, 0, false, true)).toBe(false);
    const partial = Uint8Array.of(8, 0x20, 0, 0, 0, 0, 1, 0);
    expect(dirtyBits(partial, false, true)).toEqual(reservedBut(10, ...range(56, 63)));
  });

  it("ignores reserved bits but not a missing I flag", () => {
    const bytes = Uint8Array.of(0xff, 1, 2, 3, 0, 0, 100, 4);
    expect(parseVxlan(bytes, 0, 8)).toEqual({ vni: 100 });
    expect(parseVxlan(patched(bytes, 0, 0xf7), 0, 8)).toBeUndefined();
  });

  it("refuses fewer than 8 bytes", () => {
    expectTruncationRefused(checkVxlan, wireVector("vxlan-ipv4-tcp").bytes, AT, 8);
    expect(parseVxlan(wireVector("vxlan-ipv4-tcp").bytes, AT, AT + 7)).toBeUndefined();
  });
});
