// Round-trip times of 64-byte datagrams, one after the other: by sockperf where it is installed
// (Debian has it), else by the addon's own ping-pong. Both ends must use the same one.

import { TestbedError } from "../../testbed/error.js";
import { hasCommand } from "../../testbed/process.js";
import { ownsPort, serverReady } from "../../testbed/server-process.js";
import type {
  ClientOptions,
  Place,
  Workload,
  WorkloadResult,
  WorkloadServer,
} from "../workload.js";
import type { PingPongResult } from "./peer.js";
import { runPeer, servePeer } from "./peer-process.js";

export type LatencyTool = "sockperf" | "culvert";

const spareTime_ms = 10_000;
const ping_bytes = 64;
/** A path that loses more than this has no latency worth a figure. */
const acceptedLoss_ratio = 0.01;

/** The tool that this machine has. */
export function latencyTool(): LatencyTool {
  return hasCommand("sockperf") ? "sockperf" : "culvert";
}

export function latencyWorkload(tool: LatencyTool): Workload {
  const id = "latency";
  if (tool === "culvert") {
    return {
      id,
      unsupported: () => undefined,
      serve: (at, port, seconds) => servePeer(at, "udp", port, seconds),
      run: async (options) => pingPongResult(await runPeer<PingPongResult>("ping-pong", options)),
    };
  }
  return {
    id,
    unsupported: () => (hasCommand("sockperf") ? undefined : "sockperf is not installed"),
    serve: serveSockperf,
    run: runSockperf,
  };
}

/** Throws TestbedError when too much was lost. */
export function pingPongResult(result: PingPongResult): WorkloadResult {
  const { received, lost, p50_us, p99_us, p999_us } = result;
  checkLoss(received + lost, lost);
  if (p50_us === null || p99_us === null || p999_us === null) {
    throw new TestbedError("no ping was answered");
  }
  return { values: { rtt_p50_us: p50_us, rtt_p99_us: p99_us, rtt_p999_us: p999_us } };
}

function checkLoss(sent: number, lost: number): void {
  if (lost <= sent * acceptedLoss_ratio) return;
  throw new TestbedError(
    `${lost} of ${sent} pings were lost`,
    "`culvert counters` on both ends shows what was dropped",
  );
}

async function serveSockperf(at: Place, port: number, seconds: number): Promise<WorkloadServer> {
  const child = at.spawn(["sockperf", "server", "-p", String(port)]);
  const ready = (): boolean => ownsPort(child.pid, port, "udp");
  const life_ms = seconds * 1000 + 2 * spareTime_ms;
  const server = await serverReady(child, "the sockperf server", ready, life_ms);
  return { port, stop: server.stop };
}

async function runSockperf(options: ClientOptions): Promise<WorkloadResult> {
  const { from, address, port, seconds } = options;
  const child = from.spawn([
    ...["sockperf", "ping-pong", "-i", address, "-p", String(port)],
    ...["-m", String(ping_bytes), "-t", String(seconds)],
  ]);
  const { stdout, stderr } = await child.wait(seconds * 1000 + spareTime_ms);
  return parseSockperf(stdout + stderr);
}

/**
 * Reads the output of `sockperf ping-pong`. What it calls latency is half a round trip, which it
 * measured as a whole. Throws TestbedError when it has no percentiles, or too much was lost.
 */
export function parseSockperf(output: string): WorkloadResult {
  const counts = /\[Valid Duration\].*SentMessages=(\d+); ReceivedMessages=(\d+)/.exec(output);
  const rtt_us = (name: string): number =>
    2 * Number(new RegExp(`percentile ${name} = +([\\d.]+)`).exec(output)?.[1]);
  const values = {
    rtt_p50_us: rtt_us("50.000"),
    rtt_p99_us: rtt_us("99.000"),
    rtt_p999_us: rtt_us("99.900"),
  };
  if (counts === null || !Object.values(values).every(Number.isFinite)) {
    const lines = output.trim().split("\n");
    throw new TestbedError(`sockperf measured nothing: ${lines[lines.length - 1]}`);
  }
  const sent = Number(counts[1]);
  checkLoss(sent, sent - Number(counts[2]));
  return { values };
}
