// Whether a worker looks for more before it sleeps. To wake a sleeping thread costs more than most
// of what it then does, in a virtual machine up to 100 us; a worker that is still looking when the
// next packet comes pays nothing of it. Looking costs CPU time, so it is done only where it is
// likely to pay: when the last waits were short and brought little, which is what requests and
// answers look like. A stream brings many packets at a time, between its small acknowledgements,
// and would come in the same batches anyhow; a quiet tunnel has long waits. So an idle daemon never
// looks, and after the last packet of a conversation it looks in vain three times at most.

/** Packets of one wake-up up to which it may be a request or an answer. */
const FEW = 4;
/** Such wake-ups in a row before looking begins: a stream's data comes more often than that. */
const STREAK = 2;
/** More are remembered, so that a long wait now and then, which halves them, does not end it. */
const MAX_STREAK = 4 * STREAK;

export class BusyPoll {
  readonly #limit_us: number;
  #streak = 0;

  /** @param limit_us how long to look at most, microseconds; 0: never */
  constructor(limit_us: number) {
    this.#limit_us = limit_us;
  }

  /** For how long to look now. */
  next_us(): number {
    return this.#streak < STREAK ? 0 : this.#limit_us;
  }

  /** After each wake-up: how long it had been waited for, and how many packets it brought. */
  learn(waited_us: number, moved: number): void {
    if (moved > FEW) this.#streak = 0;
    else if (waited_us >= this.#limit_us) this.#streak >>= 1;
    else this.#streak = Math.min(this.#streak + 1, MAX_STREAK);
  }
}
