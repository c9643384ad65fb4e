// Open vSwitch with its userspace ("netdev") datapath as a VXLAN tunnel: the peer that handles one
// packet per system call, for bench. Both hosts run an ovsdb-server and ovs-vswitchd of their own,
// with database, sockets and pid files in a temporary folder; an Open vSwitch that the machine
// itself runs is not touched.
//
// The netdev datapath sends tunnel packets only through a bridge of its own, so the underlay device
// becomes a port of `br-phy`, which takes over its address (docs.openvswitch.org, "Userspace
// tunneling").

import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Cleanup } from "./cleanup.js";
import { temporaryFolder } from "./daemon.js";
import { TestbedError } from "./error.js";
import type { Namespace } from "./namespace.js";
import { type Child, hasCommand, runSync, waitUntil } from "./process.js";
import { bothWays, type Ends, podEnds, type Tunnel, vni, vxlanPort } from "./tunnel.js";
import {
  forgetPathMtus,
  type HostSide,
  moveUnderlayAddress,
  type TwoHosts,
  underlayDevice,
} from "./two-hosts.js";

const schema = "/usr/share/openvswitch/vswitch.ovsschema";
const startTimeout_ms = 10_000;
const vxlanOverhead_bytes = 50;
const bridges = ["br0", "br-phy"] as const;

interface Switch {
  database: Child;
  daemon: Child;
}

/** Starts the two daemons of one host and returns when ovs-vswitchd has taken up its database. */
async function startSwitch(
  { host }: HostSide,
  folder: string,
  started: (child: Child) => void,
): Promise<Switch> {
  const socket = join(folder, "db.sock");
  const environment = ["RUN", "LOG", "DB"].map((name) => `OVS_${name}DIR=${folder}`);
  const spawn = (...argv: string[]): Child => {
    const child = host.spawn(["env", ...environment, ...argv]);
    started(child);
    return child;
  };
  runSync(["ovsdb-tool", "create", join(folder, "conf.db"), schema]);
  const database = spawn(
    ...["ovsdb-server", join(folder, "conf.db"), `--remote=punix:${socket}`],
    ...[`--unixctl=${join(folder, "db.ctl")}`, "-vconsole:warn"],
  );
  if (
    !(await waitUntil(() => existsSync(socket) || database.result !== undefined, startTimeout_ms))
  ) {
    throw new TestbedError(`ovsdb-server did not start: ${database.stderr}`);
  }
  vsctl(host, folder, "--no-wait", "init");
  const daemon = spawn(
    ...["ovs-vswitchd", `unix:${socket}`, `--unixctl=${join(folder, "vs.ctl")}`],
    "-vconsole:warn",
  );
  return { database, daemon };
}

function vsctl(host: Namespace, folder: string, ...words: string[]): void {
  host.run("ovs-vsctl", `--db=unix:${join(folder, "db.sock")}`, "--timeout=10", ...words);
}

function connectSide(side: HostSide, peer: HostSide, mtu_bytes: number, folder: string): void {
  const { host } = side;
  const bridge = (name: string): string[] =>
    `add-br ${name} -- set bridge ${name} datapath_type=netdev`.split(" ");
  const mac = host.run("cat", `/sys/class/net/${underlayDevice}/address`).trim();
  vsctl(host, folder, ...bridge("br-phy"), `other-config:hwaddr="${mac}"`);
  vsctl(host, folder, "add-port", "br-phy", underlayDevice);
  moveUnderlayAddress(side, "br-phy");
  vsctl(host, folder, ...bridge("br0"));
  vsctl(
    ...([host, folder, "add-port", "br0", "vxlan0", "--", "set", "interface", "vxlan0"] as const),
    ...["type=vxlan", `options:remote_ip=${peer.underlayIp}`, `options:key=${vni}`],
    `options:dst_port=${vxlanPort}`,
  );
  vsctl(host, folder, "set", "interface", "br0", `mtu_request=${mtu_bytes}`);
  host.ip("addr", "add", `${side.overlayIp}/24`, "dev", "br0");
  host.ip("link", "set", "br0", "up");
  host.ip("route", "add", peer.podNetwork, "via", peer.overlayIp, "dev", "br0", "onlink");
}

/** Open vSwitch on both hosts. */
export class OvsNetdevTunnel implements Tunnel {
  readonly ends: Ends;
  readonly #hosts: TwoHosts;
  readonly #cleanup: Cleanup;
  #children: Child[] = [];
  #pids: number[] = [];
  #moved: HostSide[] = [];
  ready_ms: number | undefined;

  constructor(hosts: TwoHosts, cleanup: Cleanup) {
    this.ends = podEnds(hosts);
    this.#hosts = hosts;
    this.#cleanup = cleanup;
  }

  unsupported(): string | undefined {
    const programs = ["ovs-vswitchd", "ovsdb-server", "ovsdb-tool", "ovs-vsctl"];
    const missing = programs.filter((program) => !hasCommand(program));
    if (missing.length > 0) return `${missing.join(", ")} not installed (openvswitch-switch)`;
    return existsSync(schema) ? undefined : `${schema} is missing`;
  }

  get pids(): readonly number[] {
    return this.#pids;
  }

  async up(): Promise<void> {
    forgetPathMtus(this.#hosts);
    const started_ms = performance.now();
    for (const [side, peer] of bothWays(this.#hosts)) {
      const folder = temporaryFolder(this.#cleanup, "ovs");
      const { daemon } = await startSwitch(side, folder, (child) => this.#children.push(child));
      this.#pids.push(daemon.pid);
      this.#moved.push(side);
      connectSide(side, peer, this.#hosts.underlayMtu_bytes - vxlanOverhead_bytes, folder);
    }
    this.ready_ms = (performance.now() - started_ms) / 2;
  }

  async down(): Promise<void> {
    // The newest first: ovs-vswitchd must take its devices away while it still has its database.
    for (const child of this.#children.reverse()) await child.stop();
    for (const side of this.#moved) {
      moveUnderlayAddress(side, underlayDevice);
      // Its TAP devices are persistent and stay when it ends.
      for (const bridge of bridges) {
        if (side.host.hasDevice(bridge)) side.host.ip("link", "del", bridge);
      }
    }
    this.#children = [];
    this.#pids = [];
    this.#moved = [];
    this.ready_ms = undefined;
  }
}
