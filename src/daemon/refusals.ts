// What workers refused (foreign outer sources, MACs beyond a limit ...): one warning per tunnel,
// reason and source at once, then at most one a minute with the sum. An attacker can invent
// sources; beyond the first ones they share a line.

import type { PeerEvent } from "../control/monitor-events.js";
import type { Logger } from "../telemetry/log.js";
import { RateLimiter, type Report } from "../telemetry/rate-limiter.js";

/** How often one source is spoken of. */
const INTERVAL_MS = 60_000;
/** Sources (per tunnel and reason) that are told apart. */
export const MAX_REFUSED_SOURCES = 32;
const OTHERS = "others";

export interface Refusal {
  readonly dev: string;
  /** Name and meaning of the drop reason. */
  readonly reason: string;
  readonly meaning: string;
  /** Outer source; undefined: several, not told apart. */
  readonly source: string | undefined;
  readonly count: number;
}

export class Refusals {
  readonly #log: Logger;
  readonly #publish: (event: Omit<PeerEvent, "time_ms">) => void;
  readonly #limiter = new RateLimiter({ interval_ms: INTERVAL_MS, maxKeys: MAX_REFUSED_SOURCES });
  /** Meaning of each reason that was ever reported, by name. */
  readonly #meanings = new Map<string, string>();

  /** @param publish tells the monitors, as seldom as the log */
  constructor(log: Logger, publish: (event: Omit<PeerEvent, "time_ms">) => void) {
    this.#log = log;
    this.#publish = publish;
  }

  refused({ dev, reason, meaning, source = OTHERS, count }: Refusal, now_ms: number): void {
    this.#meanings.set(reason, meaning);
    const key = `${dev} ${reason} ${source}`;
    const report = this.#limiter.take(key, `${dev} ${reason} ${OTHERS}`, count, now_ms);
    if (report !== undefined) this.#tell(report);
  }

  /** From time to time: what was held back and is due. */
  tick(now_ms: number): void {
    for (const report of this.#limiter.due(now_ms)) this.#tell(report);
  }

  #tell({ key, amount: count }: Report): void {
    const [dev, reason, address] = key.split(" ");
    const meaning = this.#meanings.get(reason) ?? reason;
    this.#log.warn({ tunnel: dev, source: address, reason, count }, `refused: ${meaning}`);
    this.#publish({ kind: "peer", dev, address, change: "refused", reason, count });
  }
}
