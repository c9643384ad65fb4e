// Memory of the remote table: rows of fixed layout that native code reads to fill socket addresses.
// Which rows exist and why is remote-table.ts; nothing here takes a lock.
//
// Free rows are handed out in turn, so that a row is used again as late as possible: an index that
// a reader took just before the row was freed then most likely points to a free row, not to
// somebody else. The rows of each tunnel form a chain (tunnel-rows.ts).

import { TunnelRows, type TunnelRowsState } from "./tunnel-rows.js";

/** Int32 words of a row (64 bytes: one cache line). */
export const REMOTE_WORDS = 16;
/** 0 = free, 1 = used. */
export const REMOTE_STATE = 0;
export const REMOTE_TUNNEL = 1;
/** 4 or 6. */
export const REMOTE_FAMILY = 2;
/** First of four address words, most significant first; IPv4 as IPv4-mapped. */
export const REMOTE_ADDRESS = 3;
/** UDP port in host order; 0 for IPIP. */
export const REMOTE_PORT = 7;
export const REMOTE_VNI = 8;
/** REMOTE_FLAG_... */
export const REMOTE_FLAGS = 9;
/** Configured users of the row. */
export const REMOTE_REFERENCES = 10;
/** When a packet last came from it, seconds of `monotonicSeconds`; 0 = never. */
export const REMOTE_LAST_SEEN = 11;
/** Outer path MTU as the kernel knows it, bytes; 0 = not known. See path-mtu.ts. */
export const REMOTE_PMTU = 12;
/**
 * Row of the same address with the tunnel's own port and VNI that this row keeps alive; -1 = it is
 * that row.
 */
export const REMOTE_BASE = 13;
/** Unicast entries of the tunnel's FDB that point to the row; kept when the row changes hands. */
export const REMOTE_MACS = 14;
/** Group of frames to it (`gbp`), -1: the tunnel's. Set by `setRemoteGroup` only. */
export const REMOTE_GBP = 15;

/** A configured peer: it may send to us. */
export const REMOTE_FLAG_ALLOWED = 1;
/** UDP segmentation failed towards it (EIO): send single datagrams. */
export const REMOTE_FLAG_NO_GSO = 2;
/** Known from a received packet. */
export const REMOTE_FLAG_LEARNED = 4;

/** Sets the group of frames to a remote, in the words of its rows (`RemoteTable.rows`). */
export function setRemoteGroup(rows: Int32Array, row: number, group: number): void {
  rows[row * REMOTE_WORDS + REMOTE_GBP] = group;
}

const FREE = 0;
const IN_USE = 1;

export interface RemoteEntry {
  readonly index: number;
  readonly tunnel: number;
  readonly family: 4 | 6;
  /** Unsigned words, most significant first. */
  readonly address: readonly [number, number, number, number];
  readonly port: number;
  readonly vni: number;
  readonly flags: number;
  readonly references: number;
  readonly lastSeen_s: number;
  /** Longest outer packet that the path takes, bytes; 0: not known. */
  readonly pathMtu_bytes: number;
  /** Row of the same address with the tunnel's own port and VNI, itself if it is that one. */
  readonly base: number;
  /** MACs behind the remote, given and learned. */
  readonly macs: number;
}

/** The base row in the row at word `at`: `row` itself if it is that one. */
export function baseIn(words: Int32Array, at: number, row: number): number {
  const base = words[at + REMOTE_BASE];
  return base < 0 ? row : base;
}

export interface RemoteRowsState {
  readonly rows: SharedArrayBuffer;
  readonly cursor: SharedArrayBuffer;
  readonly chains: TunnelRowsState;
}

export class RemoteRows {
  /** Row n starts at word n * REMOTE_WORDS. */
  readonly words: Int32Array;
  readonly count: number;
  /** Row at which the search for a free one goes on. */
  readonly #cursor: Int32Array;
  readonly #chains: TunnelRows;

  private constructor(state: RemoteRowsState) {
    this.words = new Int32Array(state.rows);
    this.count = this.words.length / REMOTE_WORDS;
    this.#cursor = new Int32Array(state.cursor);
    this.#chains = TunnelRows.attach(state.chains);
  }

  static create(count: number, maxTunnels: number): RemoteRows {
    return new RemoteRows({
      rows: new SharedArrayBuffer(count * REMOTE_WORDS * 4),
      cursor: new SharedArrayBuffer(4),
      chains: TunnelRows.create(maxTunnels, count).sharedState(),
    });
  }

  static attach(state: RemoteRowsState): RemoteRows {
    return new RemoteRows(state);
  }

  sharedState(): RemoteRowsState {
    return {
      rows: this.words.buffer as SharedArrayBuffer,
      cursor: this.#cursor.buffer as SharedArrayBuffer,
      chains: this.#chains.sharedState(),
    };
  }

  word(row: number, word: number): number {
    return this.words[row * REMOTE_WORDS + word];
  }

  isUsed(row: number): boolean {
    return Atomics.load(this.words, row * REMOTE_WORDS + REMOTE_STATE) === IN_USE;
  }

  /** Fills a free row; the writer only. @returns the row, or -1 if all are used */
  fill(
    tunnel: number,
    w0: number,
    w1: number,
    w2: number,
    w3: number,
    port: number,
    vni: number,
    base: number,
  ): number {
    const row = this.#nextFree();
    if (row < 0) return -1;
    const words = this.words;
    const at = row * REMOTE_WORDS;
    // Not the MACs: entries that point to a freed row for a moment are still counted there.
    words.fill(0, at, at + REMOTE_MACS);
    words.fill(0, at + REMOTE_MACS + 1, at + REMOTE_WORDS);
    words[at + REMOTE_TUNNEL] = tunnel;
    words[at + REMOTE_FAMILY] = w0 === 0 && w1 === 0 && w2 === 0xffff ? 4 : 6;
    words[at + REMOTE_ADDRESS] = w0;
    words[at + REMOTE_ADDRESS + 1] = w1;
    words[at + REMOTE_ADDRESS + 2] = w2;
    words[at + REMOTE_ADDRESS + 3] = w3;
    words[at + REMOTE_PORT] = port;
    words[at + REMOTE_VNI] = vni;
    words[at + REMOTE_BASE] = base;
    words[at + REMOTE_GBP] = -1;
    Atomics.store(words, at + REMOTE_STATE, IN_USE);
    this.#chains.add(tunnel, row);
    return row;
  }

  /** Frees a used row; the writer only. */
  free(row: number): void {
    this.#chains.remove(this.word(row, REMOTE_TUNNEL), row);
    Atomics.store(this.words, row * REMOTE_WORDS + REMOTE_STATE, FREE);
  }

  /** The rows of a tunnel, ascending; under the lock only. */
  ofTunnel(tunnel: number): number[] {
    return this.#chains.rows(tunnel);
  }

  /** Makes the chains anew from the rows in use, after a writer died; the writer only. */
  chainAnew(): void {
    this.#chains.clear();
    for (let row = 0; row < this.count; row++) {
      if (this.isUsed(row)) this.#chains.add(this.word(row, REMOTE_TUNNEL), row);
    }
  }

  /** @returns the row for people, or undefined if it is free */
  entry(row: number): RemoteEntry | undefined {
    // Most rows are free, and some look through all of them every second.
    if (!this.isUsed(row)) return undefined;
    const at = row * REMOTE_WORDS;
    const words = this.words.slice(at, at + REMOTE_WORDS);
    if (words[REMOTE_STATE] !== IN_USE) return undefined;
    return {
      index: row,
      tunnel: words[REMOTE_TUNNEL],
      family: words[REMOTE_FAMILY] === 4 ? 4 : 6,
      address: [
        words[REMOTE_ADDRESS] >>> 0,
        words[REMOTE_ADDRESS + 1] >>> 0,
        words[REMOTE_ADDRESS + 2] >>> 0,
        words[REMOTE_ADDRESS + 3] >>> 0,
      ],
      port: words[REMOTE_PORT],
      vni: words[REMOTE_VNI],
      flags: words[REMOTE_FLAGS],
      references: words[REMOTE_REFERENCES],
      lastSeen_s: words[REMOTE_LAST_SEEN] >>> 0,
      pathMtu_bytes: words[REMOTE_PMTU],
      base: baseIn(words, 0, row),
      macs: words[REMOTE_MACS],
    };
  }

  #nextFree(): number {
    const start = this.#cursor[0];
    for (let step = 0; step < this.count; step++) {
      const row = (start + step) % this.count;
      if (this.isUsed(row)) continue;
      Atomics.store(this.#cursor, 0, (row + 1) % this.count);
      return row;
    }
    return -1;
  }
}
