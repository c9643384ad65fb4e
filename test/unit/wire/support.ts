// What the wire tests share: a view that throws on any access outside of `at`..`end`, emission
// between 0xa5 bytes, and truncation at every length.

import { expect } from "vitest";

/** Where emitted bytes begin: odd, so that nothing can rely on alignment. */
const EMIT_AT = 3;
const FILLER = 0xa5;

export type Check = (bytes: Uint8Array, at: number, end: number) => boolean;

/** The bytes, but reading or writing an index outside of `at`..`end` throws. */
export function guarded(bytes: Uint8Array, at: number, end: number): Uint8Array {
  const assertInside = (key: string | symbol) => {
    if (typeof key !== "string" || !/^-?\d+$/.test(key)) return;
    const index = Number(key);
    if (index < at || index >= end) throw new RangeError(`byte ${index} is not in ${at}..${end}`);
  };
  return new Proxy(bytes, {
    get(target, key) {
      assertInside(key);
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
    set(target, key, value) {
      assertInside(key);
      return Reflect.set(target, key, value, target);
    },
  });
}

/**
 * Runs `emit` into a 0xa5-filled buffer; returns the bytes it says it wrote, having seen that no
 * other changed.
 */
export function emitted(emit: (bytes: Uint8Array, at: number) => number): Uint8Array {
  const buffer = new Uint8Array(2048).fill(FILLER);
  const length = emit(buffer, EMIT_AT);
  const outside = [...buffer.subarray(0, EMIT_AT), ...buffer.subarray(EMIT_AT + length)];
  expect(outside.every((byte) => byte === FILLER)).toBe(true);
  return buffer.slice(EMIT_AT, EMIT_AT + length);
}

/**
 * The checker refuses every length below `needed_bytes`, takes all others and never reads past the
 * end.
 */
export function expectTruncationRefused(
  check: Check,
  bytes: Uint8Array,
  at: number,
  needed_bytes: number,
): void {
  const accepted: number[] = [];
  for (let end = at; end <= bytes.length; end++) {
    if (check(guarded(bytes, at, end), at, end)) accepted.push(end - at);
  }
  const available = bytes.length - at;
  const expected = Array.from({ length: available - needed_bytes + 1 }, (_, i) => needed_bytes + i);
  expect(accepted).toEqual(expected);
}

/** The bytes with some replaced, for frames that are wrong in one place. */
export function patched(bytes: Uint8Array, at: number, ...values: number[]): Uint8Array {
  const copy = bytes.slice();
  copy.set(values, at);
  return copy;
}
