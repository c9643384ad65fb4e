// The writer of a trie of prefixes: one thread. It knows which prefix has which number from
// prefix-table.ts, and brings the trie in line after each change there. How the trie lies in memory
// is trie-layout.ts, how it is read prefix-reader.ts.
//
// Theory of operation. A change concerns the entries of one node, or of SHORT, or of ROOTS: those
// positions that the prefix covers, 128 at most. What each of them has to say is asked of the table
// anew. The node is then written once more with its new entries and put in the old one's place by a
// single store. A reader on its way down finds the old entries or the new ones; the order of the
// other stores (COVERING of the nodes below) keeps each prefix in force in between.
import {
  addressWords,
  NODE_COVERING,
  NODE_PREFIX,
  nodeOf,
  POSITIONS,
  positionOf,
  ROOT_BITS,
  ROOTS,
  SHORT,
  SHORT_BITS,
  STRIDE_BITS,
  VERSION,
} from "./trie-layout.js";
import { TrieNodes } from "./trie-nodes.js";

/** @returns the number of exactly this prefix plus one, or 0; `address` may have host bits */
export type NumberOf = (address: Int32Array, length: number) => number;

/** A node on the way down. */
interface Step {
  /** Its first word. */
  readonly at: number;
  /** The word that has its entry. */
  readonly ref: number;
}

export class PrefixTrie {
  readonly #nodes: TrieNodes;
  readonly #words: Int32Array;
  readonly #numberOf: NumberOf;
  readonly #asked: Int32Array;

  constructor(family: 4 | 6, maxPrefixes: number, numberOf: NumberOf) {
    this.#nodes = new TrieNodes(family, maxPrefixes);
    this.#words = this.#nodes.words;
    this.#asked = new Int32Array(addressWords(family));
    this.#numberOf = numberOf;
  }

  get buffer(): SharedArrayBuffer {
    return this.#words.buffer as SharedArrayBuffer;
  }

  /** Is one more change certain to find memory? Otherwise prefixes may only go. */
  hasRoom(): boolean {
    return this.#nodes.hasRoom();
  }

  /** After the table changed for a prefix. */
  update(address: Int32Array, length: number): void {
    Atomics.add(this.#words, VERSION, 1);
    if (length <= SHORT_BITS) this.#updateShort(address, length);
    else if (length <= ROOT_BITS) this.#updateRoots(address, length);
    else this.#updateNode(address, length);
    this.#nodes.reclaim();
    Atomics.add(this.#words, VERSION, 1);
  }

  #updateShort(address: Int32Array, length: number): void {
    const end = this.#ask(address, length, 0);
    for (let position = positionOf(address, 0); position < end; position++) {
      Atomics.store(this.#words, SHORT + position, this.#nodes.numbers[position]);
    }
  }

  #updateRoots(address: Int32Array, length: number): void {
    const end = this.#ask(address, length, SHORT_BITS);
    const roots = ROOTS + (address[0] >>> 24) * POSITIONS;
    for (let position = positionOf(address, SHORT_BITS); position < end; position++) {
      const entry = this.#words[roots + position];
      const at = entry < 0 ? nodeOf(entry) + NODE_COVERING : roots + position;
      Atomics.store(this.#words, at, this.#nodes.numbers[position]);
    }
  }

  #updateNode(address: Int32Array, length: number): void {
    const depth = depthOf(length);
    const path: Step[] = [];
    let ref = ROOTS + (address[0] >>> (32 - ROOT_BITS));
    for (;;) {
      const entry = this.#words[ref];
      if (entry >= 0) return this.#addNode(address, length, path, ref, entry);
      const at = nodeOf(entry);
      const below = this.#nodes.depthOf(at);
      const common = this.#commonBits(address, at, Math.min(depth, below));
      if (common < below) return this.#addAbove(address, length, ref, common);
      path.push({ at, ref });
      if (below === depth) {
        this.#nodes.read(at);
        this.#ask(address, length, depth);
        return this.#replace(path);
      }
      const position = positionOf(address, below);
      const next = this.#nodes.entryAt(at, position);
      if (next === undefined) {
        this.#nodes.read(at);
        return this.#addNode(address, length, path, -1, this.#nodes.numbers[position]);
      }
      ref = next;
    }
  }

  /**
   * Where there is no node yet.
   * @param path down to where the new one is to hang; if it is empty, at `ref`
   * @param covering the entry there
   */
  #addNode(address: Int32Array, length: number, path: Step[], ref: number, covering: number): void {
    const depth = depthOf(length);
    this.#nodes.clear();
    this.#ask(address, length, depth);
    const node = this.#nodes.write(address, depth, covering);
    const parent = path.at(-1);
    if (parent === undefined) {
      Atomics.store(this.#words, ref, node);
      return;
    }
    this.#nodes.read(parent.at);
    this.#nodes.nodes[positionOf(address, this.#nodes.depthOf(parent.at))] = node;
    this.#replace(path);
  }

  /**
   * Above the node at `ref`, which has `common` bits in common with the prefix: the prefix's own
   * node, or one where the two part.
   */
  #addAbove(address: Int32Array, length: number, ref: number, common: number): void {
    const depth = depthOf(length);
    const old = this.#words[ref];
    const at = nodeOf(old);
    this.#nodes.clear();
    this.#ask(address, length, depth);
    let added = 0;
    if (common < depth) {
      added = this.#nodes.write(address, depth, 0);
      this.#nodes.clear();
      this.#nodes.nodes[positionOf(address, common)] = added;
    }
    const position = positionOf(this.#nodes.prefixOf(at), common);
    this.#nodes.nodes[position] = old;
    const covering = this.#nodes.numbers[position];
    const node = this.#nodes.write(address, common, this.#words[at + NODE_COVERING]);
    Atomics.store(this.#words, ref, node);
    Atomics.store(this.#words, at + NODE_COVERING, covering);
  }

  /** Puts the node at hand in the place of the last node of the path. */
  #replace(path: Step[]): void {
    const { at, ref } = path.pop()!;
    const depth = this.#nodes.depthOf(at);
    const covering = this.#words[at + NODE_COVERING];
    const prefix = this.#nodes.prefixOf(at);
    this.#nodes.giveBack(at);
    const below = this.#nodes.nodes.filter((entry) => entry !== 0);
    if (below.length > 1 || this.#nodes.numbers.some((number) => number !== 0)) {
      Atomics.store(this.#words, ref, this.#nodes.write(prefix, depth, covering));
      this.#cover();
    } else if (below.length === 1) {
      Atomics.store(this.#words, nodeOf(below[0]) + NODE_COVERING, covering);
      Atomics.store(this.#words, ref, below[0]);
    } else {
      this.#remove(prefix, path, ref, covering);
    }
  }

  /** Takes the node at `ref` out, and what has no purpose then. */
  #remove(prefix: Int32Array, path: Step[], ref: number, covering: number): void {
    const parent = path.at(-1);
    if (parent === undefined) {
      Atomics.store(this.#words, ref, covering);
      return;
    }
    this.#nodes.read(parent.at);
    this.#nodes.nodes[positionOf(prefix, this.#nodes.depthOf(parent.at))] = 0;
    this.#replace(path);
  }

  /** Tells the nodes below the one at hand what covers them. */
  #cover(): void {
    for (let position = 0; position < POSITIONS; position++) {
      if (this.#nodes.nodes[position] === 0) continue;
      const at = nodeOf(this.#nodes.nodes[position]) + NODE_COVERING;
      Atomics.store(this.#words, at, this.#nodes.numbers[position]);
    }
  }

  /**
   * Asks for the number of each position that a prefix covers.
   * @param depth of the positions
   * @returns behind the last of them
   */
  #ask(address: Int32Array, length: number, depth: number): number {
    let number = 0;
    // Only prefixes of SHORT may have no bits at all.
    const shortest = depth === 0 ? 0 : depth + 1;
    for (let n = length - 1; n >= shortest && number === 0; n--) {
      number = this.#numberOf(address, n);
    }
    this.#asked.set(address);
    const first = positionOf(address, depth);
    const count = 1 << (depth + STRIDE_BITS - length);
    this.#askFrom(first, count, depth, number);
    return first + count;
  }

  /** @param shorter number of the longest prefix that covers more than these positions */
  #askFrom(first: number, count: number, depth: number, shorter: number): void {
    const word = depth >>> 5;
    const shift = 24 - (depth & 31);
    this.#asked[word] = (this.#asked[word] & ~(0xff << shift)) | (first << shift);
    const length = depth + STRIDE_BITS - Math.log2(count);
    const number = this.#numberOf(this.#asked, length) || shorter;
    if (count === 1) {
      this.#nodes.numbers[first] = number;
      return;
    }
    const half = count / 2;
    this.#askFrom(first, half, depth, number);
    this.#askFrom(first + half, half, depth, number);
  }

  /** Bits that the address and the node's prefix have in common, of `depth`, in whole bytes. */
  #commonBits(address: Int32Array, at: number, depth: number): number {
    for (let word = 0; 32 * word < depth; word++) {
      const differing = this.#words[at + NODE_PREFIX + word] ^ address[word];
      if (differing === 0) continue;
      const common = 32 * word + Math.clz32(differing);
      return Math.min(depth, common & ~(STRIDE_BITS - 1));
    }
    return depth;
  }
}

/** Of the node that has the prefixes of this length. */
function depthOf(length: number): number {
  return (length - 1) & ~(STRIDE_BITS - 1);
}
