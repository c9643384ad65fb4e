// Reads and writes whole nodes of a trie, for its writer: one thread. What a node has to say is
// prefix-trie.ts, how it lies in memory trie-layout.ts.
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
  LEAF,
  LENGTH_SHIFT,
  LINE_WORDS,
  MAX_SPARSE_ENTRIES,
  NODE_COVERING,
  NODE_HEAD,
  NODE_PREFIX,
  NODES,
  nodeOf,
  POSITIONS,
  positionOf,
  SPARSE_WORDS,
  STRIDE_BITS,
  UNIT_WORDS,
} from "./trie-layout.js";

const LINE_UNITS = LINE_WORDS / UNIT_WORDS;
/**
 * Lines per prefix of each family: a node of its own for every one, and one where it parts from the
 * others, and what sizes that do not fit leave unused.
 */
const LINES_PER_PREFIX = { 4: 4, 6: 5 } as const;
/** Nodes of the largest size that one change may write, and then some. */
const SPARE_NODES = 4;

export class TrieNodes {
  /** The whole trie. */
  readonly words: Int32Array;
  /** Per position of the node at hand: the entry if there were no nodes below. */
  readonly numbers = new Int32Array(POSITIONS);
  /** Per position of the node at hand: the entry if it is a node, or 0. */
  readonly nodes = new Int32Array(POSITIONS);
  readonly #addressWords: number;
  /** From a node's first word to where it says where entries begin. */
  readonly #places: number;
  /** Of a sparse node, at most. */
  readonly #sparseEntries: number;
  readonly #maxUnits: number;
  readonly #memory: NodeMemory;

  constructor(family: 4 | 6, maxPrefixes: number) {
    this.#addressWords = addressWords(family);
    this.#places = NODE_PREFIX + this.#addressWords;
    const room = LINE_WORDS - this.#places - SPARSE_WORDS;
    this.#sparseEntries = Math.min(MAX_SPARSE_ENTRIES, room);
    this.#maxUnits = this.#unitsFor(POSITIONS);
    const units =
      LINES_PER_PREFIX[family] * LINE_UNITS * maxPrefixes + SPARE_NODES * this.#maxUnits;
    this.#memory = new NodeMemory(units, this.#maxUnits);
    this.words = new Int32Array(new SharedArrayBuffer((NODES + units * UNIT_WORDS) * 4));
  }

  /** Is there memory for one more change that writes nodes? */
  hasRoom(): boolean {
    return this.#memory.hasRoom(SPARE_NODES * this.#maxUnits);
  }

  depthOf(at: number): number {
    return this.words[at + NODE_HEAD] & DEPTH_MASK;
  }

  prefixOf(at: number): Int32Array {
    return this.words.slice(at + NODE_PREFIX, at + this.#places);
  }

  /** The word that has the entry of a position, undefined: a leaf has none. */
  entryAt(at: number, position: number): number | undefined {
    if ((this.words[at + NODE_HEAD] & LEAF) !== 0) return undefined;
    return entryAt(this.words, at, this.#places, position);
  }

  clear(): void {
    this.numbers.fill(0);
    this.nodes.fill(0);
  }

  /** Reads a node into `numbers` and `nodes`. */
  read(at: number): void {
    const { words } = this;
    const head = words[at + NODE_HEAD];
    if ((head & LEAF) !== 0) {
      const depth = head & DEPTH_MASK;
      const first = positionOf(words.subarray(at + NODE_PREFIX), depth);
      const positions = 1 << (depth + STRIDE_BITS - (head >>> LENGTH_SHIFT));
      this.clear();
      this.numbers.fill(words[at + this.#places], first, first + positions);
      return;
    }
    for (let position = 0; position < POSITIONS; position++) {
      const entry = words[entryAt(words, at, this.#places, position)];
      this.nodes[position] = Math.min(entry, 0);
      this.numbers[position] = entry < 0 ? words[nodeOf(entry) + NODE_COVERING] : entry;
    }
  }

  /** Writes a node with what is in `numbers` and `nodes`. @returns its entry */
  write(address: Int32Array, depth: number, covering: number): number {
    const { words } = this;
    const leaf = this.#leafPositions();
    let entries = 0;
    for (let position = 0; position < POSITIONS; position++) if (this.#begins(position)) entries++;
    const unit = this.#memory.take(leaf > 0 ? 1 : this.#unitsFor(entries));
    assert(unit >= 0, "no memory for a node");
    const at = NODES + unit * UNIT_WORDS;
    words[at + NODE_COVERING] = covering;
    this.#writePrefix(at, address, depth);
    if (leaf > 0) {
      this.#writeLeaf(at, depth, leaf);
    } else if (entries > this.#sparseEntries) {
      words[at + NODE_HEAD] = depth | DENSE;
      this.#writeDense(at + this.#places);
    } else {
      words[at + NODE_HEAD] = depth;
      this.#writeSparse(at + this.#places, at + LINE_WORDS);
    }
    return entryOf(unit);
  }

  /** The memory of a node that is no longer reached; to be used from the next `reclaim` on. */
  giveBack(at: number): void {
    this.#memory.giveBack((at - NODES) / UNIT_WORDS, this.#unitsOf(at));
  }

  reclaim(): void {
    this.#memory.reclaim();
  }

  /** Positions of the node's only prefix, 0: it has others, or nodes. */
  #leafPositions(): number {
    const first = this.numbers.findIndex((number) => number !== 0);
    if (first < 0) return 0;
    let end = first;
    while (end < POSITIONS && this.numbers[end] === this.numbers[first]) end++;
    const positions = end - first;
    // One prefix has a power of two, and begins at a multiple of it.
    if ((positions & (positions - 1)) !== 0 || first % positions !== 0) return 0;
    const others = this.numbers.subarray(end).some((number) => number !== 0);
    return others || this.nodes.some((entry) => entry !== 0) ? 0 : positions;
  }

  #writeLeaf(at: number, depth: number, positions: number): void {
    const { words } = this;
    const first = this.numbers.findIndex((number) => number !== 0);
    const length = depth + STRIDE_BITS - Math.log2(positions);
    words[at + NODE_HEAD] = (length << LENGTH_SHIFT) | LEAF | depth;
    words[at + NODE_PREFIX + (depth >>> 5)] |= first << (24 - (depth & 31));
    words[at + this.#places] = this.numbers[first];
  }

  /** The places and entries of a sparse node, from word `from` to `end`. */
  #writeSparse(from: number, end: number): void {
    const { words } = this;
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
    const { words } = this;
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

  #writePrefix(at: number, address: Int32Array, depth: number): void {
    for (let word = 0; word < this.#addressWords; word++) {
      const bits = depth - 32 * word;
      const mask = bits >= 32 ? -1 : bits <= 0 ? 0 : -1 << (32 - bits);
      this.words[at + NODE_PREFIX + word] = address[word] & mask;
    }
  }

  /** Does another entry begin at this position? */
  #begins(position: number): boolean {
    const { nodes, numbers } = this;
    if (position === 0 || nodes[position] !== 0 || nodes[position - 1] !== 0) return true;
    return numbers[position] !== numbers[position - 1];
  }

  #entry(position: number): number {
    return this.nodes[position] || this.numbers[position];
  }

  #unitsOf(at: number): number {
    const head = this.words[at + NODE_HEAD];
    if ((head & LEAF) !== 0) return 1;
    if ((head & DENSE) === 0) return LINE_UNITS;
    const last = entryAt(this.words, at, this.#places, POSITIONS - 1);
    return Math.ceil((last + 1 - at) / LINE_WORDS) * LINE_UNITS;
  }

  /** Of a node that is no leaf. */
  #unitsFor(entries: number): number {
    if (entries <= this.#sparseEntries) return LINE_UNITS;
    return Math.ceil((this.#places + DENSE_WORDS + entries) / LINE_WORDS) * LINE_UNITS;
  }
}
