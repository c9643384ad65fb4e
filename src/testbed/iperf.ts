// iperf3: a one-off server, a client of bounded duration, the result as numbers. What was received
// counts, never what was sent.
//
// Limits of iperf3 3.12 to know when reading the numbers: one process is one thread, one system
// call per UDP datagram (about 250,000 64-byte datagrams/s over loopback here), so a packet rate
// near that is iperf3's own.

import { TestbedError } from "./error.js";
import type { Place } from "./place.js";
import { ownsPort, type ServerProcess, serverReady } from "./server-process.js";

const defaultPort = 5201;
/** Beyond the test's own duration: connecting, exchanging results over a saturated path, ending. */
const spareTime_ms = 10_000;

export interface IperfOptions {
  client: Place;
  server: Place;
  /** Address of the server as the client reaches it. */
  address: string;
  seconds: number;
  /** The server sends. */
  reverse?: boolean;
  port?: number;
}

/** CPU seconds that iperf3 itself used, by its own account. */
export interface IperfCpu {
  client: number;
  server: number;
}

export interface TcpResult {
  /** Received by the receiving application, over the duration it measured. */
  bits_per_s: number;
  bytes: number;
  retransmits: number;
  cpu_s: IperfCpu;
}

export interface UdpResult {
  delivered_per_s: number;
  sent_per_s: number;
  /** 0 ... 1 of the datagrams sent. */
  loss: number;
  bits_per_s: number;
  /** Payload that was delivered. */
  bytes: number;
  cpu_s: IperfCpu;
}

interface Sum {
  seconds: number;
  bytes: number;
  bits_per_second: number;
  retransmits?: number;
}

interface End {
  sum_sent?: Sum;
  sum_received?: Sum;
  /** Of --bidir: from server to client. */
  sum_sent_bidir_reverse?: Sum;
  sum_received_bidir_reverse?: Sum;
  cpu_utilization_percent?: { host_total: number; remote_total: number };
}

interface Transfer {
  sent: Sum;
  received: Sum;
}

interface Outcome {
  /** One, or with --bidir two. */
  transfers: [Transfer, ...Transfer[]];
  cpu_s: IperfCpu;
}

function readOutcome(output: string): Outcome {
  let report: { error?: string; end?: End };
  try {
    report = JSON.parse(output) as typeof report;
  } catch {
    throw new TestbedError(`iperf3 gave no JSON: ${output.slice(0, 500)}`);
  }
  const end = report.end ?? {};
  const { sum_sent: sent, sum_received: received } = end;
  const { sum_sent_bidir_reverse: sentBack, sum_received_bidir_reverse: receivedBack } = end;
  if (report.error !== undefined || sent === undefined || received === undefined) {
    throw new TestbedError(`iperf3: ${report.error ?? "no result"}`);
  }
  const transfers: Outcome["transfers"] = [{ sent, received }];
  if (sentBack !== undefined && receivedBack !== undefined) {
    transfers.push({ sent: sentBack, received: receivedBack });
  }
  // Its percentages are of the time from the start to the end of the test.
  const cpu_s = (percent = 0): number => (percent / 100) * sent.seconds;
  const used = end.cpu_utilization_percent;
  return {
    transfers,
    cpu_s: { client: cpu_s(used?.host_total), server: cpu_s(used?.remote_total) },
  };
}

/**
 * Reads the client's JSON of a TCP test; of both directions the sum. Throws TestbedError with
 * iperf3's own message when it failed.
 */
export function parseTcp(output: string): TcpResult {
  const { transfers, cpu_s } = readOutcome(output);
  const sum = (read: (transfer: Transfer) => number): number =>
    transfers.reduce((total, transfer) => total + read(transfer), 0);
  return {
    bits_per_s: sum(({ received }) => received.bits_per_second),
    bytes: sum(({ received }) => received.bytes),
    retransmits: sum(({ sent }) => sent.retransmits ?? 0),
    cpu_s,
  };
}

/** Reads the client's JSON of a UDP test with datagrams of `payload_bytes`. */
export function parseUdp(output: string, payload_bytes: number): UdpResult {
  const { transfers, cpu_s } = readOutcome(output);
  const { sent, received } = transfers[0];
  // The receiver's byte count is exact; its `lost_packets` misses what was lost after the last
  // datagram it saw.
  const delivered = received.bytes / payload_bytes;
  const sentPackets = sent.bytes / payload_bytes;
  return {
    delivered_per_s: delivered / received.seconds,
    sent_per_s: sentPackets / sent.seconds,
    loss: sentPackets === 0 ? 1 : Math.max(0, 1 - delivered / sentPackets),
    bits_per_s: received.bits_per_second,
    bytes: received.bytes,
    cpu_s,
  };
}

/** The server half: ready for one client, and gone `seconds` and some spare time later. */
export function startIperfServer(at: Place, port: number, seconds: number): Promise<ServerProcess> {
  const server = at.spawn(["iperf3", "-s", "--one-off", "-p", String(port)]);
  const life_ms = seconds * 1000 + 2 * spareTime_ms;
  const ready = (): boolean => ownsPort(server.pid, port, "tcp");
  return serverReady(server, "the iperf3 server", ready, life_ms);
}

export interface IperfClientOptions {
  from: Place;
  address: string;
  port: number;
  seconds: number;
}

/** The client half. @returns its JSON, or what it said instead */
export async function runIperfClient(
  { from, address, port, seconds }: IperfClientOptions,
  extra: readonly string[],
): Promise<string> {
  const client = from.spawn([
    ...["iperf3", "-J", "-c", address, "-p", String(port)],
    ...["-t", String(seconds), "--connect-timeout", "3000"],
    ...extra,
  ]);
  const { stdout, stderr } = await client.wait(seconds * 1000 + spareTime_ms);
  return stdout.length > 0 ? stdout : stderr;
}

/** Arguments of a client that sends datagrams of `payload_bytes`; "0" is as fast as it can. */
export function udpArguments(payload_bytes: number, bitrate = "0"): string[] {
  return ["-u", "-l", String(payload_bytes), "-b", bitrate];
}

/** Both halves. */
async function run(options: IperfOptions, extra: readonly string[]): Promise<string> {
  const { client: from, address, seconds, reverse = false, port = defaultPort } = options;
  const server = await startIperfServer(options.server, port, seconds);
  try {
    const direction = reverse ? ["-R"] : [];
    return await runIperfClient({ from, address, port, seconds }, [...direction, ...extra]);
  } finally {
    await server.stop();
  }
}

/** TCP from client to server (or back). */
export async function iperfTcp(options: IperfOptions): Promise<TcpResult> {
  return parseTcp(await run(options, []));
}

/** UDP datagrams of `payload_bytes` at `bitrate` (iperf3 notation). */
export async function iperfUdp(
  options: IperfOptions & { payload_bytes: number; bitrate?: string },
): Promise<UdpResult> {
  const { payload_bytes, bitrate } = options;
  return parseUdp(await run(options, udpArguments(payload_bytes, bitrate)), payload_bytes);
}
