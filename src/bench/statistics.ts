// Medians and spreads of repeated measurements. Ratios are taken within a round and only then
// summed up, so that a machine that slows down between rounds does not count as a difference
// between variants.

export interface Summary {
  median: number;
  min: number;
  max: number;
}

/** Median (mean of the middle two for an even count), minimum, maximum; undefined for no values. */
export function summarize(values: readonly number[]): Summary | undefined {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median =
    sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, min: sorted[0]!, max: sorted[sorted.length - 1]! };
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
