// How many entries each stretch of a table's slots holds: who goes through all of a large table
// that holds little (ageing, lists) skips the rest. Thousands of tunnels have tables for many MACs
// each, and most know a few. It takes no lock: the table's writer writes, readers may be a moment
// behind.

/** Slots of a stretch. A sweep handles one per acquisition of the table's lock: some 10 us. */
export const STRETCH_SLOTS = 1024;
const STRETCH_BITS = 10;

/** Words that a table of `capacity` slots needs for it. */
export function occupancyWords(capacity: number): number {
  return Math.ceil(capacity / STRETCH_SLOTS);
}

export class Occupancy {
  readonly #words: Int32Array;
  readonly #first: number;

  /** @param first of the words that are for it; there are as many as `occupancyWords` says */
  constructor(words: Int32Array, first: number) {
    this.#words = words;
    this.#first = first;
  }

  added(slot: number): void {
    Atomics.add(this.#words, this.#first + (slot >> STRETCH_BITS), 1);
  }

  removed(slot: number): void {
    Atomics.sub(this.#words, this.#first + (slot >> STRETCH_BITS), 1);
  }

  /** To be counted anew. */
  clear(): void {
    for (let at = this.#first; at < this.#words.length; at++) Atomics.store(this.#words, at, 0);
  }

  /** The first slot at or behind `slot` that may be used; the capacity or more: there is none. */
  usedFrom(slot: number): number {
    let stretch = slot >> STRETCH_BITS;
    const stretches = this.#words.length - this.#first;
    if (stretch < stretches && Atomics.load(this.#words, this.#first + stretch) !== 0) return slot;
    do stretch++;
    while (stretch < stretches && Atomics.load(this.#words, this.#first + stretch) === 0);
    return stretch << STRETCH_BITS;
  }
}
