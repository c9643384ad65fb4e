// Routes of one IPIP tunnel: longest-prefix match from inner destination, IPv4 or IPv6, to next
// hop. It decides nothing: what "no next hop" means for the outer destination is up to forwarding,
// and which of the kernel's routes stand here is up to the daemon.
//
// A lookup gives one number: a row of the remote table, a group of several next hops (`pick`), or
// ON_LINK. One thread writes; readers never wait.
import assert from "node:assert/strict";
import { MAX_REMOTES } from "../shared-memory/limits.js";
import { TABLE_FULL, TABLE_INVALID, type TableResult } from "../shared-memory/table-result.js";
import { type IpAddress, type IpPrefix, isIpv4, prefixHasHostBits } from "../wire/ip-address.js";
import {
  MAX_GROUPS,
  type NextHop,
  NextHopGroups,
  type NextHopGroupsState,
  NextHopReader,
} from "./next-hop-groups.js";
import {
  NOT_COVERED,
  type PrefixEntry,
  PrefixTable,
  type PrefixTableState,
} from "./prefix-table.js";

/** `lookup`: no route covers the destination. */
export const NO_ROUTE = -1;
/** `lookup`: the route has no next hop: the destination is reached directly. */
export const ON_LINK = -2;
/** `lookup`: from here on a group of next hops, of which `pick` chooses. */
export const FIRST_GROUP = 0x8000;

/** In the table: ON_LINK is 0, a row r is r + 1, a group g is FIRST_GROUP + g. */
const STORED_ON_LINK = 0;
assert(MAX_REMOTES < FIRST_GROUP && FIRST_GROUP + MAX_GROUPS <= 0xffff);

export interface RouteEntry {
  readonly prefix: IpPrefix;
  /** None: the destination is reached directly. */
  readonly hops: readonly NextHop[];
}

export interface RouteTableState {
  readonly ipv4: PrefixTableState;
  readonly ipv6: PrefixTableState;
  readonly groups: NextHopGroupsState;
}

/** The readers' side: any thread. */
export class RouteReader {
  readonly #ipv4: PrefixTable;
  readonly #ipv6: PrefixTable;
  readonly #groups: NextHopReader;

  constructor({ ipv4, ipv6, groups }: RouteTableState) {
    this.#ipv4 = PrefixTable.attach(ipv4);
    this.#ipv6 = PrefixTable.attach(ipv6);
    this.#groups = new NextHopReader(groups);
  }

  /** Hot. @returns a row, a number from FIRST_GROUP on, ON_LINK or NO_ROUTE */
  lookup4(destination: number): number {
    return hopOf(this.#ipv4.find4(destination));
  }

  /** Hot; the words of the destination, most significant first. As `lookup4`. */
  lookup6(w0: number, w1: number, w2: number, w3: number): number {
    return hopOf(this.#ipv6.find6(w0, w1, w2, w3));
  }

  /** Hot. @param hop from FIRST_GROUP on. @returns the row of the next hop for this flow */
  pick(hop: number, hash: number): number {
    return this.#groups.pick(hop - FIRST_GROUP, hash);
  }
}

/** The writer's side: one thread. */
export class RouteTable {
  readonly #ipv4: PrefixTable;
  readonly #ipv6: PrefixTable;
  readonly #groups = new NextHopGroups();

  /** @param maxEntries routes of each family, 1..MAX_TABLE_ENTRIES */
  constructor(maxEntries: number) {
    this.#ipv4 = PrefixTable.create(4, maxEntries);
    this.#ipv6 = PrefixTable.create(6, maxEntries);
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
   * too many different sets of next hops. TABLE_INVALID: the prefix has host bits.
   */
  set({ prefix, hops }: RouteEntry): TableResult {
    if (prefixHasHostBits(prefix)) return TABLE_INVALID;
    const stored = this.#store(hops);
    if (stored < 0) return TABLE_FULL;
    const result = this.#of(prefix).set(prefix, stored, (old) => this.#release(old));
    if (result === TABLE_FULL) this.#release(stored);
    return result;
  }

  delete(prefix: IpPrefix): TableResult {
    return this.#of(prefix).delete(prefix, (old) => this.#release(old));
  }

  get(prefix: IpPrefix): RouteEntry | undefined {
    const value = this.#of(prefix).get(prefix);
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
    if (hops.length === 1) return hops[0].remote + 1;
    const group = this.#groups.acquire(hops);
    return group < 0 ? -1 : FIRST_GROUP + group;
  }

  #release(stored: number): void {
    if (stored >= FIRST_GROUP) this.#groups.release(stored - FIRST_GROUP);
  }

  #entry({ prefix, value }: PrefixEntry): RouteEntry {
    if (value === STORED_ON_LINK) return { prefix, hops: [] };
    if (value >= FIRST_GROUP) return { prefix, hops: this.#groups.hops(value - FIRST_GROUP) };
    return { prefix, hops: [{ remote: value - 1, weight: 1 }] };
  }
}

function hopOf(stored: number): number {
  if (stored === NOT_COVERED) return NO_ROUTE;
  if (stored === STORED_ON_LINK) return ON_LINK;
  return stored >= FIRST_GROUP ? stored : stored - 1;
}
