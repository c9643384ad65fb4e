// The VTEP under test behind one interface: the kernel's vxlan device, or a culvert daemon in its
// place. One object of options becomes words of ip-link(8) or lines of culvert's config. Only what
// both are told stands here; what is expected of them stands in the test files.

import { runCli } from "../../src/cli/run-cli.js";
import type { Cleanup } from "../../src/testbed/cleanup.js";
import { Daemon } from "../../src/testbed/daemon.js";
import type { Namespace } from "../../src/testbed/namespace.js";
import type { Child } from "../../src/testbed/process.js";
import { culvertEntry } from "../../src/testbed/project.js";

export const device = "vxlan100";
export const ownMac = "02:00:00:00:01:00";
/** What the lab's markers are sent to (egress) and come from (ingress). */
export const markerMac = "02:00:00:00:99:01";
export const markerSourceMac = "02:00:00:00:99:02";

export interface FdbSpec {
  mac: string;
  dst: string;
  port?: number;
  vni?: number;
  router?: boolean;
  /** Group of frames to this remote; culvert only. */
  gbp?: number;
}

export interface NeighSpec {
  ip: string;
  mac: string;
  router?: boolean;
}

/** Options of the VTEP in the words of ip-link(8); what is absent has its default. */
export interface VtepOptions {
  family?: 4 | 6;
  vni?: number;
  group?: string;
  /** false: no underlay device is named. */
  dev?: false;
  /** The device's MTU; else each subject's own choice. */
  mtu?: number;
  srcport?: readonly [number, number];
  ttl?: number | "inherit";
  tos?: number | "inherit";
  df?: "unset" | "set" | "inherit";
  flowlabel?: number;
  learning?: boolean;
  ageing_s?: number;
  maxaddress?: number;
  proxy?: boolean;
  rsc?: boolean;
  l2miss?: boolean;
  l3miss?: boolean;
  udpcsum?: boolean;
  udp6zerocsumtx?: boolean;
  udp6zerocsumrx?: boolean;
  remcsumtx?: boolean;
  remcsumrx?: boolean;
  /** Group of the VTEP's own frames; the kernel takes it from the mark of a packet. */
  gbp?: number;
  /** Members of the all-zero MAC. */
  floods?: readonly string[];
  fdb?: readonly FdbSpec[];
  neighbors?: readonly NeighSpec[];
  /** IPv6 on the VTEP's device: without it the kernel answers no neighbour solicitation. */
  ipv6?: boolean;
  /** Further lines of the tunnel in culvert's config; `allow: any` unless given here. */
  culvert?: readonly string[];
  /** Further arguments of `vx` for the lab's ingress markers. */
  marker?: string;
  /** false: no FDB entry for egress markers, so that the FDB is as the options say. */
  markers?: false;
}

/** What came of a change, whoever was asked. */
export type Outcome = "done" | "exists" | "not found" | "full" | "refused";

export interface FdbEntryJson {
  mac: string;
  ifname?: string;
  dst?: string;
  port?: number;
  vni?: number;
  flags?: string[];
  state?: string;
}

export interface Vtep {
  readonly name: "kernel" | "culvert";
  start(options: VtepOptions): Promise<void>;
  stop(): Promise<void>;
  /** `bridge fdb ...` with `dev vxlan100` after the first two words (operation and MAC). */
  fdb(words: string): Promise<Outcome>;
  /** Lines of `bridge fdb show dev vxlan100`, sorted, without the lab's own entries. */
  fdbLines(): Promise<string[]>;
  /** The same as `bridge -j` tells it. */
  fdbJson(): Promise<FdbEntryJson[]>;
  /** `bridge fdb flush dev vxlan100 ...`. */
  fdbFlush(words: string): Promise<Outcome>;
  /** `ip neigh OPERATION IP ... dev vxlan100`. */
  neigh(words: string): Promise<Outcome>;
  neighLines(): Promise<string[]>;
  /** Frames that egress dropped so far. */
  txDropped(): Promise<number>;
  mtu(): number;
  /** What shows misses: `ip monitor neigh`, `culvert monitor`. */
  missMonitor(): Child;
}

const isLab = (text: string): boolean => text.includes("02:00:00:00:99:");
const lines = (text: string): string[] =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !isLab(line))
    .sort();

/** Places `dev vxlan100` after operation and address, where both programs take it. */
function withDevice(words: string): string[] {
  const [operation, address, ...rest] = words.split(" ");
  return [operation!, address!, "dev", device, ...rest];
}

function mtuOf(host: Namespace): number {
  const [link] = JSON.parse(host.ip("-j", "link", "show", device)) as [{ mtu: number }];
  return link.mtu;
}

/** For the device that is made next: IPv6 without any packet of its own, or none at all. */
function switchIpv6(host: Namespace, on: boolean): void {
  host.sysctl("net.ipv6.conf.default.addr_gen_mode", 1);
  host.sysctl("net.ipv6.conf.default.accept_ra", 0);
  host.sysctl("net.ipv6.conf.default.disable_ipv6", on ? 0 : 1);
}

/** Underlay address of the VTEP under test. */
const localOf = (family: 4 | 6): string => (family === 6 ? "fd57::20" : "10.57.4.20");
const markerRemote = (family: 4 | 6): string => (family === 6 ? "fd57::29" : "10.57.4.29");

/** Runs a command of iproute2 that may be refused. */
async function attempt(host: Namespace, argv: readonly string[]): Promise<Outcome> {
  const { status, stdout, stderr } = await host.spawn(argv).wait(15_000);
  return status === 0 ? "done" : kernelOutcome(stdout + stderr);
}

function kernelOutcome(said: string): Outcome {
  if (said.includes("File exists")) return "exists";
  if (/No such (file|process|device)/.test(said)) return "not found";
  if (said.includes("No space left")) return "full";
  if (/Invalid argument|not supported|Error: /.test(said)) return "refused";
  throw new Error(`the kernel says what this does not know: ${said}`);
}

const flag = (name: string, value: boolean | undefined): string[] =>
  value === undefined ? [] : [value ? name : `no${name}`];
const word = (name: string, value: string | number | undefined): string[] =>
  value === undefined ? [] : [name, String(value)];

function linkWords(options: VtepOptions): string[] {
  const { family = 4, vni = 100, srcport, tos } = options;
  return [
    ...["type", "vxlan", "id", String(vni), "local", localOf(family), "dstport", "4789"],
    ...word("group", options.group),
    ...(options.dev === false ? [] : ["dev", "eth0"]),
    ...(srcport === undefined ? [] : ["srcport", String(srcport[0]), String(srcport[1] + 1)]),
    ...word("ttl", options.ttl),
    ...word("tos", typeof tos === "number" ? `0x${tos.toString(16)}` : tos),
    ...word("df", options.df),
    ...word("flowlabel", options.flowlabel),
    ...flag("learning", options.learning),
    ...word("ageing", options.ageing_s),
    ...word("maxaddress", options.maxaddress),
    ...flag("proxy", options.proxy),
    ...flag("rsc", options.rsc),
    ...flag("l2miss", options.l2miss),
    ...flag("l3miss", options.l3miss),
    ...flag("udpcsum", options.udpcsum),
    ...flag("udp6zerocsumtx", options.udp6zerocsumtx),
    ...flag("udp6zerocsumrx", options.udp6zerocsumrx),
    ...flag("remcsumtx", options.remcsumtx),
    ...flag("remcsumrx", options.remcsumrx),
    ...(options.gbp === undefined ? [] : ["gbp"]),
  ];
}

export class KernelVtep implements Vtep {
  readonly name = "kernel";
  readonly #host: Namespace;

  constructor(host: Namespace) {
    this.#host = host;
  }

  async start(options: VtepOptions): Promise<void> {
    const host = this.#host;
    const { family = 4 } = options;
    const mtu = options.mtu === undefined ? [] : ["mtu", String(options.mtu)];
    switchIpv6(host, options.ipv6 === true);
    host.ip("link", "add", device, "address", ownMac, ...mtu, ...linkWords(options));
    host.ip("link", "set", device, "up");
    for (const dst of options.floods ?? []) {
      host.run("bridge", "fdb", "append", "00:00:00:00:00:00", "dev", device, "dst", dst);
    }
    const marker: FdbSpec = { mac: markerMac, dst: markerRemote(family) };
    const entries = options.markers === false ? [] : [marker];
    for (const entry of [...entries, ...(options.fdb ?? [])]) {
      const own = [...word("port", entry.port), ...word("vni", entry.vni)];
      const router = entry.router === true ? ["router"] : [];
      const dst = ["dst", entry.dst, ...own, ...router];
      host.run("bridge", "fdb", "add", entry.mac, "dev", device, ...dst);
    }
    for (const { ip, mac, router } of options.neighbors ?? []) {
      const words = ["lladdr", mac, "dev", device, "nud", "permanent"];
      host.ip("neigh", "replace", ip, ...words, ...(router === true ? ["router"] : []));
    }
  }

  async stop(): Promise<void> {
    if (this.#host.hasDevice(device)) this.#host.ip("link", "del", device);
  }

  fdb(words: string): Promise<Outcome> {
    return attempt(this.#host, ["bridge", "fdb", ...withDevice(words)]);
  }

  async fdbLines(): Promise<string[]> {
    return lines(this.#host.run("bridge", "fdb", "show", "dev", device));
  }

  async fdbJson(): Promise<FdbEntryJson[]> {
    const text = this.#host.run("bridge", "-j", "fdb", "show", "dev", device);
    return (JSON.parse(text) as FdbEntryJson[]).filter(({ mac }) => !isLab(mac));
  }

  fdbFlush(words: string): Promise<Outcome> {
    const more = words === "" ? [] : words.split(" ");
    return attempt(this.#host, ["bridge", "fdb", "flush", "dev", device, ...more]);
  }

  neigh(words: string): Promise<Outcome> {
    return attempt(this.#host, ["ip", "neigh", ...withDevice(words)]);
  }

  async neighLines(): Promise<string[]> {
    return lines(this.#host.run("ip", "neigh", "show", "dev", device));
  }

  async txDropped(): Promise<number> {
    const [link] = JSON.parse(this.#host.ip("-s", "-j", "link", "show", device)) as [
      { stats64: { tx: { dropped: number } } },
    ];
    return link.stats64.tx.dropped;
  }

  mtu(): number {
    return mtuOf(this.#host);
  }

  missMonitor(): Child {
    return this.#host.spawn(["ip", "monitor", "neigh"]);
  }
}

const key = (name: string, value: string | number | boolean | undefined): string[] =>
  value === undefined ? [] : [`${name}: ${value}`];

function entryText(entry: FdbSpec | NeighSpec): string {
  const fields = Object.entries(entry).map(([name, value]) =>
    typeof value === "string" ? `${name}: "${value}"` : `${name}: ${value}`,
  );
  return `{ ${fields.join(", ")} }`;
}

function configLines(options: VtepOptions): string[] {
  const { family = 4, vni = 100, srcport, floods = [], fdb = [], neighbors = [] } = options;
  const more = options.culvert ?? [];
  const marker = { mac: markerMac, dst: markerRemote(family) };
  const entries = options.markers === false ? fdb : [marker, ...fdb];
  const has = (name: string): boolean => more.some((line) => line.startsWith(`${name}:`));
  return [
    ...["type: vxlan", `vni: ${vni}`, `local: "${localOf(family)}"`, `mac: "${ownMac}"`],
    ...(has("allow") ? [] : ["allow: any"]),
    ...(has("keepalive_s") ? [] : ["keepalive_s: 0"]),
    ...(options.dev === false ? [] : ["dev: eth0"]),
    ...(options.group === undefined ? [] : [`group: "${options.group}"`]),
    ...key("mtu", options.mtu),
    ...(srcport === undefined ? [] : [`srcport: "${srcport[0]}-${srcport[1]}"`]),
    ...key("ttl", options.ttl),
    ...key("tos", options.tos),
    ...key("df", options.df),
    ...key("flowlabel", options.flowlabel),
    ...key("learning", options.learning),
    ...key("ageing_s", options.ageing_s),
    ...key("max_entries", options.maxaddress),
    ...key("proxy", options.proxy),
    ...key("rsc", options.rsc),
    ...key("l2miss", options.l2miss),
    ...key("l3miss", options.l3miss),
    ...key("udp_csum", options.udpcsum),
    ...key("udp6_zero_csum_tx", options.udp6zerocsumtx),
    ...key("udp6_zero_csum_rx", options.udp6zerocsumrx),
    ...key("remcsum_tx", options.remcsumtx),
    ...key("remcsum_rx", options.remcsumrx),
    ...(options.gbp === undefined || has("gbp") ? [] : [`gbp: { id: ${options.gbp} }`]),
    `remotes: [${floods.map((dst) => `"${dst}"`).join(", ")}]`,
    `fdb: [${entries.map(entryText).join(", ")}]`,
    `neighbors: [${neighbors.map(entryText).join(", ")}]`,
    ...more,
  ];
}

export class CulvertVtep implements Vtep {
  readonly name = "culvert";
  readonly #host: Namespace;
  readonly #cleanup: Cleanup;
  #daemon: Daemon | undefined;

  constructor(host: Namespace, cleanup: Cleanup) {
    this.#host = host;
    this.#cleanup = cleanup;
  }

  async start(options: VtepOptions): Promise<void> {
    // One worker: markers stay behind what was sent before them.
    const config = `workers: 1\ntunnels:\n  - name: ${device}\n${configLines(options)
      .map((line) => `    ${line}\n`)
      .join("")}`;
    switchIpv6(this.#host, options.ipv6 === true);
    const started = { namespace: this.#host, cleanup: this.#cleanup, config };
    this.#daemon = await Daemon.start(started);
  }

  async stop(): Promise<void> {
    const daemon = this.#daemon;
    this.#daemon = undefined;
    if (daemon === undefined) return;
    const { status, signal } = await daemon.stop();
    if (status !== 0) throw new Error(`the daemon ended with ${signal ?? status}: ${daemon.log}`);
  }

  fdb(words: string): Promise<Outcome> {
    return this.#attempt(["fdb", ...withDevice(words)]);
  }

  async fdbLines(): Promise<string[]> {
    return lines(await this.#cli(["fdb", "show", "dev", device]));
  }

  async fdbJson(): Promise<FdbEntryJson[]> {
    const entries = JSON.parse(await this.#cli(["fdb", "show", "dev", device, "-j"]));
    return (entries as FdbEntryJson[]).filter(({ mac }) => !isLab(mac));
  }

  fdbFlush(words: string): Promise<Outcome> {
    const more = words === "" ? [] : words.split(" ");
    return this.#attempt(["fdb", "flush", "dev", device, ...more]);
  }

  neigh(words: string): Promise<Outcome> {
    return this.#attempt(["neigh", ...withDevice(words)]);
  }

  async neighLines(): Promise<string[]> {
    return lines(await this.#cli(["neigh", "show", "dev", device]));
  }

  async txDropped(): Promise<number> {
    const { tunnels } = JSON.parse(await this.#cli(["counters", "-j"])) as {
      tunnels: [{ drops: { direction: string; count: number }[] }];
    };
    return tunnels[0].drops
      .filter(({ direction }) => direction === "egress")
      .reduce((sum, { count }) => sum + count, 0);
  }

  mtu(): number {
    return mtuOf(this.#host);
  }

  missMonitor(): Child {
    if (this.#daemon === undefined) throw new Error("the daemon does not run");
    const argv = [process.execPath, culvertEntry(), "monitor", "--socket", this.#daemon.socket];
    return this.#host.spawn(argv);
  }

  /** The command line, in this process: starting Node.js for each of hundreds takes minutes. */
  async #run(argv: readonly string[]): Promise<{ status: number; out: string; err: string }> {
    if (this.#daemon === undefined) throw new Error("the daemon does not run");
    const result = { status: -1, out: "", err: "" };
    result.status = await runCli([...argv, "--socket", this.#daemon.socket], {
      out: (text) => {
        result.out += text;
      },
      err: (text) => {
        result.err += text;
      },
      isTerminal: false,
      env: {},
      interrupted: () => new AbortController().signal,
    });
    return result;
  }

  async #cli(argv: readonly string[]): Promise<string> {
    const { status, out, err } = await this.#run(argv);
    if (status !== 0) throw new Error(`culvert ${argv.join(" ")}: ${err}`);
    return out;
  }

  async #attempt(argv: readonly string[]): Promise<Outcome> {
    const { status, err } = await this.#run([...argv, "-j"]);
    if (status === 0) return "done";
    const { code } = (JSON.parse(err) as { error: { code: string } }).error;
    if (code === "CULVERT_EXISTS") return "exists";
    if (code === "CULVERT_NOT_FOUND") return "not found";
    if (code === "CULVERT_TABLE_FULL") return "full";
    return "refused";
  }
}
