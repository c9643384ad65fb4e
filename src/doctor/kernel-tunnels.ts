// What the kernel's own IP tunnels do to one of ours. A raw socket gets a copy of each packet of
// its protocol; the kernel's receiver of that protocol gets the packet itself, when its module is
// loaded. Seen on Linux 6.1 with the modules tunnel4, ipip and sit
// (test/interop/kernel-ipip-beside.test.ts):
//   - a device that is up, whose addresses match and which takes what is carried, takes the packet:
//     the host has it twice
//   - a device that matches and takes only other protocols drops its copy: nothing to report
//   - when none matches, the kernel answers with ICMP port unreachable (tunnel4_rcv in
//     net/ipv4/tunnel4.c), although our copy arrived
// Judges what it is given, for the daemon's status and log as for `culvert doctor`; loadedModules
// alone reads the host.

import { existsSync } from "node:fs";
import type { IpipMode } from "../config/effective.js";
import { CARRIED_VERSIONS } from "../config/ipip-modes.js";
import type { Notice } from "../control/target.js";
import type { Link } from "../netlink/links.js";
import { formatIp, type IpAddress, isIpv4, isUnspecifiedIp } from "../wire/ip-address.js";
import { PROTOCOL_IPIP, PROTOCOL_IPV6 } from "../wire/ip-protocol.js";

/** Modules that answer for a protocol that nobody takes; built into a kernel they are not seen. */
export interface TunnelModules {
  readonly tunnel4: boolean;
  readonly tunnel6: boolean;
}

/** What is asked of one of our tunnels. */
export interface OurTunnel {
  readonly local: IpAddress;
  readonly remote: IpAddress | undefined;
  readonly mode: IpipMode;
}

/** What the kernel's tunnels do to one of ours. */
export interface BesideUs {
  /** Devices that take its packets too. */
  readonly takers: readonly Link[];
  /** The module that answers its packets although they arrive. */
  readonly answers: keyof TunnelModules | undefined;
}

/** Kinds of devices that are asked about a packet, by its outer family and protocol. */
const RECEIVERS_4: Readonly<Record<number, readonly string[]>> = {
  [PROTOCOL_IPIP]: ["ipip", "sit"],
  [PROTOCOL_IPV6]: ["sit"],
};
const RECEIVERS_6 = ["ip6tnl"];

/** Read now: modules come and go. */
export function loadedModules(): TunnelModules {
  const loaded = (name: string): boolean => existsSync(`/sys/module/${name}`);
  return { tunnel4: loaded("tunnel4"), tunnel6: loaded("tunnel6") };
}

/** Do both mean some of the same addresses? undefined is any. */
const meets = (one: string | undefined, other: string | undefined): boolean =>
  one === undefined || other === undefined || one === other;

/** Does `wide` mean all that `narrow` means? */
const covers = (wide: string | undefined, narrow: string | undefined): boolean =>
  wide === undefined || wide === narrow;

const textOf = ({ w0, w1, w2, w3 }: IpAddress): string => formatIp(w0, w1, w2, w3);

/** What the host's links and modules do to one tunnel. */
export function besideUs(
  tunnel: OurTunnel,
  links: readonly Link[],
  modules: TunnelModules,
): BesideUs {
  const over4 = isIpv4(tunnel.local);
  const local = isUnspecifiedIp(tunnel.local) ? undefined : textOf(tunnel.local);
  const remote = tunnel.remote === undefined ? undefined : textOf(tunnel.remote);
  const takers = new Set<Link>();
  let unmatched = false;
  for (const version of CARRIED_VERSIONS[tunnel.mode]) {
    const protocol = version === 4 ? PROTOCOL_IPIP : PROTOCOL_IPV6;
    const kinds = over4 ? RECEIVERS_4[protocol]! : RECEIVERS_6;
    let covered = false;
    for (const link of links) {
      const { up, kind = "", ipTunnel } = link;
      if (!up || ipTunnel === undefined || !kinds.includes(kind)) continue;
      if (!meets(ipTunnel.local, local) || !meets(ipTunnel.remote, remote)) continue;
      if (ipTunnel.protocol === 0 || ipTunnel.protocol === protocol) takers.add(link);
      covered ||= covers(ipTunnel.local, local) && covers(ipTunnel.remote, remote);
    }
    unmatched ||= !covered;
  }
  const module = over4 ? "tunnel4" : "tunnel6";
  return { takers: [...takers], answers: unmatched && modules[module] ? module : undefined };
}

/** The same in words. */
export function noticesFor(
  tunnel: OurTunnel,
  links: readonly Link[],
  modules: TunnelModules,
): Notice[] {
  const { takers, answers } = besideUs(tunnel, links, modules);
  return [...takers.map(takerNotice), ...(answers === undefined ? [] : [moduleNotice(answers)])];
}

/** A device of the kernel that takes packets of ours. */
export function takerNotice({ name, kind, ipTunnel }: Link): Notice {
  const { remote = "any", local = "any" } = ipTunnel!;
  return {
    what: `the kernel's ${kind} device ${name} (remote ${remote} local ${local}) is up`,
    consequence: "it takes this tunnel's packets too, so the host has them twice",
    cure: `ip link set ${name} down`,
  };
}

/** A module that answers packets of ours. */
export function moduleNotice(module: keyof TunnelModules): Notice {
  return {
    what: `the kernel's module ${module} is loaded, and no device of its own has this tunnel's addresses`,
    consequence: "packets that arrive are answered with ICMP port unreachable all the same",
    cure: moduleCure(module),
  };
}

export function moduleCure(module: keyof TunnelModules): string {
  const users = module === "tunnel4" ? "ipip sit" : "ip6_tunnel";
  return `if nothing else needs them: rmmod ${users} ${module}`;
}
