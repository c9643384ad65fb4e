// Forwarding database of one VXLAN tunnel: MAC address -> remote. Knows nothing of addresses,
// packets or config. The entries of the all-zero and of multicast MACs are counted, aged and
// removed here as well; what they hold is the number of a list (flood-lists.ts).
//
// Theory of operation. A packed SharedTable with key (hi16, lo32) and value (remote index and kind
// in 16 bits; a stamp with two flags): 16 bytes per slot. Every frame looks up its destination and
// learns its source; a source that sits where it sat costs a lookup and, once per second, one
// compare-and-exchange, so that a stamp never brings back flags that have just been changed. New
// and moved MACs take the table's lock, and if another thread holds it they are left to the next
// frame: the data path never sleeps.
// Kernel semantics (drivers/net/vxlan/vxlan_core.c, vxlan_snoop, vxlan_cleanup): static entries are
// not moved and not aged, those with NTF_EXT_LEARNED not aged, `max_entries` counts every entry.
// Ageing goes by `updated` (when the source was last heard), as kernels since 6.15 do; traffic
// towards a MAC does not keep it.
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
import { isListMac } from "../wire/mac.js";
import type { RemoteMacs } from "./remote-macs.js";

/** `bridge fdb add ... static` (NUD_NOARP): not aged, not moved by learning. */
export const FDB_STATIC = 1;
/** `bridge fdb add ... permanent` (NUD_PERMANENT): not aged, not moved by learning. */
export const FDB_PERMANENT = 2;
/** Learned from a frame. With none of the three: `dynamic`, given by a user, aged, movable. */
export const FDB_LEARNED = 4;
/** Neither aged nor moved by learning. */
export const FDB_FIXED = FDB_STATIC | FDB_PERMANENT;
/** `router` (NTF_ROUTER), next to any kind: route short circuit applies to frames for this MAC. */
export const FDB_ROUTER = 8;
/** `extern_learn` (NTF_EXT_LEARNED), next to any kind: a controller keeps the entry, no ageing. */
export const FDB_EXTERN = 16;
/** The flags that say what kind an entry is; none of them: dynamic. */
export const FDB_KIND = FDB_FIXED | FDB_LEARNED;

/** `learn`: the MAC is where it was; its time stamp is fresh. */
export const FDB_REFRESHED = 0;
/** `learn`: a new entry. */
export const FDB_ADDED = 1;
/** `learn`: the entry now points to another remote. */
export const FDB_MOVED = 2;
/** `learn`: a static or permanent entry says otherwise; drop the frame, as the kernel does. */
export const FDB_STATIC_CONFLICT = 3;
/** `learn`: `max_entries` reached, nothing learned; the frame passes. */
export const FDB_FULL = 4;
/** `learn`: another thread is writing, nothing learned; the next frame tries again. */
export const FDB_BUSY = 5;
/** `learn`: the remote has all the MACs that it may have; nothing learned, the frame passes. */
export const FDB_REMOTE_FULL = 6;

export type FdbLearnResult = 0 | 1 | 2 | 3 | 4 | 5 | 6;

export interface FdbEntry {
  /** First 16 bits of the MAC, unsigned. */
  readonly hi: number;
  /** Last 32 bits of the MAC, unsigned. */
  readonly lo: number;
  /** Row of the remote table; of an all-zero or multicast MAC the number of its list. */
  readonly remote: number;
  /** One of FDB_STATIC, FDB_PERMANENT, FDB_LEARNED or none; FDB_ROUTER, FDB_EXTERN. */
  readonly flags: number;
  /** When the entry was made, moved or last heard, seconds of `monotonicSeconds`, unsigned. */
  readonly updated_s: number;
}

/** Told of each entry that ceases to point to its remote, after the lock is released. */
export type FdbRemovedListener = (entry: FdbEntry) => void;

/** What has one of these does not age. */
const IMMORTAL = FDB_FIXED | FDB_EXTERN;
const KEY_HI = 0;
const KEY_LO = 1;
const KEY_WORDS = 2;
/** Remote index in the low bits, kind above; they share a word with the start of the MAC. */
const VALUE_REMOTE_KIND = 0;
/** Seconds in the low bits, two flags above. */
const VALUE_STAMP = 1;
const VALUE_WORDS = 2;
const REMOTE_BITS = 14;
const REMOTE_MASK = (1 << REMOTE_BITS) - 1;
assert(MAX_REMOTES <= 1 << REMOTE_BITS);
/** 34 years of CLOCK_MONOTONIC. */
const STAMP_BITS = 30;
const STAMP_MASK = (1 << STAMP_BITS) - 1;
const STAMP_ROUTER = 1 << 31;
const STAMP_EXTERN = 1 << 30;
/** An entry has at most one of the three flags; the kind is which, in two bits. */
const FLAGS_OF_KIND: readonly number[] = [0, FDB_STATIC, FDB_PERMANENT, FDB_LEARNED];

export interface FdbState {
  readonly table: SharedTableState;
  readonly mortals: SharedArrayBuffer;
}

export class Fdb {
  /** Row of the remote that the MAC of the last FDB_MOVED was behind until then. */
  movedFrom = -1;
  readonly #table: SharedTable;
  readonly #mortals: Int32Array;
  readonly #macs: RemoteMacs | undefined;

  private constructor({ table, mortals }: FdbState, macs: RemoteMacs | undefined) {
    this.#table = SharedTable.attach(table);
    this.#mortals = new Int32Array(mortals);
    this.#macs = macs;
  }

  /**
   * @param maxEntries limit on entries of every kind, 1..MAX_TABLE_ENTRIES
   * @param macs told of every unicast entry that comes to or leaves a remote
   */
  static create(maxEntries: number, macs?: RemoteMacs): Fdb {
    const words = { keyWords: KEY_WORDS, valueWords: VALUE_WORDS };
    const table = SharedTable.create({ ...words, maxEntries, packed: true }).sharedState();
    return new Fdb({ table, mortals: new SharedArrayBuffer(4) }, macs);
  }

  static attach(state: FdbState, macs?: RemoteMacs): Fdb {
    return new Fdb(state, macs);
  }

  sharedState(): FdbState {
    return {
      table: this.#table.sharedState(),
      mortals: this.#mortals.buffer as SharedArrayBuffer,
    };
  }

  get count(): number {
    return this.#table.count;
  }

  get maxEntries(): number {
    return this.#table.maxEntries;
  }

  /**
   * Hot. Signed bits will do for `lo`, here and in `learn`, and are never an object on their way.
   * @returns the remote of a MAC, or the list of an all-zero or multicast one; -1: no entry
   */
  lookup(hi: number, lo: number): number {
    return this.#find(hi, lo) < 0 ? -1 : this.#remote();
  }

  /** Hot. Has the entry that `lookup` has just found the flag FDB_ROUTER? */
  foundRouter(): boolean {
    return (this.#table.value[VALUE_STAMP] & STAMP_ROUTER) !== 0;
  }

  /**
   * Notes that a frame from this MAC came from `remote`, a host's own row. Hot, never sleeps.
   * @param maxMacs MACs that may be learned from one remote; 0: no limit
   */
  learn(hi: number, lo: number, remote: number, now_s: number, maxMacs = 0): FdbLearnResult {
    const table = this.#table;
    const slot = this.#find(hi, lo);
    if (slot < 0) {
      // Without this look a flood of invented MACs would make every worker fight for the lock of a
      // full table.
      if (table.count >= table.maxEntries) return FDB_FULL;
    } else if (this.#isAt(remote)) {
      const stamp = table.value[VALUE_STAMP];
      if (((stamp ^ now_s) & STAMP_MASK) !== 0) {
        // A slot that has become another entry's in between has another word there, or one that
        // was worth as much.
        const fresh = (stamp & ~STAMP_MASK) | (now_s & STAMP_MASK);
        table.exchangeWord(slot, VALUE_STAMP, stamp, fresh);
      }
      return FDB_REFRESHED;
    } else if ((this.#flags() & FDB_FIXED) !== 0) {
      return FDB_STATIC_CONFLICT;
    }
    if (maxMacs > 0 && this.#learnedMacs(remote) >= maxMacs) return FDB_REMOTE_FULL;
    if (!table.tryLock()) return FDB_BUSY;
    const result = this.#learnLocked(hi, lo, remote, now_s);
    table.unlock();
    return result;
  }

  /** Adds an entry. @param flags FDB_STATIC, FDB_PERMANENT or none (dynamic); and others */
  add(hi: number, lo: number, remote: number, flags: number, now_s: number): TableResult {
    this.#table.lock();
    try {
      if (this.#find(hi, lo) >= 0) return TABLE_EXISTS;
      return this.#insert(remote, flags, now_s) ? TABLE_OK : TABLE_FULL;
    } finally {
      this.#table.unlock();
    }
  }

  /**
   * Adds an entry or overwrites the one that is there, of whatever kind; its stamp stays when
   * nothing else changes.
   */
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
      if (slot < 0) return this.#insert(remote, flags, now_s) ? TABLE_OK : TABLE_FULL;
      old = this.#entry();
      if (old.remote !== remote || old.flags !== flags) this.#update(slot, remote, flags, now_s);
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
      this.#count(old.remote, -1, old.flags);
    } finally {
      this.#table.unlock();
    }
    onRemoved?.(old);
    return TABLE_OK;
  }

  /** Removes the entries that `matches` says yes to. @returns how many */
  flush(matches: (entry: FdbEntry) => boolean, onRemoved?: FdbRemovedListener): number {
    return this.#removeWhere(() => matches(this.#entry()), onRemoved);
  }

  /**
   * Removes what has not been heard for `ageing_s` seconds; static, permanent and externally
   * learned entries stay. 0 means no ageing, as for the kernel. A stamp from the future (a worker's
   * newer clock) is age 0.
   * @returns how many
   */
  age(now_s: number, ageing_s: number, onRemoved?: FdbRemovedListener): number {
    if (ageing_s === 0 || Atomics.load(this.#mortals, 0) <= 0) return 0;
    return this.#removeWhere(
      () => (this.#flags() & IMMORTAL) === 0 && this.#age_s(now_s) >= ageing_s,
      onRemoved,
    );
  }

  get(hi: number, lo: number): FdbEntry | undefined {
    return this.#find(hi, lo) < 0 ? undefined : this.#entry();
  }

  /** Every entry, in no order; those that come or go meanwhile may be among them. None is torn. */
  list(): FdbEntry[] {
    const entries: FdbEntry[] = [];
    this.scan(0, this.#table.capacity, (entry) => {
      entries.push(entry);
      return true;
    });
    return entries;
  }

  /**
   * Shows `visit` the entries of at most `slots` slots from slot `from` on, until it says false.
   * @returns the slot to go on from, or -1 at the end of the table
   */
  scan(from: number, slots: number, visit: (entry: FdbEntry) => boolean): number {
    const { capacity } = this.#table;
    const to = Math.min(from + slots, capacity);
    const table = this.#table;
    for (let slot = table.usedFrom(from); slot < to; slot = table.usedFrom(slot + 1)) {
      if (table.readSlot(slot) && !visit(this.#entry())) {
        return slot + 1 < capacity ? slot + 1 : -1;
      }
    }
    return to < capacity ? to : -1;
  }

  #find(hi: number, lo: number): number {
    const key = this.#table.key;
    key[KEY_HI] = hi;
    key[KEY_LO] = lo;
    return this.#table.find();
  }

  #learnedMacs(remote: number): number {
    return this.#macs === undefined ? 0 : this.#macs.learnedMacs(remote);
  }

  /** Does the entry that `#find` has just found point to that host, whatever port and VNI? */
  #isAt(remote: number): boolean {
    const old = this.#remote();
    return old === remote || this.#macs?.hostOf(old) === remote;
  }

  #learnLocked(hi: number, lo: number, remote: number, now_s: number): FdbLearnResult {
    const slot = this.#find(hi, lo);
    if (slot < 0) return this.#insert(remote, FDB_LEARNED, now_s) ? FDB_ADDED : FDB_FULL;
    if (this.#isAt(remote)) return FDB_REFRESHED;
    const flags = this.#flags();
    if ((flags & FDB_FIXED) !== 0) return FDB_STATIC_CONFLICT;
    this.movedFrom = this.#remote();
    this.#update(slot, remote, FDB_LEARNED | (flags & ~FDB_KIND), now_s);
    return FDB_MOVED;
  }

  /** Inserts the key that `#find` has missed; the writer only. @returns false: table full */
  #insert(remote: number, flags: number, now_s: number): boolean {
    this.#setValue(remote, flags, now_s);
    // First the count: who sees none may believe that no entry leads to the remote.
    this.#count(remote, 1, flags);
    if (this.#table.insert()) return true;
    this.#count(remote, -1, flags);
    return false;
  }

  /** Overwrites the entry that `#find` has just found; the writer only. */
  #update(slot: number, remote: number, flags: number, now_s: number): void {
    const old = this.#remote();
    const oldFlags = this.#flags();
    this.#setValue(remote, flags, now_s);
    this.#count(remote, 1, flags);
    this.#table.update(slot);
    this.#count(old, -1, oldFlags);
  }

  /** Counts the entry whose MAC lies in the table's scratch words. */
  #count(remote: number, change: number, flags: number): void {
    const { key } = this.#table;
    if ((flags & IMMORTAL) === 0) Atomics.add(this.#mortals, 0, change);
    if (isListMac(key[KEY_HI], key[KEY_LO])) return;
    this.#macs?.countMac(remote, change, (flags & FDB_LEARNED) !== 0);
  }

  #setValue(remote: number, flags: number, now_s: number): void {
    const kind = FLAGS_OF_KIND.indexOf(flags & FDB_KIND);
    assert(remote >= 0 && remote <= REMOTE_MASK && kind >= 0);
    const router = (flags & FDB_ROUTER) === 0 ? 0 : STAMP_ROUTER;
    const extern = (flags & FDB_EXTERN) === 0 ? 0 : STAMP_EXTERN;
    this.#table.value[VALUE_REMOTE_KIND] = (kind << REMOTE_BITS) | remote;
    this.#table.value[VALUE_STAMP] = router | extern | (now_s & STAMP_MASK);
  }

  /** Remote, flags and stamp of the entry that lies in the table's scratch words. */
  #remote(): number {
    return this.#table.value[VALUE_REMOTE_KIND] & REMOTE_MASK;
  }

  #flags(): number {
    const { value } = this.#table;
    const stamp = value[VALUE_STAMP];
    const router = (stamp & STAMP_ROUTER) === 0 ? 0 : FDB_ROUTER;
    const extern = (stamp & STAMP_EXTERN) === 0 ? 0 : FDB_EXTERN;
    return FLAGS_OF_KIND[value[VALUE_REMOTE_KIND] >>> REMOTE_BITS] | router | extern;
  }

  /** Seconds since the stamp, negative for one from the future. */
  #age_s(now_s: number): number {
    const unused = 32 - STAMP_BITS;
    return ((now_s - this.#table.value[VALUE_STAMP]) << unused) >> unused;
  }

  /** The entry that lies in the table's scratch words. */
  #entry(): FdbEntry {
    const key = this.#table.key;
    return {
      hi: key[KEY_HI],
      lo: key[KEY_LO] >>> 0,
      remote: this.#remote(),
      flags: this.#flags(),
      updated_s: this.#table.value[VALUE_STAMP] & STAMP_MASK,
    };
  }

  #removeWhere(matches: () => boolean, onRemoved: FdbRemovedListener | undefined): number {
    const removed: FdbEntry[] = [];
    const take = (): boolean => {
      if (!matches()) return false;
      this.#count(this.#remote(), -1, this.#flags());
      if (onRemoved !== undefined) removed.push(this.#entry());
      return true;
    };
    return this.#table.removeWhere(take, () => {
      for (const entry of removed.splice(0)) onRemoved?.(entry);
    });
  }
}
