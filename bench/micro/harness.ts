// Nanoseconds per operation, for operations of 3 ns and up: what the files of bench/micro share.
//
// Why no library: they time one call (tinybench, vitest bench), and reading the clock twice costs
// as much as what is measured here. So a case brings its own loop, and the clock is read around
// some ten thousand turns of it. Its own also because a loop shared by all cases would call them
// through one place that V8 can no longer inline.
//
// What a loop must do so that V8 cannot take the work out of it: use other input in each turn and
// return something made of every result. The harness keeps what is returned.

import { summarize } from "../../src/bench/statistics.js";

export interface Case {
  readonly name: string;
  /** Performs `count` operations in a loop. @returns a number that depends on all of them */
  readonly run: (count: number) => number;
  /** Operations come in batches of this many: `count` is a multiple of it. 1 unless given. */
  readonly batch?: number;
}

/** One line of the result. Values are sorted out by `unit`; less is better. */
export interface Row {
  readonly name: string;
  readonly unit: "ns" | "bytes";
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** The value must not be above this; absent: it is what it is. */
  readonly atMost?: number;
  /** For people, below the row. */
  readonly notes?: readonly string[];
}

export type Report = (row: Row) => void;

/** A file of bench/micro. */
export interface Family {
  readonly about: string;
  readonly measure: (report: Report) => void | Promise<void>;
  /** Arguments of the Node.js process that measures it. */
  readonly nodeArguments?: readonly string[];
}

const WARM_UP_MS = 150;
const SAMPLE_MS = 40;
const SAMPLES = 11;

let kept = 0;

/** Milliseconds that `count` operations take. */
function time_ms({ run }: Case, count: number): number {
  const start_ms = performance.now();
  kept ^= run(count);
  return performance.now() - start_ms;
}

/** Runs the case until it is compiled; @returns operations that fill a sample. */
function warmUp(one: Case): number {
  const { batch = 1 } = one;
  const end_ms = performance.now() + WARM_UP_MS;
  let count = batch;
  for (;;) {
    const took_ms = time_ms(one, count);
    const fitting = Math.ceil((count * SAMPLE_MS) / Math.max(took_ms, 0.001) / batch) * batch;
    if (performance.now() >= end_ms) return Math.min(fitting, 1e9);
    count = Math.min(2 * count, fitting);
  }
}

/** Measures one case after the other. A generator makes each one's tables just before it is due. */
export function measureCases(cases: Iterable<Case>, report: Report): void {
  for (const one of cases) {
    const count = warmUp(one);
    const samples = Array.from({ length: SAMPLES }, () => (time_ms(one, count) / count) * 1e6);
    report({ name: one.name, unit: "ns", ...summarize(samples)! });
  }
}

/** What the cases returned; to be used, so that nothing may be left out. */
export function keptResults(): number {
  return kept;
}

/** Pseudo-random unsigned 32-bit numbers, the same ones in every run (xorshift32, Marsaglia). */
export function numbers(seed = 0x2545f491): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** 0..count-1 in random order. */
export function shuffled(count: number, random: () => number): Int32Array {
  const order = Int32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const other = random() % (i + 1);
    [order[i], order[other]] = [order[other]!, order[i]!];
  }
  return order;
}
