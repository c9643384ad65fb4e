// VXLAN headers [RFC 7348 § 5]: flags, 24 reserved bits, 24 bits of VNI, 8 reserved bits. Reserved
// bits are sent as zero and ignored on receipt; vxlanReservedClean is for those who want to be
// stricter.

import { readU16, readU32, writeU32 } from "./byte-order.js";

export const VXLAN_FLAGS = 0;
export const VXLAN_VNI = 4;
export const VXLAN_HEADER_BYTES = 8;
/** What a tunnel puts in front of an inner IP packet: outer IP, UDP, VXLAN, inner Ethernet. */
export const VXLAN_OVERHEAD_V4_BYTES = 50;
export const VXLAN_OVERHEAD_V6_BYTES = 70;

/** The I flag: the VNI is valid; must be set. */
export const VXLAN_FLAG_VNI = 0x08;
export const VXLAN_VNI_MAX = 0xffffff;

/** The flags byte, reserved flags included. */
export function vxlanFlags(bytes: Uint8Array, at: number): number {
  return bytes[at + VXLAN_FLAGS];
}

export function vxlanVni(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at + VXLAN_VNI) >>> 8;
}

/**
 * True when every reserved bit is zero: the other flags, the bytes behind them and the last byte.
 */
export function vxlanReservedClean(bytes: Uint8Array, at: number): boolean {
  return (
    (bytes[at] & ~VXLAN_FLAG_VNI) === 0 &&
    bytes[at + 1] === 0 &&
    readU16(bytes, at + 2) === 0 &&
    bytes[at + 7] === 0
  );
}

/** Writes the 8 bytes of the header, the I flag set, all reserved bits zero. */
export function writeVxlan(bytes: Uint8Array, at: number, vni: number): void {
  writeU32(bytes, at + VXLAN_FLAGS, VXLAN_FLAG_VNI << 24);
  writeU32(bytes, at + VXLAN_VNI, vni << 8);
}

/** True when a whole header lies in `at`..`end`; says nothing about flags. */
export function checkVxlan(_bytes: Uint8Array, at: number, end: number): boolean {
  return end - at >= VXLAN_HEADER_BYTES;
}

export interface VxlanRepr {
  vni: number;
}

/** The header at `at`, reserved bits ignored; undefined when truncated or without the I flag. */
export function parseVxlan(bytes: Uint8Array, at: number, end: number): VxlanRepr | undefined {
  if (!checkVxlan(bytes, at, end)) return undefined;
  if ((vxlanFlags(bytes, at) & VXLAN_FLAG_VNI) === 0) return undefined;
  return { vni: vxlanVni(bytes, at) };
}

/** Writes the header; returns its 8 bytes. */
export function emitVxlan(repr: VxlanRepr, bytes: Uint8Array, at: number): number {
  writeVxlan(bytes, at, repr.vni);
  return VXLAN_HEADER_BYTES;
}
