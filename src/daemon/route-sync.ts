// Reads the routes of ipip tunnels from the kernel: which tunnels, when, in which dump, and again
// when a dump was interrupted or failed. What a route means is tunnel-routes.ts; what else happens
// meanwhile is route-mirror.ts.
//
// One dump at a time. Of a few tunnels each gets its own, which the kernel narrows to the device;
// of many all share one of all routes: the kernel walks every route of the host for each dump.
// Taking over is done in steps, so that others have their turn.

import { setImmediate as nextTurn } from "node:timers/promises";
import type { RouteMessage } from "../netlink/route-messages.js";
import type { DumpEnd } from "../netlink/route-watch.js";
import type { TunnelRoutes } from "./tunnel-routes.js";

/** Routes are read again this long after something that asks for it. */
const SYNC_DELAY_MS = 10;
/** Routes of one tunnel are read again at most this often. */
const SYNC_INTERVAL_MS = 200;
/** Reading takes at most one part in so many of the time ... */
const SYNC_SHARE = 4;
/** ... but the next one never waits longer than this. */
const MAX_PAUSE_MS = 5000;
/** How often a dump that a change interrupted is repeated; what comes last is taken. */
export const MAX_SYNC_ATTEMPTS = 5;
/** More tunnels than these share a dump. */
export const MAX_OWN_DUMPS = 8;
/** Time of one step of taking over what was read. */
const SLICE_MS = 5;

/** Carries out a generator's steps, with other work in between; `isStopped` ends it early. */
export async function inSlices(steps: Generator<void>, isStopped: () => boolean): Promise<void> {
  let end_ms = performance.now() + SLICE_MS;
  while (!isStopped() && steps.next().done !== true) {
    if (performance.now() < end_ms) continue;
    await nextTurn();
    end_ms = performance.now() + SLICE_MS;
  }
}

export interface RouteSyncParts {
  /** Asks the kernel for the routes over one device, 0: all; its answer comes to this class. */
  readonly request: (ifindex: number, family: 4 | 6) => void;
  /** The routes of a tunnel are what the kernel has. */
  readonly onSynced: (routes: TunnelRoutes) => void;
  /** They could not be read; they will be tried again. */
  readonly onFailed: (routes: TunnelRoutes, error: unknown) => void;
}

interface Dump {
  readonly members: ReadonlyMap<number, TunnelRoutes>;
  readonly begun_ms: number;
  family: 4 | 6;
  attempt: number;
  interrupted: boolean;
  /** All is read: it is being taken over. */
  finishing: boolean;
}

export class RouteSync {
  readonly #parts: RouteSyncParts;
  readonly #pending = new Set<TunnelRoutes>();
  /** When a tunnel may be read again. */
  readonly #next_ms = new Map<TunnelRoutes, number>();
  #dump: Dump | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(parts: RouteSyncParts) {
    this.#parts = parts;
  }

  /** @param delay_ms before the first; a later one has to wait for its turn */
  read(routes: TunnelRoutes, delay_ms = SYNC_DELAY_MS): void {
    this.#pending.add(routes);
    this.#arm(delay_ms);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** Is it being read just now? */
  isReading(routes: TunnelRoutes): boolean {
    return this.#dump?.members.get(routes.tunnel.device.ifindex) === routes;
  }

  dumped(route: RouteMessage): void {
    const members = this.#dump?.members;
    if (members === undefined) return;
    const [first] = route.hops;
    if (route.hops.length === 1) {
      members.get(first.ifindex)?.synced(route);
      return;
    }
    for (const ifindex of new Set(route.hops.map((hop) => hop.ifindex))) {
      members.get(ifindex)?.synced(route);
    }
  }

  dumpStarted(): void {
    if (this.#dump === undefined) return;
    for (const routes of this.#dump.members.values()) routes.syncStarted(this.#dump.family);
  }

  dumpEnded(end: DumpEnd): void {
    const dump = this.#dump;
    if (dump === undefined || dump.finishing) return;
    if (end === "failed") {
      this.#abandon(dump, undefined);
      return;
    }
    if (end === "interrupted") dump.interrupted = true;
    if (dump.family === 4 && end !== "no-device") {
      dump.family = 6;
      this.#request(dump);
      return;
    }
    if (dump.interrupted && ++dump.attempt < MAX_SYNC_ATTEMPTS) {
      dump.interrupted = false;
      dump.family = 4;
      for (const routes of dump.members.values()) {
        routes.abandonSync();
        routes.beginSync();
      }
      this.#request(dump);
      return;
    }
    dump.finishing = true;
    void this.#finish(dump);
  }

  /** Answers may have been lost: what was read so far is worth nothing. */
  brokeOff(error: unknown): void {
    const dump = this.#dump;
    if (dump !== undefined && !dump.finishing) this.#abandon(dump, error);
  }

  #arm(delay_ms: number): void {
    if (this.#dump !== undefined || this.#timer !== undefined || this.#stopped) return;
    let next_ms = Number.POSITIVE_INFINITY;
    for (const routes of this.#pending) {
      next_ms = Math.min(next_ms, this.#next_ms.get(routes) ?? 0);
    }
    if (next_ms === Number.POSITIVE_INFINITY) return;
    const wait_ms = Math.max(delay_ms, next_ms - performance.now());
    this.#timer = setTimeout(() => this.#begin(), wait_ms);
  }

  #begin(): void {
    this.#timer = undefined;
    const now_ms = performance.now();
    const due = [...this.#pending].filter(
      (routes) => (this.#next_ms.get(routes) ?? 0) <= now_ms + 1,
    );
    if (due.length === 0) {
      this.#arm(0);
      return;
    }
    const chosen = due.length > MAX_OWN_DUMPS ? due : due.slice(0, 1);
    for (const routes of chosen) {
      this.#pending.delete(routes);
      routes.beginSync();
    }
    const members = new Map(chosen.map((routes) => [routes.tunnel.device.ifindex, routes]));
    const dump: Dump = {
      ...{ members, begun_ms: now_ms, family: 4, attempt: 0 },
      ...{ interrupted: false, finishing: false },
    };
    this.#dump = dump;
    this.#request(dump);
  }

  #request(dump: Dump): void {
    const [only] = dump.members.keys();
    try {
      this.#parts.request(dump.members.size === 1 ? only : 0, dump.family);
    } catch (error) {
      this.#abandon(dump, error);
    }
  }

  #abandon(dump: Dump, error: unknown): void {
    this.#ended(dump);
    for (const routes of dump.members.values()) {
      routes.abandonSync();
      this.#parts.onFailed(routes, error);
      this.read(routes);
    }
  }

  async #finish(dump: Dump): Promise<void> {
    for (const routes of dump.members.values()) {
      await inSlices(routes.finishSync(), () => this.#stopped);
    }
    this.#ended(dump);
    if (this.#stopped) return;
    for (const routes of dump.members.values()) this.#parts.onSynced(routes);
    this.#arm(0);
  }

  #ended(dump: Dump): void {
    this.#dump = undefined;
    const now_ms = performance.now();
    const share_ms = (SYNC_SHARE - 1) * (now_ms - dump.begun_ms);
    const pause_ms = Math.min(MAX_PAUSE_MS, Math.max(SYNC_INTERVAL_MS, share_ms));
    for (const routes of dump.members.values()) this.#next_ms.set(routes, now_ms + pause_ms);
  }
}
