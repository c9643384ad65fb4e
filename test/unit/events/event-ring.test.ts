// The ring of one worker: what comes out is what went in, in its order, and what found no room is
// counted.

import { Worker } from "node:worker_threads";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EVENT_WORDS } from "../../../src/events/event-record.js";
import { EventRing, RING_RECORDS } from "../../../src/events/event-ring.js";

/** A writer and a reader on the same memory, as two threads have them. */
function endsOf(ring: EventRing) {
  const writer = EventRing.attach(ring.sharedState());
  const record = new Int32Array(EVENT_WORDS);
  return {
    /** Every word of the record says which it is. @returns was there room? */
    put(value: number): boolean {
      const at = writer.reserve();
      if (at < 0) return false;
      for (let word = 0; word < EVENT_WORDS; word++) writer.words[at + word] = value + word;
      writer.publish();
      return true;
    },
    take(): number | undefined {
      if (!ring.take(record)) return undefined;
      const torn = record.findIndex((word, at) => word !== record[0] + at);
      if (torn >= 0) throw new Error(`a torn record: ${record.join(" ")}`);
      return record[0];
    },
  };
}

describe("EventRing", () => {
  it("is empty at first, and a reserved record is nothing before it is published", () => {
    const ring = EventRing.create(4);
    expect(ring.isEmpty).toBe(true);
    expect(ring.reserve()).toBeGreaterThan(0);
    expect(ring.isEmpty).toBe(true);
    expect(endsOf(ring).take()).toBeUndefined();
  });

  it("refuses the newest when it is full, and counts them", () => {
    const ring = EventRing.create();
    const { put, take } = endsOf(ring);
    for (let n = 0; n < RING_RECORDS; n++) expect(put(n)).toBe(true);
    expect(put(-1)).toBe(false);
    expect(put(-2)).toBe(false);
    expect(ring.lost).toBe(2);
    for (let n = 0; n < RING_RECORDS; n++) expect(take()).toBe(n);
    expect(take()).toBeUndefined();
    expect(put(7)).toBe(true);
  });

  // Numbers of records are 32 bits wide: around the sign and around zero.
  it.each([0, 0x7ffffffd, -3])("does what a bounded queue does, from record %i on", (first) => {
    const steps = fc.array(fc.integer({ min: -6, max: 6 }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(steps, fc.constantFrom(1, 4, 8), (counts, capacity) => {
        const ring = EventRing.create(capacity, first);
        const { put, take } = endsOf(ring);
        const queue: number[] = [];
        let next = 0;
        let lost = 0;
        for (const count of counts) {
          for (let n = 0; n < count; n++) {
            const fits = queue.length < capacity;
            if (fits) queue.push(next);
            else lost++;
            expect(put(next++)).toBe(fits);
          }
          for (let n = 0; n > count; n--) expect(take()).toBe(queue.shift());
          expect(ring.isEmpty).toBe(queue.length === 0);
          expect(ring.lost).toBe(lost);
        }
      }),
    );
  });

  it("hands whole records from one thread to another", async () => {
    const count = 5000;
    const ring = EventRing.create(THREAD_RECORDS);
    const { words } = ring.sharedState();
    const worker = new Worker(WRITER, { eval: true, workerData: { words, count, EVENT_WORDS } });
    const ended = new Promise((resolve) => worker.once("exit", resolve));
    const { take } = endsOf(ring);
    const got: number[] = [];
    while (got.length < count) {
      const value = take();
      if (value === undefined) await new Promise((resolve) => setImmediate(resolve));
      else got.push(value);
    }
    expect(got).toEqual(Array.from({ length: count }, (_, n) => n));
    expect(await ended).toBe(0);
  });
});

/**
 * The writer's half of the protocol in plain JavaScript: a worker of a test loads no TypeScript.
 * Head is word 0, tail word 16, records begin at word 32.
 */
const THREAD_RECORDS = 64;
const WRITER = `
const { words: buffer, count, EVENT_WORDS } = require("node:worker_threads").workerData;
const words = new Int32Array(buffer);
for (let n = 0; n < count; n++) {
  while (n - Atomics.load(words, 16) >= ${THREAD_RECORDS}) Atomics.wait(words, 17, 0, 1);
  const at = 32 + (n & ${THREAD_RECORDS - 1}) * EVENT_WORDS;
  for (let word = 0; word < EVENT_WORDS; word++) words[at + word] = n + word;
  Atomics.store(words, 0, n + 1);
}`;
