// How the words of a trie of prefixes lie in shared memory. Numbers only: lookups are in
// prefix-reader.ts, changes in prefix-trie.ts.
//
// A lookup takes 8 bits of the address at a time, but for the first 16. All words are in one array:
// - SHORT: by the first 8 bits, the number of the longest prefix of up to 8 bits, plus one; 0: none
// - ROOTS: by the first 16 bits, an entry
// - nodes, each for the addresses that begin with the same DEPTH bits (16, 24, ...); for each value
//   of the 8 bits behind (a position) it has an entry
//
// An entry is 0, or a number plus one (of the longest prefix that ends in these 8 bits; of ROOTS: in
// the second 8), or, negative, a node. A node that hangs there knows in COVERING what the entry would
// be without it; and as nodes without a purpose of their own are left out, it has its whole prefix to
// be compared with. Equal neighbours share an entry: a bitmap has the positions where another one
// begins, and how many begin before each word of it.
//
// A node takes lines of 64 bytes. Large buffers begin 16 bytes behind a line of the processor's
// cache: NODES makes up for that.

/** Version: odd while the trie changes. */
export const VERSION = 0;
export const SHORT = 1;
export const ROOTS = SHORT + 256;
export const NODES = ROOTS + 65_536 + 11;

export const LINE_WORDS = 16;

/** Words of a node; behind its prefix (of one or four words) come its entries. */
export const NODE_DEPTH = 0;
export const NODE_COVERING = 1;
export const NODE_BITMAP = 2;
/** Bytes, one per word of the bitmap. */
export const NODE_BEFORE = 10;
export const NODE_PREFIX = 12;

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
export function bitCount(word: number): number {
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
 * @param entries from there to its entries
 */
export function entryAt(words: Int32Array, at: number, entries: number, position: number): number {
  const word = position >>> 5;
  const before = words[at + NODE_BEFORE + (word >>> 2)] >>> ((word & 3) << 3);
  const upTo = words[at + NODE_BITMAP + word] & (-1 >>> (31 - (position & 31)));
  return at + entries + (before & 0xff) + bitCount(upTo) - 1;
}

/** Words that the addresses of a family have. */
export function addressWords(family: 4 | 6): number {
  return family === 4 ? 1 : 4;
}
