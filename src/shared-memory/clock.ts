// The one clock of tables and ageing. Not for timing anything below a second.

/**
 * Seconds of CLOCK_MONOTONIC, the same number in every thread (`performance.now()` starts anew in
 * each worker). Never 0, so that a stored 0 can mean "never". Read once per batch and pass it on as
 * `now_s`.
 */
export function monotonicSeconds(): number {
  return Math.max(1, process.hrtime()[0]);
}
