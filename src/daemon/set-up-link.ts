// The last step of opening a tunnel: addresses, "up", routes and neighbours of its device, set by
// rtnetlink. Nothing has to be undone: all of it goes with the device.

import type { RouteConfig } from "../config/effective.js";
import { CulvertError } from "../errors.js";
import { replaceAddress } from "../netlink/addresses.js";
import { hasCode } from "../netlink/errors.js";
import { setLink } from "../netlink/links.js";
import { replaceNeighbour } from "../netlink/neighbours.js";
import type { NetlinkSocket } from "../netlink/netlink-socket.js";
import { addRoute, getRoute } from "../netlink/routes.js";
import type { Logger } from "../telemetry/log.js";
import { isIpv4 } from "../wire/ip-address.js";
import { ipOf } from "./addresses.js";
import { deviceRoute } from "./device-route.js";
import type { Progress } from "./progress.js";
import { recursionError } from "./recursion-guard.js";
import type { IpipRuntime, TunnelRuntime } from "./tunnel.js";

/**
 * Brings the tunnels' devices into the state their config asks for. Throws what rtnetlink refuses,
 * with its cure.
 * @param isTunnelled whether a route goes over the device; `direct` has others leave without
 */
export function setUpLinks(
  rtnl: NetlinkSocket,
  tunnels: readonly TunnelRuntime[],
  isTunnelled: (route: RouteConfig) => boolean,
  log: Logger,
  progress: Progress,
): void {
  /** Tunnel by "destination metric". */
  const routed = new Map<string, string>();
  for (const [done, tunnel] of tunnels.entries()) {
    progress.report("devices set up", done, tunnels.length);
    const { ifindex } = tunnel.device;
    for (const address of tunnel.config.addresses) replaceAddress(rtnl, ifindex, address);
    setLink(rtnl, ifindex, { up: true });
    // What the host itself sends needs no question at all; the proxy is for those behind a bridge.
    if (tunnel.type === "vxlan") {
      const { neighbors } = tunnel.config;
      for (const neighbor of neighbors) replaceNeighbour(rtnl, { ifindex, ...neighbor });
    }
    for (const route of tunnel.config.routes.filter(isTunnelled)) {
      const key = `${route.to} metric ${route.metric}`;
      const other = routed.get(key);
      if (addUnlessOurs(rtnl, tunnel, route, other !== undefined)) {
        routed.set(key, tunnel.config.name);
      } else {
        const fields = { tunnel: tunnel.config.name, route: key };
        log.warn(fields, `the route stays with tunnel ${other}: give one of them a metric`);
      }
    }
  }
  // Only now: a route of one tunnel may lead to the next hop of another.
  for (const tunnel of tunnels) if (tunnel.type === "ipip") refuseRecursion(rtnl, tunnel);
}

/** An IPv6 route has no IPv4 gateway: sit(8) takes a.b.c.d from `::a.b.c.d`, and so do we. */
function asKernelTakesIt({ type, local }: TunnelRuntime, route: RouteConfig): RouteConfig {
  const { to, via } = route;
  const sit = type === "ipip" && isIpv4(local) && to.includes(":") && via?.includes(":") === false;
  if (!sit || via === undefined) return route;
  const { w3 } = ipOf(via);
  // In groups: `::10.57.4.21` would be read as an IPv4-mapped address.
  return { ...route, via: `::${(w3 >>> 16).toString(16)}:${(w3 & 0xffff).toString(16)}` };
}

/** Packets to a next hop that is reached through its own tunnel would never leave the host. */
function refuseRecursion(rtnl: NetlinkSocket, { config, device }: IpipRuntime): void {
  const { name, dev, remote, routes } = config;
  // With `dev` the sockets are bound to the underlay: no route through the tunnel is taken.
  if (dev !== undefined) return;
  const gateways = routes.flatMap(({ to, via }) =>
    via === undefined || remote !== "any" ? [] : [{ address: via, what: `route ${to} via ${via}` }],
  );
  if (remote !== "any") gateways.push({ address: remote, what: `its remote ${remote}` });
  for (const { address, what } of new Map(gateways.map((one) => [one.address, one])).values()) {
    if (deviceTo(rtnl, address) === device.ifindex) throw recursionError(name, what, address);
  }
}

/** undefined: there is no way (yet). */
function deviceTo(rtnl: NetlinkSocket, address: string): number | undefined {
  try {
    return getRoute(rtnl, address).ifindex;
  } catch (error) {
    if (hasCode(error, "CULVERT_NO_ROUTE")) return undefined;
    throw error;
  }
}

/**
 * To IPv6 a next hop on the link of the underlay is a mistake on any other device, `onlink` or not
 * (net/ipv6/route.c, ip6_route_check_nh_onlink). `encap ip6` says the same without being one.
 */
function addDeviceRoute(rtnl: NetlinkSocket, tunnel: TunnelRuntime, route: RouteConfig): void {
  const { ifindex } = tunnel.device;
  const request = deviceRoute(ifindex, asKernelTakesIt(tunnel, route));
  try {
    addRoute(rtnl, request);
  } catch (error) {
    const { via, ...rest } = request;
    const over6 = tunnel.type === "ipip" && !isIpv4(tunnel.local) && via !== undefined;
    if (!over6 || !hasCode(error, "CULVERT_NETLINK_INVALID")) throw error;
    addRoute(rtnl, { ...rest, onlink: false, encapTo: via });
  }
}

/**
 * @returns false when another tunnel of this daemon has the same route
 * Throws CULVERT_ROUTE_CONFLICT when it is somebody else's.
 */
function addUnlessOurs(
  rtnl: NetlinkSocket,
  tunnel: TunnelRuntime,
  route: RouteConfig,
  known: boolean,
): boolean {
  try {
    addDeviceRoute(rtnl, tunnel, route);
    return true;
  } catch (error) {
    if (!hasCode(error, "CULVERT_EXISTS")) throw error;
    if (known) return false;
    throw conflict(tunnel.config.name, route, error);
  }
}

function conflict(name: string, { to }: RouteConfig, cause: unknown): CulvertError {
  const message = `tunnel ${name}: cannot add route ${to}: another route has its prefix and metric`;
  return new CulvertError("CULVERT_ROUTE_CONFLICT", message, {
    hint: `see \`ip route show ${to}\`; remove that one, or give ours another \`metric\``,
    cause,
  });
}
