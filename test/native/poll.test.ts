// Waiting for descriptors: tokens, timeouts, wake-up from another thread by eventfd.

/// <reference lib="es2024.sharedmemory" />

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { afterEach, describe, expect, it } from "vitest";
import { MAX_READY, native, POLL_ERROR, POLL_IN, READY_WAITED_US, READY_WORDS } from "#native";
import { Descriptors, Receiver, Sender } from "./batches.js";
import { fixturePath } from "./tap-pair.js";

const EBADF = -9;
const EEXIST = -17;
const EINVAL = -22;
const ENOENT = -2;

const descriptors = new Descriptors();
afterEach(() => descriptors.closeAll());

const makePoll = (): number => descriptors.take(native.pollCreate(), "pollCreate");
const makeWake = (): number => descriptors.take(native.wakeCreate(), "wakeCreate");

/** (token, events) pairs of one wait, by token. */
function wait(poll: number, timeout_ms: number, busy_us = 0): [number, number][] {
  const ready = new Int32Array(READY_WORDS).fill(-1);
  const count = native.pollWait(poll, ready, timeout_ms, busy_us);
  if (count < 0) throw new Error(`pollWait: ${count}`);
  const untouched = ready.slice(2 * count, READY_WAITED_US);
  expect(untouched.every((word) => word === -1)).toBe(true);
  const pairs = Array.from({ length: count }, (_, n) => [ready[2 * n], ready[2 * n + 1]]);
  return pairs.sort((a, b) => a[0] - b[0]) as [number, number][];
}

describe("poll", () => {
  it("gives the tokens of what is ready, until it is drained", () => {
    const poll = makePoll();
    const wakes = [makeWake(), makeWake(), makeWake()];
    const tokens = [7, -1, 0x7fffffff];
    for (const [n, wake] of wakes.entries()) {
      expect(native.pollAdd(poll, wake, tokens[n])).toBe(0);
    }
    expect(wait(poll, 0)).toEqual([]);
    native.wakeSignal(wakes[0]);
    native.wakeSignal(wakes[2]);
    native.wakeSignal(wakes[2]);
    const both = [
      [7, POLL_IN],
      [0x7fffffff, POLL_IN],
    ];
    expect(wait(poll, 0)).toEqual(both);
    expect(wait(poll, -1)).toEqual(both);
    expect(native.wakeDrain(wakes[2])).toBe(0);
    expect(wait(poll, 0)).toEqual([[7, POLL_IN]]);
    expect(native.wakeDrain(wakes[0])).toBe(0);
    expect(wait(poll, 0)).toEqual([]);
    native.wakeSignal(wakes[1]);
    expect(wait(poll, 0)).toEqual([[-1, POLL_IN]]);
  });

  it("gives no more than there is room for", () => {
    const poll = makePoll();
    for (let n = 0; n < MAX_READY + 6; n++) {
      const wake = makeWake();
      native.pollAdd(poll, wake, n);
      native.wakeSignal(wake);
    }
    expect(wait(poll, 0)).toHaveLength(MAX_READY);
  });

  it("looks before it sleeps, as long as it was told, and says how long it took", () => {
    const poll = makePoll();
    const ready = new Int32Array(READY_WORDS);
    const started_us = performance.now() * 1000;
    expect(native.pollWait(poll, ready, 0, 20_000)).toBe(0);
    const took_us = performance.now() * 1000 - started_us;
    expect(took_us).toBeGreaterThanOrEqual(19_999);
    expect(ready[READY_WAITED_US]).toBeGreaterThanOrEqual(19_999);
    expect(ready[READY_WAITED_US]).toBeLessThanOrEqual(took_us);
  });

  it("finds while it looks what is ready already, or becomes ready", async () => {
    const poll = makePoll();
    const wake = makeWake();
    native.pollAdd(poll, wake, 5);
    native.wakeSignal(wake);
    const ready = new Int32Array(READY_WORDS);
    expect(native.pollWait(poll, ready, -1, 1_000_000)).toBe(1);
    expect(ready[READY_WAITED_US]).toBeLessThan(500_000);
    native.wakeDrain(wake);
    const later = makeWake();
    native.pollAdd(poll, later, 6);
    const shared = new SharedArrayBuffer(12);
    const worker = new Worker(fixturePath("signal-later.mjs"), { workerData: { later, shared } });
    const ended = once(worker, "exit");
    await Atomics.waitAsync(new Int32Array(shared), 0, 0, 5000).value;
    expect(wait(poll, 0, 5_000_000)).toEqual([[6, POLL_IN]]);
    await ended;
  });

  it("waits as long as it was told", () => {
    const poll = makePoll();
    const started_ms = performance.now();
    expect(wait(poll, 60)).toEqual([]);
    const took_ms = performance.now() - started_ms;
    expect(took_ms).toBeGreaterThanOrEqual(59);
    expect(took_ms).toBeLessThan(2000);
  });

  it("tells that a datagram is there", () => {
    const poll = makePoll();
    const socket = descriptors.udp();
    const sender = new Sender();
    sender.addRemote("127.0.0.1", socket.port);
    native.pollAdd(poll, socket.fd, 3);
    expect(wait(poll, 0)).toEqual([]);
    sender.add(Uint8Array.of(1, 2, 3));
    sender.flush([socket.fd]);
    expect(wait(poll, 1000)).toEqual([[3, POLL_IN]]);
    new Receiver().receive(socket.fd);
    expect(wait(poll, 0)).toEqual([]);
  });

  it("forgets what was removed or closed", () => {
    const poll = makePoll();
    const [removed, closed] = [makeWake(), makeWake()];
    for (const wake of [removed, closed]) {
      native.pollAdd(poll, wake, 1);
      native.wakeSignal(wake);
    }
    expect(native.pollRemove(poll, removed)).toBe(0);
    expect(native.pollRemove(poll, removed)).toBe(ENOENT);
    descriptors.close(closed);
    expect(wait(poll, 0)).toEqual([]);
  });

  it("answers -errno to what cannot be", () => {
    const poll = makePoll();
    const wake = makeWake();
    expect(native.pollAdd(poll, wake, 1)).toBe(0);
    expect(native.pollAdd(poll, wake, 2)).toBe(EEXIST);
    expect(native.pollAdd(poll, -1, 1)).toBe(EBADF);
    expect(native.pollAdd(poll, poll, 1)).toBe(EINVAL);
    expect(native.pollWait(wake, new Int32Array(READY_WORDS), 0, 0)).toBe(EINVAL);
    expect(native.pollWait(poll, new Int32Array(READY_WORDS - 1), 0, 0)).toBe(EINVAL);
    expect(native.pollWait(-1, new Int32Array(READY_WORDS), 0, 0)).toBe(EBADF);
    expect(native.wakeSignal(-1)).toBe(EBADF);
    expect(native.wakeDrain(-1)).toBe(EBADF);
    expect(native.descriptorClose(-1)).toBe(EBADF);
    expect(POLL_ERROR).not.toBe(POLL_IN);
  });
});

describe("wake-up from another thread", () => {
  it("reaches a worker that waits, each time", async () => {
    const poll = makePoll();
    const [wake, stopWake] = [makeWake(), makeWake()];
    native.pollAdd(poll, wake, 1);
    native.pollAdd(poll, stopWake, 2);
    const shared = new SharedArrayBuffer(12);
    const seen = new Int32Array(shared);
    const worker = new Worker(fixturePath("wake-worker.mjs"), {
      workerData: { poll, wake, stop: 2, shared },
    });
    const ended = once(worker, "exit");
    await Atomics.waitAsync(seen, 0, 0, 5000).value;
    for (let n = 0; n < 20; n++) {
      const before = Atomics.load(seen, 1);
      expect(native.wakeSignal(wake)).toBe(0);
      expect(await Atomics.waitAsync(seen, 1, before, 5000).value).not.toBe("timed-out");
      expect(Atomics.load(seen, 1)).toBe(n + 1);
      expect(Atomics.load(seen, 2)).toBe(1);
    }
    native.wakeSignal(stopWake);
    expect(await ended).toEqual([0]);
    expect(Atomics.load(seen, 0)).toBe(2);
  });
});
