// `culvert bench --remote HOST`: measures the way to a listener over the underlay and over every
// tunnel that both ends have running.

import { createControlClient } from "../control/client.js";
import type { StatusReport } from "../control/target.js";
import { CulvertError } from "../errors.js";
import type { Cleanup } from "../testbed/cleanup.js";
import { TestbedError } from "../testbed/error.js";
import { thisMachine } from "../testbed/place.js";
import { readEnvironment } from "./environment.js";
import { offeredTunnel } from "./listener-session.js";
import { measureWorkload } from "./measure-workload.js";
import { describeExtent, Progress } from "./progress.js";
import { ListenerConnection } from "./remote-connection.js";
import {
  agreedLatencyTool,
  deviceTowards,
  findWays,
  REMOTE_REFERENCE,
  type RemotePathsOptions,
  remoteVariant,
  type Via,
  type Way,
} from "./remote-paths.js";
import type { AnswerTo } from "./remote-protocol.js";
import { type BenchReport, type Failure, REPORT_VERSION, type Sample } from "./report-model.js";
import { DAEMON_WORKLOAD, runRounds } from "./rounds.js";
import { createWorkload, latencyTool } from "./workloads/all-workloads.js";

export interface RemoteOptions {
  /** Address or name of the listener, on the underlay. */
  readonly host: string;
  readonly port: number;
  /** Control socket of the daemon on this host. */
  readonly socketPath: string;
  /** More ways, by hand: a name and the address of the listener's host over it. */
  readonly via: readonly Via[];
  readonly rounds: number;
  readonly seconds: number;
  /** Ids of metrics.ts; `daemon` is that of this host. */
  readonly workloads: readonly string[];
  readonly cleanup: Cleanup;
}

/**
 * `progress` gets a line for people at each step. Throws when there is no listener or nothing to
 * compare; what fails later is in `failures` of the report.
 */
export async function measureRemote(
  options: RemoteOptions,
  progress: (line: string) => void,
): Promise<BenchReport> {
  const status = await ownStatus(options);
  const [connection, hello] = await ListenerConnection.open(options.host, options.port);
  try {
    const ways = chooseWays(options, connection.address, status, hello);
    for (const { title, missing } of ways) {
      if (missing !== undefined) progress(`${title}: not measured, ${missing}`);
    }
    const paths: RemotePathsOptions = {
      connection,
      client: thisMachine(options.cleanup),
      latency: agreedLatencyTool([latencyTool(), hello.latency], ways),
      ...(status && { daemon: { pids: [status.pid] } }),
    };
    checkWorkloads(options.workloads, paths);
    return await measureWays(options, ways, paths, progress);
  } finally {
    connection.close();
  }
}

/** Undefined without a daemon, which is no error when there are other ways. */
async function ownStatus(options: RemoteOptions): Promise<StatusReport | undefined> {
  try {
    return await createControlClient(options).status();
  } catch (error) {
    const without = error instanceof CulvertError && error.code === "CULVERT_NO_DAEMON";
    if (without && options.via.length > 0) return undefined;
    throw error;
  }
}

function chooseWays(
  { via, host }: RemoteOptions,
  underlay: string,
  status: StatusReport | undefined,
  hello: AnswerTo<"hello">,
): Way[] {
  const ours = (status?.tunnels ?? []).filter(({ up }) => up).map(offeredTunnel);
  const ways = findWays({ underlay, ours, theirs: hello.tunnels, via, deviceTowards });
  if (ways.some(({ name, missing }) => missing === undefined && name !== REMOTE_REFERENCE)) {
    return ways;
  }
  const reasons = ways.flatMap(({ title, missing }) => missing && `${title}: ${missing}`);
  const said = [hello.problem, ...reasons].filter(Boolean).join("; ");
  throw new TestbedError(
    `there is no tunnel to measure between this host and ${host}: ${said || "none runs here"}`,
    "run a tunnel on both hosts, each with an address, or name a way with --via",
  );
}

function checkWorkloads(ids: readonly string[], { latency }: RemotePathsOptions): void {
  for (const id of ids) {
    if (id === DAEMON_WORKLOAD) continue;
    const reason = createWorkload(id, { latency }).unsupported();
    if (reason !== undefined) throw new TestbedError(`${id} cannot be measured: ${reason}`);
  }
}

async function measureWays(
  { rounds, seconds, workloads }: RemoteOptions,
  ways: readonly Way[],
  paths: RemotePathsOptions,
  progress: (line: string) => void,
): Promise<BenchReport> {
  const variants = ways.flatMap((way) =>
    way.address === undefined ? [] : [remoteVariant({ ...way, address: way.address }, paths)],
  );
  const extent = { settings: 1, variants: variants.length, rounds, workloads, seconds };
  for (const line of describeExtent(extent)) progress(line);
  const lines = new Progress(extent);
  const samples: Sample[] = [];
  const failures: Failure[] = [];
  const { latency } = paths;
  const turns = runRounds({ setting: 0, variants, workloads, rounds, seconds }, (path, id, s) =>
    measureWorkload(path, createWorkload(id, { latency }), s),
  );
  for await (const turn of turns) {
    samples.push(...turn.samples);
    failures.push(...turn.failures);
    progress(lines.line(turn));
  }
  return {
    ...{ format: "culvert-bench", version: REPORT_VERSION, environment: readEnvironment(latency) },
    ...{ reference: REMOTE_REFERENCE, rounds, seconds, workloads, settings: [{}] },
    variants: ways.map(({ name, title, missing }) => ({
      ...{ name, title },
      ...(missing !== undefined && { missing }),
    })),
    ...{ samples, failures },
  };
}
