// What an FDB knows of remotes: which of them are one host, and how many MACs each has, entries of
// its tunnel's FDB, which keeps the counts as they come and go. In shared memory: the total in the
// remote's row, what was learned of it beside. After a writer that died inside an FDB a count may
// be off by one.

import { baseIn, REMOTE_MACS, REMOTE_WORDS } from "./remote-rows.js";

export class MacCounts {
  readonly #rows: Int32Array;
  readonly #learned: Int32Array;

  /** @param learned one word per row */
  constructor(rows: Int32Array, learned: SharedArrayBuffer) {
    this.#rows = rows;
    this.#learned = new Int32Array(learned);
  }

  /** Hot. @returns the base row of a remote that has another port or VNI than the tunnel */
  hostOf(row: number): number {
    return baseIn(this.#rows, row * REMOTE_WORDS, row);
  }

  /** MACs behind a remote, given and learned. */
  total(row: number): number {
    return Atomics.load(this.#rows, row * REMOTE_WORDS + REMOTE_MACS);
  }

  /** Hot. @returns MACs learned from a remote */
  learnedMacs(row: number): number {
    return Atomics.load(this.#learned, row);
  }

  /** For an FDB, under its lock. @param change 1 or -1 */
  countMac(row: number, change: number, learned: boolean): void {
    Atomics.add(this.#rows, row * REMOTE_WORDS + REMOTE_MACS, change);
    if (learned) Atomics.add(this.#learned, row, change);
  }
}
