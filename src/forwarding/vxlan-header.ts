// The VXLAN header of what a tunnel sends: the VNI and the options that go with a frame. The one
// place that composes it; what lies where is RFC 7348 § 5 and, for remote checksum offload,
// draft-herbert-vxlan-rco § 2 as the kernel has it (include/net/vxlan.h).

import {
  FRAME_CSUM_OFFSET,
  FRAME_CSUM_START,
  FRAME_FLAGS,
  FRAME_GSO_TYPE,
  FRAME_L4,
  FRAME_NEEDS_CHECKSUM,
  FRAME_WORDS,
  GSO_NONE,
} from "#abi";
import { writeU32 } from "../wire/byte-order.js";
import { VXLAN_FLAG_VNI, VXLAN_FLAGS, VXLAN_VNI } from "../wire/vxlan.js";

/** VXLAN_HF_RCO: the peer finishes an inner checksum. */
const FLAG_REMOTE_CHECKSUM = 0x0020_0000;
/** Last byte of the header: half of where the checksum starts, and that it is UDP's. */
const RCO_MAX_START = 0x7f << 1;
const RCO_UDP = 0x80;
/** Where the checksum stands in a TCP and in a UDP header. */
const TCP_CHECKSUM = 16;
const UDP_CHECKSUM = 6;

/** `remoteChecksum`: the checksum is finished here, or there is none. */
export const NO_REMOTE_CHECKSUM = -1;

/**
 * The last byte of the header of a frame whose checksum the peer can finish, as the kernel's
 * vxlan_build_skb decides it: partial, TCP or UDP, at an even offset of at most 254 bytes from the
 * inner Ethernet header. Of superpackets, whose headers must be located, every segment. Hot.
 * @param frame row of the frame in the batch
 * @returns 0..255, or NO_REMOTE_CHECKSUM
 */
export function remoteChecksum(frames: Int32Array, frame: number): number {
  const row = frame * FRAME_WORDS;
  if ((frames[row + FRAME_FLAGS] & FRAME_NEEDS_CHECKSUM) === 0) return NO_REMOTE_CHECKSUM;
  const start = frames[row + FRAME_CSUM_START];
  const offset = frames[row + FRAME_CSUM_OFFSET];
  if ((start & 1) !== 0 || start > RCO_MAX_START) return NO_REMOTE_CHECKSUM;
  if (frames[row + FRAME_GSO_TYPE] !== GSO_NONE && frames[row + FRAME_L4] !== start) {
    return NO_REMOTE_CHECKSUM;
  }
  if (offset === TCP_CHECKSUM) return start >> 1;
  return offset === UDP_CHECKSUM ? (start >> 1) | RCO_UDP : NO_REMOTE_CHECKSUM;
}

/**
 * Writes the 8 bytes of the header. Hot.
 * @param rco what `remoteChecksum` gave
 */
export function writeVxlanHeader(bytes: Uint8Array, at: number, vni: number, rco: number): void {
  const withRco = rco !== NO_REMOTE_CHECKSUM;
  const flags = (VXLAN_FLAG_VNI << 24) | (withRco ? FLAG_REMOTE_CHECKSUM : 0);
  writeU32(bytes, at + VXLAN_FLAGS, flags);
  writeU32(bytes, at + VXLAN_VNI, (vni << 8) | (withRco ? rco : 0));
}
