// What the threads tell each other about keepalives, one row for each row of the remote table. The
// main thread asks, the worker that gets the answer notes it here; what follows from it (round-trip
// time, loss, up or down) is daemon/keepalives.ts.
//
// Theory of operation. At most one question per remote is open: its nonce and sequence number stand
// in the row. A worker takes the question (compare-and-swap), so of several copies of an answer one
// counts; then it writes the numbers and last, atomically, the sequence number that was answered.
// The main thread reads that first and asks again only after it has looked, so numbers are whole.
import { MAX_REMOTES } from "../shared-memory/limits.js";

const STATE_WORDS = 4;
/** Sequence number of the open question; 0: none is open. */
const OPEN = 0;
const NONCE = 1;
/** Sequence number of the last answer. */
const ANSWERED = 2;
/** When replies were last sent to this remote, and how many of them. */
const REPLIES = 3;

const RTT_US = 0;
const INSTANCE = 1;
const PEER_SENT = 2;
const PEER_ARRIVED = 3;
const OWN_ARRIVED = 4;
const NUMBER_DOUBLES = 8;

/**
 * Answers to one remote in one second: an honest one asks once, also when several of its tunnels
 * end in this one.
 */
export const MAX_KEEPALIVE_REPLIES_PER_S = 16;
/** Of REPLIES: the low bits count, those above are the second. */
const REPLY_COUNT_BITS = 5;
const REPLY_COUNT_MASK = (1 << REPLY_COUNT_BITS) - 1;

/** An answer, as the worker that got it saw it. */
export interface KeepaliveAnswer {
  readonly sequence: number;
  readonly rtt_us: number;
  /** Of the remote's daemon. */
  readonly instance: number;
  /** Packets that the remote has sent to us, and that have arrived from us there. */
  readonly peerSent: number;
  readonly peerArrived: number;
  /** Packets that have arrived from the remote here. */
  readonly ownArrived: number;
}

export interface KeepaliveRowsState {
  readonly words: SharedArrayBuffer;
  readonly numbers: SharedArrayBuffer;
  /** Of this daemon, since its start. */
  readonly instance: number;
}

export class KeepaliveRows {
  readonly instance: number;
  readonly #words: Int32Array;
  readonly #numbers: Float64Array;

  private constructor(state: KeepaliveRowsState) {
    this.instance = state.instance;
    this.#words = new Int32Array(state.words);
    this.#numbers = new Float64Array(state.numbers);
  }

  /** @param instance a random number below 2^32 */
  static create(instance: number, maxRemotes = MAX_REMOTES): KeepaliveRows {
    return new KeepaliveRows({
      instance,
      words: new SharedArrayBuffer(maxRemotes * STATE_WORDS * 4),
      numbers: new SharedArrayBuffer(maxRemotes * NUMBER_DOUBLES * 8),
    });
  }

  static attach(state: KeepaliveRowsState): KeepaliveRows {
    return new KeepaliveRows(state);
  }

  sharedState(): KeepaliveRowsState {
    return {
      instance: this.instance,
      words: this.#words.buffer as SharedArrayBuffer,
      numbers: this.#numbers.buffer as SharedArrayBuffer,
    };
  }

  /** Main thread: opens a question; the one before is no longer open. @param sequence not 0 */
  ask(row: number, nonce: number, sequence: number): void {
    const at = row * STATE_WORDS;
    Atomics.store(this.#words, at + OPEN, 0);
    Atomics.store(this.#words, at + NONCE, nonce | 0);
    Atomics.store(this.#words, at + OPEN, sequence | 0);
  }

  /** Worker: is this the answer to the open question? If so it is closed, and `note` follows. */
  take(row: number, nonce: number, sequence: number): boolean {
    const at = row * STATE_WORDS;
    if (sequence === 0 || Atomics.load(this.#words, at + NONCE) !== (nonce | 0)) return false;
    const open = Atomics.compareExchange(this.#words, at + OPEN, sequence | 0, 0);
    return open === (sequence | 0);
  }

  /** Worker: notes an answer that was taken. */
  note(row: number, answer: KeepaliveAnswer): void {
    const at = row * NUMBER_DOUBLES;
    this.#numbers[at + RTT_US] = answer.rtt_us;
    this.#numbers[at + INSTANCE] = answer.instance;
    this.#numbers[at + PEER_SENT] = answer.peerSent;
    this.#numbers[at + PEER_ARRIVED] = answer.peerArrived;
    this.#numbers[at + OWN_ARRIVED] = answer.ownArrived;
    Atomics.store(this.#words, row * STATE_WORDS + ANSWERED, answer.sequence | 0);
  }

  /** Main thread: the answer to this question, if it is there. */
  answerTo(row: number, sequence: number): KeepaliveAnswer | undefined {
    const answered = Atomics.load(this.#words, row * STATE_WORDS + ANSWERED);
    if (answered !== (sequence | 0)) return undefined;
    const at = row * NUMBER_DOUBLES;
    return {
      sequence,
      rtt_us: this.#numbers[at + RTT_US],
      instance: this.#numbers[at + INSTANCE],
      peerSent: this.#numbers[at + PEER_SENT],
      peerArrived: this.#numbers[at + PEER_ARRIVED],
      ownArrived: this.#numbers[at + OWN_ARRIVED],
    };
  }

  /**
   * Worker: may another answer go to this remote? Counts it if so. Two workers at once may let one
   * more pass.
   */
  mayReply(row: number, now_s: number): boolean {
    const at = row * STATE_WORDS + REPLIES;
    const second = (now_s << REPLY_COUNT_BITS) | 0;
    const before = this.#words[at];
    const count = (before & ~REPLY_COUNT_MASK) === second ? before & REPLY_COUNT_MASK : 0;
    if (count >= MAX_KEEPALIVE_REPLIES_PER_S) return false;
    this.#words[at] = second | (count + 1);
    return true;
  }
}
