// The kernel's routes over the device of one ipip tunnel, and which of them the data plane uses.
//
// Theory of operation. Of each prefix the routes are kept in the order in which the kernel would
// use them (compareBodies; among equals its own order); the first that has a usable next hop stands
// in the tunnel's table. Where there is none but the kernel uses one of them all the same, the
// table says that the prefix leads nowhere: a shorter one is no substitute. Changes come one by one
// (`change`), or all anew: `beginSync`, `synced` for each route of a dump, then `finishSync`, which
// makes the difference in steps. In between `change` keeps both the old and the new state up to
// date.
// Memory: a prefix is a number (IPv4) or a string of 18 bytes (IPv6) in a Map, what its route says
// is shared (route-bodies.ts).
// Limits: MAX_ROUTES prefixes of each family, MAX_ROUTES_PER_PREFIX. What is beyond is counted.

import type { AddressWords, RouteMessage } from "../netlink/route-messages.js";
import type { RouteChange } from "../netlink/route-watch.js";
import type { NextHop } from "../routes/next-hop-groups.js";
import { TABLE_FULL } from "../shared-memory/table-result.js";
import type { IpPrefix } from "../wire/ip-address.js";
import type { OuterHop, OuterHops } from "./outer-hops.js";
import { compareBodies, nextHopsOf, RouteBodies, type RouteBody } from "./route-bodies.js";
import { type IpipRuntime, MAX_ROUTES } from "./tunnel.js";

/** Routes of one prefix: of several tables, metrics, TOS. */
export const MAX_ROUTES_PER_PREFIX = 16;
/** Prefixes that `retry` tries in vain before it leaves the others for the next time. */
const MAX_VAIN = 64;
/** Prefixes that `finishSync` and `reinstall` handle before they let others go on. */
const STEP_PREFIXES = 1000;

type Key = number | string;
type Bodies = readonly RouteBody[];
type Routes = Map<Key, Bodies>;

/** All routes, read anew. */
interface Sync {
  readonly routes: Routes;
  /** Families whose answer has begun: changes from then on concern `routes` as well. */
  readonly begun: Set<4 | 6>;
  /** Prefixes for which `routes` has been taken over; undefined: not yet at that. */
  settled: Set<Key> | undefined;
}

export interface MirroredRoute {
  readonly prefix: IpPrefix;
  /** The route in use, or the first of those that cannot be used. */
  readonly body: RouteBody;
}

const LENGTHS = 64;
const NONE: Bodies = [];

function keyOf(family: 4 | 6, words: AddressWords, length: number): Key {
  if (family === 4) return words[3] * LENGTHS + length;
  const halves = words.flatMap((word) => [word >>> 16, word & 0xffff]);
  return String.fromCharCode(...halves, length);
}

function prefixOfKey(key: Key): IpPrefix {
  if (typeof key === "number") {
    const ip = { w0: 0, w1: 0, w2: 0xffff, w3: Math.floor(key / LENGTHS) };
    return { ip, length: key % LENGTHS, family: 4 };
  }
  const word = (at: number) => key.charCodeAt(at) * 0x10000 + key.charCodeAt(at + 1);
  const ip = { w0: word(0), w1: word(2), w2: word(4), w3: word(6) };
  return { ip, length: key.charCodeAt(8), family: 6 };
}

export class TunnelRoutes {
  readonly tunnel: IpipRuntime;
  readonly outer: OuterHops;
  readonly bodies: RouteBodies;
  /** Routes beyond MAX_ROUTES or MAX_ROUTES_PER_PREFIX since all were read last. */
  #beyond = 0;
  /** A change could not be followed exactly: all should be read again. */
  uncertain = false;
  readonly #routes: Routes = new Map();
  readonly #prefixes = { 4: 0, 6: 0 };
  /** Prefixes none of whose routes can be used. */
  readonly #unused = new Set<Key>();
  /** Prefixes for which the table had no room. */
  readonly #full = new Set<Key>();
  /** Uses of bodies to be given back. */
  readonly #dropped: RouteBody[] = [];
  #sync: Sync | undefined;

  constructor(tunnel: IpipRuntime, outer: OuterHops) {
    this.tunnel = tunnel;
    this.outer = outer;
    this.bodies = new RouteBodies(tunnel.device.ifindex, outer);
  }

  /** Prefixes that have a route, usable or not. */
  get count(): number {
    return this.#routes.size;
  }

  /** Prefixes that have no usable route. */
  get unused(): number {
    return this.#unused.size;
  }

  /** Routes for which there was no room: of themselves, their next hops, or sets of those. */
  get crowdedOut(): number {
    return this.#beyond + this.#full.size + this.bodies.full;
  }

  /** Every prefix with a route; may be read bit by bit while routes change. */
  *list(): IterableIterator<MirroredRoute> {
    for (const [key, bodies] of this.#routes) {
      const body = usable(bodies) ?? bodies[0];
      yield { prefix: prefixOfKey(key), body };
    }
  }

  /** Can a change be one of ours, or have taken the place of one? */
  concerns(message: RouteMessage): boolean {
    if (this.bodies.concerns(message)) return true;
    if (this.#routes.size === 0 && this.#sync === undefined) return false;
    const key = keyOf(message.family, message.destination, message.prefixLength);
    return this.#routes.has(key) || this.#sync?.routes.has(key) === true;
  }

  /** What the kernel did to one route of this host, over this device or another. */
  change(change: RouteChange, message: RouteMessage): void {
    const { family, destination, prefixLength } = message;
    const key = keyOf(family, destination, prefixLength);
    const sync = this.#sync;
    if (sync?.settled !== undefined) this.#settle(key);
    else if (sync?.begun.has(family) === true) {
      const after = this.#changed(sync.routes.get(key) ?? NONE, change, message);
      if (after.length === 0) sync.routes.delete(key);
      else sync.routes.set(key, after);
    }
    const before = this.#routes.get(key) ?? NONE;
    const after = this.#changed(before, change, message);
    if (after !== before) this.#store(key, after);
    this.#flush();
  }

  beginSync(): void {
    this.#sync = { routes: new Map(), begun: new Set(), settled: undefined };
    this.#beyond = 0;
    this.uncertain = false;
  }

  /** What is told from now on came after the state that `synced` tells. */
  syncStarted(family: 4 | 6): void {
    this.#sync?.begun.add(family);
  }

  synced(message: RouteMessage): void {
    const routes = this.#sync?.routes;
    if (routes === undefined) return;
    const key = keyOf(message.family, message.destination, message.prefixLength);
    const after = this.#changed(routes.get(key) ?? NONE, "append", message);
    if (after.length > 0) routes.set(key, after);
    this.#flush();
  }

  /** Takes over what was read; each step of the generator may be followed by other work. */
  *finishSync(): Generator<void> {
    const sync = this.#sync;
    if (sync === undefined) return;
    sync.settled = new Set();
    let steps = 0;
    for (const routes of [this.#routes, sync.routes]) {
      for (const key of routes.keys()) {
        this.#settle(key);
        if (++steps % STEP_PREFIXES === 0) yield;
      }
    }
    this.#sync = undefined;
  }

  /** The dump failed: what there was stays. */
  abandonSync(): void {
    const routes = this.#sync?.routes.values() ?? [];
    this.#sync = undefined;
    for (const bodies of routes) this.#dropped.push(...bodies);
    this.#flush();
    this.uncertain = true;
  }

  /** Tells the table again what is usable, after next hops became so or ceased to be. */
  *reinstall(): Generator<void> {
    let steps = 0;
    for (const [key, bodies] of this.#routes) {
      this.#install(key, bodies);
      if (++steps % STEP_PREFIXES === 0) yield;
    }
  }

  /**
   * Tries again what found no room.
   * @returns whether next hops found some, so that `reinstall` is due
   */
  retry(): boolean {
    let vain = 0;
    for (const key of [...this.#full]) {
      this.#install(key, this.#routes.get(key) ?? NONE);
      if (this.#full.has(key) && ++vain === MAX_VAIN) break;
    }
    return this.bodies.retry();
  }

  /** Can the kernel route `hop` over this device? If not, there is no need to ask it. */
  mayCover(hop: OuterHop): boolean {
    if (hop.looped || this.#unused.size > 0) return true;
    return this.tunnel.routes.match(hop.address) !== undefined;
  }

  /** The routes of a prefix after a change; uses of bodies move with them. */
  #changed(before: Bodies, change: RouteChange, message: RouteMessage): Bodies {
    if (change === "delete") return this.#deleted(before, message);
    const same = before.filter((other) => isRival(other, message));
    let after = before;
    if (change === "replace" && same.length > 0) {
      // The kernel replaces the first of its equals; those over other devices are not known here.
      if (same.length > 1 || !this.bodies.concerns(message)) this.uncertain = true;
      after = this.#without(before, same[0]);
    } else if (message.family === 6) {
      // Equals with gateways are one route of several next hops, and all of them are told.
      const sibling = same.find((other) => haveGateways(other, message));
      if (sibling !== undefined) after = this.#without(before, sibling);
    }
    const body = this.bodies.acquire(message);
    if (body === undefined) return after;
    if (after.includes(body)) {
      this.#dropped.push(body);
      return after;
    }
    if (after.length >= MAX_ROUTES_PER_PREFIX) {
      this.#beyond++;
      this.#dropped.push(body);
      return after;
    }
    return inserted(after, body, change === "append");
  }

  #deleted(before: Bodies, message: RouteMessage): Bodies {
    const exact = this.bodies.find(message);
    if (exact !== undefined && before.includes(exact)) return this.#without(before, exact);
    const rival = before.find((other) => isRival(other, message));
    if (rival === undefined || !this.bodies.concerns(message)) return before;
    if (message.family === 4) {
      this.uncertain = true;
      return before;
    }
    const rest = this.bodies.without(rival, message);
    const after = this.#without(before, rival);
    return rest === undefined ? after : inserted(after, rest, true);
  }

  #without(bodies: Bodies, body: RouteBody): Bodies {
    this.#dropped.push(body);
    return bodies.filter((other) => other !== body);
  }

  /** Gives uses back, after the table has been told: nothing points to a row that becomes free. */
  #flush(): void {
    for (const body of this.#dropped) this.bodies.release(body);
    this.#dropped.length = 0;
  }

  /** Takes over what was read for a prefix, once. */
  #settle(key: Key): void {
    const { routes, settled } = this.#sync ?? {};
    if (settled === undefined || settled.has(key)) return;
    settled.add(key);
    this.#dropped.push(...(this.#routes.get(key) ?? NONE));
    this.#store(key, routes?.get(key) ?? NONE);
    this.#flush();
  }

  #store(key: Key, bodies: Bodies): void {
    const family = typeof key === "number" ? 4 : 6;
    const known = this.#routes.has(key);
    if (bodies.length === 0) {
      if (!known) return;
      this.#routes.delete(key);
      this.#prefixes[family]--;
      // Somebody else may have its place now.
      if (this.#beyond > 0) this.uncertain = true;
    } else if (!known) {
      if (this.#prefixes[family] >= MAX_ROUTES) {
        this.#beyond++;
        this.#dropped.push(...bodies);
        return;
      }
      this.#prefixes[family]++;
    }
    if (bodies.length > 0) this.#routes.set(key, bodies);
    this.#install(key, bodies);
  }

  #install(key: Key, bodies: Bodies): void {
    const prefix = prefixOfKey(key);
    const table = this.tunnel.routes;
    const hops = tableHops(bodies);
    const usable = Array.isArray(hops) ? hops : undefined;
    let full = usable !== undefined && table.set({ prefix, hops: usable }) === TABLE_FULL;
    if (full) {
      // What it had until now may have been the last use of a set of next hops.
      table.delete(prefix);
      full = table.set({ prefix, hops: usable }) === TABLE_FULL;
    }
    if (usable === undefined || full) this.#leadNowhere(prefix, hops !== undefined);
    // Behind all others: each has its turn.
    this.#full.delete(key);
    if (full) this.#full.add(key);
    if (bodies.length > 0 && (usable === undefined || full)) this.#unused.add(key);
    else this.#unused.delete(key);
  }

  /** A route that cannot be used still hides shorter ones, as in the kernel, where there is room. */
  #leadNowhere(prefix: IpPrefix, hides: boolean): void {
    const table = this.tunnel.routes;
    if (!hides || table.set({ prefix, hops: undefined }) === TABLE_FULL) table.delete(prefix);
  }
}

/** Of one prefix and rank: the kernel holds one in place of the other, or both in its own order. */
function isRival(body: RouteBody, { table, metric, tos }: RouteMessage): boolean {
  return body.table === table && body.metric === metric && body.tos === tos;
}

function haveGateways(body: RouteBody, message: RouteMessage): boolean {
  const all = [...body.hops.map(({ given }) => given), ...message.hops];
  return all.every(({ gateway }) => gateway !== undefined);
}

/** In its place; among equals last or first. */
function inserted(bodies: Bodies, body: RouteBody, last: boolean): Bodies {
  if (bodies.length === 0) return body.alone;
  const at = bodies.findIndex((other) => {
    const order = compareBodies(body, other);
    return order < 0 || (order === 0 && !last);
  });
  return at < 0 ? [...bodies, body] : [...bodies.slice(0, at), body, ...bodies.slice(at)];
}

/** What stands in the table, as `nextHopsOf` has it. */
function tableHops(bodies: Bodies): NextHop[] | "nowhere" | undefined {
  let hops: "nowhere" | undefined;
  for (const body of bodies) {
    const own = nextHopsOf(body);
    if (Array.isArray(own)) return own;
    hops ??= own;
  }
  return hops;
}

/** The first that can be used. */
function usable(bodies: Bodies): RouteBody | undefined {
  return bodies.find((body) => Array.isArray(nextHopsOf(body)));
}
