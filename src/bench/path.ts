// One variant while it is up, as the rounds see it: where the client half of a workload runs, how
// the server half at the other end is started, and how both ends are metered. The same for two
// namespaces of one machine and for two real hosts.

import type { WatchedDaemons } from "./daemon-meter.js";
import { type MeteredHosts, type MeterResult, meterHosts } from "./meters.js";
import type { Place, WorkloadServer } from "./workload.js";
import { createWorkload } from "./workloads/all-workloads.js";

/** A way from client to server that is up. */
export interface Path {
  readonly client: Place;
  /** Address of the server end as the client reaches it. */
  readonly address: string;
  /** Starts the server half at the other end; `seconds` is the length of the client's run. */
  serve(workloadId: string, seconds: number): Promise<WorkloadServer>;
  /** Meters both ends until the returned function is called. */
  startMeters(): Promise<() => Promise<MeterResult>>;
  /** Processes of this machine that carry its packets; absent without any. */
  readonly daemons?: WatchedDaemons;
}

/** A row of the comparison. It is brought up once per round, and one at a time. */
export interface PathVariant {
  /** Stable name for machines: `kernel-vxlan`. */
  readonly name: string;
  /** For people: `kernel vxlan`. */
  readonly title: string;
  /** Brings it up, runs `body`, takes it down in any case. */
  withPath<T>(body: (path: Path) => Promise<T>): Promise<T>;
}

/** The port of every server half, unless told otherwise; one runs at a time. */
export const WORKLOAD_PORT = 5201;

export interface PlacesPathOptions {
  readonly client: Place;
  readonly server: Place;
  readonly address: string;
  readonly hosts: MeteredHosts;
  readonly daemons?: WatchedDaemons;
}

/** The path between two places of this machine. */
export function pathBetweenPlaces(options: PlacesPathOptions): Path {
  const { client, server, address, hosts, daemons } = options;
  return {
    ...(daemons && { daemons }),
    client,
    address,
    serve: (workloadId, seconds) =>
      createWorkload(workloadId).serve(server, WORKLOAD_PORT, seconds),
    startMeters: async () => {
      const stop = meterHosts(hosts);
      return async () => stop();
    },
  };
}
