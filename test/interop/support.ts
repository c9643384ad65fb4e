// What the interop tests share: why they cannot run here, culvert against a kernel vxlan device,
// traffic whose content is verified, captures read by tshark. Topology and processes come from
// src/testbed/; everything registers with a Cleanup.

import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Cleanup } from "../../src/testbed/cleanup.js";
import { type Daemon, temporaryFolder } from "../../src/testbed/daemon.js";
import { TestbedError } from "../../src/testbed/error.js";
import type { Namespace } from "../../src/testbed/namespace.js";
import { type Child, runSync, waitUntil } from "../../src/testbed/process.js";

/**
 * Debian's interpreter: its packages (scapy) are not seen by another one that stands first in PATH.
 */
export const python = "/usr/bin/python3";
const fixtures = join(dirname(fileURLToPath(import.meta.url)), "fixtures");
const readyTimeout_ms = 15_000;
const drainTimeout_ms = 5_000;

export interface Needs {
  /** Commands on the PATH, each with an argument that makes it end at once. */
  commands?: readonly (readonly [string, string])[];
  /** Python modules. */
  modules?: readonly string[];
}

function runs(argv: readonly string[]): boolean {
  const [command, ...args] = argv;
  return spawnSync(command!, args, { stdio: "ignore", timeout: readyTimeout_ms }).status === 0;
}

/** Why tests with these needs cannot run here; undefined when they can. */
export function unmetNeeds(needs: Needs): string | undefined {
  if (process.getuid?.() !== 0) return "needs root for network namespaces and tunnel devices";
  for (const [command, argument] of needs.commands ?? []) {
    if (!runs([command, argument]))
      return `${command} is not installed: npm run setup -- --for=test`;
  }
  for (const module of needs.modules ?? []) {
    if (!runs([python, "-c", `import ${module}`])) {
      return `${python} has no module ${module}: npm run setup -- --for=test`;
    }
  }
  return undefined;
}

/** Starts a program of fixtures/ with Debian's python. */
export function startFixture(namespace: Namespace, name: string, ...args: string[]): Child {
  return namespace.spawn([python, "-u", join(fixtures, name), ...args]);
}

/** Waits until `child` has written `text`; throws TestbedError with its output when it does not. */
export async function waitForOutput(
  child: Child,
  text: string,
  timeout_ms = readyTimeout_ms,
): Promise<void> {
  const written = (): boolean => child.stdout.includes(text) || child.stderr.includes(text);
  await waitUntil(() => written() || child.result !== undefined, timeout_ms);
  if (written()) return;
  const output = (child.stderr + child.stdout).slice(-4000);
  throw new TestbedError(`${child.argv.join(" ")} did not write "${text}"; its output:\n${output}`);
}

/** The last line of a finished fixture, parsed; throws TestbedError when it failed. */
export async function fixtureResult<T>(child: Child, timeout_ms: number): Promise<T> {
  const { status, stdout, stderr } = await child.wait(timeout_ms);
  const line = stdout.trimEnd().split("\n").at(-1) ?? "";
  if (status !== 0 || !/^[[{]/.test(line)) {
    throw new TestbedError(
      `${child.argv.join(" ")} failed (status ${status}):\n${stderr}${stdout}`,
    );
  }
  return JSON.parse(line) as T;
}

export interface Path {
  from: Namespace;
  to: Namespace;
  /** Address of `to`. */
  address: string;
}

export interface Digest {
  bytes: number;
  sha256: string;
}

/**
 * Sends random bytes over one TCP connection; digests as the sender and the receiver computed them.
 */
export async function transferTcp(
  path: Path,
  bytes: number,
  timeout_ms = 60_000,
): Promise<{ sent: Digest; received: Digest }> {
  const server = startFixture(path.to, "tcp-transfer.py", "receive", path.address, "5301");
  try {
    await waitForOutput(server, "ready");
    const to = [path.address, "5301", String(bytes)];
    const client = startFixture(path.from, "tcp-transfer.py", "send", ...to);
    const sent = await fixtureResult<Digest>(client, timeout_ms);
    return { sent, received: await fixtureResult<Digest>(server, timeout_ms) };
  } finally {
    await server.stop();
  }
}

export interface DatagramPlan {
  /** Payload of each datagram. */
  size_bytes: number;
  count: number;
  /** Datagrams per system call: more than 1 is one UDP_SEGMENT send. */
  batch: number;
}

export interface DatagramResult {
  sent: { count: number; sha256: string };
  received: { count: number; sha256: string; wrongSize: number; damaged: number };
}

/**
 * Sends numbered datagrams of random bytes; digests over all of them in the order of their numbers.
 */
async function sendDatagrams(path: Path, plan: DatagramPlan): Promise<DatagramResult> {
  const numbers = [path.address, "5302", ...[plan.size_bytes, plan.count].map(String)];
  const server = startFixture(path.to, "datagrams.py", "receive", ...numbers);
  try {
    await waitForOutput(server, "ready");
    const client = startFixture(path.from, "datagrams.py", "send", ...numbers, String(plan.batch));
    const sent = await fixtureResult<DatagramResult["sent"]>(client, 20_000);
    return { sent, received: await fixtureResult<DatagramResult["received"]>(server, 20_000) };
  } finally {
    await server.stop();
  }
}

/**
 * Sends until all datagrams of one attempt arrived, at most `attempts` times: a busy machine may
 * lose some, but none may ever arrive damaged or with another size, which ends the attempts.
 */
export async function transferDatagrams(
  path: Path,
  plan: DatagramPlan,
  attempts = 3,
): Promise<DatagramResult> {
  for (let attempt = 1; ; attempt++) {
    const result = await sendDatagrams(path, plan);
    const { count, wrongSize, damaged } = result.received;
    const spoilt = wrongSize > 0 || damaged > 0;
    if (spoilt || count === plan.count || attempt === attempts) return result;
  }
}

interface DropRow {
  direction: string;
  reason: string;
  count: number;
}

/** What a daemon dropped since its start, as {"ingress inner-checksum": 3}; {} when nothing. */
export async function dropsOf(
  daemon: Daemon,
  directions: readonly string[] = ["egress", "ingress"],
): Promise<Record<string, number>> {
  const { status, stdout, stderr } = await daemon.culvert("counters", "-j");
  if (status !== 0) throw new TestbedError(`culvert counters: ${stderr}${stdout}`);
  const report = JSON.parse(stdout) as { tunnels: { drops: DropRow[] }[]; drops: DropRow[] };
  const rows = [...report.drops, ...report.tunnels.flatMap((tunnel) => tunnel.drops)];
  const drops: Record<string, number> = {};
  for (const { direction, reason, count } of rows) {
    if (count === 0 || !directions.includes(direction)) continue;
    const key = `${direction} ${reason}`;
    drops[key] = (drops[key] ?? 0) + count;
  }
  return drops;
}

/**
 * Repeats `read` until it gives `wanted` (compared as JSON) or 5 s have passed; returns what it
 * gave last.
 */
export async function settled<T>(read: () => T | Promise<T>, wanted: T): Promise<T> {
  let last = await read();
  const target = JSON.stringify(wanted);
  await waitUntil(async () => {
    if (JSON.stringify(last) === target) return true;
    last = await read();
    return JSON.stringify(last) === target;
  }, drainTimeout_ms);
  return last;
}

/** A running tcpdump that writes whole packets to a file. */
export class Capture {
  readonly file: string;
  readonly #child: Child;

  private constructor(child: Child, file: string) {
    this.#child = child;
    this.file = file;
  }

  /** Captures what `filter` (pcap-filter(7)) matches on a device; returns once tcpdump listens. */
  static async start(
    cleanup: Cleanup,
    namespace: Namespace,
    device: string,
    filter: string,
  ): Promise<Capture> {
    const file = join(temporaryFolder(cleanup, "capture"), "packets.pcap");
    const child = namespace.spawn([
      ...["tcpdump", "-i", device, "-n", "-s", "0", "-B", "16384", "-U", "-Z", "root"],
      ...["-w", file, filter],
    ]);
    await waitForOutput(child, "listening on");
    return new Capture(child, file);
  }

  /**
   * Ends the capture; the file is complete. Throws TestbedError when the kernel dropped packets of
   * it.
   */
  async stop(): Promise<void> {
    // What arrived last still lies in the ring buffer, whose block is handed over within a second
    // (TPACKET_V3).
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    const { stderr } = await this.#child.stop("SIGINT");
    const dropped = /(\d+) packets dropped by kernel/.exec(stderr)?.[1];
    if (dropped !== "0") throw new TestbedError(`the capture is not complete: ${stderr}`);
  }
}

const checkedChecksums = ["ip", "udp", "tcp"].flatMap((protocol) => [
  "-o",
  `${protocol}.check_checksum:TRUE`,
]);

/**
 * Ports of the transfers: else the other side's ephemeral port may be one of a protocol that tshark
 * knows.
 */
const plainPayload = ["-d", "tcp.port==5301,data", "-d", "udp.port==5302,data"];

/**
 * Fields of the packets that match a display filter, as tshark dissects them with checksum
 * validation on. One array of values per field: a field of both outer and inner header has two, the
 * outer one first.
 */
export function dissect(
  file: string,
  filter: string,
  fields: readonly string[],
): Record<string, string[]>[] {
  const output = runSync([
    ...[
      "tshark",
      "-n",
      "-r",
      file,
      ...checkedChecksums,
      ...plainPayload,
      "-Y",
      filter,
      "-T",
      "fields",
    ],
    ...["-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=,"],
    ...fields.flatMap((field) => ["-e", field]),
  ]);
  return output
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const columns = line.split("\t");
      return Object.fromEntries(
        fields.map((field, i) => [field, (columns[i] ?? "").split(",").filter(Boolean)]),
      );
    });
}
