// Longest-prefix match for the addresses of one family, the readers' side: any thread, no lock. Who
// adds prefixes is prefix-table.ts.
//
// Theory of operation. The prefixes lie in a SharedTable with key (length, prefix). A lookup probes
// it for the lengths that the index says, longest first, and starts over when a prefix was added
// meanwhile: so an address that some prefix covers at every moment is never found without one, also
// while a longer one takes a shorter one's place.
import {
  LOADS_IN_ORDER,
  SharedTable,
  type SharedTableState,
} from "../shared-memory/shared-table.js";
import { type IpAddress, type IpPrefix, ipFromV4 } from "../wire/ip-address.js";
import { PrefixIndexReader, type PrefixIndexState } from "./prefix-index.js";

/** `find`: no prefix covers the address. */
export const NOT_COVERED = -1;

const WORD_BITS = 32;
/** Times that a lookup starts over because prefixes were added during it. */
const ATTEMPTS = 8;

export interface PrefixTableState {
  readonly family: 4 | 6;
  readonly table: SharedTableState;
  readonly index: PrefixIndexState;
}

export interface PrefixEntry {
  readonly prefix: IpPrefix;
  readonly value: number;
}

export class PrefixReader {
  readonly #family: 4 | 6;
  readonly #table: SharedTable;
  readonly #index: PrefixIndexReader;
  /** Words of an address. */
  readonly #words: number;
  readonly #address: Int32Array;
  readonly #fence = new Int32Array(new SharedArrayBuffer(4));

  constructor({ family, table, index }: PrefixTableState) {
    this.#family = family;
    this.#table = SharedTable.attach(table);
    this.#index = new PrefixIndexReader(index);
    this.#words = wordsOf(family);
    this.#address = new Int32Array(this.#words);
  }

  /** Hot. @returns the number of the longest prefix that covers the address, or NOT_COVERED */
  find4(address: number): number {
    this.#address[0] = address;
    return this.findAgain();
  }

  /** Hot; the words of an IPv6 address, most significant first. */
  find6(w0: number, w1: number, w2: number, w3: number): number {
    const address = this.#address;
    address[0] = w0;
    address[1] = w1;
    address[2] = w2;
    address[3] = w3;
    return this.findAgain();
  }

  /** What the last address is found as now. */
  findAgain(): number {
    let added = this.#index.added;
    for (let attempt = 1; ; attempt++) {
      const value = this.#longest();
      // As in SharedTable: an atomic load would not hold back the plain loads before it.
      if (!LOADS_IN_ORDER) Atomics.add(this.#fence, 0, 0);
      const then = added;
      added = this.#index.added;
      if (added === then || attempt === ATTEMPTS) return value;
    }
  }

  /** The prefix that `find4` or `find6` would find, for people. */
  match(ip: IpAddress): PrefixEntry | undefined {
    const { w0, w1, w2, w3 } = ip;
    const value = this.#family === 4 ? this.find4(w3) : this.find6(w0, w1, w2, w3);
    if (value === NOT_COVERED) return undefined;
    return { prefix: prefixOf(this.#family, this.#table.key), value };
  }

  #longest(): number {
    for (let word = this.#words - 1; word >= 0; word--) {
      let lengths = this.#index.lengths(this.#address, word);
      while (lengths !== 0) {
        const bit = WORD_BITS - 1 - Math.clz32(lengths);
        if (this.#probe(word, bit + 1)) return this.#table.value[0];
        lengths &= ~(1 << bit);
      }
    }
    if (this.#index.hasDefault && this.#probe(0, 0)) return this.#table.value[0];
    return NOT_COVERED;
  }

  /**
   * Is there a prefix over the address in `#address` that ends in `word` of it, after `bits` of
   * these?
   */
  #probe(word: number, bits: number): boolean {
    const { key } = this.#table;
    const address = this.#address;
    key[0] = word * WORD_BITS + bits;
    for (let i = 0; i < this.#words; i++) key[i + 1] = i < word ? address[i] : 0;
    // 32 - 0 bits would be a shift by none.
    if (bits !== 0) key[word + 1] = address[word] & (-1 << (WORD_BITS - bits));
    return this.#table.find() >= 0;
  }
}

/** Words that the addresses of a family have in a table. */
export function wordsOf(family: 4 | 6): number {
  return family === 4 ? 1 : 4;
}

/** @param key as it lies in the table: length, words of the address */
export function prefixOf(family: 4 | 6, key: Int32Array): IpPrefix {
  const [length, w0, w1, w2, w3] = key;
  if (family === 4) return { ip: ipFromV4(w0 >>> 0), family, length };
  return { ip: { w0: w0 >>> 0, w1: w1 >>> 0, w2: w2 >>> 0, w3: w3 >>> 0 }, family, length };
}
