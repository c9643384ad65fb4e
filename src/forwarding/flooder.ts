// BUM frames (broadcast, unknown unicast, multicast) of one VXLAN tunnel: to whom they are
// replicated, and what is counted when there is nobody, or too much. Few copies leave at once, with
// the batch; many wait in the worker's queue (bum-queue.ts), and so does every frame behind one of
// this tunnel that waits. A frame whose destination was learned meanwhile does not: it may
// overtake.

import { FRAME_LENGTH, FRAME_OFFSET, FRAME_WORDS } from "#abi";
import type { WorkerEvents } from "../events/worker-events.js";
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
/** Room of a member list at first; it grows with the list. */
const FIRST_MEMBERS = 4;

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
  #members = new Int32Array(FIRST_MEMBERS);
  #version = -1;
  #count = 0;
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

  /** Takes over the time, and what was changed in the flood list; once per batch. */
  refresh(now_ms: number): void {
    this.#now_ms = now_ms;
    const { flood } = this.#tunnel;
    const version = flood.version();
    if (version === this.#version) return;
    this.#count = flood.snapshot(this.#members);
    // What did not fit was left out, not written: the list has grown since its room was made.
    while (this.#count > this.#members.length) {
      this.#members = new Int32Array(2 * this.#count);
      this.#count = flood.snapshot(this.#members);
    }
    this.#version = version;
  }

  /** Replicates the frame at `at` to every member of the flood list, or lets it wait for that. */
  flood(frame: number, at: number, outer: OuterHeader, multicast: boolean): void {
    const packets = this.#batch.wirePackets(frame);
    if (this.#count === 0) return this.#miss(at, packets, multicast);
    if (!this.#limit.take(packets, this.#now_ms)) return this.#drop(BUM_LIMIT, packets);
    if (this.#count <= FLOOD_AT_ONCE_MEMBERS && this.#queued === 0) {
      this.#sends.replicate(frame, at, this.#members, 0, this.#count, outer);
    } else if (this.#queue.add(this, this.#batch, frame, this.#members, 0, this.#count)) {
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
