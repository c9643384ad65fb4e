// FDB semantics: learning, moves, static entries, ageing, limit, flush.
import { describe, expect, it } from "vitest";
import {
  FDB_ADDED,
  FDB_BUSY,
  FDB_EXTERN,
  FDB_FULL,
  FDB_LEARNED,
  FDB_MOVED,
  FDB_PERMANENT,
  FDB_REFRESHED,
  FDB_REMOTE_FULL,
  FDB_ROUTER,
  FDB_STATIC,
  FDB_STATIC_CONFLICT,
  Fdb,
  type FdbEntry,
} from "../../../src/fdb/fdb.js";
import { MAX_REMOTES } from "../../../src/shared-memory/limits.js";
import {
  TABLE_EXISTS,
  TABLE_FULL,
  TABLE_NOT_FOUND,
  TABLE_OK,
} from "../../../src/shared-memory/table-result.js";

const HI = 0x0200;
const LO = 0xfe00000b;

describe("Fdb.learn", () => {
  it("adds, refreshes and moves", () => {
    const fdb = Fdb.create(8);
    expect(fdb.lookup(HI, LO)).toBe(-1);
    expect(fdb.learn(HI, LO, 3, 100)).toBe(FDB_ADDED);
    expect(fdb.lookup(HI, LO)).toBe(3);
    expect(fdb.lookup(HI + 1, LO)).toBe(-1);
    expect(fdb.learn(HI, LO, 3, 107)).toBe(FDB_REFRESHED);
    const entry = { hi: HI, lo: LO, remote: 3, flags: FDB_LEARNED, updated_s: 107 };
    expect(fdb.get(HI, LO)).toEqual(entry);
    expect(fdb.learn(HI, LO, 4, 108)).toBe(FDB_MOVED);
    expect(fdb.list()).toEqual([{ ...entry, remote: 4, updated_s: 108 }]);
    expect(fdb.count).toBe(1);
  });

  it.each([FDB_STATIC, FDB_PERMANENT])("never moves a fixed entry (flags %i)", (flags) => {
    const fdb = Fdb.create(8);
    fdb.add(HI, LO, 3, flags, 100);
    expect(fdb.learn(HI, LO, 4, 101)).toBe(FDB_STATIC_CONFLICT);
    expect(fdb.lookup(HI, LO)).toBe(3);
    expect(fdb.learn(HI, LO, 3, 101)).toBe(FDB_REFRESHED);
    expect(fdb.get(HI, LO)?.flags).toBe(flags);
  });

  it("moves a dynamic entry that a user gave", () => {
    const fdb = Fdb.create(8);
    fdb.add(HI, LO, 3, 0, 100);
    expect(fdb.learn(HI, LO, 4, 101)).toBe(FDB_MOVED);
    expect(fdb.get(HI, LO)?.flags).toBe(FDB_LEARNED);
  });

  it("learns nothing beyond the limit, which counts entries of every kind", () => {
    const fdb = Fdb.create(2);
    fdb.add(HI, 1, 3, FDB_PERMANENT, 100);
    expect(fdb.learn(HI, 2, 3, 100)).toBe(FDB_ADDED);
    expect(fdb.learn(HI, 3, 3, 100)).toBe(FDB_FULL);
    expect(fdb.learn(HI, 2, 4, 100)).toBe(FDB_MOVED);
    expect(fdb.add(HI, 4, 3, FDB_STATIC, 100)).toBe(TABLE_FULL);
    expect(fdb.replace(HI, 4, 3, FDB_STATIC, 100)).toBe(TABLE_FULL);
    expect(fdb.count).toBe(2);
  });

  it("does not wait for another writer", () => {
    const fdb = Fdb.create(8);
    fdb.learn(HI, 1, 3, 100);
    const lock = new Int32Array(fdb.sharedState().table.header);
    lock[0] = 4711;
    expect(fdb.learn(HI, 2, 3, 100)).toBe(FDB_BUSY);
    expect(fdb.learn(HI, 1, 4, 100)).toBe(FDB_BUSY);
    expect(fdb.learn(HI, 1, 3, 105)).toBe(FDB_REFRESHED);
    lock[0] = 0;
    expect(fdb.learn(HI, 2, 3, 106)).toBe(FDB_ADDED);
  });
});

describe("Fdb.age", () => {
  it("removes what was silent for ageing_s seconds, never fixed entries", () => {
    const fdb = Fdb.create(8);
    fdb.learn(HI, 1, 3, 100);
    fdb.learn(HI, 2, 4, 150);
    fdb.add(HI, 3, 5, FDB_STATIC, 0);
    fdb.add(HI, 4, 5, FDB_PERMANENT, 0);
    fdb.add(HI, 5, 5, 0, 0);
    const removed: FdbEntry[] = [];
    expect(fdb.age(399, 300, (entry) => removed.push(entry))).toBe(1);
    expect(fdb.age(400, 300, (entry) => removed.push(entry))).toBe(1);
    expect(removed.map((entry) => [entry.lo, entry.remote])).toEqual([
      [5, 5],
      [1, 3],
    ]);
    expect(fdb.age(100_000, 300)).toBe(1);
    expect(
      fdb
        .list()
        .map((entry) => entry.lo)
        .sort(),
    ).toEqual([3, 4]);
  });

  it("keeps entries that are heard again, and those with a stamp from the future", () => {
    const fdb = Fdb.create(8);
    fdb.learn(HI, 1, 3, 100);
    fdb.learn(HI, 1, 3, 399);
    fdb.learn(HI, 2, 3, 500);
    expect(fdb.age(400, 300)).toBe(0);
  });

  it("is off with 0, as for the kernel", () => {
    const fdb = Fdb.create(8);
    fdb.learn(HI, 1, 3, 100);
    expect(fdb.age(100_000, 0)).toBe(0);
  });
});

describe("Fdb control operations", () => {
  it("adds only what is not there and replaces whatever is there", () => {
    const fdb = Fdb.create(8);
    const removed: FdbEntry[] = [];
    expect(fdb.add(HI, LO, 3, FDB_STATIC, 100)).toBe(TABLE_OK);
    expect(fdb.add(HI, LO, 4, FDB_STATIC, 100)).toBe(TABLE_EXISTS);
    expect(fdb.lookup(HI, LO)).toBe(3);
    expect(fdb.replace(HI, LO, 4, FDB_PERMANENT, 101, (e) => removed.push(e))).toBe(TABLE_OK);
    expect(fdb.replace(HI, 7, 5, FDB_PERMANENT, 101, (e) => removed.push(e))).toBe(TABLE_OK);
    expect(removed).toEqual([{ hi: HI, lo: LO, remote: 3, flags: FDB_STATIC, updated_s: 100 }]);
    expect([fdb.lookup(HI, LO), fdb.lookup(HI, 7)]).toEqual([4, 5]);
  });

  it("deletes once", () => {
    const fdb = Fdb.create(8);
    const removed: number[] = [];
    fdb.add(HI, LO, 3, FDB_PERMANENT, 100);
    expect(fdb.del(HI, LO, (entry) => removed.push(entry.remote))).toBe(TABLE_OK);
    expect(fdb.del(HI, LO, (entry) => removed.push(entry.remote))).toBe(TABLE_NOT_FOUND);
    expect(removed).toEqual([3]);
    expect(fdb.lookup(HI, LO)).toBe(-1);
  });

  it("keeps every kind, the highest remote and the highest MAC and stamp whole", () => {
    const fdb = Fdb.create(16);
    const limits = { hi: 0xffff, lo: 0xffffffff, remote: MAX_REMOTES - 1, updated_s: 0x3fffffff };
    const more = [0, FDB_ROUTER, FDB_EXTERN, FDB_ROUTER | FDB_EXTERN];
    const kinds = [0, FDB_STATIC, FDB_PERMANENT, FDB_LEARNED];
    for (const flags of kinds.flatMap((kind) => more.map((flag) => kind | flag))) {
      fdb.replace(limits.hi, limits.lo, limits.remote, flags, limits.updated_s);
      expect(fdb.get(limits.hi, limits.lo)).toEqual({ ...limits, flags });
      expect(fdb.lookup(limits.hi, limits.lo)).toBe(limits.remote);
    }
    expect(() => fdb.add(1, 1, MAX_REMOTES, 0, 1)).toThrow();
    expect(() => fdb.add(1, 1, 1, FDB_STATIC | FDB_PERMANENT, 1)).toThrow();
    expect(fdb.count).toBe(1);
  });

  it("flushes by remote, by kind and altogether", () => {
    const fdb = Fdb.create(16);
    for (let lo = 0; lo < 10; lo++) fdb.learn(HI, lo, lo % 2, 100);
    fdb.add(HI, 10, 0, FDB_PERMANENT, 100);
    const learned = (entry: FdbEntry) => entry.flags === FDB_LEARNED;
    expect(fdb.flush((entry) => learned(entry) && entry.remote === 0)).toBe(5);
    expect(fdb.flush((entry) => entry.flags === FDB_PERMANENT)).toBe(1);
    expect(fdb.count).toBe(5);
    let released = 0;
    expect(
      fdb.flush(
        () => true,
        (entry) => (released += entry.remote),
      ),
    ).toBe(5);
    expect(released).toBe(5);
    expect(fdb.list()).toEqual([]);
  });

  it("is the same table for every thread that attaches", () => {
    const fdb = Fdb.create(8);
    const worker = Fdb.attach(structuredClone(fdb.sharedState()));
    worker.learn(HI, LO, 9, 100);
    expect(fdb.lookup(HI, LO)).toBe(9);
    expect(worker.maxEntries).toBe(8);
  });
});

describe("flags next to the kind", () => {
  it("are seen on the data path right after a lookup", () => {
    const fdb = Fdb.create(8);
    fdb.add(HI, 1, 3, FDB_PERMANENT | FDB_ROUTER, 100);
    fdb.add(HI, 2, 4, FDB_PERMANENT, 100);
    expect([fdb.lookup(HI, 1), fdb.foundRouter()]).toEqual([3, true]);
    expect([fdb.lookup(HI, 2), fdb.foundRouter()]).toEqual([4, false]);
  });

  it("stay when the entry is heard again and when it moves", () => {
    const fdb = Fdb.create(8);
    const flags = FDB_ROUTER | FDB_EXTERN;
    fdb.add(HI, LO, 3, flags, 100);
    expect(fdb.learn(HI, LO, 3, 0x7fffffff)).toBe(FDB_REFRESHED);
    expect(fdb.get(HI, LO)).toMatchObject({ flags, updated_s: 0x3fffffff });
    expect(fdb.learn(HI, LO, 4, 120)).toBe(FDB_MOVED);
    expect(fdb.get(HI, LO)).toMatchObject({ remote: 4, flags: flags | FDB_LEARNED });
  });

  it("keep an externally learned entry from ageing", () => {
    const fdb = Fdb.create(8);
    fdb.add(HI, 1, 3, FDB_EXTERN, 100);
    fdb.add(HI, 2, 3, FDB_ROUTER, 100);
    expect(fdb.age(1000, 300)).toBe(1);
    expect(fdb.list().map(({ lo }) => lo)).toEqual([1]);
  });

  it("age across the end of the stamp's bits", () => {
    const fdb = Fdb.create(8);
    fdb.learn(HI, 1, 3, 0x3ffffff0);
    expect(fdb.age(0x40000000 + 0x10, 33)).toBe(0);
    expect(fdb.age(0x40000000 + 0x10, 32)).toBe(1);
  });
});

/** What RemoteTable does. */
function macCounts() {
  const total = new Map<number, number>();
  const learned = new Map<number, number>();
  const count = (map: Map<number, number>, row: number, change: number) =>
    map.set(row, (map.get(row) ?? 0) + change);
  return {
    of: (row: number) => [total.get(row) ?? 0, learned.get(row) ?? 0],
    macs: {
      hostOf: (row: number) => row,
      learnedMacs: (row: number) => learned.get(row) ?? 0,
      countMac: (row: number, change: number, wasLearned: boolean) => {
        count(total, row, change);
        if (wasLearned) count(learned, row, change);
      },
    },
  };
}

describe("MACs of a remote", () => {
  it("are counted through every way in and out, lists are not", () => {
    const { of, macs } = macCounts();
    const fdb = Fdb.create(4, macs);
    fdb.add(0x0100, 1, 3, FDB_PERMANENT, 100);
    fdb.learn(HI, 1, 3, 100);
    fdb.add(HI, 2, 3, FDB_STATIC, 100);
    expect(of(3)).toEqual([2, 1]);
    fdb.learn(HI, 1, 4, 101);
    expect([of(3), of(4)]).toEqual([
      [1, 0],
      [1, 1],
    ]);
    fdb.replace(HI, 1, 3, FDB_PERMANENT, 102);
    expect([of(3), of(4)]).toEqual([
      [2, 0],
      [0, 0],
    ]);
    fdb.learn(HI, 3, 4, 100);
    expect(fdb.learn(HI, 4, 4, 100)).toBe(FDB_FULL);
    expect(of(4)).toEqual([1, 1]);
    fdb.age(1000, 300);
    fdb.del(HI, 1);
    fdb.flush(() => true);
    expect([of(3), of(4)]).toEqual([
      [0, 0],
      [0, 0],
    ]);
  });

  it("are limited where they are learned, whatever was given by hand", () => {
    const { macs } = macCounts();
    const fdb = Fdb.create(16, macs);
    for (let lo = 1; lo <= 3; lo++) fdb.add(HI, lo, 3, FDB_PERMANENT, 100);
    expect(fdb.learn(HI, 4, 3, 100, 2)).toBe(FDB_ADDED);
    expect(fdb.learn(HI, 5, 3, 100, 2)).toBe(FDB_ADDED);
    expect(fdb.learn(HI, 6, 3, 100, 2)).toBe(FDB_REMOTE_FULL);
    expect(fdb.learn(HI, 5, 3, 101, 2)).toBe(FDB_REFRESHED);
    expect(fdb.learn(HI, 6, 4, 100, 2)).toBe(FDB_ADDED);
    expect(fdb.learn(HI, 6, 3, 100, 2)).toBe(FDB_REMOTE_FULL);
    expect(fdb.lookup(HI, 6)).toBe(4);
    expect(fdb.learn(HI, 4, 4, 100, 2)).toBe(FDB_MOVED);
    expect(fdb.learn(HI, 7, 3, 100, 2)).toBe(FDB_ADDED);
  });
});

describe("scan", () => {
  it("shows every entry once, however it is cut", () => {
    const fdb = Fdb.create(100);
    for (let lo = 0; lo < 100; lo++) fdb.learn(HI, lo, 1, 100);
    const seen: number[] = [];
    let pages = 0;
    for (let from = 0; from >= 0; pages++) {
      let room = 7;
      from = fdb.scan(from, 50, ({ lo }) => {
        seen.push(lo);
        return --room > 0;
      });
    }
    expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, lo) => lo));
    expect(pages).toBeGreaterThan(100 / 7);
  });
});
