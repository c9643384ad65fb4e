// Several threads on one table: readers never see words of two entries mixed, never miss an entry
// that nobody touches, writers exclude each other, and a writer that is killed leaves a table that
// works.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FDB_PERMANENT, FDB_STATIC, Fdb } from "../../../src/fdb/fdb.js";
import { DEFAULT_LIST, FloodLists, FloodSnapshot } from "../../../src/fdb/flood-lists.js";
import { Neigh } from "../../../src/neigh/neigh.js";
import { MAX_GROUPS } from "../../../src/routes/next-hop-groups.js";
import { RouteTable } from "../../../src/routes/route-table.js";
import type { ChurnJob } from "./churn-worker.js";
import { churnRoutes, FITS, NEVER_THERE, NOTHING } from "./route-churn.js";
import { compileWorkers, type WorkerHarness } from "./worker-harness.js";

const READS = 400_000;
const MIN_ROUNDS = 5_000;
const DEADLINE_MS = 5_000;

let workers: WorkerHarness;
beforeAll(() => {
  workers = compileWorkers();
});
afterAll(() => workers.remove());

/**
 * Calls `read` while a worker does `job`. @returns how often `read` found something, and how often
 * it was wrong
 */
async function readDuring(job: ChurnJob, read: (n: number) => "hit" | "miss" | "torn") {
  const churn = await workers.start(job);
  const seen = { hit: 0, miss: 0, torn: 0 };
  try {
    const end = performance.now() + DEADLINE_MS;
    for (let n = 0; n < READS || churn.rounds() < MIN_ROUNDS; n++) {
      seen[read(n)]++;
      if ((n & 0xfff) === 0 && performance.now() > end) break;
    }
  } finally {
    await churn.stop();
  }
  expect(churn.rounds()).toBeGreaterThanOrEqual(MIN_ROUNDS);
  expect(seen.torn).toBe(0);
  expect(seen.hit).toBeGreaterThan(1000);
  return seen;
}

describe("readers beside a writer", () => {
  it("see whole neighbours", async () => {
    const neigh = Neigh.create(128);
    const out = new Int32Array(3);
    await readDuring({ job: "neigh", state: neigh.sharedState() }, (n) => {
      if (!neigh.lookup(0, 0, 0xffff, n % 64, out)) return "miss";
      const written = ~out[1];
      const whole = out[0] === (written & 0xffff) && out[2] === (written & 0xff);
      return whole && written % 64 === n % 64 ? "hit" : "torn";
    });
  });

  it("see next hops that a route had, and are never without a route that is always there", async () => {
    const table = new RouteTable(2 * MAX_GROUPS);
    const change = churnRoutes(table);
    const buffer = new SharedArrayBuffer(12);
    const counts = new Int32Array(buffer);
    const state = table.sharedState();
    const readers = await workers.start({ job: "read-routes", state, counts: buffer });
    const end = performance.now() + DEADLINE_MS;
    let changes = 0;
    for (; changes < MIN_ROUNDS || Atomics.load(counts, FITS) < READS; changes++) {
      change();
      if ((changes & 0xff) === 0 && performance.now() > end) break;
    }
    await readers.stop();
    expect(changes).toBeGreaterThan(1000);
    expect(counts[FITS]).toBeGreaterThan(10_000);
    expect(counts[NEVER_THERE]).toBe(0);
    expect(counts[NOTHING]).toBe(0);
  });

  it("see each MAC's own remote, whole entries in the list, and never miss an untouched entry", async () => {
    const fdb = Fdb.create(256);
    for (let lo = 1000; lo < 1100; lo++) fdb.add(0, lo, lo, FDB_PERMANENT, 1);
    await readDuring({ job: "fdb", state: fdb.sharedState() }, (n) => {
      if (fdb.lookup(0, 1000 + (n % 100)) !== 1000 + (n % 100)) return "torn";
      if (n % 1000 === 0) {
        const churned = fdb.list().filter((entry) => entry.flags === FDB_STATIC);
        if (
          churned.some((e) => e.updated_s !== (~e.remote & 0x3fffffff) || e.remote % 64 !== e.lo)
        ) {
          return "torn";
        }
      }
      const remote = fdb.lookup(0, n % 64);
      if (remote < 0) return "miss";
      return remote % 64 === n % 64 ? "hit" : "torn";
    });
  });

  it("see flood lists as they were at one instant", async () => {
    const list = FloodLists.create();
    const lists = new FloodSnapshot();
    await readDuring({ job: "flood", state: list.sharedState() }, () => {
      lists.refresh(list);
      const count = lists.count(DEFAULT_LIST);
      const { members } = lists;
      const at = lists.first(DEFAULT_LIST);
      for (let i = 1; i < count; i++) if (members[at + i] !== members[at] + i) return "torn";
      return count <= 21 ? "hit" : "torn";
    });
  });
});

describe("writers beside writers", () => {
  it("lose no entry and agree on the count", async () => {
    const fdb = Fdb.create(512);
    const state = fdb.sharedState();
    const gate = new SharedArrayBuffer(4);
    const fills = [
      await workers.start({ job: "fdb-fill", state, from: 0, to: 200, gate }),
      await workers.start({ job: "fdb-fill", state, from: 200, to: 400, gate }),
    ];
    Atomics.store(new Int32Array(gate), 0, 1);
    Atomics.notify(new Int32Array(gate), 0);
    await Promise.all(fills.map((fill) => fill.ended));
    expect(fdb.count).toBe(400);
    expect(fdb.list()).toHaveLength(400);
    for (let lo = 0; lo < 400; lo++) expect(fdb.lookup(1, lo)).toBe(lo);
  });

  it("go on after one was killed in the middle of its work", async () => {
    const fdb = Fdb.create(256);
    const state = fdb.sharedState();
    for (let kill = 0; kill < 2; kill++) {
      const churn = await workers.start({ job: "fdb", state });
      await churn.worker.terminate();
      const start = performance.now();
      fdb.replace(2, kill, kill, FDB_STATIC, 1);
      expect(performance.now() - start).toBeLessThan(3000);
      expect(fdb.lookup(2, kill)).toBe(kill);
      expect(fdb.count).toBe(fdb.list().length);
    }
  });
});
