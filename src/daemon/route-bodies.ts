// What a route says beside its prefix: table, metric, next hops. Routes that say the same share one
// object, so 100,000 routes to some hundred gateways need little more than their prefixes. Nothing
// here knows prefixes or changes tables.

import type { AddressWords, RouteHop, RouteMessage } from "../netlink/route-messages.js";
import { RouteTable } from "../netlink/rtnetlink-constants.js";
import type { NextHop } from "../routes/next-hop-groups.js";
import type { OuterHop, OuterHops } from "./outer-hops.js";

export interface BodyHop {
  /** As the kernel has it. */
  readonly given: RouteHop;
  /** Where packets go; undefined: they cannot, or the kernel itself does not use it. */
  outer: OuterHop | undefined;
  problem: "unreachable" | "full" | "dead" | undefined;
}

type Said = "family" | "table" | "metric" | "tos" | "protocol" | "scope";

export interface RouteBody extends Pick<RouteMessage, Said | "source" | "nexthopObject"> {
  readonly key: string;
  /** Over this device only. */
  readonly hops: readonly BodyHop[];
  /** Prefixes that have it. */
  users: number;
  /** The routes of a prefix that has no other. */
  readonly alone: RouteBody[];
}

/** Greatest weight of a next hop in the table (ip-route(8)); two that are one may have more. */
const MAX_WEIGHT = 256;

function keyOf(message: RouteMessage, hops: readonly RouteHop[]): string {
  const { family, table, metric, tos, protocol, scope, source, nexthopObject } = message;
  const texts = hops.map(
    ({ gateway, weight, dead, onlink }) => `${gateway?.join(":")}*${weight}${dead}${onlink}`,
  );
  return `${family} ${table} ${metric} ${tos} ${protocol} ${scope} ${source} ${nexthopObject} ${texts}`;
}

export class RouteBodies {
  /** Prefixes with a next hop that cannot be the outer destination. */
  unreachable = 0;
  /** The last such next hop. */
  lastUnreachable: AddressWords | undefined;
  /** Prefixes whose next hop found no room. */
  full = 0;
  /** Prefixes whose route goes with an address of this host. */
  sourced = 0;
  /** Prefixes whose route uses a nexthop object. */
  nexthopObjects = 0;
  readonly #ifindex: number;
  readonly #outer: OuterHops;
  readonly #bodies = new Map<string, RouteBody>();

  constructor(ifindex: number, outer: OuterHops) {
    this.#ifindex = ifindex;
    this.#outer = outer;
  }

  /** Does a route lead over this device? */
  concerns({ hops }: RouteMessage): boolean {
    return hops.some(({ ifindex }) => ifindex === this.#ifindex);
  }

  /** The body of a route as it is in use. */
  find(message: RouteMessage): RouteBody | undefined {
    return this.#bodies.get(keyOf(message, this.#own(message)));
  }

  /** The body of a route, one use taken; undefined: the route does not lead over this device. */
  acquire(message: RouteMessage): RouteBody | undefined {
    const given = this.#own(message);
    return given.length === 0 ? undefined : this.#acquire(message, given);
  }

  /** The body without those of its next hops that `gone` has; undefined: none is left. */
  without(body: RouteBody, gone: RouteMessage): RouteBody | undefined {
    const left = body.hops
      .map(({ given }) => given)
      .filter((hop) => !gone.hops.some((other) => isSameHop(hop, other)));
    if (left.length === 0) return undefined;
    const { destination, prefixLength } = gone;
    return this.#acquire({ ...body, destination, prefixLength, hops: left }, left);
  }

  /** Looks for room for next hops that found none. @returns whether there was some */
  retry(): boolean {
    if (this.full === 0) return false;
    let found = false;
    for (const body of this.#bodies.values()) {
      const homeless = body.hops.filter(({ problem }) => problem === "full");
      if (homeless.length === 0) continue;
      for (const hop of homeless) {
        const outer = this.#outer.acquire(hop.given.gateway as AddressWords);
        if (typeof outer === "string") return found;
        found = true;
        hop.outer = outer;
        hop.problem = undefined;
      }
      this.full -= body.users;
    }
    return found;
  }

  /** Gives a use back. */
  release(body: RouteBody): void {
    this.#count(body, -1);
    if (body.users > 0) return;
    this.#bodies.delete(body.key);
    for (const { outer } of body.hops) if (outer !== undefined) this.#outer.release(outer);
  }

  #acquire(message: RouteMessage, given: readonly RouteHop[]): RouteBody {
    const key = keyOf(message, given);
    const known = this.#bodies.get(key);
    if (known !== undefined) return this.#used(known);
    const { family, table, metric, tos, protocol, scope, source, nexthopObject } = message;
    const said = { family, table, metric, tos, protocol, scope, source, nexthopObject };
    const hops = given.map((hop) => this.#hop(hop));
    const body: RouteBody = { ...said, key, hops, users: 0, alone: [] };
    body.alone.push(body);
    this.#bodies.set(key, body);
    return this.#used(body);
  }

  #used(body: RouteBody): RouteBody {
    this.#count(body, 1);
    return body;
  }

  #own({ hops }: RouteMessage): RouteHop[] {
    return hops.filter(({ ifindex }) => ifindex === this.#ifindex);
  }

  #hop(given: RouteHop): BodyHop {
    if (given.dead) return { given, outer: undefined, problem: "dead" };
    if (given.gateway === undefined) return { given, outer: this.#outer.only, problem: undefined };
    const outer = this.#outer.acquire(given.gateway);
    if (outer === "unreachable") this.lastUnreachable = given.gateway;
    if (typeof outer === "string") return { given, outer: undefined, problem: outer };
    return { given, outer, problem: undefined };
  }

  #count(body: RouteBody, by: 1 | -1): void {
    body.users += by;
    if (body.source !== undefined) this.sourced += by;
    if (body.nexthopObject) this.nexthopObjects += by;
    if (body.hops.some(({ problem }) => problem === "unreachable")) this.unreachable += by;
    if (body.hops.some(({ problem }) => problem === "full")) this.full += by;
  }
}

const isSameHop = (a: RouteHop, b: RouteHop): boolean =>
  a.ifindex === b.ifindex && a.gateway?.join() === b.gateway?.join();

/**
 * The order of routes with one prefix, the one to use first: the main table's, lowest metric; of
 * others the lower table, and no TOS before any.
 */
export function compareBodies(a: RouteBody, b: RouteBody): number {
  const otherTable = ({ table }: RouteBody): number => (table === RouteTable.main ? 0 : 1);
  const first = otherTable(a) - otherTable(b) || a.metric - b.metric;
  return first || a.table - b.table || a.tos - b.tos;
}

/**
 * What the data plane is told. "nowhere": the kernel uses the route, but packets cannot go to any
 * of its next hops. Undefined: the kernel does not use it either (all next hops are dead) and goes
 * on to the next route, which may be one with a shorter prefix (fib_table_lookup,
 * fib6_table_lookup).
 */
export function nextHopsOf({ hops }: RouteBody): NextHop[] | "nowhere" | undefined {
  const weights = new Map<number, number>();
  for (const { given, outer, problem } of hops) {
    if (problem !== undefined) continue;
    // On the link: such a next hop takes everything, the inner destination decides.
    if (outer === undefined) return [];
    if (outer.looped) continue;
    weights.set(outer.row, Math.min(MAX_WEIGHT, (weights.get(outer.row) ?? 0) + given.weight));
  }
  if (weights.size > 0) return Array.from(weights, ([remote, weight]) => ({ remote, weight }));
  return hops.every(({ problem }) => problem === "dead") ? undefined : "nowhere";
}
