// Is the limit on open files high enough for a config? Told at the start, with the numbers, and not
// by the failure of the thousandth device. Node.js raises the soft limit to the hard one by itself.

import { readFileSync } from "node:fs";
import type { Config } from "../config/effective.js";
import { deviceTunnels } from "../config/tunnel-kinds.js";
import { CulvertError } from "../errors.js";

/**
 * Descriptors beside the devices': pools of sending sockets, receiving sockets, control clients
 * and what Node.js has open.
 */
const OTHER_FILES = 512;

/** RLIMIT_NOFILE from the text of /proc/PID/limits; Infinity when it cannot be told. */
export function openFilesLimit(limits: string): number {
  const [, soft] = /^Max open files\s+(\d+)/m.exec(limits) ?? [];
  return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
}

/** Read now: when it is reached, no file can be opened to see what it is. */
const ownLimit = openFilesLimit(readLimits());

function readLimits(): string {
  try {
    return readFileSync("/proc/self/limits", "utf8");
  } catch {
    return "";
  }
}

/** Throws CULVERT_OPEN_FILES when the devices of a config alone come too near to the limit. */
export function requireOpenFiles(config: Config, workers: number, limit = ownLimit): void {
  const { length: tunnels } = deviceTunnels(config);
  const devices = tunnels * workers;
  const needed = devices + OTHER_FILES;
  if (devices <= OTHER_FILES || needed <= limit) return;
  throw openFilesError(
    `${tunnels} tunnels with ${workers} workers need ${needed} open files`,
    limit,
  );
}

/** @param what happened, without its reason */
export function openFilesError(what: string, limit = ownLimit): CulvertError {
  const message = `${what}: the limit on open files, RLIMIT_NOFILE, is ${limit}`;
  return new CulvertError("CULVERT_OPEN_FILES", message, {
    hint: "raise it: `ulimit -Hn`, LimitNOFILE= of a systemd unit; or have fewer `workers`",
  });
}
