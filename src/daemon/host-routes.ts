// The plain routes that this daemon has set: installed, repaired when somebody deletes them,
// removed at the end, and taken over from a killed daemon. Which routes there are to be decide
// route-tunnels.ts and direct-routes.ts.
//
// A route of somebody else with the same prefix and metric is never overwritten: an error at the
// start, a warning while running. Ours is what has our protocol number and was set by this daemon
// or stands in the list of the one before it (route-state.ts).

import { CulvertError } from "../errors.js";
import type { RouteSpec } from "../netlink/routes.js";
import type { Logger } from "../telemetry/log.js";
import { type PlainRoute, plainSpec, type RouteKernel, routeKey } from "./kernel-routes.js";
import type { RouteState } from "./route-state.js";

/** A plain route, and for whom. */
export interface HostRoute extends PlainRoute {
  /** Name of the tunnel of the config that it comes from. */
  readonly tunnel: string;
  /** Name of the device `ifindex`. */
  readonly dev: string;
}

/** Of two routes with the same prefix and metric. */
export const isSame = (a: PlainRoute, b: PlainRoute): boolean =>
  a.via === b.via && a.ifindex === b.ifindex && a.source === b.source;

const textOf = ({ to, via, dev, metric }: HostRoute): string =>
  `${to} via ${via} dev ${dev}${metric === 0 ? "" : ` metric ${metric}`}`;

/** What has been decided about a route. */
export type RouteMove =
  | {
      readonly kind: "set";
      readonly route: HostRoute;
      /** Index of the tunnel's device over which the same route may be now. */
      readonly device?: number | undefined;
    }
  | {
      readonly kind: "remove";
      readonly route: HostRoute;
      /** What is to take its place. */
      readonly tunnelled?: RouteSpec | undefined;
    };

const TAKEN = "another route has its prefix and metric";

const fieldsOf = (route: HostRoute, reason: string) => ({
  ...{ tunnel: route.tunnel, route: textOf(route), reason },
});

export class HostRoutes {
  readonly #kernel: RouteKernel;
  readonly #state: RouteState;
  readonly #log: Logger;
  /** What is to be there, by prefix and metric. */
  readonly #wanted = new Map<string, HostRoute>();
  /** What this daemon, or the one before it, has set there. */
  readonly #held = new Map<string, PlainRoute>();
  /** Routes that cannot be set, so that the log says it once. */
  readonly #blocked = new Set<string>();

  constructor(kernel: RouteKernel, state: RouteState, log: Logger) {
    this.#kernel = kernel;
    this.#state = state;
    this.#log = log;
  }

  /**
   * Sets the first routes and removes what an earlier daemon left beside them; what it left and is
   * wanted again stays, without a gap. Throws CULVERT_ROUTE_CONFLICT.
   */
  start(routes: readonly HostRoute[]): void {
    const left = this.#state.read();
    const present = this.#present();
    for (const route of left ?? []) {
      // Of a route that was being replaced the list has both forms.
      const there = present.get(routeKey(route));
      if (there !== undefined && isSame(there, route)) this.#held.set(routeKey(route), route);
    }
    for (const route of routes) this.#wanted.set(routeKey(route), route);
    if (left === undefined) {
      // Nobody knows whose they are; refusing to start over one's own leavings helps nobody.
      for (const key of this.#wanted.keys()) {
        const there = present.get(key);
        if (there !== undefined) this.#held.set(key, there);
      }
    }
    this.#save();
    for (const [key, route] of this.#held) {
      if (this.#wanted.has(key)) continue;
      this.#kernel.remove(plainSpec(route));
      this.#held.delete(key);
      this.#log.info({ to: route.to, via: route.via }, "removed a route that a daemon had left");
    }
    for (const route of routes) if (!this.#install(route, present)) throw conflict(route);
    this.#save();
  }

  /**
   * Carries out what has been decided anew, one after the other. Never throws what the kernel
   * refuses.
   * @returns the routes whose move failed; it may be tried again
   */
  move(moves: readonly RouteMove[]): Set<HostRoute> {
    const failed = new Set<HostRoute>();
    if (moves.length === 0) return failed;
    for (const { kind, route } of moves) {
      if (kind === "set") this.#wanted.set(routeKey(route), route);
    }
    this.#save();
    const present = this.#present();
    const tunnelled = new Map<number, Set<string>>();
    for (const one of moves) {
      const { route } = one;
      if (one.kind === "set") this.#set(route, one.device, present, tunnelled);
      else if (!this.#give(one, present)) failed.add(route);
    }
    this.#save();
    return failed;
  }

  /** Those of `routes` that are there now. */
  presentOf(routes: readonly HostRoute[]): Set<HostRoute> {
    const present = routes.length === 0 ? new Map<string, PlainRoute>() : this.#present();
    const isThere = (route: HostRoute): boolean => {
      const there = present.get(routeKey(route));
      return there !== undefined && isSame(there, route);
    };
    return new Set(routes.filter(isThere));
  }

  /** Sets again what somebody has deleted. @returns whether all is there */
  check(): boolean {
    if (this.#wanted.size === 0) return true;
    const present = this.#present();
    for (const [key, route] of this.#wanted) {
      const there = present.get(key);
      if (there !== undefined && isSame(there, route) && this.#held.has(key)) continue;
      if (!this.#try(route, () => this.#install(route, present))) continue;
      this.#log.warn(fieldsOf(route, "it was missing"), "set a route again");
    }
    return this.#blocked.size === 0;
  }

  /** Removes every route, and the list of them; what cannot be removed stays on it. */
  stop(): void {
    if (this.#wanted.size + this.#held.size === 0) return;
    this.#wanted.clear();
    try {
      for (const [key, route] of this.#held) {
        this.#kernel.remove(plainSpec(route));
        this.#held.delete(key);
      }
      this.#save();
    } catch (error) {
      if (!(error instanceof CulvertError)) throw error;
      this.#log.warn(
        { reason: error.message },
        "routes are left behind; the next start removes them",
      );
    }
  }

  #set(
    route: HostRoute,
    device: number | undefined,
    present: ReadonlyMap<string, PlainRoute>,
    tunnelled: Map<number, Set<string>>,
  ): void {
    const key = routeKey(route);
    if (device !== undefined && !tunnelled.has(device)) {
      tunnelled.set(device, this.#kernel.routesOver(device));
    }
    const replaces = device !== undefined && tunnelled.get(device)?.has(key) === true;
    this.#try(route, () => {
      if (!replaces) return this.#install(route, present);
      this.#kernel.replace(plainSpec(route));
      this.#held.set(key, route);
      return true;
    });
  }

  /** Removes a route, or has the one over a tunnel's device take its place. */
  #give(
    { route, tunnelled }: Extract<RouteMove, { kind: "remove" }>,
    present: ReadonlyMap<string, PlainRoute>,
  ): boolean {
    const key = routeKey(route);
    const own = this.#isOwn(key, present);
    try {
      if (tunnelled === undefined) {
        if (own) this.#kernel.remove(plainSpec(route));
      } else if (own) {
        this.#kernel.replace(tunnelled);
      } else if (!this.#kernel.add(tunnelled)) {
        this.#log.warn(fieldsOf(route, TAKEN), "the route over the tunnel cannot be set");
      }
    } catch (error) {
      if (!(error instanceof CulvertError)) throw error;
      this.#log.warn(fieldsOf(route, error.message), "a route cannot be moved");
      return false;
    }
    this.#wanted.delete(key);
    this.#held.delete(key);
    this.#blocked.delete(key);
    return true;
  }

  #save(): void {
    const coming = [...this.#wanted].filter(([key, route]) => {
      const held = this.#held.get(key);
      return held === undefined || !isSame(held, route);
    });
    this.#state.write([...this.#held.values(), ...coming.map(([, route]) => route)]);
  }

  #present(): Map<string, PlainRoute> {
    return new Map(this.#kernel.ours().map((route) => [routeKey(route), route]));
  }

  /** Whether what is there under our protocol number was set by this daemon. */
  #isOwn(key: string, present: ReadonlyMap<string, PlainRoute>): boolean {
    const there = present.get(key);
    const held = this.#held.get(key);
    return there !== undefined && held !== undefined && isSame(there, held);
  }

  /** Says once what is in the way. */
  #try(route: HostRoute, install: () => boolean): boolean {
    const key = routeKey(route);
    let reason = TAKEN;
    try {
      if (install()) {
        this.#blocked.delete(key);
        return true;
      }
    } catch (error) {
      if (!(error instanceof CulvertError)) throw error;
      reason = error.message;
    }
    if (!this.#blocked.has(key)) {
      this.#blocked.add(key);
      this.#log.warn(fieldsOf(route, reason), "a route cannot be set; it will be tried again");
    }
    return false;
  }

  /** @returns false when something else has its prefix and metric */
  #install(route: HostRoute, present: ReadonlyMap<string, PlainRoute>): boolean {
    const key = routeKey(route);
    if (!present.has(key)) {
      if (!this.#kernel.add(plainSpec(route))) return false;
    } else {
      if (!this.#isOwn(key, present)) return false;
      if (!isSame(route, present.get(key) as PlainRoute)) this.#kernel.replace(plainSpec(route));
    }
    this.#held.set(key, route);
    return true;
  }
}

function conflict(route: HostRoute): CulvertError {
  return new CulvertError(
    "CULVERT_ROUTE_CONFLICT",
    `tunnel ${route.tunnel}: cannot set route ${textOf(route)}: another route has its prefix and metric`,
    {
      hint: `see \`ip route show ${route.to}\`; remove that one, or give ours another \`metric\``,
    },
  );
}
