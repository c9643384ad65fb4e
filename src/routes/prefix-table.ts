// Longest-prefix match for the addresses of one family: prefix -> a number of 16 bits. What the
// number means is route-table.ts.
//
// Theory of operation. A packed SharedTable with key (prefix length, prefix), and a bitmap of the
// prefix lengths that occur. A lookup probes the table once per length present, longest first: real
// tables have a handful of lengths, and memory is one slot per prefix (16 bytes for IPv4, 32 for
// IPv6), unlike a trie's nodes. A length's bit is set before its first prefix is added and cleared
// after its last one is gone, so a lookup never misses a prefix that is there.
import assert from "node:assert/strict";
import { SharedTable, type SharedTableState } from "../shared-memory/shared-table.js";
import {
  TABLE_FULL,
  TABLE_NOT_FOUND,
  TABLE_OK,
  type TableResult,
} from "../shared-memory/table-result.js";
import { type IpAddress, type IpPrefix, ipFromV4 } from "../wire/ip-address.js";

/** `find`: no prefix covers the address. */
export const NOT_COVERED = -1;
/** Greatest number that a prefix can have. */
export const MAX_VALUE = 0xffff;

const WORD_BITS = 32;

export interface PrefixTableState {
  readonly family: 4 | 6;
  readonly table: SharedTableState;
  readonly lengths: SharedArrayBuffer;
}

export interface PrefixEntry {
  readonly prefix: IpPrefix;
  readonly value: number;
}

export class PrefixTable {
  readonly #family: 4 | 6;
  readonly #table: SharedTable;
  /** Words of an address. */
  readonly #words: number;
  /**
   * First a bitmap: bit n-1 of it stands for length n, in words of 32 bits; then the number of
   * prefixes of each length from 0 on.
   */
  readonly #lengths: Int32Array;
  readonly #address = new Int32Array(4);

  private constructor({ family, table, lengths }: PrefixTableState) {
    this.#family = family;
    this.#table = SharedTable.attach(table);
    this.#words = family === 4 ? 1 : 4;
    this.#lengths = new Int32Array(lengths);
  }

  /** @param maxEntries 1..MAX_TABLE_ENTRIES */
  static create(family: 4 | 6, maxEntries: number): PrefixTable {
    const words = family === 4 ? 1 : 4;
    const table = SharedTable.create({
      ...{ keyWords: 1 + words, valueWords: 1, maxEntries },
      packed: true,
    });
    const lengths = new SharedArrayBuffer((words + words * WORD_BITS + 1) * 4);
    return new PrefixTable({ family, table: table.sharedState(), lengths });
  }

  static attach(state: PrefixTableState): PrefixTable {
    return new PrefixTable(state);
  }

  sharedState(): PrefixTableState {
    return {
      family: this.#family,
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

  /** Hot. @returns the number of the longest prefix that covers the address, or NOT_COVERED */
  find4(address: number): number {
    const words = this.#address;
    words[0] = address;
    return this.#longest();
  }

  /** Hot; the words of an IPv6 address, most significant first. */
  find6(w0: number, w1: number, w2: number, w3: number): number {
    const words = this.#address;
    words[0] = w0;
    words[1] = w1;
    words[2] = w2;
    words[3] = w3;
    return this.#longest();
  }

  /** The prefix that `find4` or `find6` would find, for people. */
  match(address: IpAddress): PrefixEntry | undefined {
    this.#load(address);
    const value = this.#longest();
    if (value === NOT_COVERED) return undefined;
    return { prefix: this.#prefix(), value };
  }

  /**
   * Adds a prefix or overwrites its number. Takes the writer's lock.
   * @param onReplaced told of the number that was there, after the lock is released
   */
  set(prefix: IpPrefix, value: number, onReplaced?: (value: number) => void): TableResult {
    assert(value >= 0 && value <= MAX_VALUE);
    let old: number;
    this.#lock();
    try {
      const slot = this.#findExactly(prefix);
      if (slot < 0) return this.#insert(prefix, value);
      old = this.#table.value[0];
      this.#table.value[0] = value;
      this.#table.update(slot);
    } finally {
      this.#table.unlock();
    }
    onReplaced?.(old);
    return TABLE_OK;
  }

  /** Takes the writer's lock. */
  delete(prefix: IpPrefix, onRemoved?: (value: number) => void): TableResult {
    let old: number;
    this.#lock();
    try {
      const slot = this.#findExactly(prefix);
      if (slot < 0) return TABLE_NOT_FOUND;
      old = this.#table.value[0];
      this.#table.remove(slot);
      this.#countLength(prefix.length, -1);
    } finally {
      this.#table.unlock();
    }
    onRemoved?.(old);
    return TABLE_OK;
  }

  /** @returns the number of exactly this prefix, or NOT_COVERED */
  get(prefix: IpPrefix): number {
    return this.#findExactly(prefix) < 0 ? NOT_COVERED : this.#table.value[0];
  }

  /** Every prefix, in no order; none is torn. */
  list(): PrefixEntry[] {
    const entries: PrefixEntry[] = [];
    const table = this.#table;
    for (let slot = table.usedFrom(0); slot < table.capacity; slot = table.usedFrom(slot + 1)) {
      if (table.readSlot(slot)) entries.push({ prefix: this.#prefix(), value: table.value[0] });
    }
    return entries;
  }

  #longest(): number {
    for (let word = this.#words - 1; word >= 0; word--) {
      let lengths = Atomics.load(this.#lengths, word);
      while (lengths !== 0) {
        const length = word * WORD_BITS + WORD_BITS - Math.clz32(lengths);
        if (this.#probe(length)) return this.#table.value[0];
        lengths &= ~(1 << (length - 1));
      }
    }
    if (this.#lengths[this.#words] !== 0 && this.#probe(0)) return this.#table.value[0];
    return NOT_COVERED;
  }

  /** Is there a prefix of this length over the address in `#address`? */
  #probe(length: number): boolean {
    const { key } = this.#table;
    const address = this.#address;
    key[0] = length;
    for (let word = 0; word < this.#words; word++) {
      const bits = length - word * WORD_BITS;
      key[word + 1] =
        bits >= WORD_BITS ? address[word] : bits <= 0 ? 0 : address[word] & maskOf(bits);
    }
    return this.#table.find() >= 0;
  }

  #findExactly({ ip, length }: IpPrefix): number {
    this.#load(ip);
    const { key } = this.#table;
    key[0] = length;
    for (let word = 0; word < this.#words; word++) key[word + 1] = this.#address[word];
    return this.#table.find();
  }

  #load({ w0, w1, w2, w3 }: IpAddress): void {
    const words = this.#address;
    if (this.#family === 4) {
      words[0] = w3;
      return;
    }
    words[0] = w0;
    words[1] = w1;
    words[2] = w2;
    words[3] = w3;
  }

  #insert({ length }: IpPrefix, value: number): TableResult {
    if (this.#table.count >= this.#table.maxEntries) return TABLE_FULL;
    this.#table.value[0] = value;
    this.#countLength(length, 1);
    this.#table.insert();
    return TABLE_OK;
  }

  #countLength(length: number, step: 1 | -1): void {
    const prefixes = Atomics.add(this.#lengths, this.#words + length, step) + step;
    if (length === 0) return;
    const bit = 1 << ((length - 1) % WORD_BITS);
    const word = Math.floor((length - 1) / WORD_BITS);
    if (prefixes === 0) Atomics.and(this.#lengths, word, ~bit);
    else Atomics.or(this.#lengths, word, bit);
  }

  /** Takes the writer's lock; after a dead writer the lengths are counted anew. */
  #lock(): void {
    if (!this.#table.lock()) return;
    const prefixes = new Int32Array(this.#words * WORD_BITS + 1);
    for (const { prefix } of this.list()) prefixes[prefix.length]++;
    for (const [length, count] of prefixes.entries()) {
      Atomics.store(this.#lengths, this.#words + length, count + 1);
      this.#countLength(length, -1);
    }
  }

  /** The prefix that lies in the table's scratch words. */
  #prefix(): IpPrefix {
    const { key } = this.#table;
    const [length, w0, w1, w2, w3] = key;
    if (this.#family === 4) return { ip: ipFromV4(w0 >>> 0), family: 4, length };
    const ip = { w0: w0 >>> 0, w1: w1 >>> 0, w2: w2 >>> 0, w3: w3 >>> 0 };
    return { ip, family: 6, length };
  }
}

/** @param bits 1..31 */
function maskOf(bits: number): number {
  return -1 << (WORD_BITS - bits);
}
