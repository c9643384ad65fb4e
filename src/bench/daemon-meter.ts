// The values of the `daemon` workload: memory of the daemons at rest and at their peak, and the CPU
// time they take when nobody sends. Of several daemons the larger value counts.

export interface WatchedDaemons {
  readonly pids: readonly number[];
  /** The longest any of them took to start; absent when not known. */
  readonly ready_ms?: number;
}

/**
 * To be called before the first workload, without traffic: takes about a second. The returned
 * function, called after the last workload, gives metric id -> value.
 */
export async function watchDaemons(
  _daemons: WatchedDaemons,
): Promise<() => Record<string, number>> {
  return () => ({});
}
