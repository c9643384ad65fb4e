// Both halves of the workloads that the addon runs itself (ping-pong, short connections), as a
// program: its loops block, so they get a process of their own, started at the place where they
// shall run. Prints one line of JSON at the end, a server half `ready` before it. A program, not a
// module: it runs when loaded, by latency.ts and connections.ts.
//
//   peer.js serve udp|tcp PORT SECONDS
//   peer.js ping-pong ADDRESS PORT SECONDS
//   peer.js connections ADDRESS PORT SECONDS

import { getSystemErrorName } from "node:util";
import { native } from "#native";
import { percentile } from "./percentile.js";

/** More than any path gives: a round trip takes 5 us at least, in one machine's memory. */
const MAX_ROUND_TRIPS_PER_S = 200_000;

/** Result of `ping-pong`. Percentiles are null when nothing came back. */
export interface PingPongResult {
  readonly received: number;
  readonly lost: number;
  readonly p50_us: number | null;
  readonly p99_us: number | null;
  readonly p999_us: number | null;
}

/** Result of `connections`. */
export interface ConnectionsResult {
  readonly connections: number;
  readonly seconds: number;
}

function checked(result: number): number {
  if (result < 0) throw new Error(getSystemErrorName(result));
  return result;
}

function say(value: object | string): void {
  process.stdout.write(`${typeof value === "string" ? value : JSON.stringify(value)}\n`);
}

/** Blocks after `ready`; the process ends by SIGTERM or with its time. */
function serve(protocol: string, port: number, duration_ms: number): void {
  const stream = protocol === "tcp" ? 1 : 0;
  const fd = checked(native.echoOpen(stream, port));
  say("ready");
  // Lets the line out before the loop blocks this thread.
  setImmediate(() => say({ served: checked(native.echoServe(fd, stream, duration_ms)) }));
}

function pingPong(address: string, port: number, duration_ms: number): PingPongResult {
  const times_ns = new Int32Array(Math.ceil((duration_ms / 1000) * MAX_ROUND_TRIPS_PER_S));
  const lost = new Int32Array(1);
  const received = checked(native.pingPong(address, port, duration_ms, times_ns, lost));
  const sorted_ns = times_ns.subarray(0, received).sort();
  const at_us = (share: number): number | null =>
    received === 0 ? null : percentile(sorted_ns, share) / 1000;
  return {
    received,
    lost: lost[0]!,
    p50_us: at_us(0.5),
    p99_us: at_us(0.99),
    p999_us: at_us(0.999),
  };
}

function connections(address: string, port: number, duration_ms: number): ConnectionsResult {
  const started_ms = performance.now();
  const made = checked(native.shortConnections(address, port, duration_ms));
  return { connections: made, seconds: (performance.now() - started_ms) / 1000 };
}

function run([role = "", target = "", port, seconds]: readonly string[]): void {
  const duration_ms = Number(seconds) * 1000;
  if (role === "serve") serve(target, Number(port), duration_ms);
  else if (role === "ping-pong") say(pingPong(target, Number(port), duration_ms));
  else if (role === "connections") say(connections(target, Number(port), duration_ms));
  else throw new Error(`unknown role ${role}`);
}

try {
  run(process.argv.slice(2));
} catch (error) {
  process.exitCode = 1;
  process.stderr.write(`${(error as Error).message}\n`);
}
