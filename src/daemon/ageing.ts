// Forgets what was not heard of for too long: first MACs, then the remotes they were learned from.
// A sweep reads every slot of a table, used or not (4 ms for the default 65,536 entries), so each
// tunnel is swept a few times per ageing time and not every second: what is silent lives up to a
// thirtieth longer, 10 s of the usual 300, as with the kernel (vxlan_core.c, FDB_AGE_INTERVAL).
// Thousands of tunnels are due at once: they are swept in slices, between which the control socket
// and keepalives get their turn. Its second's tick is the daemon's only one: events have theirs
// with it.

import { monotonicSeconds } from "../shared-memory/clock.js";
import type { DaemonEvents } from "./events.js";
import type { FdbEntries } from "./fdb-entries.js";
import type { Peers } from "./peers.js";
import type { TunnelRuntime } from "./tunnel.js";

const INTERVAL_MS = 1000;
const SWEEPS_PER_AGEING = 30;
/** Time after which sweeping lets others go on; one tunnel is swept whole. */
const SLICE_MS = 10;
/** How long an IPIP tunnel remembers a source that nobody configured. */
const STRANGER_AGEING_S = 300;

export class Ageing {
  readonly #tunnels: readonly TunnelRuntime[];
  readonly #peers: Peers;
  readonly #fdbEntries: FdbEntries;
  readonly #events: DaemonEvents;
  /** When each tunnel is swept next, by index; not yet known in the beginning. */
  readonly #due_s = new Map<number, number>();
  /** The tunnel that the next slice begins with. */
  #next = 0;
  readonly #clock_ms: () => number;
  #timer: NodeJS.Timeout | undefined;
  /** Set between two slices of one round. */
  #rest: NodeJS.Immediate | undefined;

  /** @param clock_ms for tests */
  constructor(
    tunnels: readonly TunnelRuntime[],
    peers: Peers,
    fdbEntries: FdbEntries,
    events: DaemonEvents,
    clock_ms: () => number = () => performance.now(),
  ) {
    this.#tunnels = tunnels;
    this.#peers = peers;
    this.#fdbEntries = fdbEntries;
    this.#events = events;
    this.#clock_ms = clock_ms;
  }

  start(): void {
    this.#timer = setInterval(() => {
      if (this.#rest === undefined) this.#round();
    }, INTERVAL_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    clearImmediate(this.#rest);
  }

  /**
   * Sweeps tunnels that are due, for SLICE_MS. @returns are there more to look at? Then it is to be
   * called again
   */
  run(now_s: number): boolean {
    const end_ms = this.#clock_ms() + SLICE_MS;
    while (this.#next < this.#tunnels.length) {
      const swept = this.#sweep(this.#tunnels[this.#next++], now_s);
      if (swept && this.#clock_ms() >= end_ms && this.#next < this.#tunnels.length) return true;
    }
    this.#next = 0;
    this.#events.tick(now_s);
    return false;
  }

  #round(): void {
    const more = this.run(monotonicSeconds());
    this.#rest = more ? setImmediate(() => this.#round()) : undefined;
  }

  /** @returns false when it is not due */
  #sweep(tunnel: TunnelRuntime, now_s: number): boolean {
    const ageing_s = tunnel.type === "vxlan" ? tunnel.config.ageing_s : STRANGER_AGEING_S;
    if (now_s < (this.#due_s.get(tunnel.index) ?? 0)) return false;
    const every_s = (ageing_s === 0 ? STRANGER_AGEING_S : ageing_s) / SWEEPS_PER_AGEING;
    this.#due_s.set(tunnel.index, now_s + Math.max(1, Math.floor(every_s)));
    if (tunnel.type === "vxlan") this.#fdbEntries.sweep(tunnel, now_s, ageing_s);
    // MACs that never age keep pointing to the remote they were learned from.
    if (ageing_s !== 0 && tunnel.config.allow !== "known") {
      this.#peers.ageStrangers(tunnel, now_s, ageing_s);
    }
    return true;
  }
}
