// Checks: the kernel's ways to the remotes of tunnels, and what fits them.

import { IPV4_HEADER_BYTES } from "../../wire/ipv4.js";
import { IPV6_HEADER_BYTES } from "../../wire/ipv6.js";
import { VXLAN_OVERHEAD_V4_BYTES, VXLAN_OVERHEAD_V6_BYTES } from "../../wire/vxlan.js";
import { check, type DoctorTunnel, type Found, type Host } from "../finding.js";
import { askedRemotes, boundTo, linkOf, naming } from "../tunnel-facts.js";

const hostPrefix = (address: string): string => `${address}/${address.includes(":") ? 128 : 32}`;

export const noRoute = check("remote-no-route", ({ host, tunnels }) =>
  tunnels.flatMap((tunnel): Found[] => {
    const lost = askedRemotes(tunnel)
      .map(({ address }) => address)
      .filter((address) => host.routeTo(address, boundTo(host, tunnel)) === undefined);
    if (lost.length === 0) return [];
    return [
      {
        level: "problem",
        what: `this host has no route to ${naming(lost)}, ${lost.length === 1 ? "a remote" : "remotes"} of ${tunnel.name}`,
        consequence: "nothing can be sent there",
        cure: `ip route add ${hostPrefix(lost[0])} via ROUTER dev DEVICE`,
        dev: tunnel.name,
      },
    ];
  }),
);

/** Sockets that are bound to a device do not follow routes through another one. */
export const recursion = check("remote-recursion", ({ host, tunnels }) =>
  tunnels.flatMap((tunnel): Found[] => {
    const own = linkOf(host, tunnel.name)?.index;
    if (own === undefined || tunnel.dev !== undefined) return [];
    const looped = askedRemotes(tunnel)
      .map(({ address }) => address)
      .filter((address) => host.routeTo(address)?.ifindex === own);
    if (looped.length === 0) return [];
    return [
      {
        level: "problem",
        what: `the route to ${naming(looped)}, ${looped.length === 1 ? "a remote" : "remotes"} of ${tunnel.name}, leads through ${tunnel.name} itself`,
        consequence: "its outer packets would enter the tunnel again: nothing gets there",
        cure: `ip route add ${hostPrefix(looped[0])} via ROUTER dev DEVICE, or give the tunnel \`dev\``,
        dev: tunnel.name,
      },
    ];
  }),
);

function overhead_bytes({ type, family }: DoctorTunnel): number {
  if (type === "ipip") return family === 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
  return family === 4 ? VXLAN_OVERHEAD_V4_BYTES : VXLAN_OVERHEAD_V6_BYTES;
}

interface Narrow {
  readonly address: string;
  /** Longest packet inside that leaves whole. */
  readonly inner_bytes: number;
}

/** The remote with the least room, where that is less than the tunnel's MTU. */
function narrowest(host: Host, tunnel: DoctorTunnel, mtu_bytes: number): Narrow | undefined {
  let found: Narrow | undefined;
  for (const { address, pmtu_bytes } of askedRemotes(tunnel)) {
    const route = host.routeTo(address, boundTo(host, tunnel));
    const link = host.links().find(({ index }) => index === route?.ifindex);
    if (route === undefined || link === undefined || link.name === tunnel.name) continue;
    const path_bytes = Math.min(route.mtu_bytes ?? link.mtu_bytes, pmtu_bytes ?? Infinity);
    const inner_bytes = path_bytes - overhead_bytes(tunnel);
    if (inner_bytes < (found?.inner_bytes ?? mtu_bytes)) found = { address, inner_bytes };
  }
  return found;
}

export const mtu = check("mtu", ({ host, tunnels }) =>
  tunnels.flatMap((tunnel): Found[] => {
    const { name } = tunnel;
    const mtu_bytes = linkOf(host, name)?.mtu_bytes ?? tunnel.mtu_bytes;
    if (mtu_bytes === undefined) return [];
    const narrow = narrowest(host, tunnel, mtu_bytes);
    if (narrow === undefined) return [];
    return [
      {
        level: "warning",
        what: `the MTU of ${name} is ${mtu_bytes}, but the path to ${narrow.address} takes packets of ${narrow.inner_bytes} bytes at most`,
        consequence:
          "longer packets leave in fragments or are refused by ICMP; where that is filtered, transfers hang while ping works",
        cure: `ip link set ${name} mtu ${narrow.inner_bytes}, and \`mtu: ${narrow.inner_bytes}\` in the configuration`,
        dev: name,
      },
    ];
  }),
);
