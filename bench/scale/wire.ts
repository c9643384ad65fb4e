// Random and damaged frames against a whole daemon, through its sockets and its device: what `fuzz`
// does to the forwarders alone. Sent by tcpreplay over a veth pair and on the device itself. Fails
// when the daemon ends, memory grows, or what the kernel handed over was not all counted.

import { join } from "node:path";
import { parseArgs } from "node:util";
import { createControlClient } from "../../src/control/client.js";
import type { CountersReport, DropCount } from "../../src/control/target.js";
import type { Cleanup } from "../../src/testbed/cleanup.js";
import { Daemon, temporaryFolder } from "../../src/testbed/daemon.js";
import type { Namespace } from "../../src/testbed/namespace.js";
import { sleep } from "../../src/testbed/process.js";
import { projectRoot } from "../../src/testbed/project.js";
import {
  countOption,
  createPair,
  type Row,
  residentMib,
  type Scale,
  withCleanup,
} from "./harness.js";

const MAX_FRAMES = 1_000_000_000;
/** Different frames of each direction; tcpreplay sends them over and over. */
const KINDS = 5000;
const FRAMES_PER_S = 100_000;
const MAX_GROWTH_MIB = 48;
const SETTLE_MS = 2000;
const PYTHON = "/usr/bin/python3";

const CONFIG = `workers: 1
tunnels:
  - { name: vxlan100, type: vxlan, vni: 100, local: 10.57.4.20, keepalive_s: 0, remotes: [10.57.4.21] }
  - { name: vxlan101, type: vxlan, vni: 101, local: 10.57.4.20, keepalive_s: 0, allow: any,
      inner_vlan: drop, max_entries: 1000, remotes: [10.57.4.21] }
`;

interface Seen {
  /** Datagrams that sockets of the host have read, by the kernel's count. */
  readonly datagrams: number;
  /** Frames that the device's reader has taken, by the kernel's count. */
  readonly frames: number;
  readonly report: CountersReport;
}

async function look(host: Namespace, daemon: Daemon): Promise<Seen> {
  const lines = host.run("cat", "/proc/net/snmp").split("\n");
  const [names, values] = lines.filter((line) => line.startsWith("Udp:"));
  const at = names.split(" ").indexOf("InDatagrams");
  const [link] = JSON.parse(host.ip("-s", "-j", "link", "show", "vxlan100")) as [
    { stats64: { tx: { packets: number } } },
  ];
  const report = await createControlClient({ socketPath: daemon.socket }).counters();
  return { datagrams: Number(values.split(" ")[at]), frames: link.stats64.tx.packets, report };
}

const dropped = (drops: readonly DropCount[], wanted: DropCount["direction"]): number =>
  drops.reduce((sum, { direction, count }) => sum + (direction === wanted ? count : 0), 0);

/** Packets that arrived and were delivered or dropped, over all tunnels and none. */
const arrived = ({ tunnels, drops }: CountersReport): number =>
  tunnels.reduce(
    (sum, tunnel) => sum + tunnel.ingress.packets + dropped(tunnel.drops, "ingress"),
    dropped(drops, "ingress"),
  );

/** Frames of the device that was sent into: one remote, so each was sent once or dropped. */
const left = ({ tunnels: [first] }: CountersReport): number =>
  first.egress.packets + dropped(first.drops, "egress");

async function replay(from: Namespace, device: string, file: string, loops: number) {
  const rate = ["--pps", String(FRAMES_PER_S), "--pps-multi", "100"];
  const words = [
    "tcpreplay",
    "-q",
    "-i",
    device,
    ...rate,
    "--preload-pcap",
    "--loop",
    String(loops),
  ];
  const patience_ms = ((loops * KINDS) / FRAMES_PER_S) * 10_000 + 60_000;
  const { status, stderr } = await from.spawn([...words, file]).wait(patience_ms);
  if (status !== 0) throw new Error(`tcpreplay: ${stderr} (Debian package tcpreplay)`);
}

async function makeFrames(cleanup: Cleanup, host: Namespace, peer: Namespace, seed: number) {
  const folder = temporaryFolder(cleanup, "wire");
  const files = [join(folder, "underlay.pcap"), join(folder, "device.pcap")] as const;
  const mac = (namespace: Namespace) =>
    (JSON.parse(namespace.ip("-j", "link", "show", "eth0")) as [{ address: string }])[0].address;
  const script = join(projectRoot, "bench/scale/wire.py");
  host.run(PYTHON, script, String(seed), String(KINDS), mac(host), mac(peer), ...files);
  return files;
}

function requireEqual(what: string, counted: number, handedOver: number): void {
  if (counted === handedOver) return;
  throw new Error(`${what}: ${counted} were counted, the kernel handed over ${handedOver}`);
}

/** @param loops times that the frames of each direction are sent, at least 5 */
async function measure(loops: number, seed: number): Promise<readonly Row[]> {
  return withCleanup(async (cleanup) => {
    const { host, peer } = createPair(cleanup);
    const [underlay, device] = await makeFrames(cleanup, host, peer, seed);
    const daemon = await Daemon.start({ namespace: host, cleanup, config: CONFIG });
    const first = Math.floor(loops / 5);
    await replay(peer, "eth0", underlay, first);
    await replay(host, "vxlan100", device, first);
    const early_mib = residentMib(daemon.pid);
    await replay(peer, "eth0", underlay, loops - first);
    await replay(host, "vxlan100", device, loops - first);
    await sleep(SETTLE_MS);
    const { datagrams, frames: read, report } = await look(host, daemon);
    requireEqual("datagrams from the underlay", arrived(report), datagrams);
    requireEqual("frames from the device", left(report), read);
    const growth_mib = residentMib(daemon.pid) - early_mib;
    const { status } = await daemon.stop();
    if (status !== 0) throw new Error(`the daemon ended with ${status}`);
    if (growth_mib > MAX_GROWTH_MIB) throw new Error(`memory grew by ${growth_mib.toFixed(1)} MiB`);
    return [
      { what: "seed", value: seed, unit: "" },
      { what: "frames sent each way", value: loops * KINDS, unit: "" },
      { what: "datagrams that the daemon read", value: datagrams, unit: "" },
      { what: "of them delivered", value: report.tunnels[0].ingress.packets, unit: "" },
      { what: "frames that the daemon read", value: read, unit: "" },
      { what: "of them sent", value: report.tunnels[0].egress.packets, unit: "" },
      { what: "memory growth after the first fifth", value: growth_mib, unit: "MiB" },
    ];
  });
}

export const scale: Scale = {
  usage: "wire [--frames N] [--seed N]      a daemon under random and damaged frames; tcpreplay",
  async run(args: readonly string[]): Promise<readonly Row[]> {
    const options = { frames: { type: "string" }, seed: { type: "string" } } as const;
    const { values } = parseArgs({ args: [...args], options });
    const seed = countOption(values.seed, Math.floor(Math.random() * 2 ** 31) + 1, 2 ** 31);
    const frames = countOption(values.frames, 1_000_000, MAX_FRAMES);
    return measure(Math.max(5, Math.round(frames / KINDS)), seed);
  },
};
