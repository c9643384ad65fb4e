// The Internet checksum [RFC 1071], pseudo headers and incremental updates [RFC 1624].
// For headers and small packets: payload checksums of the data path are native code's work.

function fold(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + (folded >>> 16);
  return folded;
}

/**
 * One's complement sum of `length` bytes as big-endian 16-bit words, an odd last byte padded with
 * zero [RFC 1071 § 1], on top of `initial` (an earlier sum, at most 32 bits). Folded to 16 bits,
 * not complemented. Sums of ranges can be chained when every range but the last has an even length.
 * At most 64 KiB at a time, an IP packet's limit: so the total cannot pass 32 bits before it is
 * folded.
 */
export function sum(bytes: Uint8Array, at: number, length: number, initial: number): number {
  let total = fold(initial);
  const evenEnd = at + (length & ~1);
  let p = at;
  for (; p < evenEnd; p += 2) total += (bytes[p] << 8) | bytes[p + 1];
  if ((length & 1) !== 0) total += bytes[p] << 8;
  return fold(total);
}

/** The value for the checksum field; 0 when the sum included a checksum field that was right. */
export function finish(total: number): number {
  return ~fold(total) & 0xffff;
}

/**
 * Sum of the IPv4 pseudo header: addresses, protocol, length_bytes of the L4 part [RFC 9293 § 3.1].
 */
export function pseudoHeaderSumV4(
  bytes: Uint8Array,
  ipAt: number,
  protocol: number,
  length: number,
): number {
  return sum(bytes, ipAt + 12, 8, protocol + length);
}

/** Sum of the IPv6 pseudo header: addresses, L4 length_bytes, next header [RFC 8200 § 8.1]. */
export function pseudoHeaderSumV6(
  bytes: Uint8Array,
  ipAt: number,
  protocol: number,
  length: number,
): number {
  return sum(bytes, ipAt + 8, 32, protocol + length);
}

/**
 * Sum of an L4 part `l4At`..`end` with its pseudo header, of the family that the IP header's
 * version tells. `finish` of it is 0 when the checksum within is right; with a zeroed checksum
 * field it is the checksum.
 */
export function transportSum(
  bytes: Uint8Array,
  ipAt: number,
  l4At: number,
  end: number,
  protocol: number,
): number {
  const length = end - l4At;
  const pseudo =
    bytes[ipAt] >>> 4 === 4
      ? pseudoHeaderSumV4(bytes, ipAt, protocol, length)
      : pseudoHeaderSumV6(bytes, ipAt, protocol, length);
  return sum(bytes, l4At, length, pseudo);
}

/**
 * Is a checksum field of the L4 part `l4At`..`end` only the pseudo-header sum, the rest left to an
 * offload (Linux, CHECKSUM_PARTIAL)? A complete checksum can look like it by chance, one in 65,536.
 */
export function isPseudoHeaderSum(
  bytes: Uint8Array,
  ipAt: number,
  l4At: number,
  end: number,
  protocol: number,
  checksum: number,
): boolean {
  const length = end - l4At;
  if (bytes[ipAt] >>> 4 === 4) return pseudoHeaderSumV4(bytes, ipAt, protocol, length) === checksum;
  return pseudoHeaderSumV6(bytes, ipAt, protocol, length) === checksum;
}

/** The checksum after one 16-bit field changed: HC' = ~(~HC + ~m + m') [RFC 1624 § 3, eqn. 3]. */
export function updateChecksum16(checksum: number, oldField: number, newField: number): number {
  return finish((~checksum & 0xffff) + (~oldField & 0xffff) + newField);
}
