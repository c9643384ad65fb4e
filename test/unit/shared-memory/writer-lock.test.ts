// The writers' lock: exclusion, hand-over, and take-over from a holder that never comes back.
import { describe, expect, it } from "vitest";
import { LOCK_WORDS, WriterLock } from "../../../src/shared-memory/writer-lock.js";

function twoWriters(takeoverWaits: number): [WriterLock, WriterLock] {
  const words = new Int32Array(new SharedArrayBuffer(LOCK_WORDS * 4));
  return [new WriterLock(words, takeoverWaits), new WriterLock(words, takeoverWaits)];
}

describe("WriterLock", () => {
  it("is held by one writer at a time", () => {
    const [first, second] = twoWriters(2);
    expect(first.tryLock()).toBe(true);
    expect(second.tryLock()).toBe(false);
    first.unlock();
    expect(second.tryLock()).toBe(true);
    expect(first.tryLock()).toBe(false);
  });

  it("is taken without repair when it was released properly", () => {
    const [first, second] = twoWriters(2);
    expect(first.lock()).toBe(false);
    first.unlock();
    expect(second.lock()).toBe(false);
  });

  it("is taken over from a dead holder after a bounded wait, and says so", () => {
    const [dead, waiter] = twoWriters(3);
    dead.lock();
    const start = performance.now();
    expect(waiter.lock()).toBe(true);
    const waited_ms = performance.now() - start;
    expect(waited_ms).toBeGreaterThan(25);
    expect(waited_ms).toBeLessThan(2000);
  });

  it("stays with the new holder when the old one wakes up and unlocks", () => {
    const [asleep, waiter] = twoWriters(1);
    asleep.lock();
    waiter.lock();
    asleep.unlock();
    expect(asleep.tryLock()).toBe(false);
    waiter.unlock();
    expect(asleep.tryLock()).toBe(true);
  });

  it("does not use the free word as a ticket when tickets wrap around", () => {
    const words = new Int32Array(new SharedArrayBuffer(LOCK_WORDS * 4));
    words[1] = -1;
    const lock = new WriterLock(words);
    expect(lock.tryLock()).toBe(true);
    expect(words[0]).toBe(1);
  });
});
