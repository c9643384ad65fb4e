// IPv6 headers [RFC 8200 § 3] and the bounded walk over extension headers to L4. Accessors are for
// the data path: run checkIpv6 once before them. Addresses are four unsigned 32-bit words, as in
// ip-address.ts.

import { readU16, readU32, writeU16, writeU32 } from "./byte-order.js";
import type { IpAddress } from "./ip-address.js";

export const IPV6_VERSION_CLASS_LABEL = 0;
export const IPV6_PAYLOAD_LENGTH = 4;
export const IPV6_NEXT_HEADER = 6;
export const IPV6_HOP_LIMIT = 7;
export const IPV6_SOURCE = 8;
export const IPV6_DESTINATION = 24;
export const IPV6_HEADER_BYTES = 40;
/** Every link carries this much [RFC 8200 § 5]. */
export const IPV6_MIN_MTU_BYTES = 1280;

export function ipv6Version(bytes: Uint8Array, at: number): number {
  return bytes[at] >>> 4;
}

/** DSCP and, in the low two bits, ECN. */
export function ipv6TrafficClass(bytes: Uint8Array, at: number): number {
  return ((bytes[at] & 0x0f) << 4) | (bytes[at + 1] >>> 4);
}

/** 20 bits. */
export function ipv6FlowLabel(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at + IPV6_VERSION_CLASS_LABEL) & 0xfffff;
}

/** Bytes behind the fixed header, extension headers included. */
export function ipv6PayloadLength(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at + IPV6_PAYLOAD_LENGTH);
}

/** The fixed header's field: maybe an extension header, so not always the L4 protocol. */
export function ipv6NextHeader(bytes: Uint8Array, at: number): number {
  return bytes[at + IPV6_NEXT_HEADER];
}

export function ipv6HopLimit(bytes: Uint8Array, at: number): number {
  return bytes[at + IPV6_HOP_LIMIT];
}

/** One word of the source, 0..3, most significant first. */
export function ipv6SourceWord(bytes: Uint8Array, at: number, word: number): number {
  return readU32(bytes, at + IPV6_SOURCE + 4 * word);
}

/** One word of the destination, 0..3, most significant first. */
export function ipv6DestinationWord(bytes: Uint8Array, at: number, word: number): number {
  return readU32(bytes, at + IPV6_DESTINATION + 4 * word);
}

export function writeIpv6TrafficClass(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = (bytes[at] & 0xf0) | ((value >>> 4) & 0x0f);
  bytes[at + 1] = (bytes[at + 1] & 0x0f) | ((value << 4) & 0xf0);
}

export function writeIpv6PayloadLength(bytes: Uint8Array, at: number, length_bytes: number): void {
  writeU16(bytes, at + IPV6_PAYLOAD_LENGTH, length_bytes);
}

export function writeIpv6HopLimit(bytes: Uint8Array, at: number, hopLimit: number): void {
  bytes[at + IPV6_HOP_LIMIT] = hopLimit;
}

/** The 16 bytes of an address at `at`; allocates, for control code. */
export function readIpv6Address(bytes: Uint8Array, at: number): IpAddress {
  return {
    w0: readU32(bytes, at),
    w1: readU32(bytes, at + 4),
    w2: readU32(bytes, at + 8),
    w3: readU32(bytes, at + 12),
  };
}

export function writeIpv6Address(bytes: Uint8Array, at: number, ip: IpAddress): void {
  writeU32(bytes, at, ip.w0);
  writeU32(bytes, at + 4, ip.w1);
  writeU32(bytes, at + 8, ip.w2);
  writeU32(bytes, at + 12, ip.w3);
}

/**
 * True when the version is right and the whole packet lies in `at`..`end` (what follows it is
 * padding). Jumbograms [RFC 2675] are not supported: a payload length of 0 means an empty payload.
 */
export function checkIpv6(bytes: Uint8Array, at: number, end: number): boolean {
  return (
    end - at >= IPV6_HEADER_BYTES &&
    ipv6Version(bytes, at) === 6 &&
    IPV6_HEADER_BYTES + ipv6PayloadLength(bytes, at) <= end - at
  );
}

const NEXT_HOP_BY_HOP = 0;
const NEXT_ROUTING = 43;
const NEXT_FRAGMENT = 44;
const NEXT_AUTHENTICATION = 51;
const NEXT_DESTINATION_OPTIONS = 60;
const NEXT_MOBILITY = 135;
const NEXT_HIP = 139;
const NEXT_SHIM6 = 140;

/**
 * Extension headers that are walked; a longer chain is refused, so that no packet can buy unbounded
 * work.
 */
export const IPV6_EXTENSIONS_MAX = 8;
/** An extension header reaches beyond the packet. */
export const IPV6_WALK_TRUNCATED = -1;
/** More than IPV6_EXTENSIONS_MAX extension headers. */
export const IPV6_WALK_TOO_LONG = -2;

const WALK_FRAGMENT = 1 << 25;
const WALK_LATER_FRAGMENT = 1 << 24;

/**
 * Walks the extension headers of a checked packet that ends at `end`. Negative: IPV6_WALK_*.
 * Otherwise one packed number (no object, so that nothing is allocated) for walkProtocol,
 * walkOffset, walkIsFragment and walkIsLaterFragment. ESP and unknown headers end the walk: they
 * are the L4 protocol.
 */
export function walkIpv6Extensions(bytes: Uint8Array, at: number, end: number): number {
  let next = ipv6NextHeader(bytes, at);
  let p = at + IPV6_HEADER_BYTES;
  let flags = 0;
  for (let walked = 0; isExtension(next); walked++) {
    if (walked === IPV6_EXTENSIONS_MAX) return IPV6_WALK_TOO_LONG;
    // All of them are at least 8 bytes long and begin with next header and length [RFC 8200 § 4].
    if (end - p < 8) return IPV6_WALK_TRUNCATED;
    let length_bytes = (bytes[p + 1] + 1) << 3;
    if (next === NEXT_FRAGMENT) {
      length_bytes = 8; // Its second byte is reserved, not a length [RFC 8200 § 4.5].
      flags |= WALK_FRAGMENT;
      if ((readU16(bytes, p + 2) & 0xfff8) !== 0) flags |= WALK_LATER_FRAGMENT;
    } else if (next === NEXT_AUTHENTICATION) {
      length_bytes = (bytes[p + 1] + 2) << 2; // In 32-bit words [RFC 4302 § 2.2].
    }
    if (end - p < length_bytes) return IPV6_WALK_TRUNCATED;
    next = bytes[p];
    p += length_bytes;
    // Behind the header of a later fragment stands the middle of something.
    if ((flags & WALK_LATER_FRAGMENT) !== 0) break;
  }
  return flags | (next << 16) | (p - at);
}

function isExtension(next: number): boolean {
  switch (next) {
    case NEXT_HOP_BY_HOP:
    case NEXT_ROUTING:
    case NEXT_FRAGMENT:
    case NEXT_AUTHENTICATION:
    case NEXT_DESTINATION_OPTIONS:
    case NEXT_MOBILITY:
    case NEXT_HIP:
    case NEXT_SHIM6:
      return true;
    default:
      return false;
  }
}

/**
 * The first header that is no extension header; for a later fragment what its fragment header
 * names.
 */
export function walkProtocol(walk: number): number {
  return (walk >>> 16) & 0xff;
}

/** Bytes from the IPv6 header to what walkProtocol names. */
export function walkOffset(walk: number): number {
  return walk & 0xffff;
}

/** True when there is a fragment header, also that of an "atomic" fragment [RFC 6946]. */
export function walkIsFragment(walk: number): boolean {
  return (walk & WALK_FRAGMENT) !== 0;
}

/** True for a fragment that does not begin the datagram: it has no L4 header. */
export function walkIsLaterFragment(walk: number): boolean {
  return (walk & WALK_LATER_FRAGMENT) !== 0;
}

export interface Ipv6Repr {
  trafficClass: number;
  flowLabel: number;
  payload_bytes: number;
  nextHeader: number;
  hopLimit: number;
  source: IpAddress;
  destination: IpAddress;
}

export function parseIpv6(bytes: Uint8Array, at: number, end: number): Ipv6Repr | undefined {
  if (!checkIpv6(bytes, at, end)) return undefined;
  return {
    trafficClass: ipv6TrafficClass(bytes, at),
    flowLabel: ipv6FlowLabel(bytes, at),
    payload_bytes: ipv6PayloadLength(bytes, at),
    nextHeader: ipv6NextHeader(bytes, at),
    hopLimit: ipv6HopLimit(bytes, at),
    source: readIpv6Address(bytes, at + IPV6_SOURCE),
    destination: readIpv6Address(bytes, at + IPV6_DESTINATION),
  };
}

/**
 * Writes the fixed header. Hot path.
 * @param flowLabel 20 bits. @param source four words, as is `destination`
 */
export function writeIpv6Header(
  bytes: Uint8Array,
  at: number,
  trafficClass: number,
  flowLabel: number,
  payload_bytes: number,
  nextHeader: number,
  hopLimit: number,
  source: Int32Array,
  destination: Int32Array,
): void {
  writeU32(bytes, at, (6 << 28) | (trafficClass << 20) | flowLabel);
  writeU32(bytes, at + IPV6_PAYLOAD_LENGTH, (payload_bytes << 16) | (nextHeader << 8) | hopLimit);
  for (let word = 0; word < 4; word++) {
    writeU32(bytes, at + IPV6_SOURCE + 4 * word, source[word]);
    writeU32(bytes, at + IPV6_DESTINATION + 4 * word, destination[word]);
  }
}

/** Writes the fixed header; returns its 40 bytes. */
export function emitIpv6(repr: Ipv6Repr, bytes: Uint8Array, at: number): number {
  writeU32(bytes, at, (6 << 28) | (repr.trafficClass << 20) | (repr.flowLabel & 0xfffff));
  writeIpv6PayloadLength(bytes, at, repr.payload_bytes);
  bytes[at + IPV6_NEXT_HEADER] = repr.nextHeader;
  writeIpv6HopLimit(bytes, at, repr.hopLimit);
  writeIpv6Address(bytes, at + IPV6_SOURCE, repr.source);
  writeIpv6Address(bytes, at + IPV6_DESTINATION, repr.destination);
  return IPV6_HEADER_BYTES;
}
