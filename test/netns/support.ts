// What the tests of whole daemons share: the life of topology and daemons around each test,
// configs, counters by name, captures decoded by tshark, crafted packets by scapy. Everything is
// removed afterwards, also when a test failed. No assertion of its own but that daemons end well
// and drop nothing. Traffic is traffic.ts.

import { execFileSync, spawnSync } from "node:child_process";
import { accessSync, constants, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest";
import type { CountersReport } from "../../src/control/target.js";
import { Cleanup } from "../../src/testbed/cleanup.js";
import { culvertIpipConfig, culvertVxlanConfig } from "../../src/testbed/culvert-tunnel.js";
import { Daemon, temporaryFolder } from "../../src/testbed/daemon.js";
import { addVeth, Namespace } from "../../src/testbed/namespace.js";
import { type Child, type ExitResult, runSync, sleep } from "../../src/testbed/process.js";
import { culvertEntry } from "../../src/testbed/project.js";
import type { HostAddresses, HostSide, TwoHosts } from "../../src/testbed/two-hosts.js";

/** Debian's Python: the one that has scapy. */
export const python = "/usr/bin/python3";
/** How long anything may take on a slow, busy machine. */
const patience_ms = 20_000;
const retryInterval_ms = 50;
const tools: Readonly<Record<string, readonly string[]>> = {
  iperf3: ["iperf3", "--version"],
  tcpdump: ["tcpdump", "--version"],
  tshark: ["tshark", "--version"],
  python3: [python, "--version"],
  scapy: [python, "-c", "import scapy"],
  setpriv: ["setpriv", "--version"],
  nft: ["nft", "--version"],
};

/** Why tests with daemons cannot run here; undefined when they can. */
function obstacle(needed: readonly string[]): string | undefined {
  if (process.getuid?.() !== 0) return "needs root: network namespaces and tunnel devices";
  try {
    accessSync("/dev/net/tun", constants.R_OK | constants.W_OK);
  } catch {
    return "needs /dev/net/tun";
  }
  const missing = needed.filter((name) => {
    const [command, ...args] = tools[name]!;
    return spawnSync(command!, args, { stdio: "ignore" }).status !== 0;
  });
  return missing.length === 0 ? undefined : `needs ${missing.join(", ")}: npm run setup`;
}

/** A topology for all tests of a file, and the daemons of one test. */
export class Bed<T> {
  readonly cleanup = new Cleanup();
  readonly #build: (cleanup: Cleanup) => T;
  #hosts: T | undefined;
  #daemons: Daemon[] = [];

  constructor(build: (cleanup: Cleanup) => T) {
    this.#build = build;
  }

  get hosts(): T {
    this.#hosts ??= this.#build(this.cleanup);
    return this.#hosts;
  }

  /** Starts a daemon that ends with the test. `config` begins after `control:`. */
  async start(namespace: Namespace, config: string): Promise<Daemon> {
    const daemon = await Daemon.start({ namespace, cleanup: this.cleanup, config });
    this.#daemons.push(daemon);
    return daemon;
  }

  /** A daemon on each side. */
  async pair(
    { left, right }: TwoHosts,
    config: (side: HostSide, peer: HostSide) => string,
  ): Promise<[Daemon, Daemon]> {
    const first = await this.start(left.host, config(left, right));
    return [first, await this.start(right.host, config(right, left))];
  }

  /** Stops what runs. @returns how those ended that did not end well */
  async stopDaemons(show: boolean): Promise<string[]> {
    const daemons = this.#daemons;
    this.#daemons = [];
    const bad: string[] = [];
    for (const daemon of daemons) {
      if (show) process.stderr.write(`${daemon.configFile}:\n${daemon.log.slice(-4000)}\n`);
      if (daemon.child.result !== undefined) continue;
      const { status, signal } = await daemon.stop();
      if (status !== 0) bad.push(`${signal ?? status}: ${daemon.log.slice(-2000)}`);
    }
    return bad;
  }
}

/**
 * Sets the hooks of a test file: a topology made by `build` when first asked for, removed at the
 * end; tests are skipped with the reason when this machine lacks something of `needed`.
 */
export function useBed<T>(needed: readonly string[], build: (cleanup: Cleanup) => T): Bed<T> {
  const bed = new Bed(build);
  let reason: string | undefined;
  beforeAll(() => {
    reason = obstacle(needed);
  });
  beforeEach((context) => {
    if (reason !== undefined) context.skip(reason);
  });
  afterEach(async (context) => {
    const failed = context.task.result?.state === "fail";
    expect(await bed.stopDaemons(failed)).toEqual([]);
  });
  afterAll(() => bed.cleanup.run());
  return bed;
}

/**
 * Repeats `attempt` until it does not throw; after 20 s (or `timeout_ms`) throws what it threw
 * last.
 */
export async function eventually<T>(
  attempt: () => T | Promise<T>,
  timeout_ms = patience_ms,
): Promise<T> {
  const end_ms = performance.now() + timeout_ms;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() >= end_ms) throw error;
      await sleep(retryInterval_ms);
    }
  }
}

/**
 * The VXLAN config of one side with more lines: `top` before the tunnels, `tunnel` in it, `more`
 * after it.
 */
export function vxlanConfig(
  side: HostAddresses,
  peer: HostAddresses,
  { top = "", tunnel = [], more = "" }: { top?: string; tunnel?: string[]; more?: string } = {},
): string {
  const lines = tunnel.map((line) => `    ${line}\n`).join("");
  return `${top}${culvertVxlanConfig(side, peer)}${lines}${more}`;
}

/** The same for IPIP; `lines` replace lines with the same key. */
export function ipipConfig(
  side: HostAddresses,
  peer: HostAddresses,
  lines: readonly string[] = [],
): string {
  const key = (line: string): string => line.slice(0, line.indexOf(":"));
  const given = new Set(lines.map(key));
  const kept = culvertIpipConfig(side, peer)
    .split("\n")
    .filter((line) => line !== "" && !given.has(key(line.trim())));
  return `${[...kept, ...lines.map((line) => `    ${line}`)].join("\n")}\n`;
}

export type CountersJson = CountersReport;

/** Runs a command of the CLI that must succeed and reads its JSON. */
export async function culvertJson<T>(daemon: Daemon, ...args: string[]): Promise<T> {
  const { status, stdout, stderr } = await daemon.culvert(...args, "-j");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return JSON.parse(stdout) as T;
}

/** Runs a command of the CLI that must succeed. @returns its output */
export async function culvert(daemon: Daemon, command: string): Promise<string> {
  const { status, stdout, stderr } = await daemon.culvert(...command.split(" "));
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return stdout;
}

export const countersOf = (daemon: Daemon): Promise<CountersJson> =>
  culvertJson<CountersJson>(daemon, "counters");

/**
 * Everything that was dropped, over all tunnels and none: `{ "ingress unknown-vni": 3 }`; zeros
 * left out.
 */
export function dropsOf({ tunnels, drops }: CountersJson): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { direction, reason, count } of [...drops, ...tunnels.flatMap((t) => t.drops)]) {
    const name = `${direction} ${reason}`;
    if (count > 0) sums[name] = (sums[name] ?? 0) + count;
  }
  return sums;
}

/** Count of an event over all tunnels. */
export function eventOf({ tunnels }: CountersJson, name: string): number {
  const events = tunnels.flatMap((tunnel) => tunnel.events).filter(({ event }) => event === name);
  expect(events.length).toBe(tunnels.length);
  return events.reduce((sum, { count }) => sum + count, 0);
}

/** A full queue loses packets on a busy machine, as a NIC's does; all else is a fault. */
const queueDrops = new Set(["egress underlay-busy", "ingress device-busy"]);

/** Runs `body` and expects that the daemons dropped nothing meanwhile, full queues aside. */
export async function withoutDrops(
  daemons: readonly Daemon[],
  body: () => Promise<void>,
): Promise<void> {
  const before = await Promise.all(daemons.map(countersOf));
  await body();
  for (const [i, daemon] of daemons.entries()) {
    const earlier = dropsOf(before[i]!);
    const now = Object.entries(dropsOf(await countersOf(daemon)));
    const added = now.filter(([name, n]) => n > (earlier[name] ?? 0) && !queueDrops.has(name));
    expect(added).toEqual([]);
  }
}

export interface Station {
  host: Namespace;
  underlayIp: string;
  overlayIp: string;
}

/**
 * Hosts 10.57.4.20, .21 ... on one bridge (in a namespace of its own) as underlay; IPv6 is off, it
 * chatters.
 */
export function createStations(cleanup: Cleanup, count: number): Station[] {
  const hub = Namespace.create(cleanup, "hub");
  hub.ip("link", "add", "br0", "type", "bridge", "forward_delay", "0");
  hub.ip("link", "set", "br0", "up");
  return Array.from({ length: count }, (_, i) => {
    const host = Namespace.create(cleanup, `station${i}`);
    silenceIpv6(host);
    addVeth({ namespace: host, device: "eth0" }, { namespace: hub, device: `port${i}` });
    hub.ip("link", "set", `port${i}`, "master", "br0");
    const underlayIp = `10.57.4.${20 + i}`;
    host.ip("addr", "add", `${underlayIp}/24`, "dev", "eth0");
    host.sysctl("net.ipv4.conf.all.rp_filter", 2);
    host.sysctl("net.ipv4.icmp_echo_ignore_broadcasts", 0);
    return { host, underlayIp, overlayIp: `10.99.0.${1 + i}` };
  });
}

/** No IPv6 on any device made from now on: no router solicitations, no multicast reports. */
export function silenceIpv6(host: Namespace): void {
  host.sysctl("net.ipv6.conf.all.disable_ipv6", 1);
  host.sysctl("net.ipv6.conf.default.disable_ipv6", 1);
}

/** A MAC that names its station. */
export const macOf = (index: number): string => `02:00:00:00:00:0${index + 1}`;

/** VXLAN config of a station: one overlay subnet for all; `lines` go into the tunnel. */
export function stationConfig(station: Station, mac: string, lines: readonly string[]): string {
  return `tunnels:
  - name: vxlan100
    type: vxlan
    vni: 100
    local: ${station.underlayIp}
    mac: "${mac}"
    addresses: [${station.overlayIp}/24]
${lines.map((line) => `    ${line}\n`).join("")}`;
}

/** Packets received by and sent through a device, as the kernel counts them. */
export function devicePackets(namespace: Namespace, device: string): { rx: number; tx: number } {
  const [link] = JSON.parse(namespace.ip("-s", "-j", "link", "show", device)) as [
    { stats64: { rx: { packets: number }; tx: { packets: number } } },
  ];
  return { rx: link.stats64.rx.packets, tx: link.stats64.tx.packets };
}

/** What tshark may say of one capture. */
const MAX_ROWS_BYTES = 256 * 1024 * 1024;

/** A tcpdump into a file, and what tshark reads in it. */
export class Capture {
  readonly #child: Child;
  readonly #file: string;

  private constructor(child: Child, file: string) {
    this.#child = child;
    this.#file = file;
  }

  /**
   * Captures what `filter` (pcap-filter(7)) matches, `limit` packets at most; it listens when this
   * resolves.
   */
  static async start(
    cleanup: Cleanup,
    namespace: Namespace,
    device: string,
    filter: string,
    limit?: number,
  ): Promise<Capture> {
    const file = join(temporaryFolder(cleanup, "capture"), "packets.pcap");
    const options = ["-i", device, "-n", "-s", "256", "-U", "--immediate-mode"];
    const count = limit === undefined ? [] : ["-c", String(limit)];
    const output = [...count, "-Z", "root", "-w", file];
    const child = namespace.spawn(["tcpdump", ...options, ...output, filter]);
    await eventually(() => expect(child.stderr).toContain("listening on"));
    return new Capture(child, file);
  }

  /** Rows of `fields` of the packets that match `filter` (tshark's), as of now. */
  rows(filter: string, fields: readonly string[]): string[][] {
    const columns = fields.flatMap((field) => ["-e", field]);
    const argv = ["-r", this.#file, "-Y", filter, "-T", "fields", ...columns];
    const output = execFileSync("tshark", argv, {
      ...{ encoding: "utf8", stdio: "pipe", maxBuffer: MAX_ROWS_BYTES },
    });
    return output.split("\n").flatMap((line) => (line === "" ? [] : [line.split("\t")]));
  }

  async stop(): Promise<void> {
    await this.#child.stop();
  }
}

/** Runs lines of Python with scapy's names, inside a namespace. @returns what it printed */
export function scapy(namespace: Namespace, lines: readonly string[]): string {
  const script = ["from scapy.all import *", "conf.verb = 0", ...lines].join("\n");
  return namespace.run(python, "-c", script);
}

export interface RunOptions {
  /** Another control socket than that of a new temporary folder. */
  socket?: string;
  /** A command that runs the rest of its arguments: `setpriv ... --`. */
  prefix?: readonly string[];
}

/** `culvert run` (or `check`) of a config that is expected to end by itself. */
export function culvertEnds(
  bed: Bed<unknown>,
  namespace: Namespace,
  config: string,
  { socket, prefix = [] }: RunOptions = {},
  command = "run",
): Promise<ExitResult> {
  const folder = temporaryFolder(bed.cleanup, "refused");
  const file = join(folder, "config.yaml");
  writeFileSync(file, `control: { socket: "${socket ?? join(folder, "sock")}" }\n${config}`);
  const argv = [...prefix, process.execPath, culvertEntry(), command, "--config", file];
  return namespace.spawn(argv).wait(patience_ms);
}

/** Names of the devices in a namespace. */
export function devicesOf(namespace: Namespace): string[] {
  const links = JSON.parse(runSync(["ip", "-n", namespace.name, "-j", "link"])) as {
    ifname: string;
  }[];
  return links.map(({ ifname }) => ifname).sort();
}
