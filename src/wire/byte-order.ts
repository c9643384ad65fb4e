// Network byte order over a Uint8Array: the only place where bytes become 16-bit and 32-bit
// numbers. Allocation-free and unchecked: callers have compared lengths before. A DataView would
// need an object per buffer.

/** Unsigned 16-bit number at `at`. */
export function readU16(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1];
}

/** Unsigned 32-bit number at `at`. */
export function readU32(bytes: Uint8Array, at: number): number {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
}

/**
 * The same 32 bits as a signed number. For the data path: V8 keeps an unsigned one above 2^31 in an
 * object of 16 bytes whenever it is passed to a function that was not inlined.
 */
export function readI32(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
}

/** Writes the low 16 bits of `value`. */
export function writeU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

/** Writes the low 32 bits of `value`. */
export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/**
 * Copies `length` bytes; the two ranges must not overlap. A loop, because `subarray` would
 * allocate.
 */
export function copyBytes(
  from: Uint8Array,
  fromAt: number,
  length: number,
  to: Uint8Array,
  toAt: number,
): void {
  for (let i = 0; i < length; i++) to[toAt + i] = from[fromAt + i];
}
