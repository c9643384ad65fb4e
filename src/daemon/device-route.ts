// A route of a tunnel's config as a request for one over its device. Shared by those who set it at
// the start and those who set it again.

import type { RouteConfig } from "../config/effective.js";
import type { RouteSpec } from "../netlink/routes.js";

/** @param ifindex of the tunnel's device */
export function deviceRoute(ifindex: number, { to, via, onlink, metric }: RouteConfig): RouteSpec {
  return { to, via, ifindex, onlink, ...(metric === 0 ? {} : { metric }) };
}
