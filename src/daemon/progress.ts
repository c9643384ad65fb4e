// Tells the log how far the daemon has come with something long, once a second: thousands of
// devices take a while, and whoever watches the start should see that it goes on.

import type { Logger } from "../telemetry/log.js";

const INTERVAL_MS = 1000;

export class Progress {
  readonly #log: Logger;
  readonly #now_ms: () => number;
  #next_ms: number;

  constructor(log: Logger, now_ms = () => performance.now()) {
    this.#log = log;
    this.#now_ms = now_ms;
    this.#next_ms = now_ms() + INTERVAL_MS;
  }

  /** To be called after each step. @param what is done, such as "devices set up" */
  report(what: string, done: number, total: number): void {
    const now_ms = this.#now_ms();
    if (now_ms < this.#next_ms) return;
    this.#next_ms = now_ms + INTERVAL_MS;
    this.#log.info({ done, total }, `starting: ${what}`);
  }
}
