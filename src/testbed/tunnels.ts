// The one table of the ways that demo and bench compare: by name, with a title for people. One is
// up at a time.

import type { Cleanup } from "./cleanup.js";
import { CulvertTunnel, culvertIpipConfig, culvertVxlanConfig } from "./culvert-tunnel.js";
import { HostRoutes, KernelIpip, KernelVxlan, Macvlan, PlainVeth } from "./kernel-paths.js";
import { OvsNetdevTunnel } from "./ovs-netdev.js";
import type { Tunnel } from "./tunnel.js";
import type { TwoHosts } from "./two-hosts.js";

interface Variant {
  readonly title: string;
  readonly create: (hosts: TwoHosts, cleanup: Cleanup) => Tunnel;
}

/** In the order in which they are shown. */
export const variants = {
  veth: {
    title: "plain veth",
    create: (hosts) => new PlainVeth(hosts),
  },
  routes: {
    title: "host routes",
    create: (hosts) => new HostRoutes(hosts),
  },
  macvlan: {
    title: "macvlan",
    create: (hosts) => new Macvlan(hosts),
  },
  "kernel-vxlan": {
    title: "kernel vxlan",
    create: (hosts) => new KernelVxlan(hosts),
  },
  "culvert-vxlan": {
    title: "culvert vxlan",
    create: (hosts, cleanup) => new CulvertTunnel(hosts, cleanup, culvertVxlanConfig),
  },
  "kernel-ipip": {
    title: "kernel ipip",
    create: (hosts) => new KernelIpip(hosts),
  },
  "culvert-ipip": {
    title: "culvert ipip",
    create: (hosts, cleanup) => new CulvertTunnel(hosts, cleanup, culvertIpipConfig),
  },
  "ovs-netdev": {
    title: "Open vSwitch, userspace",
    create: (hosts, cleanup) => new OvsNetdevTunnel(hosts, cleanup),
  },
} as const satisfies Record<string, Variant>;

export type VariantName = keyof typeof variants;

export const variantNames = Object.keys(variants) as readonly VariantName[];

/** The variant `name` between the two hosts, not yet up. */
export function createTunnel(name: VariantName, hosts: TwoHosts, cleanup: Cleanup): Tunnel {
  return variants[name].create(hosts, cleanup);
}
