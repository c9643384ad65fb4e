// What the scale measurements share: hosts joined by veth pairs, a daemon on one of them, memory
// and CPU of a process, the table at the end. No measurement of its own.

import { readFileSync } from "node:fs";
import { Cleanup } from "../../src/testbed/cleanup.js";
import { addVeth, Namespace } from "../../src/testbed/namespace.js";
import { formatTable } from "../../src/text-table.js";

/** One line of a result. */
export interface Row {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
}

/** A measurement: how it is called, what it takes, what it finds. */
export interface Scale {
  readonly usage: string;
  run(args: readonly string[]): Promise<readonly Row[]>;
}

export function rowsText(rows: readonly Row[]): string {
  const cells = rows.map(({ what, value, unit }) => [what, shown(value), unit]);
  return formatTable(cells, ["left", "right", "left"]);
}

const shown = (value: number): string =>
  Number.isInteger(value) ? String(value) : value.toFixed(value < 10 ? 2 : 1);

/** Resident memory of a process, MiB. */
export function residentMib(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? Number.NaN) / 1024;
}

/** CPU time that a process has used, seconds; clock ticks are 1/100 s on Linux. */
export function cpu_s(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

export interface Pair {
  readonly host: Namespace;
  readonly peer: Namespace;
}

/** Two namespaces, 10.57.4.20 and .21 on one veth pair, without IPv6. */
export function createPair(cleanup: Cleanup): Pair {
  const host = Namespace.create(cleanup, "host");
  const peer = Namespace.create(cleanup, "peer");
  for (const namespace of [host, peer]) {
    namespace.sysctl("net.ipv6.conf.all.disable_ipv6", 1);
    namespace.sysctl("net.ipv6.conf.default.disable_ipv6", 1);
  }
  addVeth({ namespace: host, device: "eth0" }, { namespace: peer, device: "eth0" });
  host.ip("addr", "add", "10.57.4.20/16", "dev", "eth0");
  peer.ip("addr", "add", "10.57.4.21/16", "dev", "eth0");
  return { host, peer };
}

/** Runs `body` with a clean-up that runs in any case. */
export async function withCleanup<T>(body: (cleanup: Cleanup) => Promise<T>): Promise<T> {
  const cleanup = new Cleanup();
  try {
    return await body(cleanup);
  } finally {
    cleanup.run();
  }
}

/** A count given on the command line. */
export function countOption(text: string | undefined, otherwise: number, max: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > max) {
    throw new Error(`${text}: expected a whole number from 1 to ${max}`);
  }
  return value;
}
