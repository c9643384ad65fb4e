// Explicit congestion notification across a tunnel [RFC 6040]. Egress copies the inner field to the outer header
// (section 4.1, "normal mode"); ingress takes the more severe of the two (section 4.2).

export const ECN_MASK = 3;
export const ECN_NOT_ECT = 0;
export const ECN_CE = 3;

/** `ingressEcn`: the inner header stays as it is. */
export const ECN_KEEP = 0;
/** `ingressEcn`: mark the inner header CE. */
export const ECN_SET_CE = 1;
/** `ingressEcn`: drop; congestion was met and the inner transport cannot be told. */
export const ECN_DROP = 2;

/** @returns what to do with an inner packet: ECN_KEEP, ECN_SET_CE or ECN_DROP */
export function ingressEcn(outerTos: number, innerTos: number): number {
  if ((outerTos & ECN_MASK) !== ECN_CE) return ECN_KEEP;
  const inner = innerTos & ECN_MASK;
  if (inner === ECN_NOT_ECT) return ECN_DROP;
  return inner === ECN_CE ? ECN_KEEP : ECN_SET_CE;
}
