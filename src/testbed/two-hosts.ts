// The topology of demo, bench and tests: two hosts joined by a veth (the underlay), and behind each
// host a pod on a veth with proxy ARP, as a Kubernetes node without a CNI plugin has it. Knows
// nothing of tunnels.
//
//   pod 192.168.10.10 -- pod0 [left host] eth0 10.57.4.20 ==== 10.57.4.21 eth0 [right host] pod0 --
//   pod 192.168.11.10
//
// A pod has one route: everything via 169.254.1.1, an address that nobody has. The host answers the
// ARP request for it (proxy ARP), which the kernel does only when it has a route for that address
// through another device: hence the default route of the hosts, whose gateway does not exist.

import type { Cleanup } from "./cleanup.js";
import { addVeth, Namespace } from "./namespace.js";

/** Device names, the same on both sides. */
export const underlayDevice = "eth0";
export const podDevice = "pod0";

const podGateway = "169.254.1.1";
const underlayGateway = "10.57.4.1";

/** Offload settings of the underlay devices, by name; see ethtool(8) -K. */
export const offloadModes = {
  /** What a veth has: superpackets and unfinished checksums cross the underlay. */
  default: {},
  /**
   * Closer to a plain NIC: only finished packets of at most the MTU on the wire, coalesced at the
   * receiver.
   */
  nic: { tx: false, tso: false, gso: false, gro: true },
  /** As `nic`, and the receiver waits for more to come: what a NIC's interrupt coalescing does. */
  coalesced: { tx: false, tso: false, gso: false, gro: true },
  off: { tx: false, tso: false, gso: false, gro: false },
} as const satisfies Record<string, Record<string, boolean>>;

export type OffloadMode = keyof typeof offloadModes;

/** How long a receiver of `coalesced` may wait: many NICs' own (ethtool(8) -c, rx-usecs). */
const coalesce_ns = 50_000;

export interface TwoHostsOptions {
  /** MTU of the veth between the hosts, and of the pods; 1500 unless given. */
  underlayMtu_bytes?: number;
  /** Offloads of the veth between the hosts; `default` unless given. */
  offloads?: OffloadMode;
}

/**
 * Addresses of one side. The pod network of a side is what the tunnel has to carry to the other.
 */
export interface HostAddresses {
  underlayIp: string;
  podIp: string;
  podNetwork: string;
  /** The overlay device's own address. */
  overlayIp: string;
  /** The address of a macvlan device on the underlay device. */
  macvlanIp: string;
}

export interface HostSide extends HostAddresses {
  host: Namespace;
  pod: Namespace;
}

export const leftAddresses: HostAddresses = {
  underlayIp: "10.57.4.20",
  podIp: "192.168.10.10",
  podNetwork: "192.168.10.0/24",
  overlayIp: "192.168.10.1",
  macvlanIp: "10.57.5.20",
};

export const rightAddresses: HostAddresses = {
  underlayIp: "10.57.4.21",
  podIp: "192.168.11.10",
  podNetwork: "192.168.11.0/24",
  overlayIp: "192.168.11.1",
  macvlanIp: "10.57.5.21",
};

export interface TwoHosts {
  left: HostSide;
  right: HostSide;
  underlayMtu_bytes: number;
}

/** Builds the topology; it exists until `cleanup` runs. */
export function createTwoHosts(cleanup: Cleanup, options: TwoHostsOptions = {}): TwoHosts {
  const underlayMtu_bytes = options.underlayMtu_bytes ?? 1500;
  const left = createSide(cleanup, "1", leftAddresses);
  const right = createSide(cleanup, "2", rightAddresses);
  addVeth(
    { namespace: left.host, device: underlayDevice },
    { namespace: right.host, device: underlayDevice },
    underlayMtu_bytes,
  );
  for (const side of [left, right]) {
    const mode = options.offloads ?? "default";
    side.host.setOffloads(underlayDevice, offloadModes[mode]);
    if (mode === "coalesced") side.host.setCoalescing(underlayDevice, coalesce_ns);
    moveUnderlayAddress(side, underlayDevice);
    connectPod(side, underlayMtu_bytes);
  }
  return { left, right, underlayMtu_bytes };
}

/**
 * Gives the underlay address (and the default route) to `device`, taking it from the device that
 * has it.
 */
export function moveUnderlayAddress({ host, underlayIp }: HostSide, device: string): void {
  const current = host.ip("-o", "addr", "show", "to", underlayIp).split(/\s+/)[1];
  if (current !== undefined && current !== "") {
    host.ip("addr", "del", `${underlayIp}/24`, "dev", current);
  }
  host.ip("addr", "add", `${underlayIp}/24`, "dev", device);
  host.ip("link", "set", device, "up");
  host.ip("route", "add", "default", "via", underlayGateway, "dev", device);
}

function createSide(cleanup: Cleanup, number: string, addresses: HostAddresses): HostSide {
  const host = Namespace.create(cleanup, `host${number}`);
  const pod = Namespace.create(cleanup, `pod${number}`);
  host.sysctl("net.ipv4.ip_forward", 1);
  // Loose: what a tunnel delivers may come from a source that is routed through another device.
  host.sysctl("net.ipv4.conf.all.rp_filter", 2);
  return { host, pod, ...addresses };
}

function connectPod({ host, pod, podIp }: HostSide, mtu_bytes: number): void {
  addVeth({ namespace: host, device: podDevice }, { namespace: pod, device: "eth0" }, mtu_bytes);
  host.sysctl(`net.ipv4.conf.${podDevice}.proxy_arp`, 1);
  // The kernel delays proxied ARP answers by up to 0.8 s unless told otherwise (arp(7),
  // proxy_delay).
  host.sysctl(`net.ipv4.neigh.${podDevice}.proxy_delay`, 0);
  host.ip("route", "add", `${podIp}/32`, "dev", podDevice);
  pod.ip("addr", "add", `${podIp}/32`, "dev", "eth0");
  pod.ip("route", "add", "default", "via", podGateway, "dev", "eth0", "onlink");
}

/** Forgets path MTUs learned by earlier traffic, which would bound the segments of what follows. */
export function forgetPathMtus({ left, right }: TwoHosts): void {
  for (const side of [left, right]) {
    for (const namespace of [side.host, side.pod]) namespace.ip("route", "flush", "cache");
  }
}
