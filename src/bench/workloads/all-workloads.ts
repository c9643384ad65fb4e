// The table of workloads: id of metrics.ts -> what runs it.

import { TestbedError } from "../../testbed/error.js";
import type { Workload } from "../workload.js";
import { tcpWorkload, udpWorkload } from "./bulk.js";
import { connectionsWorkload } from "./connections.js";
import { type LatencyTool, latencyTool, latencyWorkload } from "./latency.js";

export type { LatencyTool } from "./latency.js";
export { latencyTool } from "./latency.js";

export interface WorkloadTools {
  /** What this machine has, unless given. Both ends must use the same one. */
  readonly latency?: LatencyTool;
}

const makers: Readonly<Record<string, (tools: WorkloadTools) => Workload>> = {
  "tcp-1": () => tcpWorkload("tcp-1", []),
  "tcp-4": () => tcpWorkload("tcp-4", ["-P", "4"]),
  "tcp-both": () => tcpWorkload("tcp-both", ["--bidir"]),
  "udp-64": () => udpWorkload("udp-64", 64),
  "udp-512": () => udpWorkload("udp-512", 512),
  "udp-1400": () => udpWorkload("udp-1400", 1400),
  latency: ({ latency = latencyTool() }) => latencyWorkload(latency),
  connections: () => connectionsWorkload(),
};

/** Every id that createWorkload takes. */
export const workloadIds: readonly string[] = Object.keys(makers);

/**
 * The workload `id` of metrics.ts (all but `daemon`, see daemon-meter.ts). Throws TestbedError for
 * an unknown id.
 */
export function createWorkload(id: string, tools: WorkloadTools = {}): Workload {
  const make = Object.hasOwn(makers, id) ? makers[id] : undefined;
  if (make === undefined) {
    throw new TestbedError(`there is no workload ${id}`, `choose of ${workloadIds.join(", ")}`);
  }
  return make(tools);
}
