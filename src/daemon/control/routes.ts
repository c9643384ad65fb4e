// `culvert route`: what an IPIP tunnel uses, and for which destination.

import type { RouteDecision, RouteEntry, RouteGet, RouteQuery } from "../../control/target.js";
import { CulvertError } from "../../errors.js";
import {
  ROUTE_RESULT_GATEWAY,
  ROUTE_RESULT_WORDS,
  type RouteEntry as TableRoute,
} from "../../routes/route-table.js";
import { formatIpv4, isIpv4 } from "../../wire/ip-address.js";
import { ipOf } from "../addresses.js";
import type { IpipRuntime } from "../tunnel.js";
import { type ControlContext, ipipTunnels } from "./context.js";

export function routeShow(context: ControlContext, query: RouteQuery): RouteEntry[] {
  return ipipTunnels(context, query.dev).flatMap(routesOf);
}

/** The outer destination for an inner one. Throws CULVERT_NO_ROUTE when no tunnel has a route. */
export function routeGet(context: ControlContext, { to, dev }: RouteGet): RouteDecision {
  const destination = ipOf(to);
  const tunnels = ipipTunnels(context, dev);
  const decisions = isIpv4(destination)
    ? tunnels.flatMap((tunnel) => decide(tunnel, destination.w3) ?? [])
    : [];
  const [best] = decisions.sort((a, b) => b.length - a.length);
  if (best !== undefined) return best.decision;
  throw new CulvertError("CULVERT_NO_ROUTE", `no ipip tunnel has a route to ${to}`, {
    hint: "see `culvert route show`; for vxlan tunnels `ip route get` tells",
  });
}

function routesOf({ config, routes }: IpipRuntime): RouteEntry[] {
  const order = (a: TableRoute, b: TableRoute) =>
    a.prefix - b.prefix || a.prefixLength - b.prefixLength;
  return routes
    .list()
    .sort(order)
    .map(({ prefix, prefixLength, gateway }) => ({
      dev: config.name,
      to: `${formatIpv4(prefix)}/${prefixLength}`,
      ...(gateway === 0 ? {} : { via: formatIpv4(gateway) }),
      source: "config",
    }));
}

function decide(
  tunnel: IpipRuntime,
  destination: number,
): { length: number; decision: RouteDecision } | undefined {
  const to = formatIpv4(destination);
  const dev = tunnel.config.name;
  const found = new Int32Array(ROUTE_RESULT_WORDS);
  const length = tunnel.routes.lookup(destination, found);
  if (tunnel.remote !== 0) {
    const outer = formatIpv4(tunnel.remote);
    const why = "the tunnel is point-to-point: its remote gets everything";
    return { length, decision: { to, dev, match: "0.0.0.0/0", outer, why } };
  }
  if (length < 0) return undefined;
  const gateway = found[ROUTE_RESULT_GATEWAY] >>> 0;
  const mask = length === 0 ? 0 : (-1 << (32 - length)) >>> 0;
  const match = `${formatIpv4((destination & mask) >>> 0)}/${length}`;
  const why =
    gateway === 0
      ? "the route has no next hop: the inner destination is the outer one"
      : "the next hop of the longest matching route is the outer destination";
  return {
    length,
    decision: { to, dev, match, outer: formatIpv4(gateway === 0 ? destination : gateway), why },
  };
}
