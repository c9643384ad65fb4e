// UDP headers [RFC 768]. Run checkUdp once before the accessors.

import { readU16, writeU16 } from "./byte-order.js";
import { finish, transportSum } from "./checksum.js";
import { PROTOCOL_UDP } from "./ip-protocol.js";

export const UDP_SOURCE_PORT = 0;
export const UDP_DESTINATION_PORT = 2;
export const UDP_LENGTH = 4;
export const UDP_CHECKSUM = 6;
export const UDP_HEADER_BYTES = 8;

export function udpSourcePort(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at + UDP_SOURCE_PORT);
}

export function udpDestinationPort(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at + UDP_DESTINATION_PORT);
}

/** Header and payload, in bytes. */
export function udpLength(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at + UDP_LENGTH);
}

/** 0 means that the sender computed none. */
export function udpChecksum(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at + UDP_CHECKSUM);
}

/** True when the length field is right and the whole datagram lies in `at`..`end`. */
export function checkUdp(bytes: Uint8Array, at: number, end: number): boolean {
  if (end - at < UDP_HEADER_BYTES) return false;
  const length_bytes = udpLength(bytes, at);
  return length_bytes >= UDP_HEADER_BYTES && length_bytes <= end - at;
}

/**
 * Computes and writes the checksum of a datagram (its length in place) within the IP packet at
 * `ipAt`.
 */
export function writeUdpChecksum(bytes: Uint8Array, ipAt: number, at: number): void {
  writeU16(bytes, at + UDP_CHECKSUM, 0);
  const end = at + udpLength(bytes, at);
  const checksum = finish(transportSum(bytes, ipAt, at, end, PROTOCOL_UDP));
  // Zero is sent as all ones, because zero stands for "none" [RFC 768].
  writeU16(bytes, at + UDP_CHECKSUM, checksum === 0 ? 0xffff : checksum);
}

/**
 * True when the checksum is right, or none was computed and the packet is IPv4 [RFC 8200 § 8.1].
 */
export function udpChecksumValid(bytes: Uint8Array, ipAt: number, at: number): boolean {
  if (udpChecksum(bytes, at) === 0) return bytes[ipAt] >>> 4 === 4;
  const end = at + udpLength(bytes, at);
  return finish(transportSum(bytes, ipAt, at, end, PROTOCOL_UDP)) === 0;
}

export interface UdpRepr {
  sourcePort: number;
  destinationPort: number;
  payload_bytes: number;
}

/** The header at `at`; its checksum is not looked at, see udpChecksumValid. */
export function parseUdp(bytes: Uint8Array, at: number, end: number): UdpRepr | undefined {
  if (!checkUdp(bytes, at, end)) return undefined;
  return {
    sourcePort: udpSourcePort(bytes, at),
    destinationPort: udpDestinationPort(bytes, at),
    payload_bytes: udpLength(bytes, at) - UDP_HEADER_BYTES,
  };
}

/** Writes the header without checksum (writeUdpChecksum adds it); returns its 8 bytes. */
export function emitUdp(repr: UdpRepr, bytes: Uint8Array, at: number): number {
  writeU16(bytes, at + UDP_SOURCE_PORT, repr.sourcePort);
  writeU16(bytes, at + UDP_DESTINATION_PORT, repr.destinationPort);
  writeU16(bytes, at + UDP_LENGTH, UDP_HEADER_BYTES + repr.payload_bytes);
  writeU16(bytes, at + UDP_CHECKSUM, 0);
  return UDP_HEADER_BYTES;
}
