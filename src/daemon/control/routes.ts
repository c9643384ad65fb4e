// `culvert route`: what an IPIP tunnel uses, and for which destination.

import type { RouteDecision, RouteEntry, RouteGet, RouteQuery } from "../../control/target.js";
import { CulvertError } from "../../errors.js";
import type { RemoteTable } from "../../remotes/remote-table.js";
import type { RouteEntry as TableRoute } from "../../routes/route-table.js";
import { formatIp, formatPrefix, type IpAddress } from "../../wire/ip-address.js";
import { ipOf, textOf } from "../addresses.js";
import type { IpipRuntime } from "../tunnel.js";
import { type ControlContext, ipipTunnels } from "./context.js";

export function routeShow(context: ControlContext, query: RouteQuery): RouteEntry[] {
  return ipipTunnels(context, query.dev).flatMap((tunnel) => [
    ...routesOf(tunnel, context.remotes),
    ...directRoutes(context, tunnel),
  ]);
}

/** What `direct` takes out of a tunnel: over the underlay's device. */
function directRoutes({ plainRoutes }: ControlContext, { config }: IpipRuntime): RouteEntry[] {
  const routes = config.direct ? plainRoutes.directOf(config.name) : [];
  return routes.map(({ to, via, dev }) => ({ dev, to, via, source: "direct" }));
}

/** The outer destination for an inner one. Throws CULVERT_NO_ROUTE when no tunnel has a route. */
export function routeGet(context: ControlContext, { to, dev }: RouteGet): RouteDecision {
  const destination = ipOf(to);
  const tunnels = ipipTunnels(context, dev);
  const decisions = tunnels.flatMap((tunnel) => decide(tunnel, destination, context.remotes) ?? []);
  const [best] = decisions.sort((a, b) => b.length - a.length);
  if (best !== undefined) return best.decision;
  throw new CulvertError("CULVERT_NO_ROUTE", `no ipip tunnel has a route to ${to}`, {
    hint: "see `culvert route show`; for vxlan tunnels `ip route get` tells",
  });
}

function routesOf({ config, routes }: IpipRuntime, remotes: RemoteTable): RouteEntry[] {
  const order = ({ prefix: a }: TableRoute, { prefix: b }: TableRoute) =>
    a.ip.w0 - b.ip.w0 ||
    a.ip.w1 - b.ip.w1 ||
    a.ip.w2 - b.ip.w2 ||
    a.ip.w3 - b.ip.w3 ||
    a.length - b.length;
  return routes
    .list()
    .sort(order)
    .map(({ prefix, hops }) => ({
      dev: config.name,
      to: formatPrefix(prefix),
      ...(hops.length === 0 ? {} : { via: hopText(hops[0].remote, remotes) }),
      source: "config",
    }));
}

function hopText(row: number, remotes: RemoteTable): string {
  const address = remotes.get(row)?.address;
  return address === undefined ? "none" : formatIp(...address);
}

function decide(
  tunnel: IpipRuntime,
  destination: IpAddress,
  remotes: RemoteTable,
): { length: number; decision: RouteDecision } | undefined {
  const to = textOf(destination);
  const dev = tunnel.config.name;
  const found = tunnel.routes.match(destination);
  if (tunnel.remote !== undefined) {
    const outer = textOf(tunnel.remote);
    const why = "the tunnel is point-to-point: its remote gets everything";
    const length = found?.prefix.length ?? 0;
    return { length, decision: { to, dev, match: "0.0.0.0/0", outer, why } };
  }
  if (found === undefined) return undefined;
  const { prefix, hops } = found;
  const direct = hops.length === 0;
  const why = direct
    ? "the route has no next hop: the inner destination is the outer one"
    : "the next hop of the longest matching route is the outer destination";
  const outer = direct ? to : hopText(hops[0].remote, remotes);
  const decision = { to, dev, match: formatPrefix(prefix), outer, why };
  return { length: prefix.length, decision };
}
