// Forwarding database of one VXLAN tunnel: MAC address -> remote. Knows nothing of addresses,
// packets or config; the all-zero entry (head-end replication) is flood-list.ts.
//
// Theory of operation. A packed SharedTable with key (hi16, lo32) and value (remote index and kind
// in 16 bits, updated): 16 bytes per slot. Every frame looks up its destination and learns its
// source; a source that sits where it sat costs a lookup and, once per second, one plain store. New
// and moved MACs take the table's lock, and if another thread holds it they are left to the next
// frame: the data path never sleeps.
// Kernel semantics (drivers/net/vxlan/vxlan_core.c, vxlan_snoop): static entries are not moved and
// not aged, `max_entries` counts every entry. Ageing goes by `updated` (when the source was last
// heard), as kernels since 6.15 do; traffic towards a MAC does not keep it.
import assert from "node:assert/strict";
import { MAX_REMOTES } from "../shared-memory/limits.js";
import { SharedTable, type SharedTableState } from "../shared-memory/shared-table.js";
import {
  TABLE_EXISTS,
  TABLE_FULL,
  TABLE_NOT_FOUND,
  TABLE_OK,
  type TableResult,
} from "../shared-memory/table-result.js";

/** `bridge fdb add ... static` (NUD_NOARP): not aged, not moved by learning. */
export const FDB_STATIC = 1;
/** `bridge fdb add ... permanent` (NUD_PERMANENT): not aged, not moved by learning. */
export const FDB_PERMANENT = 2;
/**
 * Came from a received frame. An entry with none of the three flags is `dynamic`: given by a user,
 * aged, movable.
 */
export const FDB_LEARNED = 4;
/** `router` (NTF_ROUTER), next to any kind: route short circuit applies to frames for this MAC. */
export const FDB_ROUTER = 8;
const FDB_FIXED = FDB_STATIC | FDB_PERMANENT;

/** `learn`: the MAC is where it was; its time stamp is fresh. */
export const FDB_REFRESHED = 0;
/** `learn`: a new entry. */
export const FDB_ADDED = 1;
/** `learn`: the entry now points to another remote. */
export const FDB_MOVED = 2;
/**
 * `learn`: a static or permanent entry says otherwise; the frame is to be dropped, as the kernel
 * does.
 */
export const FDB_STATIC_CONFLICT = 3;
/** `learn`: `max_entries` reached, nothing learned; the frame passes. */
export const FDB_FULL = 4;
/**
 * `learn`: another thread is writing, nothing learned; the next frame tries again, this one passes.
 */
export const FDB_BUSY = 5;

export type FdbLearnResult =
  | typeof FDB_REFRESHED
  | typeof FDB_ADDED
  | typeof FDB_MOVED
  | typeof FDB_STATIC_CONFLICT
  | typeof FDB_FULL
  | typeof FDB_BUSY;

export interface FdbEntry {
  /** First 16 bits of the MAC, unsigned. */
  readonly hi: number;
  /** Last 32 bits of the MAC, unsigned. */
  readonly lo: number;
  /** Row of the remote table. */
  readonly remote: number;
  /** FDB_STATIC, FDB_PERMANENT, FDB_LEARNED or none; FDB_ROUTER. */
  readonly flags: number;
  /** When the entry was made, moved or last heard, seconds of `monotonicSeconds`, unsigned. */
  readonly updated_s: number;
}

/**
 * Which entries `flush` takes: all conditions that are given must hold; none given means every
 * entry.
 */
export interface FdbFilter {
  readonly remotes?: ReadonlySet<number>;
  /** Entries with `entry.flags & mask === flags`. */
  readonly flags?: number;
  readonly mask?: number;
}

/** Told of each entry that ceases to point to its remote, after the lock is released. */
export type FdbRemovedListener = (entry: FdbEntry) => void;

const KEY_HI = 0;
const KEY_LO = 1;
const KEY_WORDS = 2;
/** Remote index in the low bits, kind above: they share a word with the first 16 bits of the MAC. */
const VALUE_REMOTE_KIND = 0;
const VALUE_UPDATED = 1;
/** Of VALUE_UPDATED; seconds since the boot need the other 31 bits for 68 years. */
const STAMP_ROUTER = 1 << 31;
const VALUE_WORDS = 2;
const REMOTE_BITS = 14;
const REMOTE_MASK = (1 << REMOTE_BITS) - 1;
assert(MAX_REMOTES <= 1 << REMOTE_BITS);
/** An entry has at most one of the three flags; the kind is which, in two bits. */
const FLAGS_OF_KIND: readonly number[] = [0, FDB_STATIC, FDB_PERMANENT, FDB_LEARNED];

export type FdbState = SharedTableState;

export class Fdb {
  readonly #table: SharedTable;
  #movedFrom = -1;

  private constructor(table: SharedTable) {
    this.#table = table;
  }

  /** @param maxEntries limit on entries of every kind, 1..MAX_TABLE_ENTRIES */
  static create(maxEntries: number): Fdb {
    return new Fdb(
      SharedTable.create({
        ...{ keyWords: KEY_WORDS, valueWords: VALUE_WORDS, maxEntries },
        packed: true,
      }),
    );
  }

  static attach(state: FdbState): Fdb {
    return new Fdb(SharedTable.attach(state));
  }

  sharedState(): FdbState {
    return this.#table.sharedState();
  }

  get count(): number {
    return this.#table.count;
  }

  get maxEntries(): number {
    return this.#table.maxEntries;
  }

  /**
   * Hot. Signed bits will do for `lo`, here and in `learn`, and are never an object on their way.
   * @returns the remote index of a MAC, or -1 (l2miss)
   */
  lookup(hi: number, lo: number): number {
    return this.#find(hi, lo) < 0 ? -1 : this.#remote();
  }

  /** Hot. Has the entry that `lookup` has just found the flag FDB_ROUTER? */
  foundRouter(): boolean {
    return (this.#table.value[VALUE_UPDATED] & STAMP_ROUTER) !== 0;
  }

  /** Notes that a frame from this MAC came from `remote`. Hot, never sleeps. */
  learn(hi: number, lo: number, remote: number, now_s: number): FdbLearnResult {
    const table = this.#table;
    const slot = this.#find(hi, lo);
    if (slot < 0) {
      // Without this look a flood of invented MACs would make every worker fight for the lock of a
      // full table.
      if (table.count >= table.maxEntries) return FDB_FULL;
    } else if (this.#remote() === remote) {
      // A slot that has become another entry's in between gets a fresh stamp: it lives one ageing
      // time longer.
      const stamp = now_s | (table.value[VALUE_UPDATED] & STAMP_ROUTER);
      if (table.value[VALUE_UPDATED] !== stamp) table.storeWord(slot, VALUE_UPDATED, stamp);
      return FDB_REFRESHED;
    } else if ((this.#flags() & FDB_FIXED) !== 0) {
      return FDB_STATIC_CONFLICT;
    }
    if (!table.tryLock()) return FDB_BUSY;
    const result = this.#learnLocked(hi, lo, remote, now_s);
    table.unlock();
    return result;
  }

  /** Row of the remote that the MAC of the last FDB_MOVED was behind until then. */
  get movedFrom(): number {
    return this.#movedFrom;
  }

  /** Adds an entry. @param flags 0 (dynamic), FDB_STATIC or FDB_PERMANENT; FDB_ROUTER */
  add(hi: number, lo: number, remote: number, flags: number, now_s: number): TableResult {
    this.#table.lock();
    try {
      if (this.#find(hi, lo) >= 0) return TABLE_EXISTS;
      this.#setValue(remote, flags, now_s);
      return this.#table.insert() ? TABLE_OK : TABLE_FULL;
    } finally {
      this.#table.unlock();
    }
  }

  /** Adds an entry or overwrites the one that is there, of whatever kind. */
  replace(
    hi: number,
    lo: number,
    remote: number,
    flags: number,
    now_s: number,
    onRemoved?: FdbRemovedListener,
  ): TableResult {
    let old: FdbEntry;
    this.#table.lock();
    try {
      const slot = this.#find(hi, lo);
      if (slot < 0) {
        this.#setValue(remote, flags, now_s);
        return this.#table.insert() ? TABLE_OK : TABLE_FULL;
      }
      old = this.#entry();
      this.#setValue(remote, flags, now_s);
      this.#table.update(slot);
    } finally {
      this.#table.unlock();
    }
    onRemoved?.(old);
    return TABLE_OK;
  }

  /** Removes an entry of whatever kind. */
  del(hi: number, lo: number, onRemoved?: FdbRemovedListener): TableResult {
    let old: FdbEntry;
    this.#table.lock();
    try {
      const slot = this.#find(hi, lo);
      if (slot < 0) return TABLE_NOT_FOUND;
      old = this.#entry();
      this.#table.remove(slot);
    } finally {
      this.#table.unlock();
    }
    onRemoved?.(old);
    return TABLE_OK;
  }

  /** Removes the entries that the filter takes, permanent ones too. @returns how many */
  flush(filter: FdbFilter = {}, onRemoved?: FdbRemovedListener): number {
    const mask = filter.mask ?? 0;
    const flags = filter.flags ?? 0;
    return this.#removeWhere(
      () => (this.#flags() & mask) === flags && (filter.remotes?.has(this.#remote()) ?? true),
      onRemoved,
    );
  }

  /**
   * Removes what has not been heard for `ageing_s` seconds; static and permanent entries stay. 0
   * means no ageing, as for the kernel. A stamp from the future (a worker's newer clock) is age 0.
   * @returns how many
   */
  age(now_s: number, ageing_s: number, onRemoved?: FdbRemovedListener): number {
    if (ageing_s === 0) return 0;
    return this.#removeWhere(
      () => (this.#flags() & FDB_FIXED) === 0 && ((now_s - this.#updated()) | 0) >= ageing_s,
      onRemoved,
    );
  }

  get(hi: number, lo: number): FdbEntry | undefined {
    return this.#find(hi, lo) < 0 ? undefined : this.#entry();
  }

  /**
   * Every entry, in no order. Entries that come or go meanwhile may or may not be among them; none
   * is torn.
   */
  list(): FdbEntry[] {
    const entries: FdbEntry[] = [];
    const table = this.#table;
    for (let slot = table.usedFrom(0); slot < table.capacity; slot = table.usedFrom(slot + 1)) {
      if (table.readSlot(slot)) entries.push(this.#entry());
    }
    return entries;
  }

  #find(hi: number, lo: number): number {
    const key = this.#table.key;
    key[KEY_HI] = hi;
    key[KEY_LO] = lo;
    return this.#table.find();
  }

  #learnLocked(hi: number, lo: number, remote: number, now_s: number): FdbLearnResult {
    const table = this.#table;
    const slot = this.#find(hi, lo);
    if (slot < 0) {
      this.#setValue(remote, FDB_LEARNED, now_s);
      return table.insert() ? FDB_ADDED : FDB_FULL;
    }
    if (this.#remote() === remote) return FDB_REFRESHED;
    if ((this.#flags() & FDB_FIXED) !== 0) return FDB_STATIC_CONFLICT;
    this.#movedFrom = this.#remote();
    this.#setValue(remote, FDB_LEARNED, now_s);
    table.update(slot);
    return FDB_MOVED;
  }

  #setValue(remote: number, flags: number, now_s: number): void {
    const kind = FLAGS_OF_KIND.indexOf(flags & ~FDB_ROUTER);
    assert(remote >= 0 && remote <= REMOTE_MASK && kind >= 0);
    this.#table.value[VALUE_REMOTE_KIND] = (kind << REMOTE_BITS) | remote;
    this.#table.value[VALUE_UPDATED] = (flags & FDB_ROUTER) === 0 ? now_s : now_s | STAMP_ROUTER;
  }

  /** Remote, flags and stamp of the entry that lies in the table's scratch words. */
  #remote(): number {
    return this.#table.value[VALUE_REMOTE_KIND] & REMOTE_MASK;
  }

  #flags(): number {
    const kind = FLAGS_OF_KIND[this.#table.value[VALUE_REMOTE_KIND] >>> REMOTE_BITS];
    return this.foundRouter() ? kind | FDB_ROUTER : kind;
  }

  #updated(): number {
    return this.#table.value[VALUE_UPDATED] & ~STAMP_ROUTER;
  }

  /** The entry that lies in the table's scratch words. */
  #entry(): FdbEntry {
    const key = this.#table.key;
    return {
      hi: key[KEY_HI],
      lo: key[KEY_LO] >>> 0,
      remote: this.#remote(),
      flags: this.#flags(),
      updated_s: this.#updated() >>> 0,
    };
  }

  #removeWhere(matches: () => boolean, onRemoved: FdbRemovedListener | undefined): number {
    const removed: FdbEntry[] = [];
    const count = this.#table.removeWhere(() => {
      if (!matches()) return false;
      if (onRemoved !== undefined) removed.push(this.#entry());
      return true;
    });
    for (const entry of removed) onRemoved?.(entry);
    return count;
  }
}
