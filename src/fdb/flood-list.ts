// Flood list of one VXLAN tunnel: the remotes of the all-zero MAC entry, to which BUM frames are
// replicated (head-end replication). Only `append` adds to it, as with `bridge fdb append
// 00:00:00:00:00:00`.
//
// Theory of operation. Two copies of [count, remote indices] and a version whose lowest bit says
// which copy is current. A writer, under the lock, fills the other copy and then raises the
// version: readers are never kept waiting, not even by a writer that died in the middle. A reader
// whose copy was overwritten sees another version and reads anew. Workers keep their own snapshot
// and take another only when `version()` differs.
import { MAX_FLOOD_REMOTES } from "../shared-memory/limits.js";
import {
  TABLE_EXISTS,
  TABLE_FULL,
  TABLE_NOT_FOUND,
  TABLE_OK,
  type TableResult,
} from "../shared-memory/table-result.js";
import { LOCK_WORDS, WriterLock } from "../shared-memory/writer-lock.js";

const VERSION = LOCK_WORDS;
const COPIES = LOCK_WORDS + 1;
const COPY_WORDS = 1 + MAX_FLOOD_REMOTES;
const WORDS = COPIES + 2 * COPY_WORDS;

export interface FloodListState {
  readonly words: SharedArrayBuffer;
}

export class FloodList {
  readonly #words: Int32Array;
  readonly #lock: WriterLock;
  readonly #fence = new Int32Array(new SharedArrayBuffer(4));

  private constructor(words: SharedArrayBuffer) {
    this.#words = new Int32Array(words);
    this.#lock = new WriterLock(this.#words);
  }

  static create(): FloodList {
    return new FloodList(new SharedArrayBuffer(WORDS * 4));
  }

  static attach(state: FloodListState): FloodList {
    return new FloodList(state.words);
  }

  sharedState(): FloodListState {
    return { words: this.#words.buffer as SharedArrayBuffer };
  }

  /** Differs after every change. Hot; take a new snapshot when it is not the one of the last. */
  version(): number {
    return Atomics.load(this.#words, VERSION);
  }

  /**
   * Copies the list as it was at one instant. Hot.
   * @param out MAX_FLOOD_REMOTES words
   * @returns the number of remotes
   */
  snapshot(out: Int32Array): number {
    const words = this.#words;
    // Not bounded by a constant: each further turn means that a writer completed a change of the
    // list meanwhile.
    for (;;) {
      const version = Atomics.load(words, VERSION);
      const at = copyAt(version);
      const count = words[at];
      for (let i = 0; i < count; i++) out[i] = words[at + 1 + i];
      Atomics.add(this.#fence, 0, 0);
      if (words[VERSION] === version) return count;
    }
  }

  /** Adds a remote at the end. */
  append(remote: number): TableResult {
    this.#lock.lock();
    try {
      const remotes = this.list();
      if (remotes.includes(remote)) return TABLE_EXISTS;
      if (remotes.length >= MAX_FLOOD_REMOTES) return TABLE_FULL;
      this.#publish([...remotes, remote]);
      return TABLE_OK;
    } finally {
      this.#lock.unlock();
    }
  }

  remove(remote: number): TableResult {
    this.#lock.lock();
    try {
      const remotes = this.list();
      if (!remotes.includes(remote)) return TABLE_NOT_FOUND;
      this.#publish(remotes.filter((other) => other !== remote));
      return TABLE_OK;
    } finally {
      this.#lock.unlock();
    }
  }

  /** The remotes, in the order in which they were appended. */
  list(): number[] {
    const out = new Int32Array(MAX_FLOOD_REMOTES);
    const count = this.snapshot(out);
    return Array.from(out.subarray(0, count));
  }

  #publish(remotes: readonly number[]): void {
    const next = (this.#words[VERSION] + 1) | 0;
    const at = copyAt(next);
    Atomics.store(this.#words, at, remotes.length);
    for (const [i, remote] of remotes.entries()) Atomics.store(this.#words, at + 1 + i, remote);
    Atomics.store(this.#words, VERSION, next);
  }
}

function copyAt(version: number): number {
  return COPIES + (version & 1) * COPY_WORDS;
}
