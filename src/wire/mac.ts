// MAC addresses as two unsigned numbers: hi16 (the first two bytes) and lo32 (the other four).
// Never a string or BigInt on the data path; text is for control code only.

import { readI32, readU16, readU32, writeU16, writeU32 } from "./byte-order.js";

export const MAC_BYTES = 6;

export interface Mac {
  /** First two bytes, unsigned 16-bit. */
  readonly hi: number;
  /** Last four bytes, unsigned 32-bit. */
  readonly lo: number;
}

/** First two bytes of the MAC at `at`. */
export function macHi(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at);
}

/** Last four bytes of the MAC at `at`. */
export function macLo(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at + 2);
}

/** The same four bytes as a signed number, which tables take as well; for the data path. */
export function macLoBits(bytes: Uint8Array, at: number): number {
  return readI32(bytes, at + 2);
}

export function writeMac(bytes: Uint8Array, at: number, hi: number, lo: number): void {
  writeU16(bytes, at, hi);
  writeU32(bytes, at + 2, lo);
}

/** The I/G bit of the first byte; broadcast counts as multicast [IEEE 802 § 8.2]. */
export function isMulticastMac(hi: number): boolean {
  return (hi & 0x0100) !== 0;
}

export function isBroadcastMac(hi: number, lo: number): boolean {
  return hi === 0xffff && lo === 0xffffffff;
}

export function isZeroMac(hi: number, lo: number): boolean {
  return hi === 0 && lo === 0;
}

/** True for the MACs whose FDB entries hold a list of remotes: all zero, and multicast. */
export function isListMac(hi: number, lo: number): boolean {
  return isMulticastMac(hi) || isZeroMac(hi, lo);
}

/**
 * True for a MAC that one station can have: neither multicast nor zero. Anything else must not be
 * learned.
 */
export function isValidSourceMac(hi: number, lo: number): boolean {
  return !isListMac(hi, lo);
}

const MAC_TEXT = /^[0-9a-f]{2}(?:(?::[0-9a-f]{2}){5}|(?:-[0-9a-f]{2}){5})$/i;

/**
 * Parses `aa:bb:cc:dd:ee:ff` or `aa-bb-cc-dd-ee-ff` (either case, not mixed separators); undefined
 * if not a MAC.
 */
export function parseMac(text: string): Mac | undefined {
  if (!MAC_TEXT.test(text)) return undefined;
  const byte = (place: number): string => text.slice(3 * place, 3 * place + 2);
  return {
    hi: Number.parseInt(byte(0) + byte(1), 16),
    lo: Number.parseInt(byte(2) + byte(3) + byte(4) + byte(5), 16),
  };
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** `aa:bb:cc:dd:ee:ff`, lower case. */
export function formatMac(hi: number, lo: number): string {
  const first = `${HEX[(hi >>> 8) & 0xff]}:${HEX[hi & 0xff]}`;
  const middle = `${HEX[lo >>> 24]}:${HEX[(lo >>> 16) & 0xff]}`;
  return `${first}:${middle}:${HEX[(lo >>> 8) & 0xff]}:${HEX[lo & 0xff]}`;
}
