// What a measurement depends on and a reader of its numbers needs to know: kernel, CPU, Node.js,
// versions of the source and of the tools. Leaves out what it cannot find.

import { spawnSync } from "node:child_process";
import { realpathSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { culvertVersion } from "../control/version.js";
import { projectRoot } from "../testbed/project.js";
import { type LatencyTool, latencyTool } from "./workloads/all-workloads.js";

export interface Environment {
  kernel: string;
  cpu: string;
  cpuCount: number;
  memory_bytes: number;
  node: string;
  /** Version of culvert, from package.json. */
  culvert: string;
  /**
   * Commit of the source, with "+changes" when the tree differs from it; "unknown" outside a git
   * clone.
   */
  commit: string;
  /** Version of iperf3; absent where it is not installed. */
  iperf3?: string;
  /** What measured latency. */
  latencyTool: string;
  date: string;
}

function outputOf(command: string, ...args: string[]): string | undefined {
  const result = spawnSync(command, args, { encoding: "utf8" });
  return result.status === 0 ? result.stdout.trim() : undefined;
}

function readCommit(): string {
  const git = (...args: string[]) => outputOf("git", "-C", projectRoot, ...args);
  // A repository further up, such as one that culvert is installed in, says nothing of culvert.
  const top = git("rev-parse", "--show-toplevel");
  const commit = git("rev-parse", "--short=12", "HEAD");
  if (top !== realpathSync(projectRoot) || commit === undefined) return "unknown";
  return commit + (git("status", "--porcelain") === "" ? "" : "+changes");
}

/** @param latency what measures latency; two hosts agree on it */
export function readEnvironment(latency: LatencyTool = latencyTool()): Environment {
  const iperf3 = /^iperf (\S+)/.exec(outputOf("iperf3", "--version") ?? "")?.[1];
  return {
    kernel: release(),
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cpuCount: cpus().length,
    memory_bytes: totalmem(),
    node: process.version,
    culvert: culvertVersion(),
    commit: readCommit(),
    ...(iperf3 !== undefined && { iperf3 }),
    latencyTool: latency,
    date: new Date().toISOString(),
  };
}

/** One line for people. */
export function describeEnvironment(environment: Environment): string {
  const { kernel, cpu, cpuCount, node, culvert, commit } = environment;
  const source = commit === "unknown" ? culvert : `${culvert} (${commit})`;
  return `Linux ${kernel}, ${cpuCount} x ${cpu}, Node.js ${node}, culvert ${source}`;
}
