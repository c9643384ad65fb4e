// The last step of opening a tunnel: addresses, "up", routes and neighbours of its device, set by
// rtnetlink. Nothing has to be undone: all of it goes with the device.

import type { RouteConfig } from "../config/effective.js";
import { replaceAddress } from "../netlink/addresses.js";
import { hasCode } from "../netlink/errors.js";
import { setLink } from "../netlink/links.js";
import { replaceNeighbour } from "../netlink/neighbours.js";
import type { NetlinkSocket } from "../netlink/netlink-socket.js";
import { addRoute } from "../netlink/routes.js";
import type { Logger } from "../telemetry/log.js";
import { deviceRoute } from "./device-route.js";
import type { Progress } from "./progress.js";
import type { TunnelRuntime } from "./tunnel.js";

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
      if (addUnlessOurs(rtnl, ifindex, route, other !== undefined)) {
        routed.set(key, tunnel.config.name);
      } else {
        const fields = { tunnel: tunnel.config.name, route: key };
        log.warn(fields, `the route stays with tunnel ${other}: give one of them a metric`);
      }
    }
  }
}

/** @returns false when another tunnel of this daemon has the same route */
function addUnlessOurs(
  rtnl: NetlinkSocket,
  ifindex: number,
  route: RouteConfig,
  known: boolean,
): boolean {
  try {
    addRoute(rtnl, deviceRoute(ifindex, route));
    return true;
  } catch (error) {
    if (known && hasCode(error, "CULVERT_EXISTS")) return false;
    throw error;
  }
}
