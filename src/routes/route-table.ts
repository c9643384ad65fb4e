// Routes of one IPIP tunnel: longest-prefix match from inner destination, IPv4 or IPv6, to next
// hop. It decides nothing: what "no next hop" means for the outer destination is up to forwarding,
// and which of the kernel's routes stand here is up to the daemon.
//
// A lookup gives one number: a row of the remote table, the handle of several next hops (`pick`),
// ON_LINK or NO_ROUTE. One thread writes; readers never wait, and what they see is what the route
// had as its next hops at some moment of the lookup.
import assert from "node:assert/strict";
import { MAX_REMOTES } from "../shared-memory/limits.js";
import {
  TABLE_FULL,
  TABLE_INVALID,
  TABLE_NOT_FOUND,
  TABLE_OK,
  type TableResult,
} from "../shared-memory/table-result.js";
import { type IpAddress, type IpPrefix, isIpv4, prefixHasHostBits } from "../wire/ip-address.js";
import {
  type NextHop,
  NextHopGroups,
  type NextHopGroupsState,
  NextHopReader,
  OUTDATED,
} from "./next-hop-groups.js";
import { NOT_COVERED, PrefixReader, type PrefixTableState } from "./prefix-reader.js";
import { type PrefixEntry, PrefixTable } from "./prefix-table.js";

/** `lookup`: no route covers the destination, or the longest that does leads nowhere. */
export const NO_ROUTE = -1;
/** `lookup`: the route has no next hop: the destination is reached directly. */
export const ON_LINK = -2;
/** `lookup`: from here on a group of next hops, of which `pick` chooses. */
export const FIRST_GROUP = 0x8000;

/** In the table: a group's handle; below, what `lookup` gives, so much higher. */
const STORED_ABOVE = 2;
const STORED_ON_LINK = ON_LINK + STORED_ABOVE;
const STORED_NOWHERE = NO_ROUTE + STORED_ABOVE;
assert(MAX_REMOTES + STORED_ABOVE <= FIRST_GROUP);
const ADDRESS_BITS = { 4: 32, 6: 128 } as const;
/** Times that `pick` looks for the route again because its group had just been given up. */
const ATTEMPTS = 8;

export interface RouteEntry {
  readonly prefix: IpPrefix;
  /**
   * None: the destination is reached directly. Undefined: the route leads nowhere; it keeps packets
   * from those with shorter prefixes.
   */
  readonly hops: readonly NextHop[] | undefined;
}

export interface RouteTableState {
  readonly ipv4: PrefixTableState;
  readonly ipv6: PrefixTableState;
  readonly groups: NextHopGroupsState;
}

/** The readers' side: any thread. */
export class RouteReader {
  readonly #ipv4: PrefixReader;
  readonly #ipv6: PrefixReader;
  readonly #groups: NextHopReader;
  /** Of the last lookup. */
  #family: 4 | 6 = 4;

  constructor({ ipv4, ipv6, groups }: RouteTableState) {
    this.#ipv4 = new PrefixReader(ipv4);
    this.#ipv6 = new PrefixReader(ipv6);
    this.#groups = new NextHopReader(groups);
  }

  /** Hot. @returns a row, a number from FIRST_GROUP on, ON_LINK or NO_ROUTE */
  lookup4(destination: number): number {
    this.#family = 4;
    return hopOf(this.#ipv4.find4(destination));
  }

  /** Hot; the words of the destination, most significant first. As `lookup4`. */
  lookup6(w0: number, w1: number, w2: number, w3: number): number {
    this.#family = 6;
    return hopOf(this.#ipv6.find6(w0, w1, w2, w3));
  }

  /**
   * Hot. @param hop from FIRST_GROUP on, what the last lookup said.
   * @returns the row of the next hop for this flow; if the route has changed since the lookup, what
   * it has become: ON_LINK and NO_ROUTE, too
   */
  pick(hop: number, hash: number): number {
    let current = hop;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const row = this.#groups.pick(current, hash);
      if (row !== OUTDATED) return row;
      current = hopOf((this.#family === 4 ? this.#ipv4 : this.#ipv6).findAgain());
      if (current < FIRST_GROUP) return current;
    }
    return NO_ROUTE;
  }
}

/** The writer's side: one thread. */
export class RouteTable {
  readonly #ipv4: PrefixTable;
  readonly #ipv6: PrefixTable;
  readonly #groups = new NextHopGroups();

  /** @param maxEntries routes of each family, 1..MAX_TABLE_ENTRIES */
  constructor(maxEntries: number) {
    this.#ipv4 = new PrefixTable(4, maxEntries);
    this.#ipv6 = new PrefixTable(6, maxEntries);
  }

  sharedState(): RouteTableState {
    return {
      ipv4: this.#ipv4.sharedState(),
      ipv6: this.#ipv6.sharedState(),
      groups: this.#groups.sharedState(),
    };
  }

  get count(): number {
    return this.#ipv4.count + this.#ipv6.count;
  }

  /** Of each family. */
  get maxEntries(): number {
    return this.#ipv4.maxEntries;
  }

  /**
   * Adds a route or gives the one with its prefix other next hops. TABLE_FULL: too many routes, or
   * too many different sets of next hops (the set that the route had still counts). A next hop that
   * is named twice has both weights. TABLE_INVALID: the prefix has host bits or an impossible
   * length.
   */
  set({ prefix, hops }: RouteEntry): TableResult {
    if (!isPossible(prefix)) return TABLE_INVALID;
    const stored = hops === undefined ? STORED_NOWHERE : this.#store(merged(hops));
    if (stored < 0) return TABLE_FULL;
    const table = this.#of(prefix);
    const before = table.get(prefix);
    const result = table.set(prefix, stored);
    this.#release(result === TABLE_OK ? before : stored);
    return result;
  }

  delete(prefix: IpPrefix): TableResult {
    if (!isPossible(prefix)) return TABLE_NOT_FOUND;
    const table = this.#of(prefix);
    const before = table.get(prefix);
    const result = table.delete(prefix);
    this.#release(before);
    return result;
  }

  get(prefix: IpPrefix): RouteEntry | undefined {
    const value = isPossible(prefix) ? this.#of(prefix).get(prefix) : NOT_COVERED;
    return value === NOT_COVERED ? undefined : this.#entry({ prefix, value });
  }

  /** The route that a lookup finds, for people. */
  match(destination: IpAddress): RouteEntry | undefined {
    const found = (isIpv4(destination) ? this.#ipv4 : this.#ipv6).match(destination);
    return found === undefined ? undefined : this.#entry(found);
  }

  /** Every route, IPv4 first, in no order. */
  list(): RouteEntry[] {
    const entries = [...this.#ipv4.list(), ...this.#ipv6.list()];
    return entries.map((entry) => this.#entry(entry));
  }

  #of({ family }: IpPrefix): PrefixTable {
    return family === 4 ? this.#ipv4 : this.#ipv6;
  }

  /** @returns what stands in the table for these next hops, -1: there is no room for the group */
  #store(hops: readonly NextHop[]): number {
    if (hops.length === 0) return STORED_ON_LINK;
    if (hops.length === 1) return hops[0].remote + STORED_ABOVE;
    return this.#groups.acquire(hops);
  }

  #release(stored: number): void {
    if (stored >= FIRST_GROUP) this.#groups.release(stored);
  }

  #entry({ prefix, value }: PrefixEntry): RouteEntry {
    if (value === STORED_ON_LINK) return { prefix, hops: [] };
    if (value === STORED_NOWHERE) return { prefix, hops: undefined };
    if (value >= FIRST_GROUP) return { prefix, hops: this.#groups.hops(value) };
    return { prefix, hops: [{ remote: value - STORED_ABOVE, weight: 1 }] };
  }
}

function hopOf(stored: number): number {
  if (stored === NOT_COVERED) return NO_ROUTE;
  return stored >= FIRST_GROUP ? stored : stored - STORED_ABOVE;
}

/** Each remote once. */
function merged(hops: readonly NextHop[]): NextHop[] {
  const weights = new Map<number, number>();
  for (const { remote, weight } of hops) weights.set(remote, (weights.get(remote) ?? 0) + weight);
  return Array.from(weights, ([remote, weight]) => ({ remote, weight }));
}

function isPossible(prefix: IpPrefix): boolean {
  const { family, length } = prefix;
  if (!Number.isInteger(length) || length < 0 || length > ADDRESS_BITS[family]) return false;
  return !prefixHasHostBits(prefix);
}
