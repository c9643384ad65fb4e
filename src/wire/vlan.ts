// VLAN tags, 802.1Q and 802.1ad, up to two of them [IEEE 802.1Q § 9.6]. A tag is seen from behind
// the type field that announces it: two bytes of tag control information, then the type of what
// follows.

import { readU16, writeU16 } from "./byte-order.js";
import { ETHERNET_TYPE, ETHERTYPE_QINQ, ETHERTYPE_VLAN } from "./ethernet.js";

export const VLAN_TCI = 0;
export const VLAN_TYPE = 2;
export const VLAN_TAG_BYTES = 4;

/** Tags that are skipped to find L3; a third one makes the frame non-IP. */
export const VLAN_TAGS_MAX = 2;
/** Reserved, never on the wire [IEEE 802.1Q table 9-2]. */
export const VLAN_ID_RESERVED = 0xfff;

export function isVlanEtherType(type: number): boolean {
  return type === ETHERTYPE_VLAN || type === ETHERTYPE_QINQ;
}

/** VLAN identifier, 12 bits; 0 is a priority tag. */
export function vlanId(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at + VLAN_TCI) & 0x0fff;
}

/** Priority code point, 0..7. */
export function vlanPriority(bytes: Uint8Array, at: number): number {
  return bytes[at + VLAN_TCI] >>> 5;
}

export function vlanDropEligible(bytes: Uint8Array, at: number): boolean {
  return (bytes[at + VLAN_TCI] & 0x10) !== 0;
}

/** Type of what follows the tag. */
export function vlanEtherType(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at + VLAN_TYPE);
}

/** True when a whole tag lies in `at`..`end`. */
export function checkVlan(_bytes: Uint8Array, at: number, end: number): boolean {
  return end - at >= VLAN_TAG_BYTES;
}

/**
 * Where the type field of the frame's content stands once up to VLAN_TAGS_MAX tags are skipped; -1
 * when the frame at `frameAt` ends within a tag. The Ethernet header must have been checked.
 */
export function contentTypeOffset(bytes: Uint8Array, frameAt: number, end: number): number {
  let typeAt = frameAt + ETHERNET_TYPE;
  for (let tags = 0; tags < VLAN_TAGS_MAX; tags++) {
    if (!isVlanEtherType(readU16(bytes, typeAt))) break;
    if (!checkVlan(bytes, typeAt + 2, end)) return -1;
    typeAt += VLAN_TAG_BYTES;
  }
  return typeAt;
}

export interface VlanRepr {
  priority: number;
  dropEligible: boolean;
  id: number;
  etherType: number;
}

/** The tag at `at`; undefined when truncated or with the reserved identifier. */
export function parseVlan(bytes: Uint8Array, at: number, end: number): VlanRepr | undefined {
  if (!checkVlan(bytes, at, end) || vlanId(bytes, at) === VLAN_ID_RESERVED) return undefined;
  return {
    priority: vlanPriority(bytes, at),
    dropEligible: vlanDropEligible(bytes, at),
    id: vlanId(bytes, at),
    etherType: vlanEtherType(bytes, at),
  };
}

/** Writes the tag (not the type field in front of it); returns its 4 bytes. */
export function emitVlan(repr: VlanRepr, bytes: Uint8Array, at: number): number {
  writeU16(
    bytes,
    at + VLAN_TCI,
    (repr.priority << 13) | (repr.dropEligible ? 0x1000 : 0) | (repr.id & 0x0fff),
  );
  writeU16(bytes, at + VLAN_TYPE, repr.etherType);
  return VLAN_TAG_BYTES;
}
