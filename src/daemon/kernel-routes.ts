// What the plain routes of this host (host-routes.ts, direct-routes.ts) ask of the kernel: where an
// address is, which routes are ours, add, replace, remove. Ours are those of one routing protocol
// number, so that nobody else's route is ever touched. No state, no decisions.

import { CulvertError } from "../errors.js";
import { hasCode } from "../netlink/errors.js";
import { linkByIndex } from "../netlink/links.js";
import type { NetlinkSocket } from "../netlink/netlink-socket.js";
import type { RouteMessage } from "../netlink/route-messages.js";
import {
  addRoute,
  deleteRoute,
  getRoute,
  listRoutes,
  listRoutesOf,
  type RouteSpec,
  replaceRoute,
} from "../netlink/routes.js";
import { RouteProtocol } from "../netlink/rtnetlink-constants.js";
import { formatIp } from "../wire/ip-address.js";

/** A route of the main table without encapsulation. */
export interface PlainRoute {
  /** Prefix without host bits. */
  readonly to: string;
  readonly via: string;
  readonly ifindex: number;
  /** 0: the kernel's choice. */
  readonly metric: number;
  /** Preferred source. */
  readonly source?: string | undefined;
}

/** Where the kernel sends packets to an address. */
export interface Way {
  readonly ifindex: number;
  /** Name of that device. */
  readonly dev: string;
  /** The address is one of this host. */
  readonly own: boolean;
  readonly gateway?: string | undefined;
}

/** What the classes above this one need of the kernel; a test has another. */
export interface RouteKernel {
  /** Undefined: the kernel has no route there, or one that refuses. */
  way(address: string): Way | undefined;
  /** Every route of our protocol number, this daemon's or not. */
  ours(): PlainRoute[];
  /** Keys (`routeKey`) of the routes that leave by a device. */
  routesOver(ifindex: number): Set<string>;
  /** @returns false when a route with this prefix and metric is there already */
  add(route: RouteSpec): boolean;
  /** Takes the place of the route with this prefix and metric, whosever it is, without a gap. */
  replace(route: RouteSpec): void;
  /** One that is not there is fine. */
  remove(route: RouteSpec): void;
}

/** IP6_RT_PRIO_USER: the metric of IPv6 routes that come without one (net/ipv6/ip6_fib.h). */
const IPV6_METRIC = 1024;

/** Prefix and metric, by which the kernel tells routes apart, with metric 0 as it is stored. */
export function routeKey({ to, metric }: Pick<PlainRoute, "to" | "metric">): string {
  return `${to} metric ${metric === 0 && to.includes(":") ? IPV6_METRIC : metric}`;
}

/** The request for a plain route, under our protocol number. */
export function plainSpec({ to, via, ifindex, metric, source }: PlainRoute): RouteSpec {
  const given = metric === 0 ? {} : { metric };
  return { to, via, ifindex, source, ...given, protocol: RouteProtocol.culvert };
}

/** The kernel itself. */
export class NetlinkRouteKernel implements RouteKernel {
  readonly #rtnl: NetlinkSocket;

  constructor(rtnl: NetlinkSocket) {
    this.#rtnl = rtnl;
  }

  way(address: string): Way | undefined {
    try {
      const { ifindex, gateway } = getRoute(this.#rtnl, address);
      const link = linkByIndex(this.#rtnl, ifindex);
      if (link === undefined) return undefined;
      return { ifindex, dev: link.name, own: link.loopback, gateway };
    } catch (error) {
      // No route, or a family that is turned off: either way nothing can be sent there.
      if (error instanceof CulvertError) return undefined;
      throw error;
    }
  }

  ours(): PlainRoute[] {
    const routes = listRoutesOf(this.#rtnl, RouteProtocol.culvert);
    return routes.flatMap((route) =>
      route.hops.map(({ ifindex, gateway }) => ({
        to: prefixText(route),
        via: gateway === undefined ? "" : formatIp(...gateway),
        ...{ ifindex, metric: route.metric },
        source: route.source === undefined ? undefined : formatIp(...route.source),
      })),
    );
  }

  routesOver(ifindex: number): Set<string> {
    const routes = listRoutes(this.#rtnl, ifindex);
    return new Set(
      routes.map((route) => routeKey({ to: prefixText(route), metric: route.metric })),
    );
  }

  add(route: RouteSpec): boolean {
    try {
      addRoute(this.#rtnl, route);
      return true;
    } catch (error) {
      if (hasCode(error, "CULVERT_EXISTS")) return false;
      throw error;
    }
  }

  replace(route: RouteSpec): void {
    replaceRoute(this.#rtnl, route);
  }

  remove(route: RouteSpec): void {
    try {
      deleteRoute(this.#rtnl, route);
    } catch (error) {
      // With its device a route goes by itself.
      if (hasCode(error, "CULVERT_NOT_FOUND") || hasCode(error, "CULVERT_NO_DEVICE")) return;
      throw error;
    }
  }
}

function prefixText({ destination, prefixLength }: RouteMessage): string {
  return `${formatIp(...destination)}/${prefixLength}`;
}
