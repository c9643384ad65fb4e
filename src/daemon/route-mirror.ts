// The kernel's routes over the devices of ipip tunnels, whoever set them, mirrored into the
// tunnels' tables: dump, then follow; dump again when something was lost or happened that the
// kernel does not tell. What a route means is tunnel-routes.ts, reading is route-sync.ts; here is
// what asks for it, and what to say about it. Others who live by routes are told of changes.
//
// The kernel does not tell which IPv4 routes go when a link goes down or loses its last address,
// nor any that go with a nexthop object (seen with Linux 6.18): all routes of the device are read
// again then.

import { CulvertError } from "../errors.js";
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
import { inSlices, RouteSync } from "./route-sync.js";
import { RouteWarnings } from "./route-warnings.js";
import type { IpipRuntime, TunnelRuntime } from "./tunnel.js";
import { TunnelRoutes } from "./tunnel-routes.js";

/** Routes that found no room are tried again this often: nobody tells that there is room. */
const RETRY_MS = 1000;

export interface MirrorParts {
  readonly tunnels: readonly TunnelRuntime[];
  readonly peers: Peers;
  readonly rtnl: NetlinkSocket;
  readonly log: Logger;
  /** Told when a route, rule, address or link of this host has changed, whatever it is. */
  readonly onChange?: (() => void) | undefined;
  /** For tests without a kernel. */
  readonly open?: OpenTransport;
}

interface Mirrored {
  readonly routes: TunnelRoutes;
  up: boolean | undefined;
}

export class RouteMirror implements RouteListener {
  readonly #rtnl: NetlinkSocket;
  readonly #open: OpenTransport;
  readonly #onChange: (() => void) | undefined;
  readonly #byIndex = new Map<number, Mirrored>();
  readonly #sync: RouteSync;
  readonly #guard: RecursionGuard;
  readonly #warnings: RouteWarnings;
  #watch: RouteWatch | undefined;
  #retry: NodeJS.Timeout | undefined;
  readonly #reinstalling = new Map<TunnelRoutes, "running" | "again">();
  /** Tunnels that have not been read yet, and who waits for them. */
  readonly #unread = new Set<TunnelRoutes>();
  #started: { resolve: () => void; reject: (error: Error) => void } | undefined;
  #stopped = false;

  constructor({ tunnels, peers, rtnl, log, onChange, open = openWatch }: MirrorParts) {
    this.#rtnl = rtnl;
    this.#open = open;
    this.#onChange = onChange;
    for (const tunnel of tunnels) {
      if (tunnel.type !== "ipip") continue;
      const routes = new TunnelRoutes(tunnel, new OuterHops(tunnel, peers));
      this.#byIndex.set(tunnel.device.ifindex, { routes, up: undefined });
    }
    this.#sync = new RouteSync({
      request: (ifindex, family) => this.#watch?.requestDump(ifindex, family),
      onSynced: (routes) => this.#synced(routes),
      onFailed: (routes, error) => this.#notRead(routes, error),
    });
    // With `dev` the sockets are bound to the underlay: no route through the tunnel is taken.
    const all = [...this.#byIndex.values()]
      .map(({ routes }) => routes)
      .filter(({ tunnel }) => tunnel.config.dev === undefined);
    this.#warnings = new RouteWarnings(log);
    this.#guard = new RecursionGuard(
      all,
      (hop) => this.#deviceTo(hop),
      (routes, hops) => this.#loopsChanged(routes, hops),
    );
  }

  /** Resolves when every route that there is has been mirrored. */
  async start(): Promise<void> {
    if (this.#byIndex.size === 0 && this.#onChange === undefined) return;
    this.#watch = new RouteWatch(this, this.#open);
    if (this.#byIndex.size === 0) return;
    const started = new Promise<void>((resolve, reject) => {
      this.#started = { resolve, reject };
    });
    for (const { routes } of this.#byIndex.values()) {
      this.#unread.add(routes);
      this.#sync.read(routes, 0);
    }
    this.#guard.routesChanged();
    await started;
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#retry);
    this.#sync.stop();
    this.#guard.stop();
    this.#watch?.close();
    this.#watch = undefined;
  }

  of({ device }: IpipRuntime): TunnelRoutes {
    return (this.#byIndex.get(device.ifindex) as Mirrored).routes;
  }

  changed(change: RouteChange, route: RouteMessage): void {
    if (route.nexthopObject && route.hops.length === 0) this.#warnings.withoutNextHops();
    this.otherChange();
    if (change === "replace") {
      // It may have taken the place of one that was ours.
      for (const { routes } of this.#byIndex.values()) {
        if (routes.concerns(route)) routes.change(change, route);
      }
      return;
    }
    const indices = new Set(route.hops.map(({ ifindex }) => ifindex));
    for (const index of indices) this.#byIndex.get(index)?.routes.change(change, route);
  }

  dumped(route: RouteMessage): void {
    this.#sync.dumped(route);
  }

  dumpStarted(): void {
    this.#sync.dumpStarted();
  }

  dumpEnded(end: DumpEnd): void {
    this.#sync.dumpEnded(end);
  }

  link(ifindex: number, up: boolean): void {
    this.otherChange();
    const mirrored = this.#byIndex.get(ifindex);
    if (mirrored === undefined || mirrored.up === up) return;
    mirrored.up = up;
    this.#sync.read(mirrored.routes);
  }

  addressDeleted(ifindex: number): void {
    this.otherChange();
    for (const [index, { routes }] of this.#byIndex) {
      if (index === ifindex || routes.bodies.sourced > 0) this.#sync.read(routes);
    }
  }

  otherChange(): void {
    this.#guard.routesChanged();
    this.#onChange?.();
  }

  nexthopDeleted(): void {
    this.otherChange();
    for (const { routes } of this.#byIndex.values()) {
      if (routes.bodies.nexthopObjects > 0) this.#sync.read(routes);
    }
  }

  overrun(): void {
    this.#warnings.overrun();
    this.#readAll();
    this.otherChange();
  }

  failed(error: unknown): void {
    this.#warnings.failed(error);
    // The end of a dump may be among what was not read.
    this.#sync.brokeOff(error);
    this.#readAll();
    this.otherChange();
  }

  turnEnded(): void {
    this.#guard.checkNew();
    for (const { routes } of this.#byIndex.values()) {
      if (routes.uncertain && !this.#sync.isReading(routes)) this.#sync.read(routes);
      if (routes.crowdedOut > 0) this.#retrySoon();
      this.#warnings.look(routes);
    }
  }

  #readAll(): void {
    for (const { routes } of this.#byIndex.values()) this.#sync.read(routes);
  }

  #synced(routes: TunnelRoutes): void {
    this.#unread.delete(routes);
    this.turnEnded();
    if (this.#unread.size > 0) return;
    this.#started?.resolve();
    this.#started = undefined;
  }

  #notRead({ tunnel }: TunnelRoutes, error: unknown): void {
    if (error !== undefined) this.#warnings.failed(error);
    this.#started?.reject(
      new CulvertError("CULVERT_NETLINK", `cannot list the routes over ${tunnel.config.name}`, {
        hint: "see `ip route show table all` and `dmesg` for what the kernel means",
        cause: error,
      }),
    );
  }

  #retrySoon(): void {
    if (this.#stopped) return;
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      for (const { routes } of this.#byIndex.values()) {
        if (routes.retry()) void this.#reinstall(routes);
      }
      this.turnEnded();
    }, RETRY_MS).unref();
  }

  #deviceTo({ address }: OuterHop): number | undefined {
    try {
      return getRoute(this.#rtnl, textOf(address)).ifindex;
    } catch (error) {
      // No way there at all, or one that the kernel refuses: packets to it fail, they do not loop.
      if (error instanceof CulvertError) return undefined;
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
      await inSlices(routes.reinstall(), () => this.#stopped);
    } while (this.#reinstalling.get(routes) === "again" && !this.#stopped);
    this.#reinstalling.delete(routes);
    // What is not installed any more may have hidden what else leads into the tunnel.
    if (!this.#stopped) this.#guard.routesChanged();
  }
}
