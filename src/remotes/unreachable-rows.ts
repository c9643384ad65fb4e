// What routers last said of the way to each remote: soft state [RFC 2003 § 5], one row for each row
// of the remote table. Workers note errors, the egress side of any worker asks whether it owes a
// sender an answer, the main thread shows it. Nothing stops sending because of it.
//
// Theory of operation. A row is written under a sequence number that is odd meanwhile; who finds it
// odd lets it be: another worker is noting an error about the same remote. What stands there is
// about the remote whose tunnel and address stand beside it, so a remote row that changes hands
// needs no clean-up here. It ends UNREACHABLE_S after the last error, or when the remote is heard.
import { MAX_REMOTES } from "../shared-memory/limits.js";
import {
  baseIn,
  REMOTE_ADDRESS,
  REMOTE_LAST_SEEN,
  REMOTE_STATE,
  REMOTE_TUNNEL,
  REMOTE_WORDS,
} from "./remote-rows.js";

/** So long after the last error a remote counts as unreachable (kernel: IPTUNNEL_ERR_TIMEO). */
export const UNREACHABLE_S = 30;

/** Kinds of unreachable. */
export const REACHABLE = 0;
export const NET_UNREACHABLE = 1;
export const HOST_UNREACHABLE = 2;
export const PROTOCOL_UNREACHABLE = 3;
export const PORT_UNREACHABLE = 4;
export const PROHIBITED = 5;
export const TTL_EXCEEDED = 6;

/** By kind, for people; a name never changes its meaning. */
export const UNREACHABLE_NAMES = [
  "reachable",
  "net-unreachable",
  "host-unreachable",
  "protocol-unreachable",
  "port-unreachable",
  "prohibited",
  "ttl-exceeded",
] as const;

export type UnreachableName = (typeof UNREACHABLE_NAMES)[number];

const STATE_WORDS = 16;
/** Odd: the row is being written. */
const SEQUENCE = 0;
const KIND = 1;
/** When the last error came, seconds of `monotonicSeconds`. */
const AT = 2;
/** 1: the next packet to the remote is answered. */
const OWED = 3;
/** When one was answered last. */
const ANSWERED = 4;
/** Errors since the remote was last reachable. */
const COUNT = 5;
const TUNNEL = 6;
/** Four words: of the remote. */
const ADDRESS = 7;
/** Four words: who said it. */
const OFFENDER = 11;

/** Looks at a row that somebody writes so often; then it is left out, until the next time. */
const READS = 16;

/** An unreachable remote, as somebody said. */
export interface Unreachable {
  readonly kind: number;
  /** When it was last said. */
  readonly at_s: number;
  /** How often it was said in a row. */
  readonly count: number;
  /** Unsigned words, most significant first; all zero: not known. */
  readonly offender: readonly [number, number, number, number];
}

export class UnreachableRows {
  readonly #words: Int32Array;
  readonly #remotes: Int32Array;

  /** @param remotes the rows of the remote table (`RemoteTable.rows`) */
  private constructor(state: SharedArrayBuffer, remotes: Int32Array) {
    this.#words = new Int32Array(state);
    this.#remotes = remotes;
  }

  static create(remotes: Int32Array, maxRemotes = MAX_REMOTES): UnreachableRows {
    return new UnreachableRows(new SharedArrayBuffer(maxRemotes * STATE_WORDS * 4), remotes);
  }

  static attach(state: SharedArrayBuffer, remotes: Int32Array): UnreachableRows {
    return new UnreachableRows(state, remotes);
  }

  sharedState(): SharedArrayBuffer {
    return this.#words.buffer as SharedArrayBuffer;
  }

  /**
   * Worker: notes an error about a used row.
   * @param kind not REACHABLE
   * @param owed the sender of the packet in question could not be told: the next one will be
   * @param offender four words from `offenderAt` on: who said it
   */
  note(
    row: number,
    kind: number,
    owed: boolean,
    now_s: number,
    offender: Int32Array,
    offenderAt: number,
  ): void {
    const words = this.#words;
    const at = row * STATE_WORDS;
    const sequence = words[at + SEQUENCE];
    if ((sequence & 1) !== 0) return;
    const taken = Atomics.compareExchange(words, at + SEQUENCE, sequence, (sequence + 1) | 0);
    if (taken !== sequence) return;
    const same = this.#holds(row, now_s);
    words[at + COUNT] = same ? words[at + COUNT] + 1 : 1;
    words[at + KIND] = kind;
    words[at + AT] = now_s;
    const remote = row * REMOTE_WORDS;
    words[at + TUNNEL] = this.#remotes[remote + REMOTE_TUNNEL];
    for (let word = 0; word < 4; word++) {
      words[at + ADDRESS + word] = this.#remotes[remote + REMOTE_ADDRESS + word];
      words[at + OFFENDER + word] = offender[offenderAt + word];
    }
    if (owed) words[at + OWED] = 1;
    else if (!same) words[at + OWED] = 0;
    Atomics.store(words, at + SEQUENCE, (sequence + 2) | 0);
  }

  /**
   * Hot: is the sender of the packet that is about to go to this remote to be told that the remote
   * is unreachable? At most one per remote and second is.
   * @param row of the remote table
   */
  isOwed(row: number): boolean {
    return this.#words[row * STATE_WORDS + OWED] !== 0;
  }

  /** Takes what `isOwed` announced. @returns the kind of error, or REACHABLE: nothing is owed now */
  takeOwed(row: number, now_s: number): number {
    const words = this.#words;
    const at = row * STATE_WORDS;
    if (words[at + ANSWERED] === (now_s | 0)) return REACHABLE;
    if (Atomics.exchange(words, at + OWED, 0) === 0) return REACHABLE;
    if (!this.#holds(row, now_s)) return REACHABLE;
    words[at + ANSWERED] = now_s;
    return words[at + KIND];
  }

  /** @returns what is known of a remote that is unreachable, else undefined */
  get(row: number, now_s: number): Unreachable | undefined {
    const words = this.#words;
    const at = row * STATE_WORDS;
    for (let read = 0; read < READS; read++) {
      const sequence = Atomics.load(words, at + SEQUENCE);
      const holds = this.#holds(row, now_s);
      const known = {
        kind: words[at + KIND],
        at_s: words[at + AT] >>> 0,
        count: words[at + COUNT],
        offender: [
          words[at + OFFENDER] >>> 0,
          words[at + OFFENDER + 1] >>> 0,
          words[at + OFFENDER + 2] >>> 0,
          words[at + OFFENDER + 3] >>> 0,
        ] as const,
      };
      const whole = (sequence & 1) === 0 && Atomics.load(words, at + SEQUENCE) === sequence;
      if (whole) return holds ? known : undefined;
    }
    return undefined;
  }

  /** Is what stands there about the remote of this row, and still so? */
  #holds(row: number, now_s: number): boolean {
    const words = this.#words;
    const at = row * STATE_WORDS;
    if (words[at + KIND] === REACHABLE) return false;
    if (((now_s - words[at + AT]) | 0) >= UNREACHABLE_S) return false;
    const remotes = this.#remotes;
    const remote = row * REMOTE_WORDS;
    if (remotes[remote + REMOTE_STATE] === 0) return false;
    if (remotes[remote + REMOTE_TUNNEL] !== words[at + TUNNEL]) return false;
    for (let word = 0; word < 4; word++) {
      if (remotes[remote + REMOTE_ADDRESS + word] !== words[at + ADDRESS + word]) return false;
    }
    // Senders are known by their base row.
    const base = baseIn(remotes, remote, row) * REMOTE_WORDS;
    return ((remotes[base + REMOTE_LAST_SEEN] - words[at + AT]) | 0) <= 0;
  }
}
