// Hash table of fixed-width integer keys and values on a SharedArrayBuffer, one writer at a time,
// any number of lock-free readers. What keys and values mean is the business of the tables built on
// it.
//
// Theory of operation.
// - Storage: power-of-two slots, at least twice the entries, linear probing from a seeded hash
//   (peers choose the keys). How a slot's words lie is slot-layout.ts. An entry never moves during
//   its life.
// - A reader that finds its key loads the head, copies the value, and believes the copy only if the
//   head is still the same. Readers give up on a slot after READ_ATTEMPTS and call it a miss: so a
//   writer that died (or sleeps) inside a slot costs misses of this one entry, never a hang.
// - Order between threads: writers store every word with Atomics.store. A reader's loads must
//   happen in this order: head, key and value, head again. x86 keeps loads in order by itself, and
//   V8 keeps those of typed arrays in program order, so there one Atomics.load at the end is all: a
//   call that nothing is moved across. Elsewhere the load of the head is atomic, which orders what
//   follows it, and an addition on a private word is the fence before the second look (an atomic
//   load would not hold back the plain loads before it on ARM). Each of these costs 5 to 8 ns, and
//   the addition keeps the processor from beginning the next lookup during a cache miss.
// - Deletion: a slot becomes a tombstone only if an entry behind it was pushed past it, otherwise
//   empty at once, and so do tombstones in front of it that nothing needs any longer. Chains stay
//   short under churn without a rebuild.
// - Key and value travel in the scratch arrays `key` and `value` of the instance (one instance per
//   thread): nothing is allocated. Words are 32 bits; signed or unsigned makes no difference on the
//   way in, they come out signed.
// - A lock taken over from a dead writer repairs the table: half-written entries are dropped,
//   counts made anew.
import assert from "node:assert/strict";
import { MAX_TABLE_ENTRIES } from "./limits.js";
import { Occupancy, occupancyWords, STRETCH_SLOTS } from "./occupancy.js";
import {
  EMPTY,
  hashKey,
  PACKED_KEY_MASK,
  PACKED_VALUE_SHIFT,
  type SharedTableLimits,
  type SlotLayout,
  STATE_MASK,
  strideBits,
  TOMBSTONE,
  USED,
  VERSION_STEP,
  WRITING,
} from "./slot-layout.js";
import { LOCK_WORDS, WriterLock } from "./writer-lock.js";

const COUNT = LOCK_WORDS;
const HEADER_WORDS = LOCK_WORDS + 1;

const READ_ATTEMPTS = 1000;
/** Times that `readSlot` starts over because the slot got another key while it was read. */
const SLOT_ATTEMPTS = 8;
/**
 * Slots that a deletion looks ahead for entries that need the freed slot; beyond, a tombstone is
 * assumed needed.
 */
const LOOK_AHEAD = 64;
/** x86: the processor does not reorder loads (Intel SDM volume 3A, AMD64 APM volume 2). */
export const LOADS_IN_ORDER = process.arch === "x64";

export interface SharedTableState extends SlotLayout {
  readonly header: SharedArrayBuffer;
  readonly slots: SharedArrayBuffer;
  readonly maxEntries: number;
  readonly seed: number;
}

export class SharedTable {
  /** In: the key of `find`, `insert`. Out: the key of `readSlot`. */
  readonly key: Int32Array;
  /** Out: the value of `find`, `readSlot`. In: the value of `insert`, `update`. */
  readonly value: Int32Array;
  /** Slots; slot numbers are 0..capacity-1. */
  readonly capacity: number;
  readonly maxEntries: number;

  readonly #state: SharedTableState;
  readonly #header: Int32Array;
  readonly #slots: Int32Array;
  readonly #lock: WriterLock;
  readonly #occupancy: Occupancy;
  readonly #fence = new Int32Array(new SharedArrayBuffer(4));
  readonly #keyWords: number;
  readonly #valueWords: number;
  /** Value words that share a word with the key: 0 or 1. */
  readonly #packedWords: number;
  /** Bits of a slot's first word behind the head that are key. */
  readonly #keyMask: number;
  /** Words from a slot's start to its value; packed, the first word there is the key's last. */
  readonly #valueOffset: number;
  readonly #strideBits: number;
  readonly #mask: number;
  readonly #seed: number;

  private constructor(state: SharedTableState) {
    this.#state = state;
    this.#header = new Int32Array(state.header);
    this.#slots = new Int32Array(state.slots);
    this.#lock = new WriterLock(this.#header);
    this.#occupancy = new Occupancy(this.#header, HEADER_WORDS);
    this.#keyWords = state.keyWords;
    this.#valueWords = state.valueWords;
    this.#packedWords = state.packed ? 1 : 0;
    this.#keyMask = state.packed ? PACKED_KEY_MASK : -1;
    this.#valueOffset = 1 + state.keyWords - this.#packedWords;
    this.#strideBits = strideBits(state);
    this.#seed = state.seed;
    this.key = new Int32Array(state.keyWords);
    this.value = new Int32Array(state.valueWords);
    this.capacity = this.#slots.length >> this.#strideBits;
    this.maxEntries = state.maxEntries;
    this.#mask = this.capacity - 1;
  }

  static create(limits: SharedTableLimits): SharedTable {
    const { keyWords, valueWords, packed = false, maxEntries } = limits;
    assert(Number.isInteger(maxEntries) && maxEntries >= 1 && maxEntries <= MAX_TABLE_ENTRIES);
    assert(keyWords >= 2 && valueWords >= 1 && keyWords + valueWords <= 15);
    const capacity = 1 << (32 - Math.clz32(2 * maxEntries - 1));
    return new SharedTable({
      header: new SharedArrayBuffer((HEADER_WORDS + occupancyWords(capacity)) * 4),
      slots: new SharedArrayBuffer(capacity * (4 << strideBits({ keyWords, valueWords, packed }))),
      keyWords,
      valueWords,
      packed,
      maxEntries,
      seed: (Math.random() * 2 ** 32) | 0,
    });
  }

  static attach(state: SharedTableState): SharedTable {
    return new SharedTable(state);
  }

  sharedState(): SharedTableState {
    return this.#state;
  }

  get count(): number {
    return Atomics.load(this.#header, COUNT);
  }

  /** Looks `key` up and copies its value. Hot. @returns its slot or -1 */
  find(): number {
    const slots = this.#slots;
    const first = this.key[0];
    const second = this.key[1];
    const keyMask = this.#keyMask;
    const bits = this.#strideBits;
    const mask = this.#mask;
    let slot = this.#hash(this.key, 0) & mask;
    for (let probe = 0; probe <= mask; probe++) {
      const at = slot << bits;
      const head = slots[at];
      if ((head & STATE_MASK) === EMPTY) return -1;
      const word = slots[at + 1];
      if ((word & keyMask) === first && slots[at + 2] === second && this.#restMatches(at)) {
        if (this.#takeAtOnce(at, head, word) || this.#readValue(at)) return slot;
      }
      slot = (slot + 1) & mask;
    }
    return -1;
  }

  /** Copies key and value of a slot. @returns false if no entry is there */
  readSlot(slot: number): boolean {
    const at = slot << this.#strideBits;
    const key = this.key;
    for (let attempt = 0; attempt < SLOT_ATTEMPTS; attempt++) {
      if ((Atomics.load(this.#slots, at) & STATE_MASK) !== USED) return false;
      key[0] = this.#slots[at + 1] & this.#keyMask;
      for (let word = 1; word < this.#keyWords; word++) key[word] = this.#slots[at + 1 + word];
      if (this.#readValue(at)) return true;
    }
    return false;
  }

  /**
   * Overwrites one value word of a slot without the lock, if it still is `expected`: for a time
   * stamp that any reader may refresh. The slot may have become another entry's meanwhile.
   * @param word of the value; not one that shares its word with the key
   */
  exchangeWord(slot: number, word: number, expected: number, bits: number): void {
    const at = (slot << this.#strideBits) + this.#valueOffset + word;
    Atomics.compareExchange(this.#slots, at, expected, bits);
  }

  /**
   * Becomes the writer, sleeping for it if need be. @returns true if the table was repaired after a
   * dead writer
   */
  lock(): boolean {
    const takenOver = this.#lock.lock();
    if (takenOver) this.#repair();
    return takenOver;
  }

  /** Becomes the writer unless another one is at work; never sleeps. */
  tryLock(): boolean {
    return this.#lock.tryLock();
  }

  unlock(): void {
    this.#lock.unlock();
  }

  /**
   * Adds `key` -> `value`; the writer only, and only after `find` said -1. @returns false if the
   * table is full
   */
  insert(): boolean {
    const count = this.#header[COUNT];
    if (count >= this.maxEntries) return false;
    let slot = this.#hash(this.key, 0) & this.#mask;
    while (this.#stateOf(slot) === USED) slot = (slot + 1) & this.#mask;
    const at = slot << this.#strideBits;
    const head = Atomics.load(this.#slots, at);
    Atomics.store(this.#slots, at, head | WRITING);
    Atomics.store(this.#slots, at + 1, this.key[0]);
    for (let word = 1; word < this.#keyWords; word++) {
      Atomics.store(this.#slots, at + 1 + word, this.key[word]);
    }
    this.#storeValue(at);
    this.#setHead(at, head, USED);
    Atomics.store(this.#header, COUNT, count + 1);
    this.#occupancy.added(slot);
    return true;
  }

  /** Overwrites the value of a used slot with `value`; the writer only. */
  update(slot: number): void {
    const at = slot << this.#strideBits;
    const head = Atomics.load(this.#slots, at);
    Atomics.store(this.#slots, at, head | WRITING);
    this.#storeValue(at);
    this.#setHead(at, head, USED);
  }

  /** Removes the entry of a used slot; the writer only. */
  remove(slot: number): void {
    this.#setState(slot, TOMBSTONE);
    Atomics.sub(this.#header, COUNT, 1);
    this.#occupancy.removed(slot);
    let at = slot;
    while (this.#stateOf(at) === TOMBSTONE && !this.#isPassed(at)) {
      this.#setState(at, EMPTY);
      at = (at - 1) & this.#mask;
    }
  }

  /**
   * Removes every entry that `matches` says yes to, reading it in `key` and `value`. Takes the lock
   * itself, one stretch of slots at a time, so other writers get their turn; entries added
   * meanwhile may be missed.
   * @param unlocked called after each stretch, when others may write again
   * @returns entries removed
   */
  removeWhere(matches: () => boolean, unlocked: () => void = () => {}): number {
    let removed = 0;
    for (let from = this.usedFrom(0); from < this.capacity; ) {
      const to = Math.min(from + STRETCH_SLOTS, this.capacity);
      this.lock();
      try {
        for (let slot = from; slot < to; slot++) {
          if (!this.readSlot(slot) || !matches()) continue;
          this.remove(slot);
          removed++;
        }
      } finally {
        this.unlock();
      }
      unlocked();
      from = this.usedFrom(to);
    }
    return removed;
  }

  /** The first slot at or behind `slot` that `readSlot` may find used; the capacity: none. */
  usedFrom(slot: number): number {
    return Math.min(this.capacity, this.#occupancy.usedFrom(slot));
  }

  /** Is the key of the slot at word `at` the one in `key`, from its third word on? */
  #restMatches(at: number): boolean {
    const keyWords = this.#keyWords;
    for (let word = 2; word < keyWords; word++) {
      if (this.#slots[at + 1 + word] !== this.key[word]) return false;
    }
    return true;
  }

  /**
   * Copies the value of a slot whose head and key have just been read, where loads happen in order.
   * @returns false when the copy cannot be believed: to be read by `#readValue`
   */
  #takeAtOnce(at: number, head: number, word: number): boolean {
    if (!LOADS_IN_ORDER || (head & (STATE_MASK | WRITING)) !== USED) return false;
    this.#copyValue(at, word);
    return Atomics.load(this.#slots, at) === head;
  }

  /** Copies the value at word `at` if the slot holds `key` and nobody writes to it meanwhile. */
  #readValue(at: number): boolean {
    const slots = this.#slots;
    const key = this.key;
    for (let attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
      const head = Atomics.load(slots, at);
      if ((head & WRITING) !== 0) continue;
      if ((head & STATE_MASK) !== USED) return false;
      const word = slots[at + 1];
      if ((word & this.#keyMask) !== key[0] || slots[at + 2] !== key[1]) return false;
      if (!this.#restMatches(at)) return false;
      this.#copyValue(at, word);
      Atomics.add(this.#fence, 0, 0);
      if (slots[at] === head) return true;
    }
    return false;
  }

  /** @param word the slot's first word behind the head: of a packed table it holds value[0] */
  #copyValue(at: number, word: number): void {
    const value = this.value;
    const valueWords = this.#valueWords;
    const from = at + this.#valueOffset;
    value[0] = word >>> PACKED_VALUE_SHIFT;
    for (let i = this.#packedWords; i < valueWords; i++) value[i] = this.#slots[from + i];
  }

  #storeValue(at: number): void {
    const from = at + this.#valueOffset;
    if (this.#packedWords === 1) {
      const word = (this.#slots[at + 1] & this.#keyMask) | (this.value[0] << PACKED_VALUE_SHIFT);
      Atomics.store(this.#slots, at + 1, word);
    }
    for (let i = this.#packedWords; i < this.#valueWords; i++) {
      Atomics.store(this.#slots, from + i, this.value[i]);
    }
  }

  #stateOf(slot: number): number {
    return this.#slots[slot << this.#strideBits] & STATE_MASK;
  }

  #setState(slot: number, state: number): void {
    const at = slot << this.#strideBits;
    this.#setHead(at, this.#slots[at], state);
  }

  /**
   * Gives the slot at word `at` a new state, ends any writing and makes readers in the slot look
   * again.
   */
  #setHead(at: number, head: number, state: number): void {
    const version = (head & ~(STATE_MASK | WRITING)) + VERSION_STEP;
    Atomics.store(this.#slots, at, version | state);
  }

  /**
   * True if an entry behind the slot has its home at or before it, so that lookups must walk on
   * over it.
   */
  #isPassed(slot: number): boolean {
    for (let distance = 1; distance <= LOOK_AHEAD; distance++) {
      const other = (slot + distance) & this.#mask;
      const state = this.#stateOf(other);
      if (state === EMPTY) return false;
      if (state !== USED) continue;
      const home = this.#hash(this.#slots, (other << this.#strideBits) + 1) & this.#mask;
      if (((other - home) & this.#mask) >= distance) return true;
    }
    return true;
  }

  /** Drops what a dead writer left half-written and counts anew. */
  #repair(): void {
    let count = 0;
    this.#occupancy.clear();
    for (let slot = 0; slot < this.capacity; slot++) {
      const head = this.#slots[slot << this.#strideBits];
      if ((head & WRITING) !== 0) this.#setState(slot, TOMBSTONE);
      if ((head & WRITING) !== 0 || (head & STATE_MASK) !== USED) continue;
      count++;
      this.#occupancy.added(slot);
    }
    Atomics.store(this.#header, COUNT, count);
  }

  #hash(words: Int32Array, at: number): number {
    return hashKey(words, at, this.#keyWords, this.#keyMask, this.#seed);
  }
}
