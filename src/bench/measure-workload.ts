// One workload over one path: server half, meters, client half, and one record of values.

import { mergeMetrics } from "./meters.js";
import type { Path } from "./path.js";
import type { Workload } from "./workload.js";

/**
 * Metric id -> value. Throws TestbedError when the workload gave no result; the server half is
 * stopped in any case.
 */
export async function measureWorkload(
  path: Path,
  workload: Workload,
  seconds: number,
): Promise<Record<string, number>> {
  const server = await path.serve(workload.id, seconds);
  try {
    const stopMeters = await path.startMeters();
    const { client: from, address } = path;
    const result = await workload.run({ from, address, port: server.port, seconds });
    return mergeMetrics(result, await stopMeters());
  } finally {
    await server.stop();
  }
}
