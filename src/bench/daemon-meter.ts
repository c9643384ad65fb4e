// The values of the `daemon` workload: memory of the daemons at rest and at their peak, and the CPU
// time they take when nobody sends. Of several daemons the larger value counts.

import {
  peakMemory_bytes,
  preciseProcessCpu_s,
  resetPeakMemory,
  residentMemory_bytes,
} from "../testbed/cpu.js";
import { TestbedError } from "../testbed/error.js";
import { sleep } from "../testbed/process.js";

const idleTime_ms = 1000;

export interface WatchedDaemons {
  /** At least one. */
  readonly pids: readonly number[];
  /** The longest any of them took to start; absent when not known. */
  readonly ready_ms?: number;
}

/**
 * To be called before the first workload, without traffic: takes about a second. The returned
 * function, called after the last workload while the daemons still run, gives metric id -> value.
 * Both throw TestbedError when a daemon is gone.
 */
export async function watchDaemons({
  pids,
  ready_ms,
}: WatchedDaemons): Promise<() => Record<string, number>> {
  const before_s = pids.map(preciseProcessCpu_s);
  const started_ms = performance.now();
  await sleep(idleTime_ms);
  const idle_s = (performance.now() - started_ms) / 1000;
  const used = pids.map((pid, index) => (preciseProcessCpu_s(pid) - before_s[index]!) / idle_s);
  const rss_idle_bytes = largestMemory_bytes(pids, residentMemory_bytes);
  for (const pid of pids) resetPeakMemory(pid);
  return () => ({
    ...(ready_ms !== undefined && { ready_ms }),
    rss_idle_bytes,
    rss_peak_bytes: largestMemory_bytes(pids, peakMemory_bytes),
    idle_cpu_ratio: Math.max(...used),
  });
}

function largestMemory_bytes(pids: readonly number[], read: (pid: number) => number): number {
  const all = pids.map(read);
  if (all.includes(0)) throw new TestbedError("a daemon is gone; see its log");
  return Math.max(...all);
}
