// TCP headers [RFC 9293 § 3.1], as far as a tunnel looks at them. Run checkTcp once before the
// accessors.

import { copyBytes, readU16, readU32, writeU16, writeU32 } from "./byte-order.js";
import { finish, transportSum } from "./checksum.js";
import { PROTOCOL_TCP } from "./ip-protocol.js";

export const TCP_SOURCE_PORT = 0;
export const TCP_DESTINATION_PORT = 2;
export const TCP_SEQUENCE = 4;
export const TCP_ACKNOWLEDGEMENT = 8;
export const TCP_DATA_OFFSET = 12;
export const TCP_FLAGS = 13;
export const TCP_WINDOW = 14;
export const TCP_CHECKSUM = 16;
export const TCP_URGENT = 18;
/** Without options. */
export const TCP_HEADER_BYTES = 20;

export const TCP_FLAG_FIN = 0x01;
export const TCP_FLAG_SYN = 0x02;
export const TCP_FLAG_PSH = 0x08;
export const TCP_FLAG_ACK = 0x10;

export function tcpSourcePort(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at + TCP_SOURCE_PORT);
}

export function tcpDestinationPort(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at + TCP_DESTINATION_PORT);
}

export function tcpSequence(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at + TCP_SEQUENCE);
}

export function tcpAcknowledgement(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at + TCP_ACKNOWLEDGEMENT);
}

/** Bytes of the header with its options, 0..60; below 20 it is wrong. */
export function tcpHeaderLength(bytes: Uint8Array, at: number): number {
  return (bytes[at + TCP_DATA_OFFSET] >>> 4) << 2;
}

/** CWR to FIN, TCP_FLAG_*. */
export function tcpFlags(bytes: Uint8Array, at: number): number {
  return bytes[at + TCP_FLAGS];
}

export function tcpWindow(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at + TCP_WINDOW);
}

export function tcpChecksum(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at + TCP_CHECKSUM);
}

export function tcpUrgent(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at + TCP_URGENT);
}

/** True when the data offset is right and the header with its options lies in `at`..`end`. */
export function checkTcp(bytes: Uint8Array, at: number, end: number): boolean {
  if (end - at < TCP_HEADER_BYTES) return false;
  const header_bytes = tcpHeaderLength(bytes, at);
  return header_bytes >= TCP_HEADER_BYTES && header_bytes <= end - at;
}

/** Computes and writes the checksum of the segment `at`..`end` within the IP packet at `ipAt`. */
export function writeTcpChecksum(bytes: Uint8Array, ipAt: number, at: number, end: number): void {
  writeU16(bytes, at + TCP_CHECKSUM, 0);
  writeU16(bytes, at + TCP_CHECKSUM, finish(transportSum(bytes, ipAt, at, end, PROTOCOL_TCP)));
}

export function tcpChecksumValid(
  bytes: Uint8Array,
  ipAt: number,
  at: number,
  end: number,
): boolean {
  return finish(transportSum(bytes, ipAt, at, end, PROTOCOL_TCP)) === 0;
}

export interface TcpRepr {
  sourcePort: number;
  destinationPort: number;
  sequence: number;
  acknowledgement: number;
  flags: number;
  window: number;
  urgent: number;
  /** Raw option bytes, 0..40, a multiple of 4. */
  options: Uint8Array;
}

/** The header at `at`; its checksum is not looked at, see tcpChecksumValid. */
export function parseTcp(bytes: Uint8Array, at: number, end: number): TcpRepr | undefined {
  if (!checkTcp(bytes, at, end)) return undefined;
  return {
    sourcePort: tcpSourcePort(bytes, at),
    destinationPort: tcpDestinationPort(bytes, at),
    sequence: tcpSequence(bytes, at),
    acknowledgement: tcpAcknowledgement(bytes, at),
    flags: tcpFlags(bytes, at),
    window: tcpWindow(bytes, at),
    urgent: tcpUrgent(bytes, at),
    options: bytes.slice(at + TCP_HEADER_BYTES, at + tcpHeaderLength(bytes, at)),
  };
}

/**
 * Writes the header with a zero checksum (writeTcpChecksum completes it); returns its bytes,
 * 20..60.
 */
export function emitTcp(repr: TcpRepr, bytes: Uint8Array, at: number): number {
  const header_bytes = TCP_HEADER_BYTES + repr.options.length;
  writeU16(bytes, at + TCP_SOURCE_PORT, repr.sourcePort);
  writeU16(bytes, at + TCP_DESTINATION_PORT, repr.destinationPort);
  writeU32(bytes, at + TCP_SEQUENCE, repr.sequence);
  writeU32(bytes, at + TCP_ACKNOWLEDGEMENT, repr.acknowledgement);
  bytes[at + TCP_DATA_OFFSET] = (header_bytes >>> 2) << 4;
  bytes[at + TCP_FLAGS] = repr.flags;
  writeU16(bytes, at + TCP_WINDOW, repr.window);
  writeU16(bytes, at + TCP_CHECKSUM, 0);
  writeU16(bytes, at + TCP_URGENT, repr.urgent);
  copyBytes(repr.options, 0, repr.options.length, bytes, at + TCP_HEADER_BYTES);
  return header_bytes;
}
