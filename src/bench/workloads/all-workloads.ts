// The table of workloads: id of metrics.ts -> what runs it.

import { TestbedError } from "../../testbed/error.js";
import type { Workload } from "../workload.js";

/** What measures latency: sockperf where it is installed, else the addon's own ping-pong. */
export type LatencyTool = "sockperf" | "culvert";

/** The tool that this machine has. */
export function latencyTool(): LatencyTool {
  return "culvert";
}

export interface WorkloadTools {
  /** Both ends must use the same one. */
  readonly latency?: LatencyTool;
}

/**
 * The workload `id` of metrics.ts (all but `daemon`, see daemon-meter.ts). Throws TestbedError for
 * an unknown id.
 */
export function createWorkload(id: string, _tools: WorkloadTools = {}): Workload {
  throw new TestbedError(`there is no workload ${id}`);
}
