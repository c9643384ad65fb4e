// Where the layers of a frame or packet begin: one pass that validates lengths and fills columns,
// so that later code reads fields by accessor without checking again. Hot path: no allocation;
// decides nothing, drops nothing.

import { readU16 } from "./byte-order.js";
import { checkEthernet, ETHERNET_TYPE, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from "./ethernet.js";
import {
  PROTOCOL_ICMP,
  PROTOCOL_ICMPV6,
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from "./ip-protocol.js";
import {
  IPV4_HEADER_BYTES,
  ipv4FragmentOffset,
  ipv4HeaderLength,
  ipv4IsFragment,
  ipv4Protocol,
  ipv4TotalLength,
} from "./ipv4.js";
import {
  IPV6_HEADER_BYTES,
  ipv6PayloadLength,
  walkIpv6Extensions,
  walkIsFragment,
  walkIsLaterFragment,
  walkOffset,
  walkProtocol,
} from "./ipv6.js";
import { checkTcp, TCP_HEADER_BYTES, tcpHeaderLength } from "./tcp.js";
import { checkUdp, UDP_HEADER_BYTES } from "./udp.js";
import { contentTypeOffset, VLAN_TAG_BYTES } from "./vlan.js";

/** Columns of `out`. Offsets are absolute in `bytes`, -1 where there is none. */
export const LOCATE_L3 = 0;
export const LOCATE_L4 = 1;
/** Behind the L4 header; -1 for fragments and protocols that are not known here. */
export const LOCATE_PAYLOAD = 2;
/** L4 protocol number (IPv6: behind the extension headers); -1 when not IP. */
export const LOCATE_PROTOCOL = 3;
/** 4, 6 or 0 when not IP. */
export const LOCATE_VERSION = 4;
export const LOCATE_VLAN_TAGS = 5;
/** Behind VLAN tags; of a bare packet the one that its version stands for. */
export const LOCATE_ETHERTYPE = 6;
/** Bits, LOCATE_FRAGMENT. */
export const LOCATE_FLAGS = 7;
/** Where the IP packet ends (padding may follow); the frame's end when not IP. */
export const LOCATE_END = 8;
export const LOCATE_COLUMNS = 9;

/** Flag: a fragment, the first one included. */
export const LOCATE_FRAGMENT = 1;

/** The frame ends within the Ethernet header or a VLAN tag. */
export const LOCATE_TRUNCATED_L2 = -1;
/** The packet ends within the IP header. */
export const LOCATE_TRUNCATED_L3 = -2;
/** The version is not what the ethertype says (bare packet: neither 4 nor 6). */
export const LOCATE_BAD_VERSION = -3;
/** IPv4 header length below 20 bytes or beyond the total length. */
export const LOCATE_BAD_IHL = -4;
/** The IP length says more than there is. */
export const LOCATE_BAD_LENGTH = -5;
/** IPv6 extension headers that are truncated or too many. */
export const LOCATE_BAD_EXTENSION = -6;
/** A known L4 header is truncated or its own length is wrong. */
export const LOCATE_BAD_L4 = -7;

const ICMP_HEADER_BYTES = 8;
/** Type, code and checksum; what follows differs by type [RFC 4443 § 2.1]. */
const ICMPV6_HEADER_BYTES = 4;
const SCTP_HEADER_BYTES = 12;

/** Not a header length: the protocol is not known here. */
const L4_UNKNOWN = -1;

/**
 * Locates the layers of the Ethernet frame `at`..`end`. Returns 0, or LOCATE_TRUNCATED_L2 ..
 * LOCATE_BAD_L4 when it is malformed; `out` (LOCATE_COLUMNS long) then tells what was right up to
 * there. Not IP is not malformed.
 */
export function locateFrame(bytes: Uint8Array, at: number, end: number, out: Int32Array): number {
  clear(out, end);
  if (!checkEthernet(bytes, at, end)) return LOCATE_TRUNCATED_L2;
  const typeAt = contentTypeOffset(bytes, at, end);
  if (typeAt < 0) return LOCATE_TRUNCATED_L2;
  const type = readU16(bytes, typeAt);
  const l3At = typeAt + 2;
  out[LOCATE_VLAN_TAGS] = (typeAt - at - ETHERNET_TYPE) / VLAN_TAG_BYTES;
  out[LOCATE_ETHERTYPE] = type;
  out[LOCATE_L3] = l3At;
  if (type === ETHERTYPE_IPV4) return locateIpv4(bytes, l3At, end, out);
  if (type === ETHERTYPE_IPV6) return locateIpv6(bytes, l3At, end, out);
  return 0;
}

/** The same for a bare IPv4 or IPv6 packet. */
export function locatePacket(bytes: Uint8Array, at: number, end: number, out: Int32Array): number {
  clear(out, end);
  if (end - at < 1) return LOCATE_TRUNCATED_L3;
  const version = bytes[at] >>> 4;
  if (version !== 4 && version !== 6) return LOCATE_BAD_VERSION;
  out[LOCATE_ETHERTYPE] = version === 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
  out[LOCATE_L3] = at;
  return version === 4 ? locateIpv4(bytes, at, end, out) : locateIpv6(bytes, at, end, out);
}

function clear(out: Int32Array, end: number): void {
  out[LOCATE_L3] = -1;
  out[LOCATE_L4] = -1;
  out[LOCATE_PAYLOAD] = -1;
  out[LOCATE_PROTOCOL] = -1;
  out[LOCATE_VERSION] = 0;
  out[LOCATE_VLAN_TAGS] = 0;
  out[LOCATE_ETHERTYPE] = 0;
  out[LOCATE_FLAGS] = 0;
  out[LOCATE_END] = end;
}

function locateIpv4(bytes: Uint8Array, at: number, end: number, out: Int32Array): number {
  if (end - at < IPV4_HEADER_BYTES) return LOCATE_TRUNCATED_L3;
  if (bytes[at] >>> 4 !== 4) return LOCATE_BAD_VERSION;
  const header_bytes = ipv4HeaderLength(bytes, at);
  const total_bytes = ipv4TotalLength(bytes, at);
  if (header_bytes < IPV4_HEADER_BYTES || header_bytes > total_bytes) return LOCATE_BAD_IHL;
  if (total_bytes > end - at) return LOCATE_BAD_LENGTH;
  out[LOCATE_VERSION] = 4;
  out[LOCATE_PROTOCOL] = ipv4Protocol(bytes, at);
  out[LOCATE_END] = at + total_bytes;
  if (ipv4IsFragment(bytes, at)) out[LOCATE_FLAGS] = LOCATE_FRAGMENT;
  if (ipv4FragmentOffset(bytes, at) !== 0) return 0;
  return locateL4(bytes, at + header_bytes, out);
}

function locateIpv6(bytes: Uint8Array, at: number, end: number, out: Int32Array): number {
  if (end - at < IPV6_HEADER_BYTES) return LOCATE_TRUNCATED_L3;
  if (bytes[at] >>> 4 !== 6) return LOCATE_BAD_VERSION;
  const packetEnd = at + IPV6_HEADER_BYTES + ipv6PayloadLength(bytes, at);
  if (packetEnd > end) return LOCATE_BAD_LENGTH;
  out[LOCATE_VERSION] = 6;
  out[LOCATE_END] = packetEnd;
  const walk = walkIpv6Extensions(bytes, at, packetEnd);
  if (walk < 0) return LOCATE_BAD_EXTENSION;
  out[LOCATE_PROTOCOL] = walkProtocol(walk);
  if (walkIsFragment(walk)) out[LOCATE_FLAGS] = LOCATE_FRAGMENT;
  if (walkIsLaterFragment(walk)) return 0;
  return locateL4(bytes, at + walkOffset(walk), out);
}

/** Fills LOCATE_L4 and LOCATE_PAYLOAD; protocol, flags and end are in `out` already. */
function locateL4(bytes: Uint8Array, at: number, out: Int32Array): number {
  const end = out[LOCATE_END];
  if (out[LOCATE_FLAGS] === LOCATE_FRAGMENT) {
    // The rest of it comes in other fragments: only the fixed header must be here, lengths cannot
    // be checked.
    if (end - at >= fixedHeaderLength(out[LOCATE_PROTOCOL])) out[LOCATE_L4] = at;
    return 0;
  }
  const header_bytes = headerLength(bytes, at, end, out[LOCATE_PROTOCOL]);
  if (header_bytes === 0) return LOCATE_BAD_L4;
  if (header_bytes !== L4_UNKNOWN) out[LOCATE_PAYLOAD] = at + header_bytes;
  if (at < end) out[LOCATE_L4] = at;
  return 0;
}

/** Smallest header of a protocol; 1 when it is not known here. */
function fixedHeaderLength(protocol: number): number {
  switch (protocol) {
    case PROTOCOL_TCP:
      return TCP_HEADER_BYTES;
    case PROTOCOL_UDP:
      return UDP_HEADER_BYTES;
    case PROTOCOL_ICMP:
      return ICMP_HEADER_BYTES;
    case PROTOCOL_ICMPV6:
      return ICMPV6_HEADER_BYTES;
    case PROTOCOL_SCTP:
      return SCTP_HEADER_BYTES;
    default:
      return 1;
  }
}

/**
 * Bytes of the L4 header; 0 when it is malformed, L4_UNKNOWN when the protocol is not known here.
 */
function headerLength(bytes: Uint8Array, at: number, end: number, protocol: number): number {
  switch (protocol) {
    case PROTOCOL_TCP:
      return checkTcp(bytes, at, end) ? tcpHeaderLength(bytes, at) : 0;
    case PROTOCOL_UDP:
      return checkUdp(bytes, at, end) ? UDP_HEADER_BYTES : 0;
    case PROTOCOL_ICMP:
    case PROTOCOL_ICMPV6:
    case PROTOCOL_SCTP: {
      const fixed_bytes = fixedHeaderLength(protocol);
      return end - at >= fixed_bytes ? fixed_bytes : 0;
    }
    default:
      return L4_UNKNOWN;
  }
}
