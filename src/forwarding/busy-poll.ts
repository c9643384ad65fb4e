// Whether a worker looks for more before it sleeps. To wake a sleeping thread costs more than most
// of what it then does, in a virtual machine up to 100 us; a worker that is still looking when the
// next packet comes pays nothing of it. Looking costs CPU time, so it is done only where it is
// likely to pay: when the last wait was short and brought little, which is what requests and
// answers look like. A stream brings many packets at a time and would come in the same batches
// anyhow; a quiet tunnel has long waits. So an idle daemon never looks, and after the last packet
// of a conversation it looks for `limit_us` once.

/** Packets of one wake-up up to which it may be a request or an answer. */
const FEW = 4;

export class BusyPoll {
  readonly #limit_us: number;
  #pays = false;

  /** @param limit_us how long to look at most, microseconds; 0: never */
  constructor(limit_us: number) {
    this.#limit_us = limit_us;
  }

  /** For how long to look now. */
  next_us(): number {
    return this.#pays ? this.#limit_us : 0;
  }

  /** After each wake-up: how long it had been waited for, and how many packets it brought. */
  learn(waited_us: number, moved: number): void {
    this.#pays = waited_us < this.#limit_us && moved <= FEW;
  }
}
