// The native sum against src/wire's over the same bytes: every short length, odd starts, the
// vectorised loop's edges; every version that this machine can run, not only the one in use.

import { beforeEach, describe, expect, it } from "vitest";
import { native } from "#native";
import { sum } from "../../src/wire/checksum.js";
import { patternBytes } from "./packets.js";

const ENOTSUP = -95;
const swap = (value: number): number => ((value & 0xff) << 8) | (value >>> 8);

describe.each([0, 128, 256, 512])("checksumBytes by vectors of %i bits", (laneBits) => {
  /** src/wire sums big-endian words, native code words as they lie in memory; both folded. */
  const nativeSum = (bytes: Uint8Array): number => swap(native.checksumBytes(bytes, laneBits));

  beforeEach((context) => {
    const missing = native.checksumBytes(new Uint8Array(1), laneBits) === ENOTSUP;
    if (missing) context.skip(`this machine has no vectors of ${laneBits} bits`);
  });

  it("agrees at every length up to 300 from even and odd starts", () => {
    const bytes = patternBytes(400, 7);
    for (let length = 0; length <= 300; length++) {
      for (const at of [0, 1, 2, 3, 5, 63]) {
        const view = bytes.subarray(at, at + length);
        expect(nativeSum(view), `${at}+${length}`).toBe(sum(bytes, at, length, 0));
      }
    }
  });

  it("agrees on large ranges", () => {
    const bytes = patternBytes(65_600, 9);
    for (const length of [1499, 1500, 9001, 65_471, 65_535, 65_536]) {
      for (const at of [0, 1, 31]) {
        expect(nativeSum(bytes.subarray(at, at + length))).toBe(sum(bytes, at, length, 0));
      }
    }
  });

  it("carries through bytes that are all ones", () => {
    for (const length of [1, 2, 3, 4, 63, 64, 65, 1460, 65_535]) {
      const bytes = new Uint8Array(length).fill(0xff);
      expect(nativeSum(bytes), `${length}`).toBe(sum(bytes, 0, length, 0));
    }
    expect(native.checksumBytes(new Uint8Array(100), laneBits)).toBe(0);
  });
});

it("has no version for any other width", () => {
  for (const laneBits of [1, 64, 1024]) {
    expect(native.checksumBytes(new Uint8Array(1), laneBits)).toBe(ENOTSUP);
  }
});
