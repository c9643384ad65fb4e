// A data-plane worker's loop: waits for descriptors in native code, and gives each one that is
// ready one bounded batch.
//
//   poll -> for each ready descriptor: run(one batch) -> poll ...
//
// One synchronous loop, no event loop: a worker wakes for packets and for its eventfd (control).
// Work per wake-up is bounded by the batch, so no device or socket starves another. A descriptor
// whose device is gone is taken out and reported; the loop goes on with the rest.

import { native, READY_WAITED_US, READY_WORDS } from "#native";
import { EAGAIN, EBADF, EBADFD, ENODEV, ENXIO } from "../packet/errno.js";
import { monotonicSeconds } from "../shared-memory/clock.js";
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

/** Something to run when its descriptor is readable. */
export interface Source {
  readonly fd: number;
  /** For people: "device vxlan100", "udp 10.57.4.20:4789". */
  readonly name: string;
  /** Moves one batch. @returns packets that were moved, superpackets as many as they are, or -errno */
  run(now_s: number): number;
}

export interface WorkerLoopOptions {
  /** How long to look for more before sleeping, microseconds; 0: never. */
  readonly busyPoll_us: number;
  /** eventfd with which the main thread wakes the worker. */
  readonly wakeFd: number;
  /** Told of a source that failed for good; it is not run again. */
  readonly onSourceLost: (name: string, errno: number) => void;
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
    while (!this.#stopping) {
      const busy_us = this.#busyPoll.next_us();
      const count = native.pollWait(this.#poll, this.#ready, FOR_EVER, busy_us);
      const now_s = monotonicSeconds();
      let moved = 0;
      for (let i = 0; i < count; i++) {
        const token = this.#ready[2 * i];
        if (token === WAKE_TOKEN) {
          native.wakeDrain(this.#options.wakeFd);
          this.#stopping = shouldStop();
        } else {
          moved += this.#runSource(token, now_s);
        }
      }
      this.#busyPoll.learn(this.#ready[READY_WAITED_US], moved);
    }
    native.descriptorClose(this.#poll);
  }

  /** @returns what was moved */
  #runSource(token: number, now_s: number): number {
    const source = this.#sources[token];
    if (source === undefined) return 0;
    const moved = source.run(now_s);
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
