// The one clock of tables, ageing and rate limits. Not for timing anything below a millisecond.

/**
 * Seconds of CLOCK_MONOTONIC, the same number in every thread (`performance.now()` starts anew in
 * each worker). Never 0, so that a stored 0 can mean "never". Read once per batch and pass it on as
 * `now_s`.
 */
export function monotonicSeconds(): number {
  return Math.max(1, process.hrtime()[0]);
}

/**
 * The same clock in milliseconds, for rate limits. Read once per batch and passed on as `now_ms`;
 * `secondsOf` makes `now_s` of it.
 */
export function monotonicMilliseconds(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + Math.floor(nanoseconds / 1e6);
}

/** What `monotonicSeconds` would have said at `now_ms`. */
export function secondsOf(now_ms: number): number {
  return Math.max(1, Math.floor(now_ms / 1000));
}
