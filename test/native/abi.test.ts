// The boundary's definitions agree wherever they stand: abi.h, the generated abi.ts, and rows kept
// by TypeScript.

import { describe, expect, it } from "vitest";
import * as abi from "#native";
// @ts-expect-error: a script without declarations
import { generateAbi } from "../../scripts/generate-abi.mjs";
import * as rows from "../../src/remotes/remote-rows.js";
import { readSource } from "../unit/source-tree.js";

/** UDP_MAX_SEGMENTS since Linux 6.9 (linux/udp.h): what one received message may hold. */
const kernelSegments = 128;
const header = readSource("native-bindings/include/abi.h");

describe("abi", () => {
  it("generates abi.ts from abi.h", () => {
    const generated = (generateAbi as (text: string) => string)(header);
    expect(generated).toBe(readSource("native-bindings/abi.ts"));
    expect(generated.match(/^export const /gm)!.length).toBe(
      header.match(/^constexpr int32_t /gm)!.length,
    );
  });

  it("keeps remote rows as native code reads them", () => {
    const { REMOTE_WORDS, REMOTE_FAMILY, REMOTE_ADDRESS, REMOTE_PORT } = rows;
    expect(abi).toMatchObject({ REMOTE_WORDS, REMOTE_FAMILY, REMOTE_ADDRESS, REMOTE_PORT });
  });

  it("gives every column of a row a word of its own", () => {
    const apart = (prefix: string, words: number, wide: Record<string, number>) => {
      // Sizes and bits share the prefix with the columns.
      const notColumns =
        /_(WORDS|NEEDS_CHECKSUM|NO_GSO|PARTIAL_CHECKSUM|FRAGMENTS|TRUNCATED|SET_CE)$/;
      const columns = Object.entries(abi).filter(
        ([name]) => name.startsWith(prefix) && !notColumns.test(name),
      ) as [string, number][];
      const used = columns.flatMap(([name, at]) =>
        Array.from({ length: wide[name] ?? 1 }, (_, n) => at + n),
      );
      expect(columns.length, prefix).toBeGreaterThan(2);
      expect(new Set(used).size, prefix).toBe(used.length);
      expect(Math.max(...used), prefix).toBeLessThan(words);
    };
    apart("FRAME_", abi.FRAME_WORDS, {});
    apart("SEND_", abi.SEND_WORDS, {});
    apart("RUN_", abi.RUN_WORDS, { RUN_ADDRESS: 4 });
    apart("ERROR_", abi.ERROR_WORDS, { ERROR_ADDRESS: 4 });
    apart("REMOTE_", abi.REMOTE_WORDS, { REMOTE_ADDRESS: 4 });
  });

  it("has limits that fit each other", () => {
    const largest = abi.HEADROOM_BYTES + abi.MAX_FRAME_BYTES;
    expect(abi.EGRESS_ARENA_BYTES).toBeGreaterThanOrEqual(abi.SCRATCH_BYTES + largest);
    expect(abi.INGRESS_ARENA_BYTES).toBeGreaterThanOrEqual(
      (abi.RECEIVE_SLOTS - 1) * abi.RECEIVE_SLOT_STRIDE + abi.RECEIVE_SLOT_BYTES,
    );
    expect(abi.RECEIVE_SLOT_STRIDE).toBeGreaterThanOrEqual(abi.RECEIVE_SLOT_BYTES);
    expect(abi.MAX_RUNS).toBeGreaterThanOrEqual(abi.RECEIVE_SLOTS * kernelSegments);
    expect(abi.MAX_SENDS).toBeGreaterThanOrEqual(abi.MAX_FRAMES);
    expect(abi.HEADROOM_BYTES).toBeGreaterThanOrEqual(abi.VNET_HEADER_BYTES);
  });
});
