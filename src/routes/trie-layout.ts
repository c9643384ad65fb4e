// How the words of a trie of prefixes lie in shared memory. Numbers only: lookups are in
// prefix-reader.ts, changes in prefix-trie.ts.
//
// A lookup takes 8 bits of the address at a time, but for the first 16. All words are in one array:
// - SHORT: by the first 8 bits, the number of the longest prefix up to /8, plus one; 0: none
// - ROOTS: by the first 16 bits, an entry
// - nodes, each for the addresses that begin with the same DEPTH bits (16, 24, ...); for each value
//   of the 8 bits behind (a position) it has an entry
//
// An entry is 0, or a number plus one (of the longest prefix that ends in these 8 bits; of ROOTS:
// in the second 8), or, negative, a node. A node that hangs there knows in COVERING what the entry
// would be without it; and as nodes without a purpose of their own are left out, it has its whole
// prefix to be compared with. Equal neighbours share an entry. Where another one begins stands in
// - a sparse node: as bytes, up to eight; the rest is 255
// - a dense node: in a bitmap, and in bytes how many begin before each word of it
//
// A node takes lines of 64 bytes. Large buffers begin 16 bytes behind a line of the processor's
// cache: NODES makes up for that.

/** Version: odd while the trie changes. */
export const VERSION = 0;
export const SHORT = 1;
export const ROOTS = SHORT + 256;
export const NODES = ROOTS + 65_536 + 11;

export const LINE_WORDS = 16;

/** Depth, and whether the node is dense. */
export const NODE_DEPTH = 0;
export const NODE_COVERING = 1;
/** One or four words; behind it are the places where entries begin, and then the entries. */
export const NODE_PREFIX = 2;
export const DEPTH_MASK = 0xff;
export const DENSE = 0x100;
/** Words between a node's prefix and its entries. */
export const SPARSE_WORDS = 2;
export const BITMAP_WORDS = 8;
export const DENSE_WORDS = BITMAP_WORDS + 2;
/** A sparse node takes one line; where its first entry begins need not be told. */
export const MAX_SPARSE_ENTRIES = 9;

/** Positions of a node. */
export const POSITIONS = 256;
export const STRIDE_BITS = 8;
/** Prefixes up to this length are in SHORT, up to twice of it in ROOTS. */
export const SHORT_BITS = 8;
export const ROOT_BITS = 16;

const NODE_NUMBER = 0x7fffffff;
const NODE_FLAG = -0x80000000;

/** The first word of the node that an entry is. Hot. */
export function nodeOf(entry: number): number {
  return NODES + (entry & NODE_NUMBER) * LINE_WORDS;
}

/** @param line where the node begins, in lines behind NODES */
export function entryOf(line: number): number {
  return NODE_FLAG | line;
}

/** Bits that are set in a word. Hot. */
function bitCount(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** The 8 bits of an address behind its first `depth`. Hot. */
export function positionOf(address: Int32Array, depth: number): number {
  return (address[depth >>> 5] >>> (24 - (depth & 31))) & 0xff;
}

/**
 * The word that has the entry of a position. Hot.
 * @param at the node's first word
 * @param places from there to where it says where entries begin
 */
export function entryAt(words: Int32Array, at: number, places: number, position: number): number {
  const from = at + places;
  if ((words[at + NODE_DEPTH] & DENSE) === 0) {
    const entries = from + SPARSE_WORDS;
    return Math.min(entries + placesUpTo(words, from, position), at + LINE_WORDS - 1);
  }
  const word = position >>> 5;
  const before = words[from + BITMAP_WORDS + (word >>> 2)] >>> ((word & 3) << 3);
  const upTo = words[from + word] & (-1 >>> (31 - (position & 31)));
  return from + DENSE_WORDS + (before & 0xff) + bitCount(upTo) - 1;
}

/** How many of the eight bytes in two words are not above a position: two at a time. */
function placesUpTo(words: Int32Array, from: number, position: number): number {
  const first = words[from];
  const second = words[from + 1];
  const least = (position * 0x00010001) | 0x01000100;
  const found =
    ((least - (first & 0x00ff00ff)) & 0x01000100) +
    ((least - ((first >>> 8) & 0x00ff00ff)) & 0x01000100) +
    ((least - (second & 0x00ff00ff)) & 0x01000100) +
    ((least - ((second >>> 8) & 0x00ff00ff)) & 0x01000100);
  return ((found >>> 8) & 0xff) + (found >>> 24);
}

/** Words that the addresses of a family have. */
export function addressWords(family: 4 | 6): number {
  return family === 4 ? 1 : 4;
}
