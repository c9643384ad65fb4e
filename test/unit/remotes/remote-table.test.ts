// Remote table: row layout that native code relies on, references, base rows, learned remotes,
// limits.
import { describe, expect, it } from "vitest";
import {
  REMOTE_FLAG_ALLOWED,
  REMOTE_FLAG_LEARNED,
  REMOTE_FLAG_NO_GSO,
  REMOTE_WORDS,
} from "../../../src/remotes/remote-rows.js";
import {
  REMOTE_TABLE_BUSY,
  REMOTE_TABLE_FULL,
  RemoteTable,
} from "../../../src/remotes/remote-table.js";

const V4 = [0, 0, 0xffff, 0x0a390415] as const;
const V6 = [0xfd000000, 1, 2, 0xfffffffe] as const;
const ALLOWED = REMOTE_FLAG_ALLOWED;

function create(maxRemotes = 16): RemoteTable {
  const table = RemoteTable.create({ maxRemotes, maxTunnels: 4 });
  table.defineTunnel(1, 4789, 100);
  table.defineTunnel(2, 8472, 100);
  return table;
}

describe("RemoteTable rows", () => {
  it("lie where native code looks for them", () => {
    const table = create();
    table.acquire(1, ...V4, 4789, 100, ALLOWED);
    const row = table.acquire(2, ...V6, 8472, 100, ALLOWED);
    table.seen(row, 777);
    table.setFlags(row, REMOTE_FLAG_NO_GSO);
    const words = [...table.rows.subarray(row * REMOTE_WORDS, (row + 1) * REMOTE_WORDS)];
    expect(words.map((word) => word >>> 0)).toEqual([
      1, 2, 6, 0xfd000000, 1, 2, 0xfffffffe, 8472, 100, 3, 1, 777, 0, 0xffffffff, 0, 0,
    ]);
    expect(table.family(table.find(1, ...V4, 4789, 100))).toBe(4);
    expect([table.family(row), table.port(row), table.vni(row)]).toEqual([6, 8472, 100]);
    expect(table.addressWord(row, 3) >>> 0).toBe(0xfffffffe);
    table.clearFlags(row, REMOTE_FLAG_NO_GSO);
    expect(table.flags(row)).toBe(ALLOWED);
  });

  it("are found by tunnel, address, port and VNI", () => {
    const table = create();
    const row = table.acquire(1, ...V4, 4789, 100, ALLOWED);
    expect(table.find(1, ...V4, 4789, 100)).toBe(row);
    expect(table.find(2, ...V4, 4789, 100)).toBe(-1);
    expect(table.find(1, ...V4, 4790, 100)).toBe(-1);
    expect(table.find(1, ...V4, 4789, 101)).toBe(-1);
    expect(table.find(1, ...V6, 4789, 100)).toBe(-1);
    expect(table.findSender(1, ...V4)).toBe(row);
    expect(table.findSender(2, ...V4)).toBe(-1);
  });

  it("are the same for every thread that attaches", () => {
    const table = create();
    const worker = RemoteTable.attach(structuredClone(table.sharedState()));
    const row = table.acquire(1, ...V4, 4789, 100, ALLOWED);
    expect(worker.findSender(1, ...V4)).toBe(row);
    worker.seen(row, 55);
    expect(table.get(row)).toEqual({
      index: row,
      tunnel: 1,
      family: 4,
      address: V4,
      port: 4789,
      vni: 100,
      flags: ALLOWED,
      references: 1,
      lastSeen_s: 55,
      macs: 0,
    });
  });
});

describe("RemoteTable references", () => {
  it("keep a row until the last one is given back", () => {
    const table = create();
    const row = table.acquire(1, ...V4, 4789, 100, 0);
    expect(table.acquire(1, ...V4, 4789, 100, ALLOWED)).toBe(row);
    expect(table.get(row)).toMatchObject({ references: 2, flags: ALLOWED });
    table.release(row);
    expect(table.findSender(1, ...V4)).toBe(row);
    table.release(row);
    expect(table.findSender(1, ...V4)).toBe(-1);
    expect(table.get(row)).toBeUndefined();
    expect(table.count).toBe(0);
    expect(() => table.release(row)).toThrow("released as often");
  });

  it("hold the base row of a remote with its own port or VNI", () => {
    const table = create();
    const other = table.acquire(1, ...V4, 4790, 200, ALLOWED);
    const base = table.findSender(1, ...V4);
    expect(base).not.toBe(other);
    expect(table.get(base)).toMatchObject({ port: 4789, vni: 100, flags: ALLOWED, references: 1 });
    expect(table.acquire(1, ...V4, 4790, 200, ALLOWED)).toBe(other);
    expect(table.acquire(1, ...V4, 4789, 100, ALLOWED)).toBe(base);
    expect(table.get(base)?.references).toBe(3);
    expect(table.list(1).map((entry) => entry.index)).toEqual([base, other].sort());
    table.release(other);
    table.release(other);
    expect(table.find(1, ...V4, 4790, 200)).toBe(-1);
    expect(table.get(base)?.references).toBe(1);
    table.release(base);
    expect(table.list(1)).toEqual([]);
  });

  it("are all-or-nothing when the table is full", () => {
    const table = create(2);
    const row = table.acquire(1, ...V6, 4789, 100, ALLOWED);
    expect(table.acquire(1, ...V4, 4790, 200, ALLOWED)).toBe(REMOTE_TABLE_FULL);
    expect(table.list(1).map((entry) => entry.index)).toEqual([row]);
    expect(table.acquire(1, ...V4, 4789, 100, ALLOWED)).toBeGreaterThanOrEqual(0);
    expect(table.acquire(2, ...V4, 8472, 100, ALLOWED)).toBe(REMOTE_TABLE_FULL);
    expect(table.learn(2, ...V4, 5)).toBe(REMOTE_TABLE_FULL);
  });

  it("free rows that are used again as late as possible", () => {
    const table = create(4);
    const rows = [0, 1, 2, 3, 4].map((n) => {
      const row = table.acquire(1, 0, 0, 0xffff, n, 4789, 100, 0);
      table.release(row);
      return row;
    });
    expect(rows).toEqual([0, 1, 2, 3, 0]);
  });
});

describe("RemoteTable learning", () => {
  it("adds a sender without a reference and frees it when it was silent", () => {
    const table = create();
    const row = table.learn(1, ...V4, 100);
    expect(table.get(row)).toMatchObject({
      references: 0,
      flags: REMOTE_FLAG_LEARNED,
      lastSeen_s: 100,
      port: 4789,
    });
    expect(table.learn(1, ...V4, 150)).toBe(row);
    expect(table.age(1, 449, 300)).toEqual([]);
    expect(table.age(2, 450, 300)).toEqual([]);
    expect(table.age(1, 450, 300)).toEqual([row]);
    expect(table.findSender(1, ...V4)).toBe(-1);
  });

  it("outlives the configuration that allowed it, without being allowed", () => {
    const table = create();
    const row = table.learn(1, ...V4, 100);
    expect(table.acquire(1, ...V4, 4789, 100, ALLOWED)).toBe(row);
    expect(table.age(1, 1000, 300)).toEqual([]);
    table.release(row);
    expect(table.get(row)).toMatchObject({ references: 0, flags: REMOTE_FLAG_LEARNED });
    expect(table.age(1, 1000, 300)).toEqual([row]);
  });

  it("does not wait for another writer", () => {
    const table = create();
    const row = table.learn(1, ...V6, 100);
    const lock = new Int32Array(table.sharedState().index.header);
    lock[0] = 4711;
    expect(table.learn(1, ...V4, 100)).toBe(REMOTE_TABLE_BUSY);
    expect(table.learn(1, ...V6, 101)).toBe(row);
    lock[0] = 0;
    expect(table.learn(1, ...V4, 102)).toBeGreaterThanOrEqual(0);
  });
});

describe("RemoteTable control", () => {
  it("keeps a tunnel's port and VNI while it has remotes", () => {
    const table = create();
    const row = table.acquire(1, ...V4, 4789, 100, ALLOWED);
    expect(() => table.defineTunnel(1, 4789, 101)).toThrow("keeps its port");
    table.release(row);
    table.defineTunnel(1, 4789, 101);
    expect(() => table.acquire(4, ...V4, 4789, 100, ALLOWED)).toThrow();
  });

  it("frees rows that a dead writer left without an index entry", () => {
    const table = create();
    const kept = table.acquire(1, ...V4, 4789, 100, ALLOWED);
    const orphan = (kept + 3) * REMOTE_WORDS;
    table.rows.set(table.rows.subarray(kept * REMOTE_WORDS, (kept + 1) * REMOTE_WORDS), orphan);
    new Int32Array(table.sharedState().index.header)[0] = 4711;
    expect(table.list(1).map((entry) => entry.index)).toEqual([kept]);
  });
});
