// Random numbers that a seed repeats: what a soak did once it does again.

export class Random {
  #state: number;

  /** @param seed any 32-bit number but 0 */
  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
  }

  /** 0 .. limit - 1. */
  below(limit: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state % limit;
  }

  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)];
  }

  /** Damages a stretch of `bytes`: a few of them become random; now and then all do. */
  damage(bytes: Uint8Array, from: number, length: number): void {
    if (length <= 0) return;
    const all = this.oneIn(50);
    const changes = all ? length : 1 + this.below(4);
    // Headers decide, so that most changes are there.
    const reach = all || this.oneIn(8) ? length : Math.min(length, 96);
    for (let n = 0; n < changes; n++) {
      bytes[from + (all ? n : this.below(reach))] = this.below(256);
    }
  }
}
