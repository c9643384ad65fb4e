// The kernel's vxlan device as the VTEP under test: options become words of ip-link(8), entries
// those of bridge(8) and ip-neighbour(8).

import type { Namespace } from "../../src/testbed/namespace.js";
import type { Child } from "../../src/testbed/process.js";
import {
  device,
  type FdbEntryJson,
  type FdbSpec,
  isLab,
  lines,
  localOf,
  markerMac,
  markerRemote,
  mtuOf,
  type Outcome,
  ownMac,
  switchIpv6,
  type Vtep,
  type VtepOptions,
  withDevice,
} from "./vtep.js";

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
