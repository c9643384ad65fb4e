// Which device and local address a tunnel runs over, from what the config gives: `local`, `dev`, or
// a remote to reach. Reads the kernel's state once; it does not watch it.

import assert from "node:assert";
import { CulvertError } from "../errors.js";
import type { IpFamily } from "./address-text.js";
import { canonicalIp, parseIp } from "./address-text.js";
import type { LinkAddress } from "./addresses.js";
import { listAddresses } from "./addresses.js";
import type { Link } from "./links.js";
import { linkByIndex, linkByName, listLinks } from "./links.js";
import type { NetlinkSocket } from "./netlink-socket.js";
import { getRoute } from "./routes.js";
import { RouteScope } from "./rtnetlink-constants.js";

/** At least one of `local`, `dev` and `towards`. */
export interface UnderlayQuery {
  local?: string | undefined;
  dev?: string | undefined;
  /** A remote VTEP: decides the family, and device and local address where they are not given. */
  towards?: string | undefined;
  /**
   * The wanted family where neither `local` nor `towards` tells it; without it IPv4 comes first.
   */
  family?: IpFamily | undefined;
}

export interface Underlay {
  dev: string;
  ifindex: number;
  /** The MTU of `dev`. */
  mtu_bytes: number;
  local: string;
}

const maxListed = 20;

/** `10.0.0.1 on eth0, fd00::1 on eth0`, for the hint of an error. */
function listing(rtnl: NetlinkSocket, addresses: LinkAddress[]): string {
  if (addresses.length === 0) return "none";
  const names = new Map(listLinks(rtnl).map((link) => [link.index, link.name]));
  const shown = addresses.slice(0, maxListed);
  const texts = shown.map(
    ({ address, ifindex }) => `${address} on ${names.get(ifindex) ?? `link ${ifindex}`}`,
  );
  const rest = addresses.length - shown.length;
  return texts.join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}

function noDevice(rtnl: NetlinkSocket, dev: string): CulvertError {
  const names = listLinks(rtnl).map((link) => link.name);
  const rest = names.length > maxListed ? ` and ${names.length - maxListed} more` : "";
  return new CulvertError("CULVERT_NO_DEVICE", `there is no device '${dev}'`, {
    hint: `the devices of this network namespace are: ${names.slice(0, maxListed).join(", ")}${rest}`,
  });
}

function requireLink(rtnl: NetlinkSocket, ifindex: number): Link {
  const link = linkByIndex(rtnl, ifindex);
  if (link === undefined) throw noDevice(rtnl, `link ${ifindex}`);
  return link;
}

const underlay = (link: Link, local: string): Underlay => ({
  dev: link.name,
  ifindex: link.index,
  mtu_bytes: link.mtu_bytes,
  local,
});

/** True for addresses that remotes can answer to: not link-local, not host-only, usable now. */
function isUsable(address: LinkAddress): boolean {
  return address.scope < RouteScope.link && !address.tentative;
}

/** Lower is better: stable addresses before deprecated and privacy addresses. */
const drawback = (address: LinkAddress): number =>
  (address.deprecated ? 2 : 0) + (address.temporary ? 1 : 0);

/** The first and best global address of `link`; `wanted` family, or IPv4 before IPv6. */
function firstAddress(rtnl: NetlinkSocket, link: Link, wanted: IpFamily | undefined): string {
  const all = listAddresses(rtnl, { ifindex: link.index, family: wanted });
  const usable = all.filter(isUsable);
  usable.sort((left, right) => left.family - right.family || drawback(left) - drawback(right));
  if (usable.length > 0) return usable[0].address;
  const what = wanted === undefined ? "global address" : `global IPv${wanted} address`;
  const others = listAddresses(rtnl, { family: wanted }).filter(isUsable);
  throw new CulvertError("CULVERT_NO_ADDRESS", `device '${link.name}' has no ${what}`, {
    hint: `give it one, or name another device; there is: ${listing(rtnl, others)}`,
  });
}

/** The link that owns `local`; of several that one named `dev`, else the first that is up. */
function ownerOf(rtnl: NetlinkSocket, local: string, dev: Link | undefined): Link {
  const { family } = parseIp(local);
  const all = listAddresses(rtnl, { family });
  const owners = all.filter((address) => address.address === local);
  if (owners.length === 0) {
    const none =
      "this host has none at all: add it to a device (`ip address add`)" +
      (family === 6 ? "; IPv6 may be off (`sysctl net.ipv6.conf.all.disable_ipv6`)" : "");
    const given = `set \`local\` to an IPv${family} address of this host: ${listing(rtnl, all)}`;
    throw new CulvertError("CULVERT_NO_ADDRESS", `no device has the local address ${local}`, {
      hint: all.length === 0 ? none : given,
    });
  }
  if (dev !== undefined) {
    if (owners.some((address) => address.ifindex === dev.index)) return dev;
    const message = `the local address ${local} is not on device '${dev.name}'`;
    throw new CulvertError("CULVERT_NO_ADDRESS", message, {
      hint: `leave \`dev\` out or correct it; there is: ${listing(rtnl, owners)}`,
    });
  }
  const links = owners.map((address) => requireLink(rtnl, address.ifindex));
  return links.find((link) => link.up) ?? links[0];
}

/**
 * The underlay device, its MTU and the local address for a tunnel.
 * - `local`: the device that owns it. A loopback-owned address with `towards`: the device of that
 *   route.
 * - `dev`: its first global address of the family of `towards`, or the asked one.
 * - `towards` alone: what the route to it says.
 * Throws CULVERT_NO_DEVICE, CULVERT_NO_ADDRESS (with the addresses there are) or CULVERT_NO_ROUTE.
 */
export function underlayOf(rtnl: NetlinkSocket, query: UnderlayQuery): Underlay {
  const { towards } = query;
  const dev = query.dev === undefined ? undefined : linkByName(rtnl, query.dev);
  if (query.dev !== undefined && dev === undefined) throw noDevice(rtnl, query.dev);
  if (query.local !== undefined) {
    const local = canonicalIp(query.local);
    const owner = ownerOf(rtnl, local, dev);
    if (!owner.loopback || dev !== undefined || towards === undefined)
      return underlay(owner, local);
    return underlay(requireLink(rtnl, getRoute(rtnl, towards).ifindex), local);
  }
  const family = towards === undefined ? query.family : parseIp(towards).family;
  if (dev !== undefined) return underlay(dev, firstAddress(rtnl, dev, family));
  assert(towards !== undefined, "underlayOf needs local, dev or towards");
  const route = getRoute(rtnl, towards);
  const link = requireLink(rtnl, route.ifindex);
  return underlay(link, route.source ?? firstAddress(rtnl, link, family));
}
