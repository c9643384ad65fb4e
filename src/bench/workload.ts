// What a workload is: a server half and a client half, each started at the place where it runs, so
// that the same workload goes between two namespaces of one machine and between two real hosts
// (where the server half is started by the listener at the other end, see listen.ts).

import type { ExitResult } from "../testbed/process.js";

/** A process that was started at a place. */
export interface PlacedProcess {
  readonly stdout: string;
  readonly stderr: string;
  /** Set once it has ended and its output is complete. */
  readonly result: ExitResult | undefined;
  /** Waits for the natural end, at most `timeout_ms`; then kills it and throws TestbedError. */
  wait(timeout_ms: number): Promise<ExitResult>;
  stop(): Promise<ExitResult>;
  readonly pid: number;
}

/** Where a half runs: a namespace of this machine, or this machine itself. */
export interface Place {
  spawn(argv: readonly string[]): PlacedProcess;
}

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
