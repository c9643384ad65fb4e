// ICMP [RFC 792] as far as a tunnel needs it: the header, and errors about inner packets: too big
// for the tunnel, or lost in it. Run checkIcmp once before the accessors.

import { copyBytes, readU16, readU32, writeU16, writeU32 } from "./byte-order.js";
import { finish, sum } from "./checksum.js";
import { PROTOCOL_ICMP } from "./ip-protocol.js";
import {
  IPV4_HEADER_BYTES,
  ipv4Destination,
  ipv4FragmentOffset,
  ipv4HeaderLength,
  ipv4Protocol,
  ipv4Source,
  ipv4TotalLength,
  ipv4Version,
  writeIpv4Checksum,
  writeIpv4Destination,
  writeIpv4DontFragment,
  writeIpv4Source,
} from "./ipv4.js";

export const ICMP_TYPE = 0;
export const ICMP_CODE = 1;
export const ICMP_CHECKSUM = 2;
export const ICMP_REST = 4;
export const ICMP_HEADER_BYTES = 8;

export const ICMP_DESTINATION_UNREACHABLE = 3;
export const ICMP_SOURCE_QUENCH = 4;
export const ICMP_REDIRECT = 5;
export const ICMP_ECHO_REQUEST = 8;
export const ICMP_TIME_EXCEEDED = 11;
export const ICMP_PARAMETER_PROBLEM = 12;

/** Codes of destination unreachable. */
export const ICMP_CODE_NET_UNREACHABLE = 0;
export const ICMP_CODE_HOST_UNREACHABLE = 1;
export const ICMP_CODE_PROTOCOL_UNREACHABLE = 2;
export const ICMP_CODE_PORT_UNREACHABLE = 3;
export const ICMP_CODE_FRAGMENTATION_NEEDED = 4;
/** Code of time exceeded: in transit. */
export const ICMP_CODE_TTL_EXCEEDED = 0;

/** An error with its IP header is at most this long [RFC 1812 § 4.3.2.3]. */
export const ICMP_ERROR_MAX_BYTES = 576;
/** An error quotes at least so much behind the header [RFC 792]. */
const QUOTED_PAYLOAD_BYTES = 8;
/** TOS of errors: precedence 6, internetwork control [RFC 1812 § 4.3.2.5]. */
const ERROR_TOS = 0xc0;
const ERROR_TTL = 64;

export function icmpType(bytes: Uint8Array, at: number): number {
  return bytes[at + ICMP_TYPE];
}

export function icmpCode(bytes: Uint8Array, at: number): number {
  return bytes[at + ICMP_CODE];
}

export function icmpChecksum(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at + ICMP_CHECKSUM);
}

/** The four bytes behind the checksum: identifier and sequence, next-hop MTU, gateway, unused. */
export function icmpRest(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at + ICMP_REST);
}

/**
 * Next-hop MTU of a fragmentation needed message, in bytes; 0 from routers older than [RFC 1191 §
 * 4].
 */
export function icmpNextHopMtu(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at + ICMP_REST + 2);
}

/** True for types that report on another packet; never answered by an error [RFC 1122 § 3.2.2]. */
export function isIcmpError(type: number): boolean {
  switch (type) {
    case ICMP_DESTINATION_UNREACHABLE:
    case ICMP_SOURCE_QUENCH:
    case ICMP_REDIRECT:
    case ICMP_TIME_EXCEEDED:
    case ICMP_PARAMETER_PROBLEM:
      return true;
    default:
      return false;
  }
}

/** True when a whole header lies in `at`..`end`. */
export function checkIcmp(_bytes: Uint8Array, at: number, end: number): boolean {
  return end - at >= ICMP_HEADER_BYTES;
}

/** Computes and writes the checksum of the message `at`..`end`. */
export function writeIcmpChecksum(bytes: Uint8Array, at: number, end: number): void {
  writeU16(bytes, at + ICMP_CHECKSUM, 0);
  writeU16(bytes, at + ICMP_CHECKSUM, finish(sum(bytes, at, end - at, 0)));
}

export function icmpChecksumValid(bytes: Uint8Array, at: number, end: number): boolean {
  return finish(sum(bytes, at, end - at, 0)) === 0;
}

export interface IcmpRepr {
  type: number;
  code: number;
  /** The four bytes behind the checksum, unsigned 32-bit. */
  rest: number;
  data: Uint8Array;
}

/**
 * The message `at`..`end` (without IP header); undefined when truncated or its checksum is wrong.
 */
export function parseIcmp(bytes: Uint8Array, at: number, end: number): IcmpRepr | undefined {
  if (!checkIcmp(bytes, at, end) || !icmpChecksumValid(bytes, at, end)) return undefined;
  return {
    type: icmpType(bytes, at),
    code: icmpCode(bytes, at),
    rest: icmpRest(bytes, at),
    data: bytes.slice(at + ICMP_HEADER_BYTES, end),
  };
}

/** Writes the message, checksum included; returns its bytes. */
export function emitIcmp(repr: IcmpRepr, bytes: Uint8Array, at: number): number {
  const message_bytes = ICMP_HEADER_BYTES + repr.data.length;
  bytes[at + ICMP_TYPE] = repr.type;
  bytes[at + ICMP_CODE] = repr.code;
  writeU32(bytes, at + ICMP_REST, repr.rest);
  copyBytes(repr.data, 0, repr.data.length, bytes, at + ICMP_HEADER_BYTES);
  writeIcmpChecksum(bytes, at, at + message_bytes);
  return message_bytes;
}

/**
 * Whether an error may be sent about the IPv4 packet `at`..`end` [RFC 1122 § 3.2.2]: not about ICMP
 * errors, later fragments, multicast or broadcast, or to a source that is no single host. A
 * subnet's broadcast address and a link-layer broadcast cannot be seen here.
 * @param end the packet's or, of a packet that an error quoted, what there is of it: its header and
 * 8 bytes at least [RFC 792]
 */
export function mayAnswerIpv4(bytes: Uint8Array, at: number, end: number): boolean {
  if (!checkQuotedIpv4(bytes, at, end) || ipv4FragmentOffset(bytes, at) !== 0) return false;
  // 224/4 multicast, 240/4 reserved with the limited broadcast in it.
  if (ipv4Destination(bytes, at) >>> 28 >= 0xe) return false;
  const source = ipv4Source(bytes, at);
  const sourceNet = source >>> 24;
  if (sourceNet === 0 || sourceNet === 127 || source >>> 28 >= 0xe) return false;
  if (ipv4Protocol(bytes, at) !== PROTOCOL_ICMP) return true;
  const l4At = at + ipv4HeaderLength(bytes, at);
  // An ICMP packet too short to show its type could be an error.
  return l4At < at + ipv4TotalLength(bytes, at) && !isIcmpError(icmpType(bytes, l4At));
}

/** A whole header, and behind it all of the packet or at least what errors quote? */
function checkQuotedIpv4(bytes: Uint8Array, at: number, end: number): boolean {
  if (end - at < IPV4_HEADER_BYTES || ipv4Version(bytes, at) !== 4) return false;
  const header_bytes = ipv4HeaderLength(bytes, at);
  const total_bytes = ipv4TotalLength(bytes, at);
  if (header_bytes < IPV4_HEADER_BYTES || header_bytes > total_bytes) return false;
  return end - at >= Math.min(total_bytes, header_bytes + QUOTED_PAYLOAD_BYTES);
}

/**
 * Writes a whole IPv4 packet with an ICMP error about the packet `packetAt`..`packetEnd`, to that
 * packet's source. Returns its bytes (at most ICMP_ERROR_MAX_BYTES), or 0 where no answer is
 * allowed. `out` must not overlap the packet.
 * @param packetEnd as `mayAnswerIpv4` has it
 * @param sourceIp the answer's source, unsigned 32-bit
 * @param rest the four bytes behind the checksum
 */
export function emitIcmpError(
  type: number,
  code: number,
  rest: number,
  bytes: Uint8Array,
  packetAt: number,
  packetEnd: number,
  sourceIp: number,
  out: Uint8Array,
  outAt: number,
): number {
  if (!mayAnswerIpv4(bytes, packetAt, packetEnd)) return 0;
  const icmpAt = outAt + IPV4_HEADER_BYTES;
  // As much of the packet as fits [RFC 1812 § 4.3.2.3].
  const quoted_bytes = Math.min(
    packetEnd - packetAt,
    ipv4TotalLength(bytes, packetAt),
    ICMP_ERROR_MAX_BYTES - IPV4_HEADER_BYTES - ICMP_HEADER_BYTES,
  );
  const total_bytes = IPV4_HEADER_BYTES + ICMP_HEADER_BYTES + quoted_bytes;
  writeU32(out, outAt, (0x45 << 24) | (ERROR_TOS << 16) | total_bytes);
  // DF makes the datagram atomic, so that its identification may be 0 [RFC 6864 § 4.1].
  writeU16(out, outAt + 4, 0);
  writeIpv4DontFragment(out, outAt, true);
  writeU16(out, outAt + 8, (ERROR_TTL << 8) | PROTOCOL_ICMP);
  writeIpv4Source(out, outAt, sourceIp);
  writeIpv4Destination(out, outAt, ipv4Source(bytes, packetAt));
  writeIpv4Checksum(out, outAt);
  out[icmpAt + ICMP_TYPE] = type;
  out[icmpAt + ICMP_CODE] = code;
  writeU32(out, icmpAt + ICMP_REST, rest);
  copyBytes(bytes, packetAt, quoted_bytes, out, icmpAt + ICMP_HEADER_BYTES);
  writeIcmpChecksum(out, icmpAt, icmpAt + ICMP_HEADER_BYTES + quoted_bytes);
  return total_bytes;
}

/**
 * `emitIcmpError` with "fragmentation needed and DF set" [RFC 792, RFC 1191 § 4]. Whether DF is set
 * is the caller's question.
 */
export function emitFragmentationNeeded(
  bytes: Uint8Array,
  packetAt: number,
  packetEnd: number,
  sourceIp: number,
  nextHopMtu_bytes: number,
  out: Uint8Array,
  outAt: number,
): number {
  const mtu_bytes = Math.min(nextHopMtu_bytes, 0xffff);
  const code = ICMP_CODE_FRAGMENTATION_NEEDED;
  const type = ICMP_DESTINATION_UNREACHABLE;
  return emitIcmpError(type, code, mtu_bytes, bytes, packetAt, packetEnd, sourceIp, out, outAt);
}
