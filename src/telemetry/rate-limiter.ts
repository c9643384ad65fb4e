// Says things that happen often seldom: per key at once, then at most once per interval with the
// sum of what was held back. Bounded memory: when there are too many keys, further ones share a key
// that the caller names. No clock and no timer of its own.

export interface RateLimits {
  readonly interval_ms: number;
  /** Keys remembered at once, besides those that stand for others. */
  readonly maxKeys: number;
}

interface Held {
  /** When it may be reported again. */
  next_ms: number;
  amount: number;
}

/** What to say: `key` may be the one that stands for others. */
export interface Report {
  readonly key: string;
  /** Everything since the last report of this key. */
  readonly amount: number;
}

export class RateLimiter {
  readonly #limits: RateLimits;
  readonly #held = new Map<string, Held>();

  constructor(limits: RateLimits) {
    this.#limits = limits;
  }

  /**
   * Notes `amount` under `key`, or under `others` when `key` is new and there is no room.
   * @returns what to report now, or undefined: held back
   */
  take(key: string, others: string, amount: number, now_ms: number): Report | undefined {
    const used = this.#held.has(key) || this.#hasRoom(now_ms) ? key : others;
    const held = this.#held.get(used);
    if (held !== undefined && now_ms < held.next_ms) {
      held.amount += amount;
      return undefined;
    }
    this.#held.set(used, { next_ms: now_ms + this.#limits.interval_ms, amount: 0 });
    return { key: used, amount: amount + (held?.amount ?? 0) };
  }

  /** To be called from time to time: what was held back and is due; forgets keys gone quiet. */
  due(now_ms: number): Report[] {
    const reports: Report[] = [];
    for (const [key, held] of this.#held) {
      if (now_ms < held.next_ms) continue;
      if (held.amount === 0) {
        this.#held.delete(key);
        continue;
      }
      reports.push({ key, amount: held.amount });
      held.amount = 0;
      held.next_ms = now_ms + this.#limits.interval_ms;
    }
    return reports;
  }

  #hasRoom(now_ms: number): boolean {
    if (this.#held.size < this.#limits.maxKeys) return true;
    for (const [key, held] of this.#held) {
      if (held.amount > 0 || now_ms < held.next_ms) continue;
      this.#held.delete(key);
    }
    return this.#held.size < this.#limits.maxKeys;
  }
}
