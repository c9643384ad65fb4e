// The writer of a trie of prefixes: one thread. It knows which prefix has which number from
// prefix-table.ts, and brings the trie in line after each change there. How the trie lies in memory
// is trie-layout.ts, how it is read prefix-reader.ts.
//
// Theory of operation. A change concerns the entries of one node, or of SHORT, or of ROOTS: those
// positions that the prefix covers, 128 at most. What each of them has to say is asked of the table
// anew. The node is then written once more with its new entries and put in the old one's place by a
// single store. A reader on its way down finds the old entries or the new ones; the order of the
// other stores (COVERING of the nodes below) keeps each prefix in force in between.
import assert from "node:assert/strict";
import { NodeMemory } from "./node-memory.js";
import {
  addressWords,
  BITMAP_WORDS,
  DENSE,
  DENSE_WORDS,
  DEPTH_MASK,
  entryAt,
  entryOf,
  LINE_WORDS,
  MAX_SPARSE_ENTRIES,
  NODE_COVERING,
  NODE_DEPTH,
  NODE_PREFIX,
  NODES,
  nodeOf,
  POSITIONS,
  positionOf,
  ROOT_BITS,
  ROOTS,
  SHORT,
  SHORT_BITS,
  SPARSE_WORDS,
  STRIDE_BITS,
  VERSION,
} from "./trie-layout.js";

/** @returns the number of exactly this prefix plus one, or 0; `address` may have host bits */
export type NumberOf = (address: Int32Array, length: number) => number;

/** A node on the way down. */
interface Step {
  /** Its first word. */
  readonly at: number;
  /** The word that has its entry. */
  readonly ref: number;
}

/**
 * Lines per prefix of each family: a node of its own for every one, and one where it parts from the
 * others, and what sizes that do not fit leave unused.
 */
const LINES_PER_PREFIX = { 4: 4, 6: 5 } as const;

export class PrefixTrie {
  readonly #words: Int32Array;
  readonly #addressWords: number;
  /** From a node's first word to where it says where entries begin. */
  readonly #places: number;
  /** Of a sparse node, at most. */
  readonly #sparseEntries: number;
  readonly #maxLines: number;
  readonly #memory: NodeMemory;
  readonly #numberOf: NumberOf;
  /** Per position of the node at hand: the entry if there were no nodes below; nodes below. */
  readonly #numbers = new Int32Array(POSITIONS);
  readonly #nodes = new Int32Array(POSITIONS);
  readonly #asked: Int32Array;

  constructor(family: 4 | 6, maxEntries: number, numberOf: NumberOf) {
    this.#addressWords = addressWords(family);
    this.#places = NODE_PREFIX + this.#addressWords;
    const room = LINE_WORDS - this.#places - SPARSE_WORDS;
    this.#sparseEntries = Math.min(MAX_SPARSE_ENTRIES, room);
    this.#maxLines = this.#linesFor(POSITIONS);
    const lines = LINES_PER_PREFIX[family] * maxEntries + 4 * this.#maxLines;
    this.#memory = new NodeMemory(lines, this.#maxLines);
    this.#words = new Int32Array(new SharedArrayBuffer((NODES + lines * LINE_WORDS) * 4));
    this.#asked = new Int32Array(this.#addressWords);
    this.#numberOf = numberOf;
  }

  get buffer(): SharedArrayBuffer {
    return this.#words.buffer as SharedArrayBuffer;
  }

  /** Is one more change certain to find memory? Otherwise only prefixes may go. */
  hasRoom(): boolean {
    return this.#memory.hasRoom(4 * this.#maxLines);
  }

  /** After the table changed for a prefix. */
  update(address: Int32Array, length: number): void {
    Atomics.add(this.#words, VERSION, 1);
    if (length <= SHORT_BITS) this.#updateShort(address, length);
    else if (length <= ROOT_BITS) this.#updateRoots(address, length);
    else this.#updateNode(address, length);
    this.#memory.reclaim();
    Atomics.add(this.#words, VERSION, 1);
  }

  #updateShort(address: Int32Array, length: number): void {
    const end = this.#ask(address, length, 0);
    for (let position = positionOf(address, 0); position < end; position++) {
      Atomics.store(this.#words, SHORT + position, this.#numbers[position]);
    }
  }

  #updateRoots(address: Int32Array, length: number): void {
    const end = this.#ask(address, length, SHORT_BITS);
    const roots = ROOTS + (address[0] >>> 24) * POSITIONS;
    for (let position = positionOf(address, SHORT_BITS); position < end; position++) {
      const entry = this.#words[roots + position];
      const at = entry < 0 ? nodeOf(entry) + NODE_COVERING : roots + position;
      Atomics.store(this.#words, at, this.#numbers[position]);
    }
  }

  #updateNode(address: Int32Array, length: number): void {
    const depth = depthOf(length);
    const path: Step[] = [];
    let ref = ROOTS + (address[0] >>> (32 - ROOT_BITS));
    for (;;) {
      const entry = this.#words[ref];
      if (entry >= 0) return this.#addNode(address, length, path, ref);
      const at = nodeOf(entry);
      const below = this.#depthOf(at);
      const common = this.#commonBits(address, at, Math.min(depth, below));
      if (common < below) return this.#addAbove(address, length, ref, common);
      path.push({ at, ref });
      if (below === depth) {
        this.#expand(at);
        this.#ask(address, length, depth);
        return this.#replace(path);
      }
      ref = entryAt(this.#words, at, this.#places, positionOf(address, below));
    }
  }

  /** Where there is no node yet. @param path down to where the new one is to hang, at `ref` */
  #addNode(address: Int32Array, length: number, path: Step[], ref: number): void {
    const depth = depthOf(length);
    this.#clear();
    this.#ask(address, length, depth);
    const node = this.#write(address, depth, this.#words[ref]);
    const parent = path.at(-1);
    if (parent === undefined) {
      Atomics.store(this.#words, ref, node);
      return;
    }
    this.#expand(parent.at);
    this.#nodes[positionOf(address, this.#depthOf(parent.at))] = node;
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
    this.#clear();
    this.#ask(address, length, depth);
    let added = 0;
    if (common < depth) {
      added = this.#write(address, depth, 0);
      this.#clear();
      this.#nodes[positionOf(address, common)] = added;
    }
    const prefix = this.#words.subarray(at + NODE_PREFIX, at + this.#places);
    const position = positionOf(prefix, common);
    this.#nodes[position] = old;
    const covering = this.#numbers[position];
    const node = this.#write(address, common, this.#words[at + NODE_COVERING]);
    Atomics.store(this.#words, ref, node);
    Atomics.store(this.#words, at + NODE_COVERING, covering);
  }

  /** Puts what is in `#numbers` and `#nodes` in the place of the last node of the path. */
  #replace(path: Step[]): void {
    const { at, ref } = path.pop()!;
    const depth = this.#depthOf(at);
    const covering = this.#words[at + NODE_COVERING];
    const prefix = this.#words.slice(at + NODE_PREFIX, at + this.#places);
    const lines = this.#linesOf(at);
    this.#memory.giveBack((at - NODES) / LINE_WORDS, lines);
    const below = this.#nodes.filter((entry) => entry !== 0);
    if (below.length > 1 || this.#numbers.some((number) => number !== 0)) {
      Atomics.store(this.#words, ref, this.#write(prefix, depth, covering));
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
    this.#expand(parent.at);
    this.#nodes[positionOf(prefix, this.#depthOf(parent.at))] = 0;
    this.#replace(path);
  }

  /** Tells the nodes below the one at hand what covers them. */
  #cover(): void {
    for (let position = 0; position < POSITIONS; position++) {
      if (this.#nodes[position] === 0) continue;
      const at = nodeOf(this.#nodes[position]) + NODE_COVERING;
      Atomics.store(this.#words, at, this.#numbers[position]);
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

  /** @param shorter the number of the longest prefix over all these positions but that of their own */
  #askFrom(first: number, count: number, depth: number, shorter: number): void {
    const word = depth >>> 5;
    const shift = 24 - (depth & 31);
    this.#asked[word] = (this.#asked[word] & ~(0xff << shift)) | (first << shift);
    const length = depth + STRIDE_BITS - Math.log2(count);
    const number = this.#numberOf(this.#asked, length) || shorter;
    if (count === 1) {
      this.#numbers[first] = number;
      return;
    }
    const half = count / 2;
    this.#askFrom(first, half, depth, number);
    this.#askFrom(first + half, half, depth, number);
  }

  #clear(): void {
    this.#numbers.fill(0);
    this.#nodes.fill(0);
  }

  /** Reads the entries of a node into `#numbers` and `#nodes`. */
  #expand(at: number): void {
    for (let position = 0; position < POSITIONS; position++) {
      const entry = this.#words[entryAt(this.#words, at, this.#places, position)];
      this.#nodes[position] = Math.min(entry, 0);
      this.#numbers[position] = entry < 0 ? this.#words[nodeOf(entry) + NODE_COVERING] : entry;
    }
  }

  /** Writes a node with the entries in `#numbers` and `#nodes`. @returns its entry */
  #write(address: Int32Array, depth: number, covering: number): number {
    let count = 0;
    for (let position = 0; position < POSITIONS; position++) if (this.#begins(position)) count++;
    const line = this.#memory.take(this.#linesFor(count));
    assert(line >= 0, "no memory for a node");
    const at = NODES + line * LINE_WORDS;
    const dense = count > this.#sparseEntries;
    this.#words[at + NODE_DEPTH] = dense ? depth | DENSE : depth;
    this.#words[at + NODE_COVERING] = covering;
    this.#writePrefix(at, address, depth);
    if (dense) this.#writeDense(at + this.#places);
    else this.#writeSparse(at + this.#places, at + LINE_WORDS);
    return entryOf(line);
  }

  /** The places and entries of a sparse node, from word `from` to `end`. */
  #writeSparse(from: number, end: number): void {
    const words = this.#words;
    const entries = from + SPARSE_WORDS;
    words.fill(-1, from, entries);
    words[entries] = this.#entry(0);
    let count = 1;
    for (let position = 1; position < POSITIONS; position++) {
      if (!this.#begins(position)) continue;
      const shift = ((count - 1) & 3) * 8;
      const word = from + ((count - 1) >>> 2);
      words[word] = (words[word] & ~(0xff << shift)) | (position << shift);
      words[entries + count++] = this.#entry(position);
    }
    // Position 255 counts unused places as well.
    words.fill(words[entries + count - 1], entries + count, end);
  }

  #writeDense(from: number): void {
    const words = this.#words;
    const entries = from + DENSE_WORDS;
    words.fill(0, from, entries);
    let count = 0;
    for (let position = 0; position < POSITIONS; position++) {
      const word = position >>> 5;
      if ((position & 31) === 0) {
        words[from + BITMAP_WORDS + (word >>> 2)] |= count << ((word & 3) * 8);
      }
      if (!this.#begins(position)) continue;
      words[from + word] |= 1 << (position & 31);
      words[entries + count++] = this.#entry(position);
    }
  }

  #entry(position: number): number {
    return this.#nodes[position] || this.#numbers[position];
  }

  #depthOf(at: number): number {
    return this.#words[at + NODE_DEPTH] & DEPTH_MASK;
  }

  #writePrefix(at: number, address: Int32Array, depth: number): void {
    for (let word = 0; word < this.#addressWords; word++) {
      const bits = depth - 32 * word;
      const mask = bits >= 32 ? -1 : bits <= 0 ? 0 : -1 << (32 - bits);
      this.#words[at + NODE_PREFIX + word] = address[word] & mask;
    }
  }

  /** Does another entry begin at this position? */
  #begins(position: number): boolean {
    if (position === 0 || this.#nodes[position] !== 0 || this.#nodes[position - 1] !== 0) {
      return true;
    }
    return this.#numbers[position] !== this.#numbers[position - 1];
  }

  #linesOf(at: number): number {
    if ((this.#words[at + NODE_DEPTH] & DENSE) === 0) return 1;
    const last = entryAt(this.#words, at, this.#places, POSITIONS - 1);
    return Math.ceil((last + 1 - at) / LINE_WORDS);
  }

  #linesFor(entries: number): number {
    if (entries <= this.#sparseEntries) return 1;
    return Math.ceil((this.#places + DENSE_WORDS + entries) / LINE_WORDS);
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
