// What a workload is: a server half and a client half, each started at the place where it runs, so
// that the same workload goes between two namespaces of one machine and between two real hosts
// (where the server half is started by the listener at the other end, see listen.ts).

import type { Place } from "../testbed/place.js";

export type { Place, PlacedProcess } from "../testbed/place.js";

/** A server half that is ready for its client. */
export interface WorkloadServer {
  readonly port: number;
  stop(): Promise<void>;
}

export interface ClientOptions {
  readonly from: Place;
  /** Address of the server as the client reaches it. */
  readonly address: string;
  readonly port: number;
  readonly seconds: number;
}

/** What a client half measured. */
export interface WorkloadResult {
  /** Metric id -> value; CPU and wire metrics are added by whoever meters hosts around it. */
  readonly values: Readonly<Record<string, number>>;
  /** Payload bytes that arrived, for figures per GiB; undefined for workloads that move none. */
  readonly payload_bytes?: number;
  /**
   * Payload of one datagram, where loss is a figure of its own: the wire's overhead is then that
   * of a datagram on the wire, lost or not.
   */
  readonly datagram_bytes?: number;
  /** CPU seconds that the traffic generator itself used at each end, where it says so. */
  readonly generatorCpu_s?: { readonly client: number; readonly server: number };
}

export interface Workload {
  /** Id of metrics.ts. */
  readonly id: string;
  /** Why this machine cannot run it (a tool is missing); undefined when it can. */
  unsupported(): string | undefined;
  /** Starts the server half and returns when it accepts a client; `seconds` bounds its life. */
  serve(at: Place, port: number, seconds: number): Promise<WorkloadServer>;
  run(options: ClientOptions): Promise<WorkloadResult>;
}
