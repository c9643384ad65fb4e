// Medians and spreads of repeated measurements. Ratios are taken within a round and only then
// summed up, so that a machine that slows down between rounds does not count as a difference
// between variants.

import type { BenchReport } from "./report-model.js";

export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** How many values. */
  readonly n: number;
}

/** One metric of one variant over the rounds. */
export interface Figure {
  /** In the metric's unit. */
  readonly value: Summary;
  /** To the reference in the same rounds; undefined where the reference has no values but zeros. */
  readonly ratio: Summary | undefined;
}

export interface FigureKey {
  /** Index into the report's settings. */
  readonly setting: number;
  readonly variant: string;
  readonly workload: string;
  readonly metric: string;
}

/** Median (mean of the middle two for an even count), minimum, maximum; undefined for no values. */
export function summarize(values: readonly number[]): Summary | undefined {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median =
    sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, min: sorted[0]!, max: sorted[sorted.length - 1]!, n: sorted.length };
}

/**
 * Values of one variant divided by those of the reference in the same round. Arrays are indexed by
 * round; rounds in which either is missing (undefined) or the reference is zero are left out.
 */
export function ratiosByRound(
  values: readonly (number | undefined)[],
  reference: readonly (number | undefined)[],
): number[] {
  const ratios: number[] = [];
  for (const [round, value] of values.entries()) {
    const base = reference[round];
    if (value !== undefined && base !== undefined && base !== 0) ratios.push(value / base);
  }
  return ratios;
}

/** Every figure of a report, made once from its samples. */
export class Figures {
  readonly #figures = new Map<string, Figure>();
  /** In the order of their first samples. */
  readonly keys: readonly FigureKey[];

  constructor({ samples, reference }: Pick<BenchReport, "samples" | "reference">) {
    const byRound = new Map<string, (number | undefined)[]>();
    const keys: FigureKey[] = [];
    for (const sample of samples) {
      const values = byRound.get(idOf(sample)) ?? [];
      if (values.length === 0) {
        byRound.set(idOf(sample), values);
        keys.push(sample);
      }
      values[sample.round] = sample.value;
    }
    for (const key of keys) {
      const values = byRound.get(idOf(key))!;
      const base = byRound.get(idOf({ ...key, variant: reference })) ?? [];
      const value = summarize(values.filter((one) => one !== undefined))!;
      this.#figures.set(idOf(key), { value, ratio: summarize(ratiosByRound(values, base)) });
    }
    this.keys = keys;
  }

  get(key: FigureKey): Figure | undefined {
    return this.#figures.get(idOf(key));
  }
}

/** Names may hold any character, so they are not just joined. */
function idOf({ setting, variant, workload, metric }: FigureKey): string {
  return JSON.stringify([setting, variant, workload, metric]);
}
