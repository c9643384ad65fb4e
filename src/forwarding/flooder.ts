// BUM frames (broadcast, unknown unicast, multicast) of one VXLAN tunnel: to whom they are
// replicated, and what is counted when there is nobody.

import type { WorkerEvents } from "../events/worker-events.js";
import type { EgressBatch } from "../packet/egress-batch.js";
import { MAX_FLOOD_REMOTES } from "../shared-memory/limits.js";
import { TunnelCounter, type WorkerCounters } from "../telemetry/counters.js";
import { DropReasons } from "../telemetry/drop-reasons.js";
import { macHi, macLoBits } from "../wire/mac.js";
import type { OuterHeader } from "./outer-header.js";
import type { VxlanSends } from "./vxlan-sends.js";
import type { VxlanTunnel } from "./vxlan-tunnel.js";

const L2MISS = DropReasons.l2miss.id;
const NO_REMOTES = DropReasons.noRemotes.id;

export class Flooder {
  readonly #tunnel: VxlanTunnel;
  readonly #batch: EgressBatch;
  readonly #counters: WorkerCounters;
  readonly #events: WorkerEvents;
  readonly #sends: VxlanSends;
  readonly #members = new Int32Array(MAX_FLOOD_REMOTES);
  #version = -1;
  #count = 0;

  constructor(
    tunnel: VxlanTunnel,
    batch: EgressBatch,
    counters: WorkerCounters,
    events: WorkerEvents,
    sends: VxlanSends,
  ) {
    this.#tunnel = tunnel;
    this.#batch = batch;
    this.#counters = counters;
    this.#events = events;
    this.#sends = sends;
  }

  /** Takes over what was changed in the flood list; once per batch. */
  refresh(): void {
    const version = this.#tunnel.flood.version();
    if (version === this.#version) return;
    this.#count = this.#tunnel.flood.snapshot(this.#members);
    this.#version = version;
  }

  /** Replicates the frame at `at` to every member of the flood list. */
  flood(frame: number, at: number, outer: OuterHeader, multicast: boolean): void {
    const { index } = this.#tunnel;
    if (this.#count === 0) {
      const reason = multicast ? NO_REMOTES : L2MISS;
      if (!multicast) {
        const { arena } = this.#batch;
        this.#events.l2miss(index, macHi(arena, at), macLoBits(arena, at));
      }
      return this.#counters.drop(index, reason, this.#batch.wirePackets(frame));
    }
    this.#sends.replicate(frame, at, this.#members, 0, this.#count, outer);
    this.#counters.addTunnel(index, TunnelCounter.floods, 1);
  }
}
