// BUM frames (broadcast, unknown unicast, multicast) of one VXLAN tunnel: to whom they are
// replicated, and what is counted when there is nobody, or too much. Few copies leave at once, with
// the batch; many wait in the worker's queue (bum-queue.ts), and so does every frame behind one of
// this tunnel that waits. A frame whose destination was learned meanwhile does not: it may
// overtake.

import { FRAME_LENGTH, FRAME_OFFSET, FRAME_WORDS } from "#abi";
import type { WorkerEvents } from "../events/worker-events.js";
import { DEFAULT_LIST, FloodSnapshot } from "../fdb/flood-lists.js";
import type { EgressBatch } from "../packet/egress-batch.js";
import type { RemoteTable } from "../remotes/remote-table.js";
import { TunnelCounter, type WorkerCounters } from "../telemetry/counters.js";
import { DropReasons } from "../telemetry/drop-reasons.js";
import { LOCATE_COLUMNS, locateFrame } from "../wire/locate.js";
import { macHi, macLoBits } from "../wire/mac.js";
import { BUCKET_EGRESS, BumLimit } from "./bum-limit.js";
import type { BumQueue, QueueUser } from "./bum-queue.js";
import { OuterHeader } from "./outer-header.js";
import { type VxlanEgressParts, VxlanSends } from "./vxlan-sends.js";
import type { VxlanTunnel } from "./vxlan-tunnel.js";

/**
 * Members up to which a frame is replicated at once. A whole batch of such frames, MAX_FRAMES of
 * them, is some 4,000 sends: a few milliseconds.
 */
export const FLOOD_AT_ONCE_MEMBERS = 16;

const L2MISS = DropReasons.l2miss.id;
const NO_REMOTES = DropReasons.noRemotes.id;
const BUM_LIMIT = DropReasons.bumLimitEgress.id;
const BUM_QUEUE_FULL = DropReasons.bumQueueFull.id;

export class Flooder implements QueueUser {
  readonly #tunnel: VxlanTunnel;
  readonly #batch: EgressBatch;
  readonly #remotes: RemoteTable;
  readonly #counters: WorkerCounters;
  readonly #events: WorkerEvents;
  readonly #sends: VxlanSends;
  readonly #limit: BumLimit;
  readonly #queue: BumQueue;
  /** The same, but from the queue's batch. */
  readonly #queueSends: VxlanSends;
  readonly #queueOuter: OuterHeader;
  readonly #located = new Int32Array(LOCATE_COLUMNS);
  readonly #lists = new FloodSnapshot();
  #now_ms = 0;
  /** Frames of this tunnel in the queue. */
  #queued = 0;

  /** @param sends of the batch that the device is read into */
  constructor(parts: VxlanEgressParts, sends: VxlanSends) {
    const { tunnel, queue, queueSender } = parts;
    this.#tunnel = tunnel;
    this.#batch = parts.batch;
    this.#remotes = parts.remotes;
    this.#counters = parts.counters;
    this.#events = parts.events;
    this.#sends = sends;
    this.#limit = new BumLimit(tunnel.bumBuckets, BUCKET_EGRESS, tunnel.bumLimit_pps);
    this.#queue = queue;
    this.#queueSends = new VxlanSends({ ...parts, batch: queue.batch, sender: queueSender });
    this.#queueOuter = new OuterHeader(tunnel, queueSender.socketCount);
  }

  /** Takes over the time, and what was changed in the flood lists; once per batch. */
  refresh(now_ms: number): void {
    this.#now_ms = now_ms;
    this.#lists.refresh(this.#tunnel.flood);
  }

  /**
   * Replicates the frame at `at` to every member of a list, or lets it wait for that.
   * @param list the all-zero MAC's, or the one that the FDB has for the frame's destination
   */
  flood(frame: number, at: number, outer: OuterHeader, multicast: boolean, list: number): void {
    const lists = this.#lists;
    // The FDB may know of a list that is younger than the batch.
    if (list !== DEFAULT_LIST) lists.refresh(this.#tunnel.flood);
    const count = lists.count(list);
    const packets = this.#batch.wirePackets(frame);
    if (count === 0) return this.#miss(at, packets, multicast);
    if (!this.#limit.take(packets, this.#now_ms)) return this.#drop(BUM_LIMIT, packets);
    const { members } = lists;
    const first = lists.first(list);
    if (count <= FLOOD_AT_ONCE_MEMBERS && this.#queued === 0) {
      this.#sends.replicate(frame, at, members, first, count, outer);
    } else if (this.#queue.add(this, this.#batch, frame, members, first, count)) {
      this.#queued++;
    } else {
      return this.#drop(BUM_QUEUE_FULL, packets);
    }
    this.#counters.addTunnel(this.#tunnel.index, TunnelCounter.floods, 1);
  }

  sendQueued(frame: number, members: Int32Array, first: number, count: number): void {
    const batch = this.#queue.batch;
    const row = frame * FRAME_WORDS;
    const at = batch.frames[row + FRAME_OFFSET];
    const kept = this.#keepMembers(members, first, count);
    if (kept < count) this.#drop(NO_REMOTES, (count - kept) * batch.wirePackets(frame));
    locateFrame(batch.arena, at, at + batch.frames[row + FRAME_LENGTH], this.#located);
    this.#queueOuter.decide(batch, frame, at, this.#located);
    this.#queueSends.replicate(frame, at, members, first, kept, this.#queueOuter);
  }

  flushQueued(): void {
    this.#queueSends.flush();
  }

  leftQueue(): void {
    this.#queued--;
  }

  /**
   * Moves those that are remotes of this tunnel still to the front: a row that was freed while the
   * frame waited may be somebody else's.
   */
  #keepMembers(members: Int32Array, first: number, count: number): number {
    let kept = 0;
    for (let i = first; i < first + count; i++) {
      const remote = members[i];
      if (this.#remotes.belongsTo(remote, this.#tunnel.index)) members[first + kept++] = remote;
    }
    return kept;
  }

  /** There is nobody to flood to. */
  #miss(at: number, packets: number, multicast: boolean): void {
    if (multicast) return this.#drop(NO_REMOTES, packets);
    const { arena } = this.#batch;
    this.#events.l2miss(this.#tunnel.index, macHi(arena, at), macLoBits(arena, at));
    this.#drop(L2MISS, packets);
  }

  #drop(reason: number, packets: number): void {
    this.#counters.drop(this.#tunnel.index, reason, packets);
  }
}
