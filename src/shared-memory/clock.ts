// The one clock of tables, ageing and keepalives: CLOCK_MONOTONIC.

/**
 * Seconds of CLOCK_MONOTONIC, the same number in every thread (`performance.now()` starts anew in
 * each worker). Never 0, so that a stored 0 can mean "never". Read once per batch and pass it on as
 * `now_s`.
 */
export function monotonicSeconds(): number {
  return Math.max(1, process.hrtime()[0]);
}

/**
 * Microseconds of CLOCK_MONOTONIC, the same number in every thread: for the round-trip time of
 * keepalives. Allocates, so not for the data path.
 */
export function monotonicMicroseconds(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e6 + Math.floor(nanoseconds / 1000);
}
