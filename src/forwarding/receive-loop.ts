// What VXLAN and IPIP ingress have in common: one batch from a receiver, a decision per run, the
// decided runs to their devices.

import { RUN_ADDRESS, RUN_SEGMENTS, RUN_WORDS } from "#abi";
import type { WorkerEvents } from "../events/worker-events.js";
import type { IngressBatch } from "../packet/ingress-batch.js";
import type { WorkerCounters } from "../telemetry/counters.js";
import { DropReasons } from "../telemetry/drop-reasons.js";
import type { UnderlayReceiver } from "../underlay/underlay.js";
import { SOURCE_REFUSED, type SourcePolicy } from "./source-policy.js";
import type { RunWriter } from "./write-runs.js";

const FOREIGN_SOURCE = DropReasons.foreignSource.id;
const REMOTES_FULL = DropReasons.remotesFull.id;

export interface IngressParts {
  readonly receiver: UnderlayReceiver;
  readonly batch: IngressBatch;
  readonly writer: RunWriter;
  readonly counters: WorkerCounters;
  readonly events: WorkerEvents;
}

export abstract class ReceiveLoop {
  readonly receiver: UnderlayReceiver;
  protected readonly batch: IngressBatch;
  protected readonly writer: RunWriter;
  protected readonly counters: WorkerCounters;
  /** Time of the batch, for rate limits. */
  protected now_ms = 0;
  protected readonly events: WorkerEvents;

  constructor(parts: IngressParts) {
    this.receiver = parts.receiver;
    this.batch = parts.batch;
    this.writer = parts.writer;
    this.counters = parts.counters;
    this.events = parts.events;
  }

  /**
   * Moves at most `limit` messages.
   * @returns segments in them, or -errno (-EAGAIN: there was none)
   */
  run(limit: number, now_s: number, now_ms: number): number {
    this.now_ms = now_ms;
    const count = this.receiver.receiveBatch(this.batch, limit);
    if (count <= 0) return count;
    let segments = 0;
    for (let run = 0; run < count; run++) {
      this.decide(run, now_s);
      segments += this.batch.runs[run * RUN_WORDS + RUN_SEGMENTS];
    }
    this.writer.flush();
    return segments;
  }

  /** Gives the run to a device or counts why not. */
  protected abstract decide(run: number, now_s: number): void;

  /**
   * The row of a run's sender, or a negative number: it may not send to this tunnel, and that has
   * been counted and reported.
   */
  protected admit(run: number, tunnel: number, sources: SourcePolicy, now_s: number): number {
    const row = run * RUN_WORDS;
    const remote = sources.admit(this.batch.runs, row + RUN_ADDRESS, now_s);
    if (remote >= 0) return remote;
    const { runs } = this.batch;
    const reason = remote === SOURCE_REFUSED ? FOREIGN_SOURCE : REMOTES_FULL;
    this.counters.drop(tunnel, reason, runs[row + RUN_SEGMENTS]);
    this.events.refusedSource(tunnel, reason, runs, row + RUN_ADDRESS, runs[row + RUN_SEGMENTS]);
    return remote;
  }
}
