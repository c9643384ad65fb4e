// Tunnels of type route: which plain routes they come to, as long as each next hop is on a link of
// this host. At the start a next hop that is not is an error; later it is a warning, and its route
// waits. Setting and removing is host-routes.ts.

import type { HostRouteConfig, RouteTunnelConfig } from "../config/effective.js";
import type { RouteTunnelStatus } from "../control/target.js";
import { CulvertError } from "../errors.js";
import type { Logger } from "../telemetry/log.js";
import { type DirectHop, directHop } from "./direct-hop.js";
import { type HostRoute, type HostRoutes, isSame, type RouteMove } from "./host-routes.js";
import type { RouteKernel } from "./kernel-routes.js";

interface Member {
  readonly tunnel: RouteTunnelConfig;
  readonly config: HostRouteConfig;
  /** Undefined: its next hop cannot be reached directly. */
  route: HostRoute | undefined;
}

export class RouteTunnels {
  readonly #members: readonly Member[];
  readonly #kernel: RouteKernel;
  readonly #devices: ReadonlySet<number>;
  readonly #log: Logger;

  /** @param devices indexes of the devices of this daemon's other tunnels */
  constructor(
    tunnels: readonly RouteTunnelConfig[],
    kernel: RouteKernel,
    devices: ReadonlySet<number>,
    log: Logger,
  ) {
    this.#members = tunnels.flatMap((tunnel) =>
      tunnel.routes.map((config) => ({ tunnel, config, route: undefined })),
    );
    this.#kernel = kernel;
    this.#devices = devices;
    this.#log = log;
  }

  /** The routes to begin with. Throws CULVERT_NEXT_HOP. */
  decide(): HostRoute[] {
    return this.#members.map((member) => {
      const hop = this.#hopOf(member);
      if ("why" in hop) throw nextHopError(member, hop.why);
      member.route = routeOf(member, hop);
      return member.route;
    });
  }

  /** Decides again: a next hop may have come, gone or moved to another device. */
  check(routes: HostRoutes): void {
    routes.move(this.#members.flatMap((member) => this.#moveOf(member) ?? []));
  }

  report(routes: HostRoutes): RouteTunnelStatus[] {
    const known = this.#members.flatMap(({ route }) => route ?? []);
    const present = routes.presentOf(known);
    const reports = new Map<RouteTunnelConfig, RouteTunnelStatus>();
    for (const { tunnel, config, route } of this.#members) {
      const report = reports.get(tunnel) ?? { name: tunnel.name, type: "route", routes: [] };
      reports.set(tunnel, report);
      const { to, via, metric } = config;
      if (route === undefined) {
        report.routes.push({ to, via, metric, state: "unreachable" });
      } else {
        const state = present.has(route) ? "ok" : "missing";
        report.routes.push({ to, via, metric, dev: route.dev, state });
      }
    }
    return [...reports.values()];
  }

  #moveOf(member: Member): RouteMove | undefined {
    const { tunnel, config, route: before } = member;
    const hop = this.#hopOf(member);
    const fields = { tunnel: tunnel.name, to: config.to, via: config.via };
    if ("why" in hop) {
      member.route = undefined;
      if (before === undefined) return undefined;
      this.#log.warn({ ...fields, why: hop.why }, "the next hop cannot be reached directly now");
      return { kind: "remove", route: before };
    }
    member.route = routeOf(member, hop);
    if (before === undefined) this.#log.info(fields, "the next hop can be reached again");
    else if (isSame(before, member.route)) return undefined;
    return { kind: "set", route: member.route };
  }

  #hopOf({ tunnel, config: { via } }: Member): DirectHop {
    return directHop(this.#kernel, { via, dev: tunnel.dev, tunnels: this.#devices });
  }
}

function routeOf(
  { tunnel: { name, local }, config: { to, via, metric } }: Member,
  { ifindex, dev }: { ifindex: number; dev: string },
): HostRoute {
  return { tunnel: name, ...{ to, via, metric, ifindex, dev }, source: local };
}

function nextHopError({ tunnel, config: { to, via } }: Member, why: string): CulvertError {
  return new CulvertError(
    "CULVERT_NEXT_HOP",
    `tunnel ${tunnel.name}: the next hop ${via} of ${to} is not on a link of this host: ${why}`,
    {
      hint:
        "packets without encapsulation reach only such hosts: for this one use a tunnel of type " +
        "vxlan or ipip, with `direct: true` where others are on the link",
    },
  );
}
