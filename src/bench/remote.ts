// `culvert bench --remote HOST`: measures the way to a listener over the underlay and over every
// tunnel that both ends have running.

import type { Cleanup } from "../testbed/cleanup.js";
import { TestbedError } from "../testbed/error.js";
import type { BenchReport } from "./report-model.js";

export interface RemoteOptions {
  /** Address or name of the listener. */
  readonly host: string;
  readonly port: number;
  /** Control socket of the daemon on this host. */
  readonly socketPath: string;
  /** More ways, by hand: a name and the address of the listener's host over it. */
  readonly via: readonly { readonly name: string; readonly address: string }[];
  readonly rounds: number;
  readonly seconds: number;
  /** Ids of metrics.ts, `daemon` is left out. */
  readonly workloads: readonly string[];
  readonly cleanup: Cleanup;
}

/** Default of --port: the listener's control connection, TCP. */
export const REMOTE_PORT = 9480;

/** `progress` gets a line for people before each step. */
export async function measureRemote(
  options: RemoteOptions,
  _progress: (line: string) => void,
): Promise<BenchReport> {
  throw new TestbedError(`cannot reach ${options.host}`);
}
