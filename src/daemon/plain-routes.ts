// Everything that leaves without encapsulation: tunnels of type route and what `direct: true` takes
// out of the others. Ties together who decides (route-tunnels.ts, direct-routes.ts) and who sets
// (host-routes.ts); for the daemon it has a beginning and an end, and is told of changes between.

import type { Config, RouteConfig, TunnelConfig } from "../config/effective.js";
import { routeTunnels } from "../config/tunnel-kinds.js";
import type { DirectRouteStatus, RouteTunnelStatus } from "../control/route-target.js";
import { CulvertError } from "../errors.js";
import { linkByIndex } from "../netlink/links.js";
import type { NetlinkSocket } from "../netlink/netlink-socket.js";
import { underlayOf } from "../netlink/underlay.js";
import type { Logger } from "../telemetry/log.js";
import {
  type DirectPeer,
  DirectRoutes,
  type DirectTunnel,
  type UnderlayNames,
} from "./direct-routes.js";
import { HostRoutes } from "./host-routes.js";
import { NetlinkRouteKernel, type RouteKernel } from "./kernel-routes.js";
import { RouteState } from "./route-state.js";
import { RouteTunnels } from "./route-tunnels.js";

/** The routes are looked at this long after a change of routes, rules, addresses or links. */
const SETTLE_MS = 20;
/** They are looked at again at most this often. */
const MIN_INTERVAL_MS = 100;
/** Looking takes at most one part in so many of the time. */
const CHECK_SHARE = 10;
/** What could not be set or moved is tried again this often. */
const RETRY_INTERVAL_MS = 2000;
/**
 * How often they are looked at when nothing tells of a change: sysctls of the kernel decide on ways
 * as well, and nobody tells of those.
 */
const SAFETY_INTERVAL_MS = 30_000;

export interface PlainRouteParts {
  readonly kernel: RouteKernel;
  readonly underlays: () => UnderlayNames;
  readonly log: Logger;
}

/** The parts of a daemon on a kernel. */
export function plainRouteParts(rtnl: NetlinkSocket, log: Logger): PlainRouteParts {
  return { kernel: new NetlinkRouteKernel(rtnl), underlays: () => underlayNames(rtnl), log };
}

export class PlainRoutes {
  readonly #log: Logger;
  readonly #routes: HostRoutes;
  readonly #routeTunnels: RouteTunnels;
  readonly #direct: DirectRoutes;
  /** Whether there are plain routes, or may be. */
  readonly needed: boolean;
  #timer: NodeJS.Timeout | undefined;
  #soon: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  /** When the next look may be. */
  #next_ms = 0;

  /** @param tunnels those with a device */
  constructor(config: Config, tunnels: readonly DirectTunnel[], parts: PlainRouteParts) {
    const { kernel, log } = parts;
    this.#log = log;
    this.#routes = new HostRoutes(kernel, new RouteState(config.control.socket, log), log);
    const devices = new Set(tunnels.map(({ device }) => device.ifindex));
    this.#routeTunnels = new RouteTunnels(routeTunnels(config), kernel, devices, log);
    this.#direct = new DirectRoutes(tunnels, { ...parts, routes: this.#routes });
    this.needed = config.tunnels.some(isPlain);
  }

  /**
   * Sets the routes, and removes what a killed daemon has left. Must come before routes over the
   * tunnels' devices are set, which may have the same place. Throws CULVERT_NEXT_HOP,
   * CULVERT_ROUTE_CONFLICT.
   */
  start(): void {
    this.#routes.start([...this.#routeTunnels.decide(), ...this.#direct.decide()]);
  }

  /** Checks from now on, what has changed since the start first. */
  watch(): void {
    if (!this.needed) return;
    this.#timer = setInterval(() => this.changed(), SAFETY_INTERVAL_MS);
    this.changed();
  }

  /** Routes, rules, addresses or links have changed: checks soon. Cheap, for every notification. */
  changed(): void {
    if (this.#timer === undefined || this.#soon !== undefined) return;
    const wait_ms = Math.max(SETTLE_MS, this.#next_ms - performance.now());
    this.#soon = setTimeout(() => this.#look(), wait_ms);
  }

  /** Decides again and repairs. @returns whether all is as it should be */
  check(): boolean {
    try {
      this.#routeTunnels.check(this.#routes);
      const moved = this.#direct.reconsider();
      return this.#routes.check() && moved;
    } catch (error) {
      if (!(error instanceof CulvertError)) throw error;
      this.#log.warn({ reason: error.message }, "plain routes could not be checked");
      return false;
    }
  }

  /** Whether a route of a tunnel's config goes over its device. */
  isTunnelled(route: RouteConfig): boolean {
    return this.#direct.isTunnelled(route);
  }

  /** Who may send through an IPIP tunnel although no route over it leads there, see `direct`. */
  peers(): DirectPeer[] {
    return this.#direct.peers();
  }

  /** The tunnels of type route. */
  report(): RouteTunnelStatus[] {
    return this.#routeTunnels.report(this.#routes);
  }

  /** The direct routes of one tunnel. */
  directOf(tunnel: string): DirectRouteStatus[] {
    return this.#direct.report(tunnel);
  }

  /** Removes every route that was set. */
  stop(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#soon);
    clearTimeout(this.#retry);
    this.#timer = undefined;
    this.#routes.stop();
  }

  #look(): void {
    this.#soon = undefined;
    clearTimeout(this.#retry);
    const begun_ms = performance.now();
    if (!this.check()) this.#retry = setTimeout(() => this.changed(), RETRY_INTERVAL_MS);
    const end_ms = performance.now();
    const pause_ms = (CHECK_SHARE - 1) * (end_ms - begun_ms);
    this.#next_ms = end_ms + Math.max(MIN_INTERVAL_MS, pause_ms);
  }
}

function isPlain(tunnel: TunnelConfig): boolean {
  return tunnel.type === "route" || tunnel.direct;
}

/** Asks the kernel once for each local address. */
function underlayNames(rtnl: NetlinkSocket): UnderlayNames {
  const known = new Map<string, string | undefined>();
  return ({ config: { local, dev } }) => {
    if (dev !== undefined || local === undefined || local === "any") return dev;
    if (!known.has(local)) {
      const owner = underlayOf(rtnl, { local });
      // An address of the loopback may be used over any device.
      const loopback = linkByIndex(rtnl, owner.ifindex)?.loopback === true;
      known.set(local, loopback ? undefined : owner.dev);
    }
    return known.get(local);
  };
}
