// VXLAN headers [RFC 7348 § 5]: flags, 24 reserved bits, 24 bits of VNI, 8 reserved bits. Reserved
// bits are sent as zero and ignored on receipt; vxlanReservedClean is for those who want to be
// stricter. Two extensions use some of them, where a tunnel says so:
//
//   group policy (GBP), draft-smith-vxlan-group-policy-05 § 2.1:
//     |G|R|R|R|I|R|R|R|R|D|R|R|A|R|R|R|        group policy id        |
//   remote checksum offload (RCO), draft-herbert-vxlan-rco-00, as Linux has it (net/vxlan.h):
//     flag C in the second byte; last byte: O, 7 bits of checksum start / 2; O: the field is UDP's

import { readU16, readU32, writeU16, writeU32 } from "./byte-order.js";

export const VXLAN_FLAGS = 0;
export const VXLAN_VNI = 4;
export const VXLAN_HEADER_BYTES = 8;
/** What a tunnel puts in front of an inner IP packet: outer IP, UDP, VXLAN, inner Ethernet. */
export const VXLAN_OVERHEAD_V4_BYTES = 50;
export const VXLAN_OVERHEAD_V6_BYTES = 70;

/** The I flag: the VNI is valid; must be set. */
export const VXLAN_FLAG_VNI = 0x08;
export const VXLAN_VNI_MAX = 0xffffff;

/** GBP, first byte: the group policy id is there. */
export const VXLAN_FLAG_GROUP = 0x80;
/** GBP, second byte: do not learn from this frame; policy was applied to it already. */
const SECOND_DONT_LEARN = 0x40;
const SECOND_POLICY_APPLIED = 0x08;
/** RCO, second byte: the last byte says where an inner checksum is to be finished. */
const SECOND_REMOTE_CHECKSUM = 0x20;
export const RCO_UDP = 0x80;
const RCO_START = 0x7f;
/** Where a checksum begins at most, bytes from the start of the inner frame. */
export const RCO_MAX_START = RCO_START * 2;

const SECOND = 1;
const GROUP = 2;
const LAST = 7;

/** The flags byte, reserved flags included. */
export function vxlanFlags(bytes: Uint8Array, at: number): number {
  return bytes[at + VXLAN_FLAGS];
}

export function vxlanVni(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at + VXLAN_VNI) >>> 8;
}

/**
 * True when every reserved bit is zero. The bits of an extension are reserved unless the tunnel
 * uses it, and where its flag is not set.
 */
export function vxlanReservedClean(
  bytes: Uint8Array,
  at: number,
  gbp: boolean,
  rco: boolean,
): boolean {
  const group = gbp && vxlanHasGroup(bytes, at);
  const partial = rco && vxlanHasRemoteChecksum(bytes, at);
  const first = VXLAN_FLAG_VNI | (group ? VXLAN_FLAG_GROUP : 0);
  const second =
    (group ? SECOND_DONT_LEARN | SECOND_POLICY_APPLIED : 0) |
    (partial ? SECOND_REMOTE_CHECKSUM : 0);
  return (
    (bytes[at] & ~first) === 0 &&
    (bytes[at + SECOND] & ~second) === 0 &&
    (group || readU16(bytes, at + GROUP) === 0) &&
    (partial || bytes[at + LAST] === 0)
  );
}

/** GBP: is a group policy id there? */
export function vxlanHasGroup(bytes: Uint8Array, at: number): boolean {
  return (bytes[at] & VXLAN_FLAG_GROUP) !== 0;
}

/** GBP: the group policy id; 0, the default group, of a frame that has none. */
export function vxlanGroup(bytes: Uint8Array, at: number): number {
  return vxlanHasGroup(bytes, at) ? readU16(bytes, at + GROUP) : 0;
}

/** GBP, D bit: the receiver must not learn the inner source. */
export function vxlanDontLearn(bytes: Uint8Array, at: number): boolean {
  return vxlanHasGroup(bytes, at) && (bytes[at + SECOND] & SECOND_DONT_LEARN) !== 0;
}

/** GBP, A bit: policy was applied on the way; the receiver must not apply it again. */
export function vxlanPolicyApplied(bytes: Uint8Array, at: number): boolean {
  return vxlanHasGroup(bytes, at) && (bytes[at + SECOND] & SECOND_POLICY_APPLIED) !== 0;
}

/** GBP: adds a group to the header at `at`. */
export function writeVxlanGroup(bytes: Uint8Array, at: number, group: number): void {
  bytes[at] |= VXLAN_FLAG_GROUP;
  writeU16(bytes, at + GROUP, group);
}

/** RCO: has the sender left an inner checksum to be finished? */
export function vxlanHasRemoteChecksum(bytes: Uint8Array, at: number): boolean {
  return (bytes[at + SECOND] & SECOND_REMOTE_CHECKSUM) !== 0;
}

/** RCO: adds to the header at `at` that a checksum is to be finished. @param rco the last byte */
export function writeVxlanRco(bytes: Uint8Array, at: number, rco: number): void {
  bytes[at + SECOND] |= SECOND_REMOTE_CHECKSUM;
  bytes[at + LAST] = rco;
}

/** RCO: where the checksum begins (the L4 header), bytes from the start of the inner frame. */
export function vxlanChecksumStart(bytes: Uint8Array, at: number): number {
  return (bytes[at + LAST] & RCO_START) * 2;
}

/** RCO: is the checksum that of UDP (else of TCP)? */
export function vxlanChecksumIsUdp(bytes: Uint8Array, at: number): boolean {
  return (bytes[at + LAST] & RCO_UDP) !== 0;
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
