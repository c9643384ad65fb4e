// Starts the halves of peer.ts at a place and reads what they print.

import { TestbedError } from "../../testbed/error.js";
import { builtProgram } from "../../testbed/project.js";
import { serverReady } from "../../testbed/server-process.js";
import type { ClientOptions, Place, WorkloadServer } from "../workload.js";

/** For the start of Node.js, connecting and ending. */
const spareTime_s = 10;

function peerArguments(...args: readonly (string | number)[]): string[] {
  return [process.execPath, builtProgram("bench/workloads/peer.js"), ...args.map(String)];
}

/** A server that answers every datagram, or one byte of every connection. */
export async function servePeer(
  at: Place,
  protocol: "udp" | "tcp",
  port: number,
  seconds: number,
): Promise<WorkloadServer> {
  // Its loop ends by itself, before the timer of serverReady would end the process.
  const life_s = seconds + spareTime_s;
  const child = at.spawn(peerArguments("serve", protocol, port, life_s));
  const ready = (): boolean => child.stdout.startsWith("ready\n");
  const server = await serverReady(child, `the ${protocol} echo server`, ready, life_s * 2000);
  return { port, stop: server.stop };
}

/** Runs a client half to its end and reads its JSON. Throws TestbedError with what it said. */
export async function runPeer<T>(
  role: "ping-pong" | "connections",
  { from, address, port, seconds }: ClientOptions,
): Promise<T> {
  const child = from.spawn(peerArguments(role, address, port, seconds));
  const { status, stdout, stderr } = await child.wait((seconds + spareTime_s) * 1000);
  if (status !== 0) {
    throw new TestbedError(`${role} with ${address} port ${port}: ${stderr.trim() || "killed"}`);
  }
  return JSON.parse(stdout) as T;
}
