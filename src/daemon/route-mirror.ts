// The kernel's routes over the devices of ipip tunnels, whoever set them, mirrored into the
// tunnels' tables: dump, then follow; dump again when something was lost or happened that the
// kernel does not tell. What a route means is tunnel-routes.ts; here is when to read them, and what
// to say about it.
//
// The kernel does not tell which IPv4 routes go when a link goes down or loses its last address,
// nor any that go with a nexthop object (seen with Linux 6.18): all routes of the device are read
// again then. Reading and taking over is done in steps, so that others have their turn.

import { setImmediate as nextTurn } from "node:timers/promises";
import { CulvertError } from "../errors.js";
import { hasCode } from "../netlink/errors.js";
import { openWatch } from "../netlink/native-transport.js";
import type { NetlinkSocket } from "../netlink/netlink-socket.js";
import type { RouteMessage } from "../netlink/route-messages.js";
import {
  type DumpEnd,
  type OpenTransport,
  type RouteChange,
  type RouteListener,
  RouteWatch,
} from "../netlink/route-watch.js";
import { getRoute } from "../netlink/routes.js";
import type { Logger } from "../telemetry/log.js";
import { textOf } from "./addresses.js";
import { type OuterHop, OuterHops } from "./outer-hops.js";
import type { Peers } from "./peers.js";
import { RecursionGuard } from "./recursion-guard.js";
import { RouteWarnings } from "./route-warnings.js";
import type { IpipRuntime, TunnelRuntime } from "./tunnel.js";
import { TunnelRoutes } from "./tunnel-routes.js";

/** Routes are read again this long after something that asks for it. */
const SYNC_DELAY_MS = 10;
/** Routes of one tunnel are read again at most this often. */
const SYNC_INTERVAL_MS = 200;
/** How often a dump that a change interrupted is repeated; what comes last is taken. */
export const MAX_SYNC_ATTEMPTS = 5;
/** Time of one step of taking over what was read. */
const SLICE_MS = 5;

export interface MirrorParts {
  readonly tunnels: readonly TunnelRuntime[];
  readonly peers: Peers;
  readonly rtnl: NetlinkSocket;
  readonly log: Logger;
  /** For tests without a kernel. */
  readonly open?: OpenTransport;
}

interface Mirrored {
  readonly routes: TunnelRoutes;
  up: boolean | undefined;
  /** When it may be read again. */
  next_ms: number;
}

/** A tunnel whose routes are being read. */
interface Sync {
  readonly mirrored: Mirrored;
  family: 4 | 6;
  attempt: number;
  interrupted: boolean;
}

export class RouteMirror implements RouteListener {
  readonly #rtnl: NetlinkSocket;
  readonly #open: OpenTransport;
  readonly #byIndex = new Map<number, Mirrored>();
  readonly #guard: RecursionGuard;
  readonly #warnings: RouteWarnings;
  #watch: RouteWatch | undefined;
  #sync: Sync | undefined;
  readonly #pending = new Set<Mirrored>();
  #timer: NodeJS.Timeout | undefined;
  readonly #reinstalling = new Map<TunnelRoutes, "running" | "again">();
  /** Tunnels that have not been read yet, and who waits for them. */
  readonly #unread = new Set<Mirrored>();
  #started: { resolve: () => void; reject: (error: Error) => void } | undefined;
  #stopped = false;

  constructor({ tunnels, peers, rtnl, log, open = openWatch }: MirrorParts) {
    this.#rtnl = rtnl;
    this.#open = open;
    for (const tunnel of tunnels) {
      if (tunnel.type !== "ipip") continue;
      const routes = new TunnelRoutes(tunnel, new OuterHops(tunnel, peers));
      this.#byIndex.set(tunnel.device.ifindex, { routes, up: undefined, next_ms: 0 });
    }
    const all = [...this.#byIndex.values()].map(({ routes }) => routes);
    this.#warnings = new RouteWarnings(log);
    this.#guard = new RecursionGuard(
      all,
      (hop) => this.#deviceTo(hop),
      (routes, hops) => this.#loopsChanged(routes, hops),
    );
  }

  /** Resolves when every route that there is has been mirrored. */
  async start(): Promise<void> {
    if (this.#byIndex.size === 0) return;
    this.#watch = new RouteWatch(this, this.#open);
    for (const mirrored of this.#byIndex.values()) this.#unread.add(mirrored);
    const started = new Promise<void>((resolve, reject) => {
      this.#started = { resolve, reject };
    });
    this.#readAll();
    this.#guard.routesChanged();
    await started;
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#guard.stop();
    this.#watch?.close();
    this.#watch = undefined;
  }

  of({ device }: IpipRuntime): TunnelRoutes {
    return (this.#byIndex.get(device.ifindex) as Mirrored).routes;
  }

  changed(change: RouteChange, route: RouteMessage): void {
    if (route.nexthopObject && route.hops.length === 0) this.#warnings.withoutNextHops();
    this.#guard.routesChanged();
    if (change === "replace") {
      // It may have taken the place of one that was ours.
      for (const { routes } of this.#byIndex.values()) routes.change(change, route);
      return;
    }
    const indices = new Set(route.hops.map(({ ifindex }) => ifindex));
    for (const index of indices) this.#byIndex.get(index)?.routes.change(change, route);
  }

  dumped(route: RouteMessage): void {
    this.#sync?.mirrored.routes.synced(route);
  }

  dumpStarted(): void {
    const sync = this.#sync;
    if (sync !== undefined) sync.mirrored.routes.syncStarted(sync.family);
  }

  dumpEnded(end: DumpEnd): void {
    const sync = this.#sync;
    if (sync === undefined) return;
    const { routes } = sync.mirrored;
    if (end === "failed") {
      this.#abandon(sync);
      return;
    }
    if (end === "interrupted") sync.interrupted = true;
    if (sync.family === 4 && end !== "no-device") {
      sync.family = 6;
      this.#request(sync);
      return;
    }
    if (sync.interrupted && ++sync.attempt < MAX_SYNC_ATTEMPTS) {
      sync.interrupted = false;
      sync.family = 4;
      routes.abandonSync();
      routes.beginSync();
      this.#request(sync);
      return;
    }
    void this.#finish(sync);
  }

  link(ifindex: number, up: boolean): void {
    this.#guard.routesChanged();
    const mirrored = this.#byIndex.get(ifindex);
    if (mirrored === undefined || mirrored.up === up) return;
    mirrored.up = up;
    this.#readSoon(mirrored);
  }

  addressDeleted(ifindex: number): void {
    this.#guard.routesChanged();
    for (const [index, mirrored] of this.#byIndex) {
      if (index === ifindex || mirrored.routes.bodies.sourced > 0) this.#readSoon(mirrored);
    }
  }

  nexthopDeleted(): void {
    for (const mirrored of this.#byIndex.values()) {
      if (mirrored.routes.bodies.nexthopObjects > 0) this.#readSoon(mirrored);
    }
  }

  overrun(): void {
    this.#warnings.overrun();
    this.#readAll();
    this.#guard.routesChanged();
  }

  failed(error: unknown): void {
    this.#warnings.failed(error);
    this.#readAll();
  }

  turnEnded(): void {
    this.#guard.checkNew();
    for (const mirrored of this.#byIndex.values()) {
      if (mirrored.routes.uncertain && this.#sync?.mirrored !== mirrored) this.#readSoon(mirrored);
      this.#warnings.look(mirrored.routes);
    }
  }

  #readAll(): void {
    for (const mirrored of this.#byIndex.values()) this.#readSoon(mirrored);
  }

  #readSoon(mirrored: Mirrored): void {
    this.#pending.add(mirrored);
    this.#arm();
  }

  #arm(): void {
    if (this.#sync !== undefined || this.#timer !== undefined || this.#stopped) return;
    let next_ms = Number.POSITIVE_INFINITY;
    for (const mirrored of this.#pending) next_ms = Math.min(next_ms, mirrored.next_ms);
    if (next_ms === Number.POSITIVE_INFINITY) return;
    const delay_ms = this.#started === undefined ? SYNC_DELAY_MS : 0;
    const wait_ms = Math.max(delay_ms, next_ms - performance.now());
    this.#timer = setTimeout(() => this.#begin(), wait_ms);
  }

  #begin(): void {
    this.#timer = undefined;
    const now_ms = performance.now();
    const mirrored = [...this.#pending].find(({ next_ms }) => next_ms <= now_ms + 1);
    if (mirrored === undefined) {
      this.#arm();
      return;
    }
    this.#pending.delete(mirrored);
    this.#sync = { mirrored, family: 4, attempt: 0, interrupted: false };
    mirrored.routes.beginSync();
    this.#request(this.#sync);
  }

  #request({ mirrored, family }: Sync): void {
    try {
      this.#watch?.requestDump(mirrored.routes.tunnel.device.ifindex, family);
    } catch (error) {
      this.#warnings.failed(error);
      this.dumpEnded("failed");
    }
  }

  #abandon({ mirrored }: Sync): void {
    mirrored.routes.abandonSync();
    this.#sync = undefined;
    mirrored.next_ms = performance.now() + SYNC_INTERVAL_MS;
    const { name } = mirrored.routes.tunnel.config;
    this.#started?.reject(
      new CulvertError("CULVERT_NETLINK", `cannot list the routes over ${name}`, {
        hint: "see `ip route show table all` and `dmesg` for what the kernel means",
      }),
    );
    this.#readSoon(mirrored);
  }

  async #finish(sync: Sync): Promise<void> {
    const { mirrored } = sync;
    await this.#inSlices(mirrored.routes.finishSync());
    this.#sync = undefined;
    mirrored.next_ms = performance.now() + SYNC_INTERVAL_MS;
    if (this.#stopped) return;
    this.turnEnded();
    this.#unread.delete(mirrored);
    if (this.#unread.size === 0) {
      this.#started?.resolve();
      this.#started = undefined;
    }
    this.#arm();
  }

  async #inSlices(steps: Generator<void>): Promise<void> {
    let end_ms = performance.now() + SLICE_MS;
    while (!this.#stopped && steps.next().done !== true) {
      if (performance.now() < end_ms) continue;
      await nextTurn();
      end_ms = performance.now() + SLICE_MS;
    }
  }

  #deviceTo({ address }: OuterHop): number | undefined {
    try {
      return getRoute(this.#rtnl, textOf(address)).ifindex;
    } catch (error) {
      // No way there at all, or one that the kernel refuses: packets to it fail, they do not loop.
      if (error instanceof CulvertError && !hasCode(error, "CULVERT_NETLINK_TIMEOUT")) {
        return undefined;
      }
      throw error;
    }
  }

  #loopsChanged(routes: TunnelRoutes, hops: readonly OuterHop[]): void {
    this.#warnings.loops(routes, hops);
    void this.#reinstall(routes);
  }

  async #reinstall(routes: TunnelRoutes): Promise<void> {
    if (this.#reinstalling.has(routes)) {
      this.#reinstalling.set(routes, "again");
      return;
    }
    do {
      this.#reinstalling.set(routes, "running");
      await this.#inSlices(routes.reinstall());
    } while (this.#reinstalling.get(routes) === "again" && !this.#stopped);
    this.#reinstalling.delete(routes);
    // What is not installed any more may have hidden what else leads into the tunnel.
    if (!this.#stopped) this.#guard.routesChanged();
  }
}
