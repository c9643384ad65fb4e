// Routes of one IPIP tunnel: longest-prefix match from inner IPv4 destination to gateway and
// remote. It decides nothing: what "no gateway" means for the outer destination is up to
// forwarding.
//
// Theory of operation. A packed SharedTable with key (prefix length, prefix) and value (remote
// index, gateway), 16 bytes per slot, and a bitmap of the prefix lengths that occur. A lookup
// probes the table once per length present, longest first: real tables have a handful of lengths,
// and memory is one slot per route, unlike a trie's nodes. A length's bit is set before its first
// route is added and cleared after its last one is gone, so a lookup never misses a route that is
// there. IPv6 would be a second table of this kind with a five-word key; nothing here builds it.
import assert from "node:assert/strict";
import { MAX_REMOTES } from "../shared-memory/limits.js";
import { SharedTable, type SharedTableState } from "../shared-memory/shared-table.js";
import {
  TABLE_EXISTS,
  TABLE_FULL,
  TABLE_INVALID,
  TABLE_NOT_FOUND,
  TABLE_OK,
  type TableResult,
} from "../shared-memory/table-result.js";

/** Words that `lookup` writes. */
export const ROUTE_RESULT_WORDS = 2;
/** Gateway (IPv4, signed bits), 0 = none: the inner destination is the outer one. */
export const ROUTE_RESULT_GATEWAY = 0;
/** Row of the remote table, -1 = none. */
export const ROUTE_RESULT_REMOTE = 1;

export interface RouteEntry {
  /** IPv4 prefix as an unsigned number, host bits zero. */
  readonly prefix: number;
  /** 0..32 */
  readonly prefixLength: number;
  /** IPv4 address as an unsigned number, 0 = no gateway. */
  readonly gateway: number;
  /** Row of the remote table, -1 = none. */
  readonly remote: number;
}

/** Told of each route that ceases to point to its remote, after the lock is released. */
export type RouteRemovedListener = (entry: RouteEntry) => void;

const KEY_WORDS = 2;
/** Remote index + 1, so that "none" is 0: it shares a word with the prefix length. */
const VALUE_REMOTE = 0;
const VALUE_GATEWAY = 1;
const VALUE_WORDS = 2;
assert(MAX_REMOTES <= 0xffff);
const MAX_LENGTH = 32;
/** Bits of `lengths`: bit n-1 stands for prefix length n, 1..32. */
const LENGTHS = 0;
/** Non-zero if there is a default route. */
const DEFAULT = 1;
/** From here: routes per prefix length, 0..32. */
const PER_LENGTH = 2;
const LENGTH_WORDS = PER_LENGTH + MAX_LENGTH + 1;

export interface RouteTableState {
  readonly table: SharedTableState;
  readonly lengths: SharedArrayBuffer;
}

export class RouteTable {
  readonly #table: SharedTable;
  readonly #lengths: Int32Array;

  private constructor(table: SharedTable, lengths: SharedArrayBuffer) {
    this.#table = table;
    this.#lengths = new Int32Array(lengths);
  }

  /** @param maxEntries 1..MAX_TABLE_ENTRIES */
  static create(maxEntries: number): RouteTable {
    return new RouteTable(
      SharedTable.create({
        ...{ keyWords: KEY_WORDS, valueWords: VALUE_WORDS, maxEntries },
        packed: true,
      }),
      new SharedArrayBuffer(LENGTH_WORDS * 4),
    );
  }

  static attach(state: RouteTableState): RouteTable {
    return new RouteTable(SharedTable.attach(state.table), state.lengths);
  }

  sharedState(): RouteTableState {
    return {
      table: this.#table.sharedState(),
      lengths: this.#lengths.buffer as SharedArrayBuffer,
    };
  }

  get count(): number {
    return this.#table.count;
  }

  get maxEntries(): number {
    return this.#table.maxEntries;
  }

  /**
   * Finds the route with the longest prefix. Hot. Gateway and remote are of one and the same route,
   * also while another thread replaces it.
   * @param destination IPv4 address
   * @param out ROUTE_RESULT_WORDS words; untouched on a miss
   * @returns the prefix length of the route, or -1 (no-route)
   */
  lookup(destination: number, out: Int32Array): number {
    let lengths = Atomics.load(this.#lengths, LENGTHS);
    while (lengths !== 0) {
      const length = MAX_LENGTH - Math.clz32(lengths);
      if (this.#read(destination & (-1 << (MAX_LENGTH - length)), length, out)) return length;
      lengths &= ~(1 << (length - 1));
    }
    if (this.#lengths[DEFAULT] !== 0 && this.#read(0, 0, out)) return 0;
    return -1;
  }

  /**
   * Adds a route, unless the prefix has one. TABLE_INVALID: host bits set or a length that is none.
   */
  add(entry: RouteEntry): TableResult {
    if (!isPrefix(entry)) return TABLE_INVALID;
    this.#lock();
    try {
      if (this.#find(entry.prefix, entry.prefixLength) >= 0) return TABLE_EXISTS;
      return this.#insert(entry);
    } finally {
      this.#table.unlock();
    }
  }

  /** Adds a route or overwrites the one that is there. */
  replace(entry: RouteEntry, onRemoved?: RouteRemovedListener): TableResult {
    if (!isPrefix(entry)) return TABLE_INVALID;
    let old: RouteEntry;
    this.#lock();
    try {
      const slot = this.#find(entry.prefix, entry.prefixLength);
      if (slot < 0) return this.#insert(entry);
      old = this.#entry();
      this.#setValue(entry);
      this.#table.update(slot);
    } finally {
      this.#table.unlock();
    }
    onRemoved?.(old);
    return TABLE_OK;
  }

  del(prefix: number, prefixLength: number, onRemoved?: RouteRemovedListener): TableResult {
    let old: RouteEntry;
    this.#lock();
    try {
      const slot = this.#find(prefix, prefixLength);
      if (slot < 0) return TABLE_NOT_FOUND;
      old = this.#entry();
      this.#table.remove(slot);
      this.#countLength(prefixLength, -1);
    } finally {
      this.#table.unlock();
    }
    onRemoved?.(old);
    return TABLE_OK;
  }

  /** Removes the routes that `matches` says yes to, all without it. @returns how many */
  flush(
    matches: (entry: RouteEntry) => boolean = () => true,
    onRemoved?: RouteRemovedListener,
  ): number {
    const flushed = this.list().filter(matches);
    let removed = 0;
    for (const entry of flushed) {
      if (this.del(entry.prefix, entry.prefixLength, onRemoved) === TABLE_OK) removed++;
    }
    return removed;
  }

  get(prefix: number, prefixLength: number): RouteEntry | undefined {
    return this.#find(prefix, prefixLength) < 0 ? undefined : this.#entry();
  }

  /** Every route, in no order; none is torn. */
  list(): RouteEntry[] {
    const entries: RouteEntry[] = [];
    const table = this.#table;
    for (let slot = table.usedFrom(0); slot < table.capacity; slot = table.usedFrom(slot + 1)) {
      if (this.#table.readSlot(slot)) entries.push(this.#entry());
    }
    return entries;
  }

  #read(prefix: number, length: number, out: Int32Array): boolean {
    if (this.#find(prefix, length) < 0) return false;
    out[ROUTE_RESULT_GATEWAY] = this.#table.value[VALUE_GATEWAY];
    out[ROUTE_RESULT_REMOTE] = this.#table.value[VALUE_REMOTE] - 1;
    return true;
  }

  #find(prefix: number, length: number): number {
    const key = this.#table.key;
    key[0] = length;
    key[1] = prefix;
    return this.#table.find();
  }

  #setValue(entry: RouteEntry): void {
    assert(entry.remote >= -1 && entry.remote < MAX_REMOTES);
    this.#table.value[VALUE_REMOTE] = entry.remote + 1;
    this.#table.value[VALUE_GATEWAY] = entry.gateway;
  }

  #insert(entry: RouteEntry): TableResult {
    if (this.#table.count >= this.#table.maxEntries) return TABLE_FULL;
    this.#setValue(entry);
    this.#countLength(entry.prefixLength, 1);
    this.#table.insert();
    return TABLE_OK;
  }

  #countLength(length: number, step: 1 | -1): void {
    const routes = Atomics.add(this.#lengths, PER_LENGTH + length, step) + step;
    if (length === 0) Atomics.store(this.#lengths, DEFAULT, routes);
    else if (routes === 0) Atomics.and(this.#lengths, LENGTHS, ~(1 << (length - 1)));
    else Atomics.or(this.#lengths, LENGTHS, 1 << (length - 1));
  }

  /** Takes the writer's lock; after a dead writer the lengths are counted anew. */
  #lock(): void {
    if (!this.#table.lock()) return;
    const routes = new Int32Array(MAX_LENGTH + 1);
    for (const entry of this.list()) routes[entry.prefixLength]++;
    for (let length = 0; length <= MAX_LENGTH; length++) {
      Atomics.store(this.#lengths, PER_LENGTH + length, routes[length] + 1);
      this.#countLength(length, -1);
    }
  }

  /** The route that lies in the table's scratch words. */
  #entry(): RouteEntry {
    const { key, value } = this.#table;
    return {
      prefix: key[1] >>> 0,
      prefixLength: key[0],
      gateway: value[VALUE_GATEWAY] >>> 0,
      remote: value[VALUE_REMOTE] - 1,
    };
  }
}

function isPrefix({ prefix, prefixLength }: RouteEntry): boolean {
  if (!Number.isInteger(prefixLength) || prefixLength < 0 || prefixLength > MAX_LENGTH)
    return false;
  const mask = prefixLength === 0 ? 0 : -1 << (MAX_LENGTH - prefixLength);
  return (prefix & ~mask) === 0;
}
