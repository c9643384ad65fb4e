// Routes of a kernel, in memory, for tests of what is decided about them: a main table by prefix and
// metric, as the kernel tells routes apart, and ways to addresses that a test sets.

import {
  type PlainRoute,
  type RouteKernel,
  routeKey,
  type Way,
} from "../../../src/daemon/kernel-routes.js";
import type { RouteSpec } from "../../../src/netlink/routes.js";

export const ETH0 = 2;
export const TUN0 = 10;
const CULVERT = 94;

export class MemoryKernel implements RouteKernel {
  /** By prefix and metric. */
  readonly table = new Map<string, RouteSpec>();
  readonly ways = new Map<string, Way>();
  /** What was asked to be changed, in order. */
  readonly changes: string[] = [];
  /** Thrown by the next change. */
  failure: Error | undefined;

  way(address: string): Way | undefined {
    return this.ways.get(address);
  }

  /** Says that `address` is on the link of eth0, or behind a gateway there. */
  reach(address: string, gateway?: string): void {
    this.ways.set(address, { ifindex: ETH0, dev: "eth0", own: false, gateway });
  }

  ours(): PlainRoute[] {
    const own = [...this.table.values()].filter(({ protocol }) => protocol === CULVERT);
    return own.map(({ to, via = "", ifindex, metric = 0, source }) => ({
      ...{ to, via, ifindex, metric, source },
    }));
  }

  routesOver(device: number): Set<string> {
    const over = [...this.table].filter(([, { ifindex }]) => ifindex === device);
    return new Set(over.map(([key]) => key));
  }

  add(route: RouteSpec): boolean {
    this.#change("add", route);
    if (this.table.has(keyOf(route))) return false;
    this.table.set(keyOf(route), route);
    return true;
  }

  replace(route: RouteSpec): void {
    this.#change("replace", route);
    this.table.set(keyOf(route), route);
  }

  remove(route: RouteSpec): void {
    this.#change("remove", route);
    const there = this.table.get(keyOf(route));
    const same = there?.protocol === route.protocol && there?.via === route.via;
    if (same) this.table.delete(keyOf(route));
  }

  #change(verb: string, { to, via, ifindex }: RouteSpec): void {
    const { failure } = this;
    this.failure = undefined;
    if (failure !== undefined) throw failure;
    this.changes.push(`${verb} ${to} via ${via} dev ${ifindex}`);
  }
}

const keyOf = ({ to, metric = 0 }: RouteSpec): string => routeKey({ to, metric });
