// The two hosts joined by one `culvert run` each: configs in the words of the interface contract,
// and the variants made of them.

import type { Cleanup } from "./cleanup.js";
import { Daemon } from "./daemon.js";
import { TestbedError } from "./error.js";
import { bothWays, type Ends, podEnds, type Tunnel, vni, vxlanPort } from "./tunnel.js";
import { forgetPathMtus, type HostAddresses, type TwoHosts } from "./two-hosts.js";

/** Config of a culvert VXLAN tunnel between the two hosts, for `side`. */
export function culvertVxlanConfig(side: HostAddresses, peer: HostAddresses): string {
  return `tunnels:
  - name: vxlan100
    type: vxlan
    vni: ${vni}
    local: ${side.underlayIp}
    port: ${vxlanPort}
    addresses: [${side.overlayIp}/24]
    routes: [{ to: ${peer.podNetwork}, via: ${peer.overlayIp}, onlink: true }]
    remotes: [${peer.underlayIp}]
`;
}

/** Config of a culvert IPIP tunnel (one-to-many) between the two hosts, for `side`. */
export function culvertIpipConfig(side: HostAddresses, peer: HostAddresses): string {
  return `tunnels:
  - name: ipip0
    type: ipip
    local: ${side.underlayIp}
    remote: any
    ttl: 64
    addresses: [${side.overlayIp}/32]
    routes: [{ to: ${peer.podNetwork}, via: ${peer.underlayIp} }]
`;
}

/** A culvert daemon on each host, with the config that `config` gives for its side. */
export class CulvertTunnel implements Tunnel {
  readonly ends: Ends;
  readonly #hosts: TwoHosts;
  readonly #cleanup: Cleanup;
  readonly #config: (side: HostAddresses, peer: HostAddresses) => string;
  #daemons: Daemon[] = [];

  constructor(
    hosts: TwoHosts,
    cleanup: Cleanup,
    config: (side: HostAddresses, peer: HostAddresses) => string,
  ) {
    this.ends = podEnds(hosts);
    this.#hosts = hosts;
    this.#cleanup = cleanup;
    this.#config = config;
  }

  unsupported(): string | undefined {
    return undefined;
  }

  get pids(): readonly number[] {
    return this.#daemons.map((daemon) => daemon.pid);
  }

  get ready_ms(): number | undefined {
    if (this.#daemons.length === 0) return undefined;
    return Math.max(...this.#daemons.map((daemon) => daemon.ready_ms));
  }

  async status(): Promise<string> {
    const { stdout } = await this.#daemons[0].culvert("status");
    return stdout;
  }

  async up(): Promise<void> {
    forgetPathMtus(this.#hosts);
    for (const [side, peer] of bothWays(this.#hosts)) {
      const config = this.#config(side, peer);
      const started = { namespace: side.host, cleanup: this.#cleanup, config };
      this.#daemons.push(await Daemon.start(started));
    }
  }

  async down(): Promise<void> {
    const daemons = this.#daemons;
    this.#daemons = [];
    const problems: string[] = [];
    for (const daemon of daemons) {
      const { status, signal } = await daemon.stop();
      if (status === 0) continue;
      const how = signal ?? `status ${status}`;
      problems.push(`ended with ${how} on SIGTERM; its output:\n${daemon.log.slice(-4000)}`);
    }
    if (problems.length > 0) throw new TestbedError(`a daemon ${problems.join("\na daemon ")}`);
  }
}
