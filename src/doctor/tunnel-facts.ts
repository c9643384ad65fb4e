// What several checks want to know of a tunnel: its device, what it carries, which underlay devices
// it uses. Reads the host through `Host` alone.

import { carries } from "../config/ipip-modes.js";
import type { Link } from "../netlink/links.js";
import { isMulticastIp, parseIp } from "../wire/ip-address.js";
import type { DoctorTunnel, Host } from "./finding.js";

/** Remotes whose way is asked for, per tunnel: more are not looked at. */
export const MAX_ASKED_REMOTES = 1024;
/** Remotes that one finding names. */
const NAMED_REMOTES = 5;

export const linkOf = (host: Host, name: string): Link | undefined =>
  host.links().find((link) => link.name === name);

/** Is IPv4 inside? VXLAN carries everything. */
export const carriesIpv4 = ({ mode }: DoctorTunnel): boolean =>
  mode === undefined || carries(mode, 4);

/** Is IPv6 inside? */
export const carriesIpv6 = ({ mode }: DoctorTunnel): boolean =>
  mode === undefined || carries(mode, 6);

/** The remotes that are asked for: hosts, no multicast groups. */
export function askedRemotes({ remotes }: DoctorTunnel): readonly string[] {
  return remotes.filter((address) => !isGroup(address)).slice(0, MAX_ASKED_REMOTES);
}

function isGroup(address: string): boolean {
  const ip = parseIp(address);
  return ip !== undefined && isMulticastIp(ip);
}

/** `10.57.4.21, 10.57.4.22 and 7 more`. */
export function naming(addresses: readonly string[]): string {
  const rest = addresses.length - NAMED_REMOTES;
  const shown = addresses.slice(0, NAMED_REMOTES).join(", ");
  return rest > 0 ? `${shown} and ${rest} more` : shown;
}

/** Index of the device that the sockets of a tunnel are bound to; undefined: none, or it is gone. */
export const boundTo = (host: Host, { dev }: DoctorTunnel): number | undefined =>
  dev === undefined ? undefined : linkOf(host, dev)?.index;

/** Devices by which a tunnel's packets may come and go. */
export function underlayLinks(host: Host, tunnel: DoctorTunnel): readonly Link[] {
  const { dev, local } = tunnel;
  const indices = new Set<number | undefined>();
  if (dev !== undefined) indices.add(linkOf(host, dev)?.index);
  else {
    for (const { address, ifindex } of host.addresses()) {
      if (address === local) indices.add(ifindex);
    }
    for (const address of askedRemotes(tunnel)) indices.add(host.routeTo(address)?.ifindex);
  }
  return host
    .links()
    .filter(({ index, name, loopback }) => indices.has(index) && name !== tunnel.name && !loopback);
}

/**
 * Where a setting of a tunnel's device stands below /proc/sys; one that is still to be made gets
 * what `default` has.
 */
export function devicePath(host: Host, family: 4 | 6, name: string, key: string): string {
  const device = linkOf(host, name) === undefined ? "default" : name;
  return `net/ipv${family}/conf/${device}/${key}`;
}

/** A path below /proc/sys as sysctl(8) takes it: dots, or slashes where a device's name has dots. */
export const sysctlName = (path: string): string =>
  path.includes(".") ? path : path.replaceAll("/", ".");

/** The command that sets one. */
export const setSysctl = (path: string, value: number): string =>
  `sysctl -w ${sysctlName(path)}=${value}`;
