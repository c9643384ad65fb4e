// Percentiles of many measured values.

/**
 * The smallest value that at least `share` (0 ... 1) of all values do not exceed (nearest rank).
 * `sorted` ascends and is not empty.
 */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  // Rounded first: 0.999 * 1000 is a little more than 999 in binary.
  const rank = Math.ceil(Number((share * sorted.length).toFixed(6)));
  return sorted[Math.max(rank, 1) - 1]!;
}
