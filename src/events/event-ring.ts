// A bounded queue of records from one worker (the only writer) to the main thread (the only
// reader), in shared memory.
//
// Theory of operation. Head counts the records ever written, tail those ever read, both modulo
// 2^32; a record lies at its number modulo the ring's size, a power of two. The writer stores the
// record and then the head, the reader takes the record and then stores the tail, so neither sees
// half a record and neither waits. Each count has one writer and a cache line of its own. A full
// ring refuses the newest record and counts it: what is lost is known, and older events keep their
// order.
import assert from "node:assert/strict";
import { EVENT_WORDS } from "./event-record.js";

/** Records of a worker's ring: 256 KiB. */
export const RING_RECORDS = 4096;

const LINE_WORDS = 16;
const HEAD = 0;
/** Records that found no room; the writer's, like the head. */
const LOST = 1;
const TAIL = LINE_WORDS;
const RECORDS = 2 * LINE_WORDS;

export interface EventRingState {
  readonly words: SharedArrayBuffer;
}

export class EventRing {
  /** The record that `reserve` found lies here. */
  readonly words: Int32Array;
  readonly #mask: number;
  readonly #capacity: number;

  private constructor(buffer: SharedArrayBuffer) {
    this.words = new Int32Array(buffer);
    this.#capacity = (this.words.length - RECORDS) / EVENT_WORDS;
    this.#mask = this.#capacity - 1;
  }

  /** @param records a power of two. @param first number of the first record, for tests */
  static create(records = RING_RECORDS, first = 0): EventRing {
    assert(records >= 1 && (records & (records - 1)) === 0);
    const ring = new EventRing(new SharedArrayBuffer((RECORDS + records * EVENT_WORDS) * 4));
    ring.words[HEAD] = first;
    ring.words[TAIL] = first;
    return ring;
  }

  static attach(state: EventRingState): EventRing {
    return new EventRing(state.words);
  }

  sharedState(): EventRingState {
    return { words: this.words.buffer as SharedArrayBuffer };
  }

  /**
   * The writer only. @returns where the next record is to be written in `words`, to be followed by
   * `publish`; -1: the ring is full, which has been counted
   */
  reserve(): number {
    const head = this.words[HEAD];
    if (((head - Atomics.load(this.words, TAIL)) | 0) >= this.#capacity) {
      this.lose();
      return -1;
    }
    return RECORDS + (head & this.#mask) * EVENT_WORDS;
  }

  /** The writer only: the reader may have the record that was reserved. */
  publish(): void {
    Atomics.store(this.words, HEAD, (this.words[HEAD] + 1) | 0);
  }

  /** The writer only: counts an event that nobody will hear of. */
  lose(): void {
    Atomics.store(this.words, LOST, (this.words[LOST] + 1) | 0);
  }

  /** The reader only. @returns false when there is none */
  take(record: Int32Array): boolean {
    const tail = this.words[TAIL];
    if (Atomics.load(this.words, HEAD) === tail) return false;
    const at = RECORDS + (tail & this.#mask) * EVENT_WORDS;
    for (let word = 0; word < EVENT_WORDS; word++) record[word] = this.words[at + word];
    Atomics.store(this.words, TAIL, (tail + 1) | 0);
    return true;
  }

  get isEmpty(): boolean {
    return Atomics.load(this.words, HEAD) === Atomics.load(this.words, TAIL);
  }

  /** Events lost ever, modulo 2^32, signed. */
  get lost(): number {
    return Atomics.load(this.words, LOST);
  }
}
