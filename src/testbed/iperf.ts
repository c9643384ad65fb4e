// iperf3 between two namespaces: a one-off server, a client of bounded duration, the result as
// numbers. What was received counts, never what was sent.
//
// Limits of iperf3 3.12 to know when reading the numbers: one process is one thread, one system
// call per UDP datagram (about 250,000 64-byte datagrams/s over loopback here), so a packet rate
// near that is iperf3's own.

import { readFileSync } from "node:fs";
import { TestbedError } from "./error.js";
import type { Namespace } from "./namespace.js";
import { type Child, waitUntil } from "./process.js";

const defaultPort = 5201;
const listenTimeout_ms = 3_000;
/** Beyond the test's own duration: connecting, exchanging results over a saturated path, ending. */
const spareTime_ms = 10_000;

export interface IperfOptions {
  client: Namespace;
  server: Namespace;
  /** Address of the server as the client reaches it. */
  address: string;
  seconds: number;
  /** The server sends. */
  reverse?: boolean;
  port?: number;
}

export interface TcpResult {
  /** Received by the receiving application, over the duration it measured. */
  bits_per_s: number;
  bytes: number;
  retransmits: number;
}

export interface UdpResult {
  delivered_per_s: number;
  sent_per_s: number;
  /** 0 ... 1 of the datagrams sent. */
  loss: number;
  bits_per_s: number;
}

interface Sum {
  seconds: number;
  bytes: number;
  bits_per_second: number;
  packets?: number;
  retransmits?: number;
}

interface Report {
  error?: string;
  end?: { sum_sent?: Sum; sum_received?: Sum };
}

function sums(output: string): { sent: Sum; received: Sum } {
  let report: Report;
  try {
    report = JSON.parse(output) as Report;
  } catch {
    throw new TestbedError(`iperf3 gave no JSON: ${output.slice(0, 500)}`);
  }
  const sent = report.end?.sum_sent;
  const received = report.end?.sum_received;
  if (report.error !== undefined || sent === undefined || received === undefined) {
    throw new TestbedError(`iperf3: ${report.error ?? "no result"}`);
  }
  return { sent, received };
}

/**
 * Reads the client's JSON of a TCP test. Throws TestbedError with iperf3's own message when it
 * failed.
 */
export function parseTcp(output: string): TcpResult {
  const { sent, received } = sums(output);
  return {
    bits_per_s: received.bits_per_second,
    bytes: received.bytes,
    retransmits: sent.retransmits ?? 0,
  };
}

/** Reads the client's JSON of a UDP test with datagrams of `payload_bytes`. */
export function parseUdp(output: string, payload_bytes: number): UdpResult {
  const { sent, received } = sums(output);
  // The receiver's byte count is exact; its `lost_packets` misses what was lost after the last
  // datagram it saw.
  const delivered = received.bytes / payload_bytes;
  const sentPackets = sent.bytes / payload_bytes;
  return {
    delivered_per_s: delivered / received.seconds,
    sent_per_s: sentPackets / sent.seconds,
    loss: sentPackets === 0 ? 1 : Math.max(0, 1 - delivered / sentPackets),
    bits_per_s: received.bits_per_second,
  };
}

/**
 * True when the network namespace of `pid` has a TCP listener on `port` (proc_net_tcp: state 0A is
 * LISTEN).
 */
function isListening(pid: number, port: number): boolean {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return ["tcp", "tcp6"].some((table) => {
    try {
      const lines = readFileSync(`/proc/${pid}/net/${table}`, "latin1").split("\n").slice(1);
      return lines.some((line) => {
        const columns = line.trim().split(/\s+/);
        return columns[1]?.endsWith(suffix) === true && columns[3] === "0A";
      });
    } catch {
      return false;
    }
  });
}

async function startServer(namespace: Namespace, port: number): Promise<Child> {
  const server = namespace.spawn(["iperf3", "-s", "--one-off", "-J", "-p", String(port)]);
  const listening = await waitUntil(
    () => server.result !== undefined || isListening(server.pid, port),
    listenTimeout_ms,
  );
  if (listening && server.result === undefined) return server;
  await server.stop();
  throw new TestbedError(`the iperf3 server did not start: ${server.stderr}${server.stdout}`);
}

async function runClient(options: IperfOptions, extra: readonly string[]): Promise<string> {
  const port = options.port ?? defaultPort;
  const server = await startServer(options.server, port);
  try {
    const client = options.client.spawn([
      ...["iperf3", "-J", "-c", options.address, "-p", String(port)],
      ...["-t", String(options.seconds), "--connect-timeout", "3000"],
      ...(options.reverse === true ? ["-R"] : []),
      ...extra,
    ]);
    const { stdout, stderr } = await client.wait(options.seconds * 1000 + spareTime_ms);
    return stdout.length > 0 ? stdout : stderr;
  } finally {
    await server.stop();
  }
}

/** TCP from client to server (or back), `streams` in parallel. */
export async function iperfTcp(options: IperfOptions & { streams?: number }): Promise<TcpResult> {
  return parseTcp(await runClient(options, ["-P", String(options.streams ?? 1)]));
}

/**
 * UDP datagrams of `payload_bytes` at `bitrate` (iperf3 notation, "0" is as fast as the sender
 * can).
 */
export async function iperfUdp(
  options: IperfOptions & { payload_bytes: number; bitrate?: string },
): Promise<UdpResult> {
  const extra = ["-u", "-l", String(options.payload_bytes), "-b", options.bitrate ?? "0"];
  return parseUdp(await runClient(options, extra), options.payload_bytes);
}
