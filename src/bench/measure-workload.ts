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
  let values: Record<string, number>;
  try {
    const stopMeters = await path.startMeters();
    const { client: from, address } = path;
    const result = await workload.run({ from, address, port: server.port, seconds });
    values = mergeMetrics(result, await stopMeters());
  } catch (error) {
    // What failed first is the reason; to stop what broke may well fail too.
    await server.stop().catch(() => undefined);
    throw error;
  }
  await server.stop();
  return values;
}
