// ICMPv6 errors [RFC 4443 § 3] about packets that are too big for a tunnel or got lost in it. The
// packets may be whole, or as much of them as another error quoted.

import { copyBytes, writeU16, writeU32 } from "./byte-order.js";
import {
  ICMPV6_BODY,
  ICMPV6_ECHO_REQUEST,
  ICMPV6_ERROR_DATA,
  ICMPV6_PACKET_TOO_BIG,
  ICMPV6_REDIRECT,
  ICMPV6_TYPE,
  icmpv6Type,
  ndSourceUnspecified,
  writeIcmpv6Checksum,
} from "./icmpv6.js";
import type { IpAddress } from "./ip-address.js";
import { PROTOCOL_ICMPV6 } from "./ip-protocol.js";
import {
  IPV6_DESTINATION,
  IPV6_HEADER_BYTES,
  IPV6_MIN_MTU_BYTES,
  IPV6_SOURCE,
  ipv6PayloadLength,
  ipv6Version,
  walkIpv6Extensions,
  walkIsLaterFragment,
  walkOffset,
  walkProtocol,
  writeIpv6Address,
} from "./ipv6.js";

const ERROR_HOP_LIMIT = 64;
/** A quote that shows less behind the IPv6 header tells its sender nothing. */
const QUOTED_PAYLOAD_BYTES = 8;

/**
 * Whether an error may be sent about the IPv6 packet `at`..`end` [RFC 4443 § 2.4 (e)]: not about
 * errors and redirects, not about what goes to a group, nor to a source that is no single node.
 * @param end the packet's or, of a packet that an error quoted, what there is of it; its extension
 * headers and 8 bytes more are needed
 */
export function mayAnswerIpv6(bytes: Uint8Array, at: number, end: number): boolean {
  return mayAnswerTooBig(bytes, at, end) && bytes[at + IPV6_DESTINATION] !== 0xff;
}

/** The same for packet too big: a multicast destination is allowed for this one error. */
export function mayAnswerTooBig(bytes: Uint8Array, at: number, end: number): boolean {
  if (end - at < IPV6_HEADER_BYTES || ipv6Version(bytes, at) !== 6) return false;
  if (ndSourceUnspecified(bytes, at) || bytes[at + IPV6_SOURCE] === 0xff) return false;
  const payload_bytes = ipv6PayloadLength(bytes, at);
  const packetEnd = Math.min(end, at + IPV6_HEADER_BYTES + payload_bytes);
  const walk = walkIpv6Extensions(bytes, at, packetEnd);
  if (walk < 0) return false;
  const l4At = at + walkOffset(walk);
  const whole = IPV6_HEADER_BYTES + payload_bytes <= end - at;
  if (!whole && end - l4At < QUOTED_PAYLOAD_BYTES) return false;
  if (walkProtocol(walk) !== PROTOCOL_ICMPV6) return true;
  // A later fragment of an ICMPv6 packet, or one too short to show its type, could be an error.
  if (walkIsLaterFragment(walk) || l4At >= packetEnd) return false;
  const type = icmpv6Type(bytes, l4At);
  return type >= ICMPV6_ECHO_REQUEST && type !== ICMPV6_REDIRECT;
}

/**
 * Writes a whole IPv6 packet with ICMPv6 "packet too big" [RFC 4443 § 3.2] about the packet
 * `packetAt`..`packetEnd` (see `mayAnswerIpv6`), to that packet's source. Returns its bytes (at
 * most 1280), or 0 where no answer is allowed. `out` must not overlap the packet.
 */
export function emitPacketTooBig(
  bytes: Uint8Array,
  packetAt: number,
  packetEnd: number,
  source: IpAddress,
  mtu_bytes: number,
  out: Uint8Array,
  outAt: number,
): number {
  if (!mayAnswerTooBig(bytes, packetAt, packetEnd)) return 0;
  const type = ICMPV6_PACKET_TOO_BIG;
  return writeError(type, 0, mtu_bytes, bytes, packetAt, packetEnd, source, out, outAt);
}

/** The same with any other error, whose message has nothing but the quote. */
export function emitIcmpv6Error(
  type: number,
  code: number,
  bytes: Uint8Array,
  packetAt: number,
  packetEnd: number,
  source: IpAddress,
  out: Uint8Array,
  outAt: number,
): number {
  if (!mayAnswerIpv6(bytes, packetAt, packetEnd)) return 0;
  return writeError(type, code, 0, bytes, packetAt, packetEnd, source, out, outAt);
}

function writeError(
  type: number,
  code: number,
  body: number,
  bytes: Uint8Array,
  packetAt: number,
  packetEnd: number,
  source: IpAddress,
  out: Uint8Array,
  outAt: number,
): number {
  // As much of the packet as fits into the minimum MTU [RFC 4443 § 2.4 (c)].
  const quoted_bytes = Math.min(
    packetEnd - packetAt,
    IPV6_HEADER_BYTES + ipv6PayloadLength(bytes, packetAt),
    IPV6_MIN_MTU_BYTES - IPV6_HEADER_BYTES - ICMPV6_ERROR_DATA,
  );
  const payload_bytes = ICMPV6_ERROR_DATA + quoted_bytes;
  writeU32(out, outAt, 6 << 28);
  writeU16(out, outAt + 4, payload_bytes);
  writeU16(out, outAt + 6, (PROTOCOL_ICMPV6 << 8) | ERROR_HOP_LIMIT);
  writeIpv6Address(out, outAt + IPV6_SOURCE, source);
  copyBytes(bytes, packetAt + IPV6_SOURCE, 16, out, outAt + IPV6_DESTINATION);
  const icmpAt = outAt + IPV6_HEADER_BYTES;
  writeU16(out, icmpAt + ICMPV6_TYPE, (type << 8) | code);
  writeU32(out, icmpAt + ICMPV6_BODY, body);
  copyBytes(bytes, packetAt, quoted_bytes, out, icmpAt + ICMPV6_ERROR_DATA);
  writeIcmpv6Checksum(out, outAt, icmpAt, icmpAt + payload_bytes);
  return IPV6_HEADER_BYTES + payload_bytes;
}
