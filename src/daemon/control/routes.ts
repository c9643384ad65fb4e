// `culvert route`: which of the kernel's routes an IPIP tunnel uses, and for which destination. In
// pages: there may be more than 100,000.

import type {
  RouteDecision,
  RouteEntry,
  RouteGet,
  RoutePage,
  RoutePageQuery,
  RouteProblems,
  RouteQuery,
} from "../../control/route-target.js";
import { CulvertError } from "../../errors.js";
import type { RemoteTable } from "../../remotes/remote-table.js";
import type { NextHop } from "../../routes/next-hop-groups.js";
import {
  formatIp,
  formatPrefix,
  type IpAddress,
  isIpv4,
  parsePrefix,
  prefixCovers,
} from "../../wire/ip-address.js";
import { ipOf, textOf } from "../addresses.js";
import type { IpipRuntime } from "../tunnel.js";
import type { TunnelRoutes } from "../tunnel-routes.js";
import { type ControlContext, ipipTunnels } from "./context.js";
import { directEntry, routeEntry } from "./route-entry.js";

/** Routes after which a page ends. */
const PAGE_ROUTES = 2000;
/** Routes that `routeShow` answers at once. */
const SHOW_ROUTES = 20_000;
/** Listings whose next page can be asked for; a new one takes the place of the oldest. */
const MAX_LISTINGS = 16;
/** Next hops that `status` names. */
const NAMED_HOPS = 8;

/** Listings of routes that were begun and not read to the end. */
export class RouteListings {
  readonly #context: ControlContext;
  readonly #begun = new Map<number, Iterator<RouteEntry>>();
  #next = 1;

  constructor(context: ControlContext) {
    this.#context = context;
  }

  /** Everything at once. Throws CULVERT_TOO_MANY when that is too much. */
  show({ dev }: RouteQuery): RouteEntry[] {
    const entries: RouteEntry[] = [];
    for (const entry of entriesOf(this.#context, dev)) {
      entries.push(entry);
      if (entries.length <= SHOW_ROUTES) continue;
      throw new CulvertError("CULVERT_TOO_MANY", `there are more than ${SHOW_ROUTES} routes`, {
        hint: "read them in pages: GET /v1/route/page",
      });
    }
    return entries;
  }

  page({ dev, from }: RoutePageQuery): RoutePage {
    const listing = from === undefined ? entriesOf(this.#context, dev) : this.#taken(from);
    const routes: RouteEntry[] = [];
    while (routes.length < PAGE_ROUTES) {
      const { done, value } = listing.next();
      if (done === true) return { routes };
      routes.push(value);
    }
    const next = this.#next++;
    this.#begun.set(next, listing);
    if (this.#begun.size > MAX_LISTINGS) {
      const [oldest] = this.#begun.keys();
      this.#begun.delete(oldest);
    }
    return { routes, next };
  }

  #taken(number: number): Iterator<RouteEntry> {
    const listing = this.#begun.get(number);
    this.#begun.delete(number);
    if (listing !== undefined) return listing;
    throw new CulvertError("CULVERT_NOT_FOUND", `there is no page ${number} of routes`, {
      hint: "a page is given once, and too many others list routes: begin with the first page",
    });
  }
}

/** Routes that come or go meanwhile are in it or not; all others are, once. */
function* entriesOf(
  context: ControlContext,
  dev: string | undefined,
): IterableIterator<RouteEntry> {
  for (const tunnel of ipipTunnels(context, dev)) {
    for (const route of context.mirror.of(tunnel).list())
      yield routeEntry(tunnel.config.name, route);
    if (!tunnel.config.direct) continue;
    for (const route of context.plainRoutes.directOf(tunnel.config.name)) yield directEntry(route);
  }
}

/** Why routes of a tunnel are not in use; undefined: all are. */
export function routeProblems(routes: TunnelRoutes): RouteProblems | undefined {
  const looped = routes.outer.list().filter((hop) => hop.looped);
  const recursive = looped.slice(0, NAMED_HOPS).map(({ address }) => textOf(address));
  const beyond_limits = routes.crowdedOut;
  const { unreachable } = routes.bodies;
  if (unreachable + recursive.length + beyond_limits === 0) return undefined;
  return { unreachable, recursive, beyond_limits };
}

/** The outer destination for an inner one. Throws CULVERT_NO_ROUTE when no tunnel has a route. */
export function routeGet(context: ControlContext, { to, dev }: RouteGet): RouteDecision {
  const destination = ipOf(to);
  const tunnels = ipipTunnels(context, dev);
  const candidates = tunnels.flatMap((tunnel) => [
    ...directCandidates(context, tunnel, destination),
    ...decide(tunnel, destination, context.remotes),
  ]);
  const [best] = candidates.sort((a, b) => b.length - a.length);
  if (best !== undefined) {
    if ("decision" in best) return best.decision;
    throw new CulvertError("CULVERT_NO_ROUTE", best.message, { hint: best.hint });
  }
  throw new CulvertError("CULVERT_NO_ROUTE", `no ipip tunnel has a route to ${to}`, {
    hint: "see `culvert route show`; for vxlan tunnels `ip route get` tells",
  });
}

/** What a route says: where packets go, or why no tunnel takes them. */
type Candidate = { readonly length: number } & (
  | { readonly decision: RouteDecision }
  | { readonly message: string; readonly hint: string }
);

/** Of equal length they come first: they have the place of a route over the device. */
function directCandidates(
  { plainRoutes }: ControlContext,
  { config: { name, direct } }: IpipRuntime,
  destination: IpAddress,
): Candidate[] {
  if (!direct) return [];
  return plainRoutes.directOf(name).flatMap(({ to, via, dev }) => {
    const prefix = parsePrefix(to);
    if (prefix === undefined || !prefixCovers(prefix, destination)) return [];
    return {
      length: prefix.length,
      message: `${textOf(destination)} leaves without encapsulation: ${to} via ${via} dev ${dev}`,
      hint: `the peer is on the link of the underlay (\`direct\` of ${name}): see \`culvert status\``,
    };
  });
}

function decide(tunnel: IpipRuntime, destination: IpAddress, remotes: RemoteTable): Candidate[] {
  const to = textOf(destination);
  const dev = tunnel.config.name;
  const found = tunnel.routes.match(destination);
  if (tunnel.remote !== undefined) {
    const outer = textOf(tunnel.remote);
    const why = "the tunnel is point-to-point: its remote gets everything";
    const length = found?.prefix.length ?? -1;
    const match = isIpv4(destination) ? "0.0.0.0/0" : "::/0";
    return [{ length, decision: { to, dev, match, outer, why } }];
  }
  if (found === undefined) return [];
  const { prefix, hops } = found;
  const { length } = prefix;
  const match = formatPrefix(prefix);
  if (hops === undefined) {
    const message = `${to} leads nowhere: no next hop of ${match} dev ${dev} can be used`;
    return [{ length, message, hint: "`culvert route show` says why behind the route" }];
  }
  return [{ length, decision: { to, dev, match, ...outerOf(to, hops, remotes) } }];
}

function outerOf(
  to: string,
  hops: readonly NextHop[],
  remotes: RemoteTable,
): Pick<RouteDecision, "outer" | "nexthops" | "why"> {
  if (hops.length === 0) {
    const why = "the route has no next hop: the inner destination is the outer one";
    return { outer: to, why };
  }
  const nexthops = hops.map(({ remote, weight }) => ({ outer: hopText(remote, remotes), weight }));
  const [{ outer }] = nexthops;
  if (hops.length === 1) {
    return { outer, why: "the next hop of the longest matching route is the outer destination" };
  }
  const why = "the longest matching route has several next hops: a hash of the flow decides";
  return { outer, nexthops, why };
}

function hopText(row: number, remotes: RemoteTable): string {
  const address = remotes.get(row)?.address;
  return address === undefined ? "none" : formatIp(...address);
}
