// Longest-prefix match for the addresses of one family, the readers' side: any thread, no lock. How
// the trie lies in memory is trie-layout.ts.
//
// Theory of operation. The writer never changes a node that can be reached, but for single words;
// it writes another one and puts that in its place. Memory of the old one is used again from the
// next change on. So a reader believes what it found if no change began or ended meanwhile, and
// otherwise looks again: what it finds was so at one moment, also where a longer prefix takes a
// shorter one's place. A writer that sleeps in the middle of a change holds nobody up.
import { LOADS_IN_ORDER } from "../shared-memory/shared-table.js";
import {
  addressWords,
  DEPTH_MASK,
  entryAt,
  NODE_COVERING,
  NODE_DEPTH,
  NODE_PREFIX,
  nodeOf,
  positionOf,
  ROOT_BITS,
  ROOTS,
  SHORT,
  SHORT_BITS,
  STRIDE_BITS,
  VERSION,
} from "./trie-layout.js";

/** `find`: no prefix covers the address. */
export const NOT_COVERED = -1;

/**
 * Times that a lookup looks again because of changes; beyond, it finds nothing rather than
 * something wrong. A change takes longer than some lookups, so this does not happen.
 */
const ATTEMPTS = 1000;
/** Nodes on the way to a prefix of 128 bits. */
const MAX_NODES = (128 - ROOT_BITS) / STRIDE_BITS;

export interface PrefixTableState {
  readonly family: 4 | 6;
  readonly trie: SharedArrayBuffer;
}

export class PrefixReader {
  readonly #trie: Int32Array;
  /** From a node's first word to where it says where entries begin. */
  readonly #places: number;
  readonly #address: Int32Array;
  readonly #fence = new Int32Array(new SharedArrayBuffer(4));

  constructor({ family, trie }: PrefixTableState) {
    this.#trie = new Int32Array(trie);
    this.#places = NODE_PREFIX + addressWords(family);
    this.#address = new Int32Array(addressWords(family));
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

  /** Hot. What the last address is found as now. */
  findAgain(): number {
    const trie = this.#trie;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      // Why one atomic load is enough on x86, and a fence needed elsewhere: shared-table.ts.
      const version = LOADS_IN_ORDER ? trie[VERSION] : Atomics.load(trie, VERSION);
      const found = this.#longest(trie);
      if (!LOADS_IN_ORDER) Atomics.add(this.#fence, 0, 0);
      if (Atomics.load(trie, VERSION) === version) return found - 1;
    }
    return NOT_COVERED;
  }

  /** @returns a number plus one, or 0 */
  #longest(trie: Int32Array): number {
    const address = this.#address;
    let best = trie[SHORT + (address[0] >>> (32 - SHORT_BITS))];
    let entry = trie[ROOTS + (address[0] >>> (32 - ROOT_BITS))];
    for (let nodes = 0; entry < 0 && nodes < MAX_NODES; nodes++) {
      const at = nodeOf(entry);
      const covering = trie[at + NODE_COVERING];
      if (covering !== 0) best = covering;
      const depth = trie[at + NODE_DEPTH] & DEPTH_MASK;
      if (!this.#isWithin(trie, at, depth)) return best;
      entry = trie[entryAt(trie, at, this.#places, positionOf(address, depth))];
    }
    return entry !== 0 ? entry : best;
  }

  /** Does the address begin with the node's prefix? Its first 16 bits do. */
  #isWithin(trie: Int32Array, at: number, depth: number): boolean {
    if (depth === ROOT_BITS) return true;
    const address = this.#address;
    const whole = depth >>> 5;
    for (let word = 0; word < whole; word++) {
      if (trie[at + NODE_PREFIX + word] !== address[word]) return false;
    }
    const differing = trie[at + NODE_PREFIX + whole] ^ address[whole];
    return (depth & 31) === 0 || differing >>> (32 - (depth & 31)) === 0;
  }
}
