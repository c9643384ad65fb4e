// One's complement sums: the native one that the data plane uses on payload, and the one of
// src/wire, for headers and packets that are made here.

import { native } from "#native";
import { sum } from "../../src/wire/checksum.js";
import { type Case, type Family, measureCases, numbers } from "./harness.js";

const LENGTHS = [64, 1_460, 65_000];
/** Copies at different places: 16 of the longest are more than the second-level cache holds. */
const COPIES = 16;

function* cases(): Generator<Case> {
  const random = numbers();
  for (const length of LENGTHS) {
    const parts = Array.from({ length: COPIES }, () =>
      Uint8Array.from({ length }, () => random() & 0xff),
    );
    const inNative = (count: number): number => {
      let kept = 0;
      for (let i = 0; i < count; i++) kept ^= native.checksumBytes(parts[i & (COPIES - 1)]!, 0);
      return kept;
    };
    const inTypescript = (count: number): number => {
      let kept = 0;
      for (let i = 0; i < count; i++) kept ^= sum(parts[i & (COPIES - 1)]!, 0, length, 0);
      return kept;
    };
    const of = `${length.toLocaleString("en")} bytes`;
    yield { name: `native, ${of}`, run: inNative };
    yield { name: `TypeScript, ${of}`, run: inTypescript };
  }
}

export const family: Family = {
  about: "checksum of one buffer, ns; native ones contain the call into the addon",
  measure: (report) => measureCases(cases(), report),
};
