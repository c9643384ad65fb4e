// How many BUM frames per second a tunnel may send or take (`bum_limit_pps`): a token bucket in
// shared memory, one for each direction, since all workers of the daemon together have one limit.
//
// Theory of operation. A bucket holds thousandths of a packet, so that a millisecond of the
// slowest limit adds something. It is as deep as a second's worth (MAX_DEPTH bounds it): whoever
// was quiet may send that much at once. A frame passes while there is anything in it and may leave
// it in debt, so that a superpacket, which counts as the packets it stands for, needs no deeper
// bucket. Who moves the time of the last refill forward refills; the others take meanwhile.
// Time is passed in, read once per batch.

/** Words of one bucket: what is in it, when it was last refilled. */
export const BUCKET_WORDS = 2;
/** Buckets of a tunnel. */
export const BUCKET_EGRESS = 0;
export const BUCKET_INGRESS = 1;
export const BUCKETS = 2;

const LEVEL = 0;
const REFILLED_MS = 1;
/** What a packet costs: a limit of 1 pps refills 1 per millisecond. */
const PACKET = 1000;
/** Half of what a word holds: the other half is room for debt. */
const MAX_DEPTH = 2 ** 30;
/** A worker whose batch began so long before the last refill, or less, is late; else time wrapped. */
const LATE_MS = 60_000;

/** Buckets of one tunnel that are full at `now_ms`, for its workers to share. */
export function bumBuckets(limit_pps: number, now_ms: number): SharedArrayBuffer {
  const words = new Int32Array(new SharedArrayBuffer(BUCKETS * BUCKET_WORDS * 4));
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    words[bucket * BUCKET_WORDS + LEVEL] = depthOf(limit_pps);
    words[bucket * BUCKET_WORDS + REFILLED_MS] = now_ms | 0;
  }
  return words.buffer as SharedArrayBuffer;
}

function depthOf(limit_pps: number): number {
  return Math.min(MAX_DEPTH, limit_pps * PACKET);
}

export class BumLimit {
  readonly #words: Int32Array;
  readonly #at: number;
  readonly #limit_pps: number;
  readonly #depth: number;

  /** @param limit_pps 0: no limit. @param bucket BUCKET_EGRESS or BUCKET_INGRESS */
  constructor(buckets: SharedArrayBuffer, bucket: number, limit_pps: number) {
    this.#words = new Int32Array(buckets);
    this.#at = bucket * BUCKET_WORDS;
    this.#limit_pps = limit_pps;
    this.#depth = depthOf(limit_pps);
  }

  /**
   * Takes what a frame costs. Hot.
   * @param packets that it is on the wire
   * @param now_ms of `monotonicMilliseconds`; any number that grows with time and wraps at 32 bits
   * @returns false when the limit is reached: the frame is to be dropped
   */
  take(packets: number, now_ms: number): boolean {
    if (this.#limit_pps === 0) return true;
    this.#refill(now_ms);
    if (Atomics.load(this.#words, this.#at + LEVEL) <= 0) return false;
    Atomics.sub(this.#words, this.#at + LEVEL, packets * PACKET);
    return true;
  }

  #refill(now_ms: number): void {
    const words = this.#words;
    const last_ms = Atomics.load(words, this.#at + REFILLED_MS);
    const elapsed_ms = (now_ms - last_ms) | 0;
    if (elapsed_ms <= 0 && elapsed_ms > -LATE_MS) return;
    const at = this.#at + REFILLED_MS;
    if (Atomics.compareExchange(words, at, last_ms, now_ms | 0) !== last_ms) return;
    const missing = this.#depth - Atomics.load(words, this.#at + LEVEL);
    const gain = elapsed_ms < 0 ? missing : Math.min(missing, elapsed_ms * this.#limit_pps);
    Atomics.add(words, this.#at + LEVEL, gain);
  }
}
