// The ways from pod to pod that demo and bench compare: plain routes over the underlay, the
// kernel's vxlan and ipip devices, culvert's. One is up at a time; each leaves the hosts as it
// found them.

import type { Cleanup } from "./cleanup.js";
import { CulvertTunnel, culvertIpipConfig, culvertVxlanConfig } from "./culvert-tunnel.js";
import { OvsNetdevTunnel } from "./ovs-netdev.js";
import { bothWays, type Tunnel, vni, vxlanPort } from "./tunnel.js";
import { forgetPathMtus, type HostSide, type TwoHosts, underlayDevice } from "./two-hosts.js";

/** Every variant, in the order of the demo's table. */
export const variantNames = [
  "plain",
  "kernel-vxlan",
  "culvert-vxlan",
  "culvert-ipip",
  "kernel-ipip",
  "ovs-netdev",
] as const;

export type VariantName = (typeof variantNames)[number];

abstract class RoutedByKernel implements Tunnel {
  readonly pids: readonly number[] = [];
  readonly ready_ms = undefined;
  protected readonly hosts: TwoHosts;

  constructor(hosts: TwoHosts) {
    this.hosts = hosts;
  }

  unsupported(): string | undefined {
    return undefined;
  }

  async up(): Promise<void> {
    forgetPathMtus(this.hosts);
    for (const [side, peer] of bothWays(this.hosts)) this.connect(side, peer);
  }

  async down(): Promise<void> {
    for (const [side, peer] of bothWays(this.hosts)) this.disconnect(side, peer);
  }

  protected abstract connect(side: HostSide, peer: HostSide): void;
  protected abstract disconnect(side: HostSide, peer: HostSide): void;
}

/** The pod networks routed over the underlay: what the tunnels are measured against. */
class PlainRoutes extends RoutedByKernel {
  protected connect({ host }: HostSide, peer: HostSide): void {
    host.ip("route", "replace", peer.podNetwork, "via", peer.underlayIp);
  }

  protected disconnect({ host }: HostSide, peer: HostSide): void {
    host.ip("route", "flush", peer.podNetwork);
  }
}

class KernelVxlan extends RoutedByKernel {
  protected connect(side: HostSide, peer: HostSide): void {
    const { host } = side;
    host.ip(
      ...["link", "add", "vxlan100", "type", "vxlan", "id", String(vni)],
      ...["local", side.underlayIp, "remote", peer.underlayIp],
      ...["dev", underlayDevice, "dstport", String(vxlanPort)],
    );
    host.ip("addr", "add", `${side.overlayIp}/24`, "dev", "vxlan100");
    host.ip("link", "set", "vxlan100", "up");
    const gateway = ["via", peer.overlayIp, "dev", "vxlan100", "onlink"];
    host.ip("route", "add", peer.podNetwork, ...gateway);
  }

  protected disconnect({ host }: HostSide): void {
    if (host.hasDevice("vxlan100")) host.ip("link", "del", "vxlan100");
  }
}

class KernelIpip extends RoutedByKernel {
  override unsupported(): string | undefined {
    const { host } = this.hosts.left;
    try {
      host.ip("link", "add", "probe0", "type", "ipip", "local", this.hosts.left.underlayIp);
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error);
      return `this kernel has no ipip (${said.slice(said.indexOf(": ") + 2)})`;
    }
    host.ip("link", "del", "probe0");
    return undefined;
  }

  protected connect(side: HostSide, peer: HostSide): void {
    const { host } = side;
    const ends = ["local", side.underlayIp, "remote", "any", "ttl", "64"];
    host.ip("link", "add", "ipip0", "type", "ipip", ...ends);
    host.ip("link", "set", "ipip0", "mtu", "1480", "up");
    host.ip("addr", "add", `${side.overlayIp}/32`, "dev", "ipip0");
    const gateway = ["via", peer.underlayIp, "dev", "ipip0", "onlink"];
    host.ip("route", "add", peer.podNetwork, ...gateway);
  }

  protected disconnect({ host }: HostSide): void {
    if (host.hasDevice("ipip0")) host.ip("link", "del", "ipip0");
  }
}

/** The variant `name` between the two hosts, not yet up. */
export function createTunnel(name: VariantName, hosts: TwoHosts, cleanup: Cleanup): Tunnel {
  switch (name) {
    case "plain":
      return new PlainRoutes(hosts);
    case "kernel-vxlan":
      return new KernelVxlan(hosts);
    case "kernel-ipip":
      return new KernelIpip(hosts);
    case "culvert-vxlan":
      return new CulvertTunnel(hosts, cleanup, culvertVxlanConfig);
    case "culvert-ipip":
      return new CulvertTunnel(hosts, cleanup, culvertIpipConfig);
    case "ovs-netdev":
      return new OvsNetdevTunnel(hosts, cleanup);
  }
}
