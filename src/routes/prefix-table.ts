// Prefixes of one family, each with a number; lookups are in prefix-reader.ts. What the number
// means is route-table.ts.
//
// Theory of operation. One thread writes. An entry never moves, and its number is one word that is
// overwritten at once: a reader finds the old number or the new one, and never misses a prefix
// whose number changes. Memory: for each of the entries that there may be two slots of 16 bytes
// (IPv4) or 32 (IPv6), and the index.
import assert from "node:assert/strict";
import { SharedTable } from "../shared-memory/shared-table.js";
import {
  TABLE_FULL,
  TABLE_NOT_FOUND,
  TABLE_OK,
  type TableResult,
} from "../shared-memory/table-result.js";
import type { IpAddress, IpPrefix } from "../wire/ip-address.js";
import { createPrefixIndex, PrefixIndex } from "./prefix-index.js";
import {
  NOT_COVERED,
  type PrefixEntry,
  PrefixReader,
  type PrefixTableState,
  prefixOf,
  wordsOf,
} from "./prefix-reader.js";

export class PrefixTable {
  readonly #state: PrefixTableState;
  readonly #family: 4 | 6;
  readonly #table: SharedTable;
  readonly #index: PrefixIndex;
  readonly #reader: PrefixReader;
  /** Of the prefix at hand. */
  readonly #address: Int32Array;

  /** @param maxEntries 1..MAX_TABLE_ENTRIES */
  constructor(family: 4 | 6, maxEntries: number) {
    const words = wordsOf(family);
    this.#family = family;
    this.#address = new Int32Array(words);
    this.#table = SharedTable.create({ keyWords: 1 + words, valueWords: 1, maxEntries });
    const index = createPrefixIndex(words);
    this.#index = new PrefixIndex(index);
    this.#state = { family, table: this.#table.sharedState(), index };
    this.#reader = new PrefixReader(this.#state);
  }

  sharedState(): PrefixTableState {
    return this.#state;
  }

  get count(): number {
    return this.#table.count;
  }

  get maxEntries(): number {
    return this.#table.maxEntries;
  }

  /** The longest prefix that covers an address. */
  match(ip: IpAddress): PrefixEntry | undefined {
    return this.#reader.match(ip);
  }

  /**
   * Adds a prefix or overwrites its number. Takes the table's lock.
   * @param value 0..2^31-1
   * @param onReplaced told of the number that was there, after the lock is released
   */
  set(prefix: IpPrefix, value: number, onReplaced?: (value: number) => void): TableResult {
    assert(value >= 0);
    let old: number;
    this.#lock();
    try {
      const slot = this.#find(prefix);
      if (slot < 0) return this.#insert(prefix, value);
      old = this.#table.value[0];
      this.#table.exchangeWord(slot, 0, old, value);
    } finally {
      this.#table.unlock();
    }
    onReplaced?.(old);
    return TABLE_OK;
  }

  /** Takes the table's lock. */
  delete(prefix: IpPrefix, onRemoved?: (value: number) => void): TableResult {
    let old: number;
    this.#lock();
    try {
      const slot = this.#find(prefix);
      if (slot < 0) return TABLE_NOT_FOUND;
      old = this.#table.value[0];
      this.#table.remove(slot);
      this.#index.removed(this.#address, prefix.length);
    } finally {
      this.#table.unlock();
    }
    onRemoved?.(old);
    return TABLE_OK;
  }

  /** @returns the number of exactly this prefix, or NOT_COVERED */
  get(prefix: IpPrefix): number {
    return this.#find(prefix) < 0 ? NOT_COVERED : this.#table.value[0];
  }

  /** Every prefix, in no order. */
  list(): PrefixEntry[] {
    const entries: PrefixEntry[] = [];
    const table = this.#table;
    for (let slot = table.usedFrom(0); slot < table.capacity; slot = table.usedFrom(slot + 1)) {
      if (!table.readSlot(slot)) continue;
      entries.push({ prefix: prefixOf(this.#family, table.key), value: table.value[0] });
    }
    return entries;
  }

  /** Leaves the prefix in the scratch words of the table and its address in `#address`. */
  #find({ ip, length }: IpPrefix): number {
    this.#load(ip);
    const { key } = this.#table;
    key[0] = length;
    key.set(this.#address, 1);
    return this.#table.find();
  }

  #load({ w0, w1, w2, w3 }: IpAddress): void {
    if (this.#family === 4) this.#address[0] = w3;
    else this.#address.set([w0, w1, w2, w3]);
  }

  #insert({ length }: IpPrefix, value: number): TableResult {
    if (this.#table.count >= this.#table.maxEntries) return TABLE_FULL;
    this.#table.value[0] = value;
    this.#index.adding(this.#address, length);
    this.#table.insert();
    this.#index.added();
    return TABLE_OK;
  }

  /** Takes the lock; after a dead writer the index is made anew. */
  #lock(): void {
    if (!this.#table.lock()) return;
    const index = new PrefixIndex(createPrefixIndex(wordsOf(this.#family)));
    for (const { prefix } of this.list()) {
      this.#load(prefix.ip);
      index.adding(this.#address, prefix.length);
    }
    this.#index.become(index);
  }
}
