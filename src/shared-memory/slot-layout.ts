// How the words of a slot of a SharedTable lie, and where a key's home slot is. Numbers only: who
// may read or write them when is shared-table.ts.
//
// A slot is [head, key words, value words], its width a power of two. head = version << 3 | state
// << 1 | writing. A lookup in a large table is a cache miss, and what that costs goes by the bytes
// of a slot: so a table may be `packed`. Its first key word and its first value word have 16 bits
// each then and share one word of the slot, which makes 16 bytes of (16 + 32 bits) -> (16 + 32
// bits).

export const WRITING = 1;
export const STATE_MASK = 0b110;
export const EMPTY = 0b000;
export const USED = 0b010;
export const TOMBSTONE = 0b100;
export const VERSION_STEP = 0b1000;

/** The halves of the first word behind the head of a packed slot. */
export const PACKED_KEY_MASK = 0xffff;
export const PACKED_VALUE_SHIFT = 16;

export interface SlotLayout {
  readonly keyWords: number;
  readonly valueWords: number;
  readonly packed: boolean;
}

export interface SharedTableLimits {
  /** At least 2. */
  readonly keyWords: number;
  /** At least 1. */
  readonly valueWords: number;
  /** The first key word and the first value word are 0..0xffff and share a word of the slot. */
  readonly packed?: boolean;
  /** 1..MAX_TABLE_ENTRIES. */
  readonly maxEntries: number;
}

/** Width of a slot as a power of two, words: head, key and value, less what shares a word. */
export function strideBits({ keyWords, valueWords, packed }: SlotLayout): number {
  return 32 - Math.clz32(keyWords + valueWords - (packed ? 1 : 0));
}

/**
 * Multiply-and-xorshift over the key at word `at` of `words`; every input bit reaches every bit of
 * the result. Hot.
 * @param keyMask bits of the first word that are key
 */
export function hashKey(
  words: Int32Array,
  at: number,
  keyWords: number,
  keyMask: number,
  seed: number,
): number {
  let hash = mix(seed, words[at] & keyMask);
  for (let word = 1; word < keyWords; word++) hash = mix(hash, words[at + word]);
  hash = Math.imul(hash, 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

function mix(hash: number, word: number): number {
  const product = Math.imul(hash ^ word, 0x85ebca6b);
  return product ^ (product >>> 15);
}
