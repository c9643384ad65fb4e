// Neighbour table of one VXLAN tunnel: overlay IP address -> MAC address, what the ARP and ND proxy
// answers from (`proxy: true`). Does not parse or build packets.
//
// Theory of operation. A SharedTable with key (four address words, IPv4 as IPv4-mapped) and value
// (MAC, flags). Every entry is one that a user gave; nothing is learned and nothing ages.
import { SharedTable, type SharedTableState } from "../shared-memory/shared-table.js";
import {
  TABLE_EXISTS,
  TABLE_FULL,
  TABLE_NOT_FOUND,
  TABLE_OK,
  type TableResult,
} from "../shared-memory/table-result.js";

/** `ip neigh ... nud permanent`: the word that `neigh show` prints. */
export const NEIGH_PERMANENT = 1;
/**
 * `ip neigh ... router` (NTF_ROUTER): neighbour advertisements carry the R flag (RFC 4861 section
 * 4.4).
 */
export const NEIGH_ROUTER = 2;

/** `ip neigh ... nud noarp` (NUD_NOARP): lives as long as a permanent one, shown by another word. */
export const NEIGH_NOARP = 4;

/** Words that `lookup` writes. */
export const NEIGH_RESULT_WORDS = 3;
export const NEIGH_RESULT_HI = 0;
export const NEIGH_RESULT_LO = 1;
export const NEIGH_RESULT_FLAGS = 2;

/** Address words as unsigned numbers, most significant first. */
export type AddressWords = readonly [number, number, number, number];

export interface NeighEntry {
  readonly address: AddressWords;
  readonly hi: number;
  readonly lo: number;
  /** NEIGH_PERMANENT or NEIGH_NOARP; NEIGH_ROUTER. */
  readonly flags: number;
}

const KEY_WORDS = 4;
const VALUE_WORDS = NEIGH_RESULT_WORDS;

export type NeighState = SharedTableState;

export class Neigh {
  readonly #table: SharedTable;

  private constructor(table: SharedTable) {
    this.#table = table;
  }

  /** @param maxEntries 1..MAX_TABLE_ENTRIES */
  static create(maxEntries: number): Neigh {
    return new Neigh(
      SharedTable.create({ keyWords: KEY_WORDS, valueWords: VALUE_WORDS, maxEntries }),
    );
  }

  static attach(state: NeighState): Neigh {
    return new Neigh(SharedTable.attach(state));
  }

  sharedState(): NeighState {
    return this.#table.sharedState();
  }

  get count(): number {
    return this.#table.count;
  }

  get maxEntries(): number {
    return this.#table.maxEntries;
  }

  /**
   * Looks an address up. Hot.
   * @param out NEIGH_RESULT_WORDS words: hi16, lo32 (signed bits), flags; untouched on a miss
   * @returns false if nothing is known (l3miss)
   */
  lookup(w0: number, w1: number, w2: number, w3: number, out: Int32Array): boolean {
    if (this.#find(w0, w1, w2, w3) < 0) return false;
    const value = this.#table.value;
    out[NEIGH_RESULT_HI] = value[NEIGH_RESULT_HI];
    out[NEIGH_RESULT_LO] = value[NEIGH_RESULT_LO];
    out[NEIGH_RESULT_FLAGS] = value[NEIGH_RESULT_FLAGS];
    return true;
  }

  /** Adds an entry, unless the address has one. */
  add(entry: NeighEntry): TableResult {
    return this.#put(entry, false);
  }

  /** Adds an entry or overwrites the one that is there. */
  replace(entry: NeighEntry): TableResult {
    return this.#put(entry, true);
  }

  del([w0, w1, w2, w3]: AddressWords): TableResult {
    this.#table.lock();
    try {
      const slot = this.#find(w0, w1, w2, w3);
      if (slot < 0) return TABLE_NOT_FOUND;
      this.#table.remove(slot);
      return TABLE_OK;
    } finally {
      this.#table.unlock();
    }
  }

  /** Removes the entries that `matches` says yes to, all without it. @returns how many */
  flush(matches: (entry: NeighEntry) => boolean = () => true): number {
    return this.#table.removeWhere(() => matches(this.#entry()));
  }

  get([w0, w1, w2, w3]: AddressWords): NeighEntry | undefined {
    return this.#find(w0, w1, w2, w3) < 0 ? undefined : this.#entry();
  }

  /** Every entry, in no order; none is torn. */
  list(): NeighEntry[] {
    const entries: NeighEntry[] = [];
    const table = this.#table;
    for (let slot = table.usedFrom(0); slot < table.capacity; slot = table.usedFrom(slot + 1)) {
      if (this.#table.readSlot(slot)) entries.push(this.#entry());
    }
    return entries;
  }

  #find(w0: number, w1: number, w2: number, w3: number): number {
    const key = this.#table.key;
    key[0] = w0;
    key[1] = w1;
    key[2] = w2;
    key[3] = w3;
    return this.#table.find();
  }

  #put(entry: NeighEntry, overwrite: boolean): TableResult {
    const [w0, w1, w2, w3] = entry.address;
    const value = this.#table.value;
    this.#table.lock();
    try {
      const slot = this.#find(w0, w1, w2, w3);
      if (slot >= 0 && !overwrite) return TABLE_EXISTS;
      value[NEIGH_RESULT_HI] = entry.hi;
      value[NEIGH_RESULT_LO] = entry.lo;
      value[NEIGH_RESULT_FLAGS] = entry.flags;
      if (slot < 0) return this.#table.insert() ? TABLE_OK : TABLE_FULL;
      this.#table.update(slot);
      return TABLE_OK;
    } finally {
      this.#table.unlock();
    }
  }

  /** The entry that lies in the table's scratch words. */
  #entry(): NeighEntry {
    const { key, value } = this.#table;
    return {
      address: [key[0] >>> 0, key[1] >>> 0, key[2] >>> 0, key[3] >>> 0],
      hi: value[NEIGH_RESULT_HI],
      lo: value[NEIGH_RESULT_LO] >>> 0,
      flags: value[NEIGH_RESULT_FLAGS],
    };
  }
}
