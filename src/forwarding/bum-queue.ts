// BUM frames that go to many remotes wait here and are sent a few at a time, so that what has one
// destination, and the way back, are not kept waiting while a frame is copied a thousand times.
//
// Theory of operation. One queue per worker, for all its tunnels. It has a batch of its own: frames
// are copied into its arena, which is used as a ring, and their rows are a ring as well, so frames
// leave in the order in which they came. With each frame stands who sends it (a tunnel's flooder)
// and to whom: the members of the list as it was when the frame came. The worker's loop calls
// `step` between other work as long as anything is queued; a step sends at most STEP_PACKETS.
// A full queue takes nothing: the flooder counts the frame as dropped. Nothing allocates here
// but a view of the frame that is copied in.

import {
  EGRESS_ARENA_BYTES,
  FRAME_LENGTH,
  FRAME_OFFSET,
  FRAME_WORDS,
  HEADROOM_BYTES,
  MAX_FRAMES,
  SCRATCH_BYTES,
} from "#abi";
import { EgressBatch } from "../packet/egress-batch.js";
import { MAX_FLOOD_REMOTES } from "../shared-memory/limits.js";

/** Packets that one step sends before other work has its turn: well below a millisecond. */
export const STEP_PACKETS = 256;
const FRAME_ALIGN = 64;
const NO_ROOM = -1;

/** A tunnel that has frames in the queue. */
export interface QueueUser {
  /**
   * Sends the frame of the queue's batch to `count` members from `first` on. They may have been
   * removed from the list since.
   */
  sendQueued(frame: number, members: Int32Array, first: number, count: number): void;
  /** Sends what `sendQueued` gathered: another user's turn, or the end of a step. */
  flushQueued(): void;
  /** One of its frames left the queue. */
  leftQueue(): void;
}

export class BumQueue {
  /** Frames and send list of the queue; the users' sends work on it. */
  readonly batch = new EgressBatch();
  readonly #users: (QueueUser | undefined)[] = new Array(MAX_FRAMES).fill(undefined);
  readonly #members = new Int32Array(MAX_FRAMES * MAX_FLOOD_REMOTES);
  readonly #memberCounts = new Int32Array(MAX_FRAMES);
  /** Where the room of each frame begins in the arena. */
  readonly #starts = new Int32Array(MAX_FRAMES);
  /** Row of the oldest frame. */
  #oldest = 0;
  #count = 0;
  /** Members that the oldest frame was sent to. */
  #done = 0;
  /** Arena offset behind the newest frame. */
  #end = SCRATCH_BYTES;

  /** Is anything queued? */
  get pending(): boolean {
    return this.#count > 0;
  }

  /**
   * Lets a frame of another batch wait for its `count` members from `first` on.
   * @returns false when there is no room
   */
  add(
    user: QueueUser,
    from: EgressBatch,
    frame: number,
    members: Int32Array,
    first: number,
    count: number,
  ): boolean {
    if (this.#count === MAX_FRAMES) return false;
    const source = frame * FRAME_WORDS;
    const offset = from.frames[source + FRAME_OFFSET];
    const length = from.frames[source + FRAME_LENGTH];
    const start = this.#allocate(HEADROOM_BYTES + length);
    if (start < 0) return false;
    const row = (this.#oldest + this.#count++) % MAX_FRAMES;
    const { arena, frames } = this.batch;
    arena.set(from.arena.subarray(offset, offset + length), start + HEADROOM_BYTES);
    const at = row * FRAME_WORDS;
    for (let word = 0; word < FRAME_WORDS; word++) frames[at + word] = from.frames[source + word];
    frames[at + FRAME_OFFSET] = start + HEADROOM_BYTES;
    const list = row * MAX_FLOOD_REMOTES;
    for (let i = 0; i < count; i++) this.#members[list + i] = members[first + i];
    this.#memberCounts[row] = count;
    this.#starts[row] = start;
    this.#users[row] = user;
    return true;
  }

  /** Sends the next few copies. @returns how many packets, superpackets as many as they are */
  step(): number {
    let sent = 0;
    let current: QueueUser | undefined;
    while (this.#count > 0 && sent < STEP_PACKETS) {
      const row = this.#oldest;
      const user = this.#users[row] as QueueUser;
      if (user !== current) {
        current?.flushQueued();
        this.batch.beginSends();
        current = user;
      }
      const packets = this.batch.wirePackets(row);
      const room = Math.max(1, Math.floor((STEP_PACKETS - sent) / packets));
      const left = this.#memberCounts[row] - this.#done;
      const copies = Math.min(left, room);
      const first = row * MAX_FLOOD_REMOTES + this.#done;
      user.sendQueued(row, this.#members, first, copies);
      sent += copies * packets;
      this.#done += copies;
      if (copies === left) this.#drop(row);
    }
    current?.flushQueued();
    return sent;
  }

  /** Takes the oldest frame out; its bytes stay until the next `add`, which comes after the step. */
  #drop(row: number): void {
    this.#users[row]?.leftQueue();
    this.#users[row] = undefined;
    this.#oldest = (row + 1) % MAX_FRAMES;
    this.#count--;
    this.#done = 0;
  }

  /** Room for a frame behind the newest, or at the start of the ring. @returns NO_ROOM: none */
  #allocate(bytes: number): number {
    const need = Math.ceil(bytes / FRAME_ALIGN) * FRAME_ALIGN;
    let start = this.#end;
    if (this.#count === 0) {
      start = SCRATCH_BYTES;
      this.#oldest = 0;
    } else {
      const oldest = this.#starts[this.#oldest];
      if (start > oldest) {
        if (start + need > EGRESS_ARENA_BYTES) start = SCRATCH_BYTES;
      }
      // The frame must end before the oldest one begins: an end at its start would look like empty.
      if (start <= oldest && start + need >= oldest) return NO_ROOM;
    }
    if (start + need > EGRESS_ARENA_BYTES) return NO_ROOM;
    this.#end = start + need;
    return start;
  }
}
