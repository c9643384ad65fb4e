// Superpackets on their way out: frames with GSO that stand for many segments. TypeScript tells the
// segmenter where their headers end; it never trusts the length that the kernel's virtio header
// gives.

import {
  FRAME_GSO_TYPE,
  FRAME_L3,
  FRAME_L4,
  FRAME_OFFSET,
  FRAME_PAYLOAD,
  FRAME_WORDS,
  GSO_TCPV4,
  GSO_TCPV6,
  GSO_UDP_L4,
} from "#abi";
import type { EgressBatch } from "../packet/egress-batch.js";
import { PROTOCOL_TCP, PROTOCOL_UDP } from "../wire/ip-protocol.js";
import { LOCATE_L3, LOCATE_L4, LOCATE_PAYLOAD, LOCATE_PROTOCOL } from "../wire/locate.js";

/** The ECN bit may stand beside the type. */
const GSO_TYPE_MASK = 0x7f;

/** Can the segmenter cut this virtio GSO type, and is the frame of that kind? */
function isSegmentable(gsoType: number, protocol: number): boolean {
  const type = gsoType & GSO_TYPE_MASK;
  if (type === GSO_UDP_L4) return protocol === PROTOCOL_UDP;
  return (type === GSO_TCPV4 || type === GSO_TCPV6) && protocol === PROTOCOL_TCP;
}

/**
 * Fills in where a superpacket's headers end, from where they were located. Hot.
 * @param frame row of the frame in the batch
 * @returns false when it is of a kind that cannot be segmented
 */
export function markSuperpacket(batch: EgressBatch, frame: number, located: Int32Array): boolean {
  const { frames } = batch;
  const row = frame * FRAME_WORDS;
  const gsoType = frames[row + FRAME_GSO_TYPE];
  if (!isSegmentable(gsoType, located[LOCATE_PROTOCOL]) || located[LOCATE_PAYLOAD] < 0) {
    return false;
  }
  const at = frames[row + FRAME_OFFSET];
  frames[row + FRAME_L3] = located[LOCATE_L3] - at;
  frames[row + FRAME_L4] = located[LOCATE_L4] - at;
  frames[row + FRAME_PAYLOAD] = located[LOCATE_PAYLOAD] - at;
  return true;
}
