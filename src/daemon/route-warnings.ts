// What the log has of mirrored routes that cannot be used: each kind at once, then at most once a
// minute, with its cure.

import type { Logger } from "../telemetry/log.js";
import { formatIp } from "../wire/ip-address.js";
import { textOf } from "./addresses.js";
import type { OuterHop } from "./outer-hops.js";
import { recursionCure } from "./recursion-guard.js";
import { MAX_ROUTES } from "./tunnel.js";
import type { TunnelRoutes } from "./tunnel-routes.js";

const INTERVAL_MS = 60_000;
/** Next hops that one line names. */
const NAMED = 8;

export class RouteWarnings {
  readonly #log: Logger;
  readonly #now_ms: () => number;
  /** When a kind of thing may be said again. */
  readonly #next_ms = new Map<string, number>();
  /** Routes with unreachable next hops when that was said last, by tunnel. */
  readonly #unreachable = new Map<TunnelRoutes, number>();

  constructor(log: Logger, now_ms = () => performance.now()) {
    this.#log = log;
    this.#now_ms = now_ms;
  }

  /** Says what is wrong with a tunnel's routes, as far as it has become more. */
  look(routes: TunnelRoutes): void {
    const { crowdedOut, bodies, tunnel } = routes;
    const { name } = tunnel.config;
    const known = this.#unreachable.get(routes) ?? 0;
    if (bodies.unreachable > known && this.#due(`unreachable ${name}`)) {
      const next_hop = bodies.lastUnreachable && formatIp(...bodies.lastUnreachable);
      const fields = { tunnel: name, routes: bodies.unreachable, next_hop };
      const family = textOf(tunnel.local).includes(":") ? 6 : 4;
      this.#log.warn(
        fields,
        `unreachable next hop: packets leave as IPv${family}, to a unicast address: such routes are not used`,
      );
      this.#unreachable.set(routes, bodies.unreachable);
    } else if (bodies.unreachable < known) this.#unreachable.set(routes, bodies.unreachable);
    if (crowdedOut > 0 && this.#due(`full ${name}`)) {
      this.#log.warn(
        { tunnel: name, routes: crowdedOut },
        `more routes, next hops or sets of them than there is room for (${MAX_ROUTES} routes of each family): ` +
          "some are not used; announce fewer, larger prefixes",
      );
    }
  }

  /** Next hops lead into the tunnel itself, or do so no longer. */
  loops(routes: TunnelRoutes, hops: readonly OuterHop[]): void {
    const { name } = routes.tunnel.config;
    for (const looped of [true, false]) {
      const some = hops
        .filter((hop) => hop.looped === looped)
        .map(({ address }) => textOf(address));
      if (some.length === 0) continue;
      const fields = { tunnel: name, next_hops: some.slice(0, NAMED), count: some.length };
      if (looped) {
        const cure = recursionCure(name, some[0]);
        this.#log.warn(
          fields,
          `next hops are reached through the tunnel itself: not used; ${cure}`,
        );
      } else {
        this.#log.info(fields, "next hops are reached over the underlay again: used");
      }
    }
  }

  /** The kernel tells routes by number of their nexthop object alone. */
  withoutNextHops(): void {
    if (!this.#due("nexthop objects")) return;
    this.#log.warn(
      {},
      "routes with nexthop objects cannot be followed: set net.ipv4.nexthop_compat_mode to 1",
    );
  }

  overrun(): void {
    if (this.#due("overrun")) this.#log.info({}, "too many changes of routes: reading all again");
  }

  failed(error: unknown): void {
    if (this.#due("failed")) this.#log.error({ err: error }, "cannot follow routes: reading all");
  }

  #due(what: string): boolean {
    const now_ms = this.#now_ms();
    if (now_ms < (this.#next_ms.get(what) ?? 0)) return false;
    this.#next_ms.set(what, now_ms + INTERVAL_MS);
    return true;
  }
}
