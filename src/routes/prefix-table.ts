// Prefixes of one family, each with a number, for longest-prefix match. What the number means is
// route-table.ts; lookups are in prefix-reader.ts.
//
// Theory of operation. One thread writes, which alone knows the prefixes: they lie in a hash table.
// What the readers see is a trie made of them.
// Memory (reserved; what is never touched costs address space only), per entry that there may be:
// hash table two slots of 16 bytes (IPv4) or 32 (IPv6); trie 256 bytes or 320, and 260 KiB.
import assert from "node:assert/strict";
import { SharedTable } from "../shared-memory/shared-table.js";
import {
  TABLE_FULL,
  TABLE_NOT_FOUND,
  TABLE_OK,
  type TableResult,
} from "../shared-memory/table-result.js";
import { type IpAddress, type IpPrefix, ipFromV4 } from "../wire/ip-address.js";
import { NOT_COVERED, type PrefixTableState } from "./prefix-reader.js";
import { PrefixTrie } from "./prefix-trie.js";
import { addressWords } from "./trie-layout.js";

/** Greatest number that a prefix can have. */
export const MAX_NUMBER = 0x7ffffffe;

const ADDRESS_BITS = { 4: 32, 6: 128 } as const;

export interface PrefixEntry {
  readonly prefix: IpPrefix;
  readonly value: number;
}

export class PrefixTable {
  readonly #family: 4 | 6;
  /** Never shared: nobody else writes, so its lock is not needed. */
  readonly #table: SharedTable;
  readonly #trie: PrefixTrie;
  /** Of the prefix at hand. */
  readonly #address: Int32Array;

  /** @param maxEntries 1..MAX_TABLE_ENTRIES */
  constructor(family: 4 | 6, maxEntries: number) {
    const words = addressWords(family);
    this.#family = family;
    this.#address = new Int32Array(words);
    this.#table = SharedTable.create({ keyWords: 1 + words, valueWords: 1, maxEntries });
    this.#trie = new PrefixTrie(family, maxEntries, (address, length) => {
      return this.#find(address, length) < 0 ? 0 : this.#table.value[0] + 1;
    });
  }

  sharedState(): PrefixTableState {
    return { family: this.#family, trie: this.#trie.buffer };
  }

  get count(): number {
    return this.#table.count;
  }

  get maxEntries(): number {
    return this.#table.maxEntries;
  }

  /**
   * Adds a prefix or overwrites its number.
   * @param value 0..MAX_NUMBER
   * @returns TABLE_FULL: nothing was changed
   */
  set(prefix: IpPrefix, value: number): TableResult {
    assert(value >= 0 && value <= MAX_NUMBER);
    const slot = this.#findPrefix(prefix);
    if (slot >= 0 && this.#table.value[0] === value) return TABLE_OK;
    if (!this.#trie.hasRoom()) return TABLE_FULL;
    this.#table.value[0] = value;
    if (slot >= 0) this.#table.update(slot);
    else if (!this.#table.insert()) return TABLE_FULL;
    this.#trie.update(this.#address, prefix.length);
    return TABLE_OK;
  }

  delete(prefix: IpPrefix): TableResult {
    const slot = this.#findPrefix(prefix);
    if (slot < 0) return TABLE_NOT_FOUND;
    this.#table.remove(slot);
    this.#trie.update(this.#address, prefix.length);
    return TABLE_OK;
  }

  /** @returns the number of exactly this prefix, or NOT_COVERED */
  get(prefix: IpPrefix): number {
    return this.#findPrefix(prefix) < 0 ? NOT_COVERED : this.#table.value[0];
  }

  /** The longest prefix that covers an address. For people: it tries every length. */
  match(ip: IpAddress): PrefixEntry | undefined {
    this.#load(ip);
    for (let length = ADDRESS_BITS[this.#family]; length >= 0; length--) {
      if (this.#find(this.#address, length) >= 0) return this.#entry();
    }
    return undefined;
  }

  /** Every prefix, in no order. */
  list(): PrefixEntry[] {
    const entries: PrefixEntry[] = [];
    const table = this.#table;
    for (let slot = table.usedFrom(0); slot < table.capacity; slot = table.usedFrom(slot + 1)) {
      if (table.readSlot(slot)) entries.push(this.#entry());
    }
    return entries;
  }

  /** Leaves the address in `#address`. @returns the prefix's slot or -1 */
  #findPrefix({ ip, length }: IpPrefix): number {
    this.#load(ip);
    return this.#find(this.#address, length);
  }

  /** Looks for the first `length` bits of an address. @returns the prefix's slot or -1 */
  #find(address: Int32Array, length: number): number {
    const { key } = this.#table;
    key[0] = length;
    for (let word = 0; word < address.length; word++) {
      const bits = length - 32 * word;
      key[word + 1] = address[word] & (bits >= 32 ? -1 : bits <= 0 ? 0 : -1 << (32 - bits));
    }
    return this.#table.find();
  }

  #load({ w0, w1, w2, w3 }: IpAddress): void {
    if (this.#family === 4) this.#address[0] = w3;
    else this.#address.set([w0, w1, w2, w3]);
  }

  /** What lies in the table's scratch words. */
  #entry(): PrefixEntry {
    const [length, w0, w1, w2, w3] = this.#table.key;
    const [value] = this.#table.value;
    const family = this.#family;
    if (family === 4) return { prefix: { ip: ipFromV4(w0 >>> 0), family, length }, value };
    const ip = { w0: w0 >>> 0, w1: w1 >>> 0, w2: w2 >>> 0, w3: w3 >>> 0 };
    return { prefix: { ip, family, length }, value };
  }
}
