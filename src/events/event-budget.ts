// How many events of each kind a worker reports per second: a flood of them must not drown the main
// thread. What goes beyond is counted and told with the next one that is reported. Hot: no
// allocation.

/** Misses and refusals per second, worker and kind (refusals: and reason). */
export const REPORTS_PER_SECOND = 100;
/** Learned or moved MACs per second and worker. */
export const LEARNED_PER_SECOND = 10_000;

export class EventBudget {
  readonly #limits: Int32Array;
  readonly #left: Int32Array;
  readonly #unreported: Int32Array;
  #second = -1;

  /** @param limits events per second of each slot */
  constructor(limits: Int32Array) {
    this.#limits = limits;
    this.#left = limits.slice();
    this.#unreported = new Int32Array(limits.length);
  }

  /** Once per batch: a new second gives a new budget. */
  refill(now_s: number): void {
    if (now_s === this.#second) return;
    this.#second = now_s;
    this.#left.set(this.#limits);
  }

  /** @param count what the event stands for. @returns may it be reported? */
  spend(slot: number, count: number): boolean {
    if (this.#left[slot] > 0) {
      this.#left[slot]--;
      return true;
    }
    this.#unreported[slot] = Math.min(this.#unreported[slot] + count, 0x7fffffff);
    return false;
  }

  /** What was not reported since the last call. */
  takeUnreported(slot: number): number {
    const count = this.#unreported[slot];
    this.#unreported[slot] = 0;
    return count;
  }
}
