// Forgets what was not heard of for too long: first MACs, then the remotes they were learned from.
// A sweep reads every slot of a table, used or not (4 ms for the default 65,536 entries), so each
// tunnel is swept a few times per ageing time and not every second: what is silent lives up to a
// thirtieth longer, 10 s of the usual 300, as with the kernel (vxlan_core.c, FDB_AGE_INTERVAL).
// Its second's tick is the daemon's only one: events have theirs with it.

import { monotonicSeconds } from "../shared-memory/clock.js";
import type { DaemonEvents } from "./events.js";
import type { FdbEntries } from "./fdb-entries.js";
import type { Peers } from "./peers.js";
import type { TunnelRuntime } from "./tunnel.js";

const INTERVAL_MS = 1000;
const SWEEPS_PER_AGEING = 30;
/** How long an IPIP tunnel remembers a source that nobody configured. */
const STRANGER_AGEING_S = 300;

export class Ageing {
  readonly #tunnels: readonly TunnelRuntime[];
  readonly #peers: Peers;
  readonly #fdbEntries: FdbEntries;
  readonly #events: DaemonEvents;
  /** When each tunnel is swept next, by index; not yet known in the beginning. */
  readonly #due_s = new Map<number, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(
    tunnels: readonly TunnelRuntime[],
    peers: Peers,
    fdbEntries: FdbEntries,
    events: DaemonEvents,
  ) {
    this.#tunnels = tunnels;
    this.#peers = peers;
    this.#fdbEntries = fdbEntries;
    this.#events = events;
  }

  start(): void {
    this.#timer = setInterval(() => this.run(monotonicSeconds()), INTERVAL_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Sweeps the tunnels that are due. */
  run(now_s: number): void {
    for (const tunnel of this.#tunnels) {
      const ageing_s = tunnel.type === "vxlan" ? tunnel.config.ageing_s : STRANGER_AGEING_S;
      if (now_s < (this.#due_s.get(tunnel.index) ?? 0)) continue;
      const every_s = (ageing_s === 0 ? STRANGER_AGEING_S : ageing_s) / SWEEPS_PER_AGEING;
      this.#due_s.set(tunnel.index, now_s + Math.max(1, Math.floor(every_s)));
      if (tunnel.type === "vxlan") this.#fdbEntries.sweep(tunnel, now_s, ageing_s);
      // MACs that never age keep pointing to the remote they were learned from.
      if (ageing_s === 0) continue;
      if (tunnel.config.allow !== "known") this.#peers.ageStrangers(tunnel, now_s, ageing_s);
    }
    this.#events.tick(now_s);
  }
}
