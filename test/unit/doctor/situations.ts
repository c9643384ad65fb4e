// Hosts and tunnels made of plain data, for checks.

import type { DoctorTunnel, Host, Situation } from "../../../src/doctor/finding.js";
import type { Link } from "../../../src/netlink/links.js";
import type { RouteDecision } from "../../../src/netlink/routes.js";

const NET_ADMIN_AND_RAW = (1n << 12n) | (1n << 13n);

/** What differs from a host where everything is well. */
export interface HostData {
  /** Beside lo (1), eth0 (2, 10.57.4.20, MTU 1500) and ipip0 (3, 192.168.10.1, MTU 1480). */
  links?: readonly Partial<Link>[];
  /** Addresses of `ipip0`, if not its own. */
  tunnelAddresses?: readonly string[];
  sysctls?: Readonly<Record<string, number>>;
  modules?: readonly ("tunnel4" | "tunnel6")[];
  /** `eth0 rx-udp-gro-forwarding` */
  on?: readonly string[];
  /** What the kernel decides, by address; unless given: by eth0. undefined: no route. */
  routes?: Readonly<Record<string, Partial<RouteDecision> | undefined>>;
  obstacle?: string;
  capabilities?: bigint;
}

export function link(index: number, name: string, more: Partial<Link> = {}): Link {
  return {
    ...{ index, name, kind: undefined, mtu_bytes: 1500, mac: undefined, up: true },
    ...{ loopback: false, master: undefined, group: 0, vxlan: undefined, ipTunnel: undefined },
    ...more,
  };
}

const usual: readonly Link[] = [
  link(1, "lo", { loopback: true, mtu_bytes: 65536 }),
  link(2, "eth0"),
  link(3, "ipip0", { kind: "tun", mtu_bytes: 1480 }),
];

const usualSysctls: Readonly<Record<string, number>> = {
  "net/ipv4/ip_forward": 1,
  "net/ipv4/conf/all/rp_filter": 0,
  "net/ipv4/conf/default/rp_filter": 0,
  "net/ipv4/conf/ipip0/rp_filter": 0,
  "net/ipv4/conf/ipip0/forwarding": 1,
  "net/ipv6/conf/all/forwarding": 0,
};

const address = (ifindex: number, text: string) => {
  const family = text.includes(":") ? (6 as const) : (4 as const);
  return {
    ...{ ifindex, family, address: text, prefixLength: family === 4 ? 32 : 128, scope: 0 },
    ...{ peer: undefined, broadcast: undefined, tentative: false, deprecated: false },
    ...{ temporary: false, permanent: true },
  };
};

export function hostOf(data: HostData = {}): Host {
  const changed = data.links ?? [];
  const links = [
    ...usual.map((one) => ({ ...one, ...changed.find(({ name }) => name === one.name) })),
    ...changed
      .filter(({ name }) => !usual.some((one) => one.name === name))
      .map((one, i) => link(10 + i, one.name!, one)),
  ];
  const addresses = [
    address(2, "10.57.4.20"),
    ...(data.tunnelAddresses ?? ["192.168.10.1"]).map((text) => address(3, text)),
  ];
  const routes = data.routes ?? {};
  return {
    links: () => links,
    addresses: () => addresses,
    sysctl: (path) => data.sysctls?.[path] ?? usualSysctls[path],
    modules: () => ({
      tunnel4: data.modules?.includes("tunnel4") ?? false,
      tunnel6: data.modules?.includes("tunnel6") ?? false,
    }),
    feature: (dev, feature) => data.on?.includes(`${dev} ${feature}`) ?? false,
    routeTo: (to, ifindex) => {
      const given = routes[ifindex === undefined ? to : `${to} oif ${ifindex}`];
      if (given === undefined && to in routes) return undefined;
      const none = { gateway: undefined, source: undefined, mtu_bytes: undefined };
      return { ifindex: ifindex ?? 2, ...none, ...given };
    },
    openable: () => data.obstacle,
    capabilities: () => data.capabilities ?? NET_ADMIN_AND_RAW,
  };
}

export const ipip0: DoctorTunnel = {
  ...{ name: "ipip0", type: "ipip", mode: "ipip", family: 4, local: "10.57.4.20" },
  ...{ dev: undefined, mtu_bytes: 1480 },
  remotes: ["10.57.4.21"],
};

export const vxlan100: DoctorTunnel = {
  ...{ name: "vxlan100", type: "vxlan", family: 4, local: "10.57.4.20" },
  ...{ dev: undefined, mtu_bytes: 1450 },
  remotes: ["10.57.4.21", "239.1.1.1"],
};

/** The tunnel ipip0 of a running daemon, unless tunnels are given. */
export function situation(
  data: HostData,
  tunnels: readonly DoctorTunnel[] = [ipip0],
  daemonPid: number | undefined = 4242,
): Situation {
  return { host: hostOf(data), tunnels, daemonPid };
}

/** Without a daemon: as to its start. */
export function beforeStart(data: HostData, tunnels: readonly DoctorTunnel[] = []): Situation {
  return { host: hostOf(data), tunnels, daemonPid: undefined };
}
