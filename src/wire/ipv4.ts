// IPv4 headers [RFC 791 § 3.1]. Accessors are for the data path: run checkIpv4 once before them.
// Addresses are unsigned 32-bit numbers in host order. Options are skipped, never interpreted.

import { readI32, readU16, readU32, writeU16, writeU32 } from "./byte-order.js";
import { finish, sum } from "./checksum.js";

export const IPV4_VERSION_IHL = 0;
export const IPV4_TOS = 1;
export const IPV4_TOTAL_LENGTH = 2;
export const IPV4_IDENTIFICATION = 4;
export const IPV4_FLAGS_OFFSET = 6;
export const IPV4_TTL = 8;
export const IPV4_PROTOCOL = 9;
export const IPV4_CHECKSUM = 10;
export const IPV4_SOURCE = 12;
export const IPV4_DESTINATION = 16;
/** Without options. */
export const IPV4_HEADER_BYTES = 20;

const FLAG_DF = 0x4000;
const FLAG_MF = 0x2000;
const OFFSET_MASK = 0x1fff;

export function ipv4Version(bytes: Uint8Array, at: number): number {
  return bytes[at + IPV4_VERSION_IHL] >>> 4;
}

/** Bytes of the header with its options, 0..60; below 20 it is wrong. */
export function ipv4HeaderLength(bytes: Uint8Array, at: number): number {
  return (bytes[at + IPV4_VERSION_IHL] & 0x0f) << 2;
}

/** The whole TOS byte: DSCP and, in the low two bits, ECN [RFC 3168 § 5]. */
export function ipv4Tos(bytes: Uint8Array, at: number): number {
  return bytes[at + IPV4_TOS];
}

/** Header and payload, in bytes. */
export function ipv4TotalLength(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at + IPV4_TOTAL_LENGTH);
}

export function ipv4Identification(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at + IPV4_IDENTIFICATION);
}

export function ipv4DontFragment(bytes: Uint8Array, at: number): boolean {
  return (readU16(bytes, at + IPV4_FLAGS_OFFSET) & FLAG_DF) !== 0;
}

export function ipv4MoreFragments(bytes: Uint8Array, at: number): boolean {
  return (readU16(bytes, at + IPV4_FLAGS_OFFSET) & FLAG_MF) !== 0;
}

/** Where the fragment's payload belongs in the datagram, in bytes (a multiple of 8). */
export function ipv4FragmentOffset(bytes: Uint8Array, at: number): number {
  return (readU16(bytes, at + IPV4_FLAGS_OFFSET) & OFFSET_MASK) << 3;
}

/** True for every fragment, the first one too. */
export function ipv4IsFragment(bytes: Uint8Array, at: number): boolean {
  return (readU16(bytes, at + IPV4_FLAGS_OFFSET) & (FLAG_MF | OFFSET_MASK)) !== 0;
}

export function ipv4Ttl(bytes: Uint8Array, at: number): number {
  return bytes[at + IPV4_TTL];
}

export function ipv4Protocol(bytes: Uint8Array, at: number): number {
  return bytes[at + IPV4_PROTOCOL];
}

export function ipv4Checksum(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at + IPV4_CHECKSUM);
}

export function ipv4Source(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at + IPV4_SOURCE);
}

export function ipv4Destination(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at + IPV4_DESTINATION);
}

/** Source and destination as signed numbers, which tables take as well; for the data path. */
export function ipv4SourceBits(bytes: Uint8Array, at: number): number {
  return readI32(bytes, at + IPV4_SOURCE);
}

export function ipv4DestinationBits(bytes: Uint8Array, at: number): number {
  return readI32(bytes, at + IPV4_DESTINATION);
}

export function writeIpv4Tos(bytes: Uint8Array, at: number, tos: number): void {
  bytes[at + IPV4_TOS] = tos;
}

export function writeIpv4TotalLength(bytes: Uint8Array, at: number, length_bytes: number): void {
  writeU16(bytes, at + IPV4_TOTAL_LENGTH, length_bytes);
}

export function writeIpv4Identification(bytes: Uint8Array, at: number, value: number): void {
  writeU16(bytes, at + IPV4_IDENTIFICATION, value);
}

/** Sets DF as given and clears MF and the fragment offset. */
export function writeIpv4DontFragment(bytes: Uint8Array, at: number, df: boolean): void {
  writeU16(bytes, at + IPV4_FLAGS_OFFSET, df ? FLAG_DF : 0);
}

export function writeIpv4Ttl(bytes: Uint8Array, at: number, ttl: number): void {
  bytes[at + IPV4_TTL] = ttl;
}

export function writeIpv4Source(bytes: Uint8Array, at: number, address: number): void {
  writeU32(bytes, at + IPV4_SOURCE, address);
}

export function writeIpv4Destination(bytes: Uint8Array, at: number, address: number): void {
  writeU32(bytes, at + IPV4_DESTINATION, address);
}

/** Computes and writes the header checksum; every other field, IHL included, must be in place. */
export function writeIpv4Checksum(bytes: Uint8Array, at: number): void {
  writeU16(bytes, at + IPV4_CHECKSUM, 0);
  writeU16(bytes, at + IPV4_CHECKSUM, finish(sum(bytes, at, ipv4HeaderLength(bytes, at), 0)));
}

export function ipv4ChecksumValid(bytes: Uint8Array, at: number): boolean {
  return finish(sum(bytes, at, ipv4HeaderLength(bytes, at), 0)) === 0;
}

/**
 * True when version, IHL and total length are right and the whole packet lies in `at`..`end` (what
 * follows it is padding). Does not verify the header checksum: see ipv4ChecksumValid.
 */
export function checkIpv4(bytes: Uint8Array, at: number, end: number): boolean {
  if (end - at < IPV4_HEADER_BYTES || ipv4Version(bytes, at) !== 4) return false;
  const header_bytes = ipv4HeaderLength(bytes, at);
  const total_bytes = ipv4TotalLength(bytes, at);
  return (
    header_bytes >= IPV4_HEADER_BYTES && total_bytes >= header_bytes && total_bytes <= end - at
  );
}

/**
 * Writes a header without options, fragment fields 0, identification 0, checksum 0: what a raw
 * socket with IP_HDRINCL takes and completes (raw(7)). Hot path.
 * @param source unsigned 32-bit, as is `destination`
 */
export function writeIpv4Header(
  bytes: Uint8Array,
  at: number,
  tos: number,
  totalLength_bytes: number,
  dontFragment: boolean,
  ttl: number,
  protocol: number,
  source: number,
  destination: number,
): void {
  writeU32(bytes, at, (0x45 << 24) | (tos << 16) | totalLength_bytes);
  writeU32(bytes, at + IPV4_IDENTIFICATION, 0);
  writeIpv4DontFragment(bytes, at, dontFragment);
  writeU32(bytes, at + IPV4_TTL, (ttl << 24) | (protocol << 16));
  writeIpv4Source(bytes, at, source);
  writeIpv4Destination(bytes, at, destination);
}

/** A header without options. */
export interface Ipv4Repr {
  tos: number;
  identification: number;
  dontFragment: boolean;
  moreFragments: boolean;
  /** A multiple of 8. */
  fragmentOffset_bytes: number;
  ttl: number;
  protocol: number;
  source: number;
  destination: number;
  payload_bytes: number;
}

/** The header at `at`, options left out; undefined when malformed or its checksum is wrong. */
export function parseIpv4(bytes: Uint8Array, at: number, end: number): Ipv4Repr | undefined {
  if (!checkIpv4(bytes, at, end) || !ipv4ChecksumValid(bytes, at)) return undefined;
  return {
    tos: ipv4Tos(bytes, at),
    identification: ipv4Identification(bytes, at),
    dontFragment: ipv4DontFragment(bytes, at),
    moreFragments: ipv4MoreFragments(bytes, at),
    fragmentOffset_bytes: ipv4FragmentOffset(bytes, at),
    ttl: ipv4Ttl(bytes, at),
    protocol: ipv4Protocol(bytes, at),
    source: ipv4Source(bytes, at),
    destination: ipv4Destination(bytes, at),
    payload_bytes: ipv4TotalLength(bytes, at) - ipv4HeaderLength(bytes, at),
  };
}

/**
 * Writes a header without options, checksum included; returns its 20 bytes. The payload is the
 * caller's.
 */
export function emitIpv4(repr: Ipv4Repr, bytes: Uint8Array, at: number): number {
  bytes[at + IPV4_VERSION_IHL] = 0x45;
  writeIpv4Tos(bytes, at, repr.tos);
  writeIpv4TotalLength(bytes, at, IPV4_HEADER_BYTES + repr.payload_bytes);
  writeIpv4Identification(bytes, at, repr.identification);
  writeU16(
    bytes,
    at + IPV4_FLAGS_OFFSET,
    (repr.dontFragment ? FLAG_DF : 0) |
      (repr.moreFragments ? FLAG_MF : 0) |
      ((repr.fragmentOffset_bytes >>> 3) & OFFSET_MASK),
  );
  writeIpv4Ttl(bytes, at, repr.ttl);
  bytes[at + IPV4_PROTOCOL] = repr.protocol;
  writeIpv4Source(bytes, at, repr.source);
  writeIpv4Destination(bytes, at, repr.destination);
  writeIpv4Checksum(bytes, at);
  return IPV4_HEADER_BYTES;
}
