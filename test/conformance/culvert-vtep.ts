// A culvert daemon as the VTEP under test: options become lines of its config, words of bridge(8)
// and ip-neighbour(8) those of its command line.

import { runCli } from "../../src/cli/run-cli.js";
import type { Cleanup } from "../../src/testbed/cleanup.js";
import { Daemon } from "../../src/testbed/daemon.js";
import type { Namespace } from "../../src/testbed/namespace.js";
import type { Child } from "../../src/testbed/process.js";
import { culvertEntry } from "../../src/testbed/project.js";
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
  type NeighSpec,
  type Outcome,
  ownMac,
  switchIpv6,
  type Vtep,
  type VtepOptions,
  withDevice,
} from "./vtep.js";

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
      errIsTerminal: false,
      input: async function* () {},
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
