// One lock per table, for its writers only; readers never touch it.
//
// Theory of operation. The holder word is 0 (free) or the ticket of the holder; a ticket is used
// once (until 2^32 acquisitions later), so "the same ticket for half a second" means one and the
// same critical section. Sections take microseconds (long operations take the lock anew per stretch
// of slots), hence a section that outlasts TAKEOVER_WAITS timed-out waits belongs to a thread that
// died in it, and a waiter takes the lock over. It learns so from `lock()` and repairs the table.
// Waits are counted instead of the clock being read: a suspended machine wakes with one wait
// elapsed, not with all of them. A holder that was only asleep that long (a debugger) finds its
// ticket gone on unlock and leaves the lock alone; what it wrote meanwhile is not protected, which
// is accepted.

const HOLDER = 0;
const NEXT_TICKET = 1;
const WAITERS = 2;

/** Int32 words that a lock occupies. */
export const LOCK_WORDS = 3;
/**
 * Looks at a held lock before giving up (`tryLock`) or going to sleep (`lock`): about a
 * microsecond.
 */
const SPINS = 100;
const WAIT_MS = 10;
const TAKEOVER_WAITS = 50;

export class WriterLock {
  readonly #words: Int32Array;
  readonly #takeoverWaits: number;
  #ticket = 0;

  /**
   * @param words LOCK_WORDS words on a SharedArrayBuffer, zero at first use
   * @param takeoverWaits 10 ms waits on one holder after which it counts as dead
   */
  constructor(words: Int32Array, takeoverWaits = TAKEOVER_WAITS) {
    this.#words = words;
    this.#takeoverWaits = takeoverWaits;
  }

  /**
   * Takes the lock if it is free now or within about a microsecond. Never sleeps: for the data
   * path.
   */
  tryLock(): boolean {
    const ticket = this.#nextTicket();
    for (let spin = 0; spin < SPINS; spin++) {
      if (Atomics.load(this.#words, HOLDER) !== 0) continue;
      if (Atomics.compareExchange(this.#words, HOLDER, 0, ticket) !== 0) continue;
      this.#ticket = ticket;
      return true;
    }
    return false;
  }

  /**
   * Takes the lock, sleeping for it if need be (`Atomics.wait`, allowed on Node's main thread).
   * @returns true if it was taken over from a dead holder: the protected structure needs repair
   */
  lock(): boolean {
    if (this.tryLock()) return false;
    const ticket = this.#nextTicket();
    let timedOutOn = 0;
    let waits = 0;
    for (;;) {
      const holder = Atomics.compareExchange(this.#words, HOLDER, 0, ticket);
      if (holder === 0) break;
      if (holder !== timedOutOn) waits = 0;
      if (waits >= this.#takeoverWaits) {
        if (Atomics.compareExchange(this.#words, HOLDER, holder, ticket) !== holder) continue;
        this.#ticket = ticket;
        return true;
      }
      Atomics.add(this.#words, WAITERS, 1);
      if (Atomics.wait(this.#words, HOLDER, holder, WAIT_MS) === "timed-out") {
        timedOutOn = holder;
        waits++;
      }
      Atomics.sub(this.#words, WAITERS, 1);
    }
    this.#ticket = ticket;
    return false;
  }

  unlock(): void {
    Atomics.compareExchange(this.#words, HOLDER, this.#ticket, 0);
    if (Atomics.load(this.#words, WAITERS) !== 0) Atomics.notify(this.#words, HOLDER, 1);
  }

  #nextTicket(): number {
    const ticket = (Atomics.add(this.#words, NEXT_TICKET, 1) + 1) | 0;
    return ticket === 0 ? this.#nextTicket() : ticket;
  }
}
