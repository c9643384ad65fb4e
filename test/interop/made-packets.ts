// Encapsulated packets made by scapy in the peer's namespace, and the marks in their payload that
// say which of them came out of culvert's overlay device.

import type { Cleanup } from "../../src/testbed/cleanup.js";
import { Daemon } from "../../src/testbed/daemon.js";
import type { Namespace } from "../../src/testbed/namespace.js";
import type { Child } from "../../src/testbed/process.js";
import { createTwoHosts, type TwoHosts } from "../../src/testbed/two-hosts.js";
import { fixtureResult, startFixture, waitForOutput } from "./support.js";

export type TunnelType = "vxlan" | "ipip";

export interface MadePacket {
  mark: string;
  protocol: "udp" | "tcp" | "icmp" | "udp6" | "tcp6" | "icmp6";
  /** What is wrong with it; zero: UDP without a checksum. */
  damage: "none" | "transport" | "header" | "zero";
  innerTos: number;
  outerTos: number;
}

export interface Mark {
  mark: string;
  tos: number;
  headerRight: boolean;
}

/**
 * Configs whose only peer is the right host, where scapy is; addresses as fixtures/send-inner.py
 * has them.
 */
const configs: Record<TunnelType, (hosts: TwoHosts) => string> = {
  vxlan: ({ left, right }) => `tunnels:
  - name: vxlan100
    type: vxlan
    vni: 100
    local: ${left.underlayIp}
    mac: "02:00:00:00:00:0a"
    addresses: [192.168.10.1/24, "fdee::1/64"]
    routes: [{ to: 192.168.11.0/24, via: 192.168.11.1, onlink: true }]
    remotes: [${right.underlayIp}]
`,
  ipip: ({ left, right }) => `tunnels:
  - name: ipip0
    type: ipip
    local: ${left.underlayIp}
    addresses: [192.168.10.1/32]
    routes: [{ to: 192.168.11.0/24, via: ${right.underlayIp} }]
`,
};

/** culvert on the left host; scapy speaks from the right one. */
export class MadePackets {
  readonly hosts: TwoHosts;
  readonly daemon: Daemon;
  readonly #type: TunnelType;
  readonly #watcher: Child;
  #nextMark = 1;

  private constructor(type: TunnelType, hosts: TwoHosts, daemon: Daemon, watcher: Child) {
    this.#type = type;
    this.hosts = hosts;
    this.daemon = daemon;
    this.#watcher = watcher;
  }

  static async start(cleanup: Cleanup, type: TunnelType): Promise<MadePackets> {
    const hosts = createTwoHosts(cleanup);
    const host: Namespace = hosts.left.host;
    const daemon = await Daemon.start({ namespace: host, cleanup, config: configs[type](hosts) });
    const device = type === "vxlan" ? ["vxlan100", "ethernet"] : ["ipip0", "ip"];
    const watcher = startFixture(host, "watch-marks.py", ...device);
    await waitForOutput(watcher, "ready");
    return new MadePackets(type, hosts, daemon, watcher);
  }

  /** A packet with a mark of its own. */
  make(
    protocol: MadePacket["protocol"],
    damage: MadePacket["damage"],
    tos: { inner?: number; outer?: number } = {},
  ): MadePacket {
    const mark = `mark-${String(this.#nextMark++).padStart(4, "0")}`;
    return { mark, protocol, damage, innerTos: tos.inner ?? 0, outerTos: tos.outer ?? 0 };
  }

  /** Sends bursts of packets from the peer's address. */
  async send(bursts: readonly (readonly MadePacket[])[]): Promise<void> {
    const { left, right } = this.hosts;
    const ends = [this.#type, right.underlayIp, left.underlayIp];
    const child = startFixture(right.host, "send-inner.py", ...ends, JSON.stringify(bursts));
    await fixtureResult(child, 20_000);
  }

  /** Everything that came out of the overlay device so far. */
  marks(): Mark[] {
    const lines = this.#watcher.stdout.split("\n").slice(0, -1);
    return lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line) as Mark);
  }

  /** The marks of `packets` that came out, in order of their numbers, each as often as it came. */
  arrivedOf(packets: readonly MadePacket[]): string[] {
    const wanted = new Set(packets.map(({ mark }) => mark));
    return this.marks()
      .map(({ mark }) => mark)
      .filter((mark) => wanted.has(mark))
      .sort();
  }
}
