// Explicit congestion notification across a tunnel [RFC 6040]. Egress copies the inner field to the
// outer header (section 4.1, "normal mode"); ingress combines the two (section 4.2).

import { readU16, writeU16 } from "../wire/byte-order.js";
import { updateChecksum16 } from "../wire/checksum.js";
import { IPV4_CHECKSUM, ipv4Checksum } from "../wire/ipv4.js";
import { LOCATE_L3, LOCATE_VERSION } from "../wire/locate.js";

export const ECN_MASK = 3;
export const ECN_NOT_ECT = 0;
export const ECN_ECT1 = 1;
export const ECN_ECT0 = 2;
export const ECN_CE = 3;

/** `ingressEcn`: the inner header stays as it is. */
export const ECN_KEEP = 0;
/** `ingressEcn`: mark the inner header CE. */
export const ECN_SET_CE = 1;
/** `ingressEcn`: drop; congestion was met and the inner transport cannot be told. */
export const ECN_DROP = 2;
/** `ingressEcn`: mark the inner header ECT(1). */
export const ECN_SET_ECT1 = 3;

/** The ECN field of a frame whose headers were located; Not-ECT when it is not IP. Hot. */
export function innerEcn(bytes: Uint8Array, located: Int32Array): number {
  const second = bytes[located[LOCATE_L3] + 1];
  switch (located[LOCATE_VERSION]) {
    case 4:
      return second & ECN_MASK;
    case 6:
      return (second >> 4) & ECN_MASK;
    default:
      return ECN_NOT_ECT;
  }
}

/**
 * May an outer TOS or traffic class change the inner header, or forbid the packet? True for ECT(1)
 * and CE.
 */
export function ecnMatters(outerTos: number): boolean {
  return (outerTos & 1) !== 0;
}

/**
 * What to do with an inner packet [RFC 6040 § 4.2, figure 4]: ECN_KEEP, ECN_SET_CE, ECN_DROP or
 * ECN_SET_ECT1.
 */
export function ingressEcn(outerTos: number, innerTos: number): number {
  const inner = innerTos & ECN_MASK;
  switch (outerTos & ECN_MASK) {
    case ECN_CE:
      if (inner === ECN_NOT_ECT) return ECN_DROP;
      return inner === ECN_CE ? ECN_KEEP : ECN_SET_CE;
    case ECN_ECT1:
      return inner === ECN_ECT0 ? ECN_SET_ECT1 : ECN_KEEP;
    default:
      return ECN_KEEP;
  }
}

/**
 * Marks the IP headers of a run ECT(1). Here and not by native code, which marks CE, because it is
 * next to never needed: somebody on the path would have to turn ECT(0) into ECT(1).
 * @param at the first segment's IP header; the others follow every `segment_bytes`
 */
export function setEct1(bytes: Uint8Array, at: number, end: number, segment_bytes: number): void {
  for (let l3 = at; l3 < end; l3 += segment_bytes) {
    if (bytes[l3] >>> 4 === 6) {
      bytes[l3 + 1] = (bytes[l3 + 1] & ~0x30) | (ECN_ECT1 << 4);
      continue;
    }
    const before = readU16(bytes, l3);
    const after = (before & ~ECN_MASK) | ECN_ECT1;
    writeU16(bytes, l3, after);
    writeU16(bytes, l3 + IPV4_CHECKSUM, updateChecksum16(ipv4Checksum(bytes, l3), before, after));
  }
}
