// The main thread's end of the events: one ring per worker, read when something is in them. Idle,
// it costs nothing; under a flood it reads a bounded number per turn of the event loop, so that the
// control socket is served in between.

import { EVENT_WORDS } from "./event-record.js";
import { EventRing } from "./event-ring.js";
import { EventSignal } from "./event-signal.js";
import type { WorkerEventsState } from "./worker-events.js";

/** Records of all workers that one turn handles. */
export const EVENTS_PER_TURN = 512;

/** Must not throw. */
export interface EventReceiver {
  /** `record` is valid during the call. */
  take(record: Int32Array): void;
  /** So many events of a worker found its ring full. */
  lost(count: number): void;
}

export class EventInbox {
  readonly #rings: readonly EventRing[];
  readonly #lost: number[];
  readonly #signal = EventSignal.create();
  readonly #wanted: Int32Array;
  readonly #record = new Int32Array(EVENT_WORDS);
  #receiver: EventReceiver | undefined;
  /** The ring that the next turn begins with, so that no worker starves another. */
  #next = 0;

  /** @param ringRecords see EventRing, for tests */
  constructor(workers: number, tunnels: number, ringRecords?: number) {
    this.#rings = Array.from({ length: workers }, () => EventRing.create(ringRecords));
    this.#lost = this.#rings.map(() => 0);
    this.#wanted = new Int32Array(new SharedArrayBuffer(Math.max(1, tunnels) * 4));
  }

  /** What the worker attaches to. */
  workerState(worker: number): WorkerEventsState {
    return {
      ring: this.#rings[worker].sharedState(),
      signal: this.#signal.sharedState(),
      wanted: this.#wanted.buffer as SharedArrayBuffer,
    };
  }

  /** @param kinds bits of the kinds of a tunnel that workers shall report from now on */
  want(tunnel: number, kinds: number): void {
    Atomics.store(this.#wanted, tunnel, kinds);
  }

  /** Hands events to `receiver` until `close`. */
  open(receiver: EventReceiver): void {
    this.#receiver = receiver;
    this.#turn();
  }

  close(): void {
    this.#receiver = undefined;
    this.#signal.wake();
  }

  /** Hands over what is there now, at most EVENTS_PER_TURN. @returns is there more? */
  drain(): boolean {
    const receiver = this.#receiver;
    if (receiver === undefined) return false;
    let left = EVENTS_PER_TURN;
    for (let step = 0; step < this.#rings.length; step++) {
      const index = (this.#next + step) % this.#rings.length;
      const ring = this.#rings[index];
      while (left > 0 && ring.take(this.#record)) {
        left--;
        receiver.take(this.#record);
      }
      const lost = (ring.lost - this.#lost[index]) >>> 0;
      this.#lost[index] = ring.lost;
      if (lost > 0) receiver.lost(lost);
    }
    this.#next = (this.#next + 1) % this.#rings.length;
    return left === 0;
  }

  #turn = (): void => {
    if (this.#receiver === undefined) return;
    if (this.drain()) setImmediate(this.#turn);
    else this.#signal.sleep(() => this.#hasWork(), this.#turn);
  };

  #hasWork(): boolean {
    return this.#rings.some((ring) => !ring.isEmpty);
  }
}
