// Which prefix lengths a lookup has to look for: shared bitmaps, so that it probes the hash table
// for a few lengths instead of all that occur. What the prefixes stand for is prefix-table.ts.
//
// Theory of operation. The lengths 1..128 are four times 32, one word of the address each, and so
// is the index: SLOTS bitmaps per word of an address, bit n standing for the n+1st length of the
// word.
// - First word: the slot is the top 16 bits of the address. A length up to 16 has its bit in every
//   slot that a prefix of it covers, so such a bit never lies; a length from 17 on has its bit
//   where a prefix lies below the slot.
// - Other words: the slot is a hash of the words before; a bit says that a prefix of that length
//   may begin with these.
// A bit is set before the first prefix under it is added and cleared after the last one is gone:
// readers may probe in vain, they never miss one. The counts that this takes are the writer's own.
// Memory: 256 KiB per word of an address, shared; counts of 2 MiB for the first word and 4 MiB for
// any other, reserved when the first prefix that needs them comes.

const SLOT_BITS = 16;
const SLOTS = 1 << SLOT_BITS;
const WORD_BITS = 32;
/** Lengths up to this one are kept exactly, without counts. */
const EXACT = SLOT_BITS;
/** A count that got here stays, and so does its bit: it may cost a probe. Never so for IPv4. */
const MAX_COUNT = 0xffff;

/** Grows whenever a prefix was added. */
const ADDED = 0;
/** Is there a prefix of length 0? */
const DEFAULT = 1;
/** From here on: prefixes with lengths of each word. */
const COUNTS = 2;

export interface PrefixIndexState {
  readonly header: SharedArrayBuffer;
  readonly bitmaps: SharedArrayBuffer;
}

/** @param words of an address: 1 or 4 */
export function createPrefixIndex(words: number): PrefixIndexState {
  return {
    header: new SharedArrayBuffer((COUNTS + words) * 4),
    bitmaps: new SharedArrayBuffer(words * SLOTS * 4),
  };
}

/** The slot of an address in the bitmaps of one of its words. Hot. */
function slotOf(address: Int32Array, word: number): number {
  if (word === 0) return address[0] >>> SLOT_BITS;
  let hash = Math.imul(address[0], 0x9e3779b1);
  for (let i = 1; i < word; i++) hash = Math.imul((hash ^ (hash >>> 15)) + address[i], 0x85ebca6b);
  return (word << SLOT_BITS) | ((hash ^ (hash >>> 13)) >>> SLOT_BITS);
}

/** The readers' side: any thread. */
export class PrefixIndexReader {
  readonly #header: Int32Array;
  readonly #bitmaps: Int32Array;

  constructor({ header, bitmaps }: PrefixIndexState) {
    this.#header = new Int32Array(header);
    this.#bitmaps = new Int32Array(bitmaps);
  }

  /** Hot. A lookup during which it changed may have missed what was added meanwhile. */
  get added(): number {
    return Atomics.load(this.#header, ADDED);
  }

  /** Hot. */
  get hasDefault(): boolean {
    return this.#header[DEFAULT] !== 0;
  }

  /**
   * Hot. @returns the lengths of a word of the address that prefixes over it may have: bit n stands
   * for length 32 * word + n + 1
   */
  lengths(address: Int32Array, word: number): number {
    if (this.#header[COUNTS + word] === 0) return 0;
    return this.#bitmaps[slotOf(address, word)];
  }
}

/** The writer's side: one thread. Addresses come without host bits. */
export class PrefixIndex {
  readonly #header: Int32Array;
  readonly #bitmaps: Int32Array;
  /** Per word of an address: prefixes less one per slot and length, where the bit is set. */
  readonly #counts: Uint16Array[] = [];

  constructor({ header, bitmaps }: PrefixIndexState) {
    this.#header = new Int32Array(header);
    this.#bitmaps = new Int32Array(bitmaps);
  }

  /** Before the prefix is added; `added` afterwards. */
  adding(address: Int32Array, length: number): void {
    if (length === 0) {
      Atomics.store(this.#header, DEFAULT, 1);
      return;
    }
    const word = (length - 1) >> 5;
    const bit = 1 << (length - 1);
    const slot = slotOf(address, word);
    if (length <= EXACT) {
      const end = slot + (1 << (EXACT - length));
      for (let covered = slot; covered < end; covered++) Atomics.or(this.#bitmaps, covered, bit);
    } else {
      const counts = this.#countsOf(word);
      const at = countAt(slot, length);
      if ((this.#bitmaps[slot] & bit) === 0) counts[at] = 0;
      else if (counts[at] < MAX_COUNT) counts[at]++;
      Atomics.or(this.#bitmaps, slot, bit);
    }
    Atomics.add(this.#header, COUNTS + word, 1);
  }

  added(): void {
    Atomics.add(this.#header, ADDED, 1);
  }

  /** After the prefix is gone. */
  removed(address: Int32Array, length: number): void {
    if (length === 0) {
      Atomics.store(this.#header, DEFAULT, 0);
      return;
    }
    const word = (length - 1) >> 5;
    const bit = 1 << (length - 1);
    const slot = slotOf(address, word);
    Atomics.sub(this.#header, COUNTS + word, 1);
    if (length <= EXACT) {
      const end = slot + (1 << (EXACT - length));
      for (let covered = slot; covered < end; covered++) Atomics.and(this.#bitmaps, covered, ~bit);
      return;
    }
    const counts = this.#countsOf(word);
    const at = countAt(slot, length);
    if (counts[at] === 0) Atomics.and(this.#bitmaps, slot, ~bit);
    else if (counts[at] < MAX_COUNT) counts[at]--;
  }

  /**
   * Takes over what another index of the same prefixes says, so that every bit that has to be set
   * stays set meanwhile.
   */
  become(other: PrefixIndex): void {
    this.#counts.splice(0, this.#counts.length, ...other.#counts);
    for (let at = 0; at < this.#bitmaps.length; at++) {
      Atomics.store(this.#bitmaps, at, other.#bitmaps[at]);
    }
    for (let at = DEFAULT; at < this.#header.length; at++) {
      Atomics.store(this.#header, at, other.#header[at]);
    }
    this.added();
  }

  #countsOf(word: number): Uint16Array {
    const lengths = word === 0 ? WORD_BITS - EXACT : WORD_BITS;
    this.#counts[word] ??= new Uint16Array(SLOTS * lengths);
    return this.#counts[word];
  }
}

/** Where the count of a length lies among those of its word. @param length above EXACT */
function countAt(slot: number, length: number): number {
  if (length <= WORD_BITS) return slot * (WORD_BITS - EXACT) + length - EXACT - 1;
  return (slot & (SLOTS - 1)) * WORD_BITS + ((length - 1) & (WORD_BITS - 1));
}
