// What a measurement depends on and a reader of its numbers needs to know: kernel, CPU, Node.js,
// version of the source.

import { spawnSync } from "node:child_process";
import { cpus, release, totalmem } from "node:os";
import { projectRoot } from "../testbed/project.js";

export interface Environment {
  kernel: string;
  cpu: string;
  cpuCount: number;
  memory_bytes: number;
  node: string;
  /**
   * Commit of the source, with "+changes" when the tree differs from it; "unknown" outside a git
   * clone.
   */
  commit: string;
  date: string;
}

function git(...args: string[]): string | undefined {
  const result = spawnSync("git", ["-C", projectRoot, ...args], { encoding: "utf8" });
  return result.status === 0 ? result.stdout.trim() : undefined;
}

export function readEnvironment(): Environment {
  const commit = git("rev-parse", "--short=12", "HEAD");
  const changes = git("status", "--porcelain");
  return {
    kernel: release(),
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cpuCount: cpus().length,
    memory_bytes: totalmem(),
    node: process.version,
    commit: commit === undefined ? "unknown" : commit + (changes === "" ? "" : "+changes"),
    date: new Date().toISOString(),
  };
}
