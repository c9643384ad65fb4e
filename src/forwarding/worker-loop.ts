// A data-plane worker's loop: waits for descriptors in native code, and gives each one that is
// ready one bounded batch.
//
//   poll -> for each ready descriptor: run(one batch) -> one step of the backlog -> poll ...
//
// One synchronous loop, no event loop: a worker wakes for packets and for its eventfd (control).
// Work per wake-up is bounded by the batch, so no device or socket starves another. While there is
// a backlog (frames that wait for their many copies) the loop does not sleep. A descriptor
// whose device is gone is taken out and reported; the loop goes on with the rest.

import { native, READY_WAITED_US, READY_WORDS } from "#native";
import { EAGAIN, EBADF, EBADFD, ENODEV, ENXIO } from "../packet/errno.js";
import { monotonicMilliseconds, secondsOf } from "../shared-memory/clock.js";
import { BusyPoll } from "./busy-poll.js";

/**
 * errno of a descriptor that will never work again: closed, or its device is gone (EBADFD: TUN
 * device deleted).
 */
const GONE: readonly number[] = [ENXIO, EBADF, ENODEV, EBADFD];
/**
 * Failures in a row after which a source counts as lost whatever the errno: it would keep the loop
 * spinning.
 */
const MAX_FAILURES = 1000;
const WAKE_TOKEN = 0;
const FOR_EVER = -1;
const AT_ONCE = 0;

/** Something to run when its descriptor is readable. */
export interface Source {
  readonly fd: number;
  /** For people: "device vxlan100", "udp 10.57.4.20:4789". */
  readonly name: string;
  /** Moves one batch. @returns packets that were moved, superpackets as many as they are, or -errno */
  run(now_s: number, now_ms: number): number;
}

/** Work that waits for a turn between batches. */
export interface Backlog {
  readonly pending: boolean;
  /** Does a bounded part of it. @returns packets that were moved */
  step(): number;
}

export interface WorkerLoopOptions {
  /** How long to look for more before sleeping, microseconds; 0: never. */
  readonly busyPoll_us: number;
  /** eventfd with which the main thread wakes the worker. */
  readonly wakeFd: number;
  /** Told of a source that failed for good; it is not run again. */
  readonly onSourceLost: (name: string, errno: number) => void;
  readonly backlog: Backlog;
  /** Told of the time at each wake-up, before any source runs. */
  readonly onWake: (now_s: number) => void;
}

export class WorkerLoop {
  readonly #poll: number;
  readonly #sources: (Source | undefined)[] = [undefined];
  /** Failures in a row, by token. */
  readonly #failures: number[] = [0];
  readonly #ready = new Int32Array(READY_WORDS);
  readonly #options: WorkerLoopOptions;
  readonly #busyPoll: BusyPoll;
  #stopping = false;

  constructor(options: WorkerLoopOptions) {
    this.#options = options;
    this.#busyPoll = new BusyPoll(options.busyPoll_us);
    this.#poll = native.pollCreate();
    if (this.#poll < 0) throw new Error(`epoll_create1 failed: errno ${-this.#poll}`);
    this.#watch(options.wakeFd, WAKE_TOKEN);
  }

  add(source: Source): void {
    this.#watch(source.fd, this.#sources.length);
    this.#sources.push(source);
    this.#failures.push(0);
  }

  /** Runs until `shouldStop`, asked after each wake-up by the main thread, says so. */
  run(shouldStop: () => boolean): void {
    const { backlog, onWake } = this.#options;
    while (!this.#stopping) {
      const { pending } = backlog;
      const busy_us = pending ? 0 : this.#busyPoll.next_us();
      const timeout_ms = pending ? AT_ONCE : FOR_EVER;
      const count = native.pollWait(this.#poll, this.#ready, timeout_ms, busy_us);
      const now_ms = monotonicMilliseconds();
      const now_s = secondsOf(now_ms);
      onWake(now_s);
      let moved = 0;
      for (let i = 0; i < count; i++) {
        const token = this.#ready[2 * i];
        if (token === WAKE_TOKEN) {
          native.wakeDrain(this.#options.wakeFd);
          this.#stopping = shouldStop();
        } else {
          moved += this.#runSource(token, now_s, now_ms);
        }
      }
      if (backlog.pending) moved += backlog.step();
      this.#busyPoll.learn(this.#ready[READY_WAITED_US], moved);
    }
    native.descriptorClose(this.#poll);
  }

  /** @returns what was moved */
  #runSource(token: number, now_s: number, now_ms: number): number {
    const source = this.#sources[token];
    if (source === undefined) return 0;
    const moved = source.run(now_s, now_ms);
    if (moved >= 0 || moved === -EAGAIN) {
      this.#failures[token] = 0;
      return Math.max(0, moved);
    }
    // One packet that the kernel could not hand over (ENOMEM, a GSO type it does not know) is no
    // reason to stop.
    if (!GONE.includes(-moved) && ++this.#failures[token] < MAX_FAILURES) return 0;
    native.pollRemove(this.#poll, source.fd);
    this.#sources[token] = undefined;
    this.#options.onSourceLost(source.name, -moved);
    return 0;
  }

  #watch(fd: number, token: number): void {
    const result = native.pollAdd(this.#poll, fd, token);
    if (result < 0) throw new Error(`cannot watch descriptor ${fd}: errno ${-result}`);
  }
}
