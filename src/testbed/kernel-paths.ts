// The ways from host to host and from pod to pod that the kernel has itself: what culvert's tunnels
// are compared with. Each leaves the hosts as it found them.

import { TestbedError } from "./error.js";
import { bothWays, type Ends, podEnds, type Tunnel, vni, vxlanPort } from "./tunnel.js";
import { forgetPathMtus, type HostSide, type TwoHosts, underlayDevice } from "./two-hosts.js";

const ipipOverhead_bytes = 20;

abstract class KernelPath implements Tunnel {
  readonly pids: readonly number[] = [];
  readonly ready_ms = undefined;
  readonly ends: Ends;
  protected readonly hosts: TwoHosts;

  constructor(hosts: TwoHosts) {
    this.hosts = hosts;
    this.ends = this.endsOf(hosts);
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

  protected endsOf(hosts: TwoHosts): Ends {
    return podEnds(hosts);
  }

  protected connect(_side: HostSide, _peer: HostSide): void {}
  protected disconnect(_side: HostSide, _peer: HostSide): void {}
}

/** Straight over the underlay, from host to host: no pods, no forwarding, nothing to set up. */
export class PlainVeth extends KernelPath {
  protected override endsOf({ left, right }: TwoHosts): Ends {
    return { client: left.host, server: right.host, address: right.underlayIp };
  }
}

/** The pod networks routed over the underlay. */
export class HostRoutes extends KernelPath {
  protected override connect({ host }: HostSide, peer: HostSide): void {
    host.ip("route", "replace", peer.podNetwork, "via", peer.underlayIp);
  }

  protected override disconnect({ host }: HostSide, peer: HostSide): void {
    host.ip("route", "flush", peer.podNetwork);
  }
}

/** A path over a device of the kernel, which it may have been built without. */
abstract class KernelDevice extends KernelPath {
  protected abstract readonly device: string;
  /** Words after `ip link add NAME`, for one side. */
  protected abstract link(side: HostSide, peer: HostSide): readonly string[];
  /** Gives the device its addresses and routes. */
  protected abstract connectDevice(side: HostSide, peer: HostSide): void;

  /** Asks the kernel by making the device, which also loads a module that is not loaded yet. */
  override unsupported(): string | undefined {
    const { left, right } = this.hosts;
    const words = this.link(left, right);
    try {
      left.host.ip("link", "add", "probe0", ...words);
    } catch (error) {
      if (!(error instanceof TestbedError)) throw error;
      const said = error.message.slice(error.message.indexOf(": ") + 2);
      return `this kernel has no ${words[words.indexOf("type") + 1]} device (${said})`;
    }
    left.host.ip("link", "del", "probe0");
    return undefined;
  }

  protected override connect(side: HostSide, peer: HostSide): void {
    side.host.ip("link", "add", this.device, ...this.link(side, peer));
    this.connectDevice(side, peer);
  }

  protected override disconnect({ host }: HostSide): void {
    if (host.hasDevice(this.device)) host.ip("link", "del", this.device);
  }
}

/** A second device on each underlay device, with a network of its own, from host to host. */
export class Macvlan extends KernelDevice {
  protected readonly device = "macvlan0";

  protected override endsOf({ left, right }: TwoHosts): Ends {
    return { client: left.host, server: right.host, address: right.macvlanIp };
  }

  protected link(): readonly string[] {
    return ["link", underlayDevice, "type", "macvlan", "mode", "bridge"];
  }

  protected connectDevice({ host, macvlanIp }: HostSide): void {
    host.ip("addr", "add", `${macvlanIp}/24`, "dev", this.device);
    host.ip("link", "set", this.device, "up");
  }
}

export class KernelVxlan extends KernelDevice {
  protected readonly device = "vxlan100";

  /** The kernel takes the MTU from `dev`: 50 bytes less than that of the underlay. */
  protected link(side: HostSide, peer: HostSide): readonly string[] {
    return [
      ...["type", "vxlan", "id", String(vni), "local", side.underlayIp],
      ...["remote", peer.underlayIp, "dev", underlayDevice, "dstport", String(vxlanPort)],
    ];
  }

  protected connectDevice({ host, overlayIp }: HostSide, peer: HostSide): void {
    host.ip("addr", "add", `${overlayIp}/24`, "dev", this.device);
    host.ip("link", "set", this.device, "up");
    const gateway = ["via", peer.overlayIp, "dev", this.device, "onlink"];
    host.ip("route", "add", peer.podNetwork, ...gateway);
  }
}

export class KernelIpip extends KernelDevice {
  protected readonly device = "ipip0";

  protected link(side: HostSide): readonly string[] {
    return ["type", "ipip", "local", side.underlayIp, "remote", "any", "ttl", "64"];
  }

  protected connectDevice({ host, overlayIp }: HostSide, peer: HostSide): void {
    const mtu_bytes = this.hosts.underlayMtu_bytes - ipipOverhead_bytes;
    host.ip("link", "set", this.device, "mtu", String(mtu_bytes), "up");
    host.ip("addr", "add", `${overlayIp}/32`, "dev", this.device);
    const gateway = ["via", peer.underlayIp, "dev", this.device, "onlink"];
    host.ip("route", "add", peer.podNetwork, ...gateway);
  }
}
