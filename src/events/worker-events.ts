// A worker's end of the events: writes what somebody wants to hear of into the worker's ring. Hot:
// an event that nobody wants costs one load; no allocation, no waiting. What is not reported is
// counted: by the drop reason of the packet, or as `events-lost`.

import type { WorkerCounters } from "../telemetry/counters.js";
import { DROP_REASONS, DropReasons } from "../telemetry/drop-reasons.js";
import { EventBudget, LEARNED_PER_SECOND, REPORTS_PER_SECOND } from "./event-budget.js";
import {
  EVENT_ADDRESS,
  EVENT_COUNT,
  EVENT_KIND,
  EVENT_KINDS,
  EVENT_L2MISS,
  EVENT_L3MISS,
  EVENT_LEARNED,
  EVENT_MAC_HI,
  EVENT_MAC_LO,
  EVENT_MOVED,
  EVENT_OLD_REMOTE,
  EVENT_REASON,
  EVENT_REFUSED,
  EVENT_REMOTE,
  EVENT_TUNNEL,
  EVENT_UNREPORTED,
  EVENT_WORDS,
  eventBit,
} from "./event-record.js";
import { EventRing, type EventRingState } from "./event-ring.js";
import { EventSignal, type EventSignalState } from "./event-signal.js";

const EVENTS_LOST = DropReasons.eventsLost.id;
const NONE = -1;

export interface WorkerEventsState {
  readonly ring: EventRingState;
  readonly signal: EventSignalState;
  /** Per tunnel: bits of the kinds that somebody wants. */
  readonly wanted: SharedArrayBuffer;
}

export class WorkerEvents {
  readonly #ring: EventRing;
  readonly #signal: EventSignal;
  readonly #wanted: Int32Array;
  readonly #counters: WorkerCounters;
  /** A slot per kind, then one per drop reason for refusals. */
  readonly #budget: EventBudget;

  constructor(state: WorkerEventsState, counters: WorkerCounters) {
    this.#ring = EventRing.attach(state.ring);
    this.#signal = EventSignal.attach(state.signal);
    this.#wanted = new Int32Array(state.wanted);
    this.#counters = counters;
    const limits = new Int32Array(EVENT_KINDS + DROP_REASONS.length).fill(REPORTS_PER_SECOND);
    limits[EVENT_LEARNED] = LEARNED_PER_SECOND;
    limits[EVENT_MOVED] = LEARNED_PER_SECOND;
    this.#budget = new EventBudget(limits);
  }

  /** Once per batch. */
  begin(now_s: number): void {
    this.#budget.refill(now_s);
  }

  /** @param remote row of the remote table */
  learned(tunnel: number, hi: number, lo: number, remote: number): void {
    this.#learned(EVENT_LEARNED, tunnel, hi, lo, remote, NONE);
  }

  /** @param remote row where the MAC is now. @param old row where it was */
  moved(tunnel: number, hi: number, lo: number, remote: number, old: number): void {
    this.#learned(EVENT_MOVED, tunnel, hi, lo, remote, old);
  }

  l2miss(tunnel: number, hi: number, lo: number): void {
    if (!this.#isWanted(tunnel, EVENT_L2MISS) || !this.#budget.spend(EVENT_L2MISS, 1)) return;
    const at = this.#reserve(EVENT_L2MISS, EVENT_L2MISS, tunnel, 1);
    if (at < 0) return;
    this.#ring.words[at + EVENT_MAC_HI] = hi;
    this.#ring.words[at + EVENT_MAC_LO] = lo;
    this.#publish();
  }

  /** @param w0 to `w3`: the inner address, most significant word first */
  l3miss(tunnel: number, w0: number, w1: number, w2: number, w3: number): void {
    if (!this.#isWanted(tunnel, EVENT_L3MISS) || !this.#budget.spend(EVENT_L3MISS, 1)) return;
    const at = this.#reserve(EVENT_L3MISS, EVENT_L3MISS, tunnel, 1);
    if (at < 0) return;
    const { words } = this.#ring;
    words[at + EVENT_ADDRESS] = w0;
    words[at + EVENT_ADDRESS + 1] = w1;
    words[at + EVENT_ADDRESS + 2] = w2;
    words[at + EVENT_ADDRESS + 3] = w3;
    this.#publish();
  }

  /**
   * Packets of an outer source were refused.
   * @param reason `id` of a DropReason. @param source holds its address, four words from `from` on
   */
  refusedSource(
    tunnel: number,
    reason: number,
    source: Int32Array,
    from: number,
    count: number,
  ): void {
    const at = this.#refused(tunnel, reason, count);
    if (at < 0) return;
    const { words } = this.#ring;
    words[at + EVENT_REMOTE] = NONE;
    for (let word = 0; word < 4; word++) words[at + EVENT_ADDRESS + word] = source[from + word];
    this.#publish();
  }

  /**
   * An inner source MAC that a remote sent was refused.
   * @param reason `id` of a DropReason. @param remote row of the remote table
   */
  refusedMac(
    tunnel: number,
    reason: number,
    remote: number,
    hi: number,
    lo: number,
    count: number,
  ): void {
    const at = this.#refused(tunnel, reason, count);
    if (at < 0) return;
    const { words } = this.#ring;
    words[at + EVENT_REMOTE] = remote;
    words[at + EVENT_MAC_HI] = hi;
    words[at + EVENT_MAC_LO] = lo;
    this.#publish();
  }

  #learned(
    kind: number,
    tunnel: number,
    hi: number,
    lo: number,
    remote: number,
    old: number,
  ): void {
    if (!this.#isWanted(tunnel, kind)) return;
    if (!this.#budget.spend(kind, 1)) {
      this.#ring.lose();
      return this.#counters.drop(tunnel, EVENTS_LOST, 1);
    }
    const at = this.#reserve(kind, kind, tunnel, 1);
    if (at < 0) return;
    const { words } = this.#ring;
    words[at + EVENT_MAC_HI] = hi;
    words[at + EVENT_MAC_LO] = lo;
    words[at + EVENT_REMOTE] = remote;
    words[at + EVENT_OLD_REMOTE] = old;
    this.#publish();
  }

  /** @returns the record's place, or -1: not to be reported */
  #refused(tunnel: number, reason: number, count: number): number {
    const slot = EVENT_KINDS + reason;
    if (!this.#isWanted(tunnel, EVENT_REFUSED) || !this.#budget.spend(slot, count)) return -1;
    const at = this.#reserve(EVENT_REFUSED, slot, tunnel, count);
    if (at >= 0) this.#ring.words[at + EVENT_REASON] = reason;
    return at;
  }

  #isWanted(tunnel: number, kind: number): boolean {
    return (this.#wanted[tunnel] & eventBit(kind)) !== 0;
  }

  /** @returns where the record begins, its common words filled in, or -1: no room, counted */
  #reserve(kind: number, slot: number, tunnel: number, count: number): number {
    const at = this.#ring.reserve();
    if (at < 0) {
      this.#counters.drop(tunnel, EVENTS_LOST, 1);
      return at;
    }
    const { words } = this.#ring;
    words.fill(0, at, at + EVENT_WORDS);
    words[at + EVENT_KIND] = kind;
    words[at + EVENT_TUNNEL] = tunnel;
    words[at + EVENT_COUNT] = count;
    words[at + EVENT_UNREPORTED] = this.#budget.takeUnreported(slot);
    return at;
  }

  #publish(): void {
    this.#ring.publish();
    this.#signal.wake();
  }
}
