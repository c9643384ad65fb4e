// Longest-prefix match, default route, impossible prefixes, repair.
import { describe, expect, it } from "vitest";
import {
  ROUTE_RESULT_WORDS,
  type RouteEntry,
  RouteTable,
} from "../../../src/routes/route-table.js";
import {
  TABLE_EXISTS,
  TABLE_FULL,
  TABLE_INVALID,
  TABLE_NOT_FOUND,
  TABLE_OK,
} from "../../../src/shared-memory/table-result.js";

function route(prefix: number, prefixLength: number, gateway = 0, remote = -1): RouteEntry {
  return { prefix, prefixLength, gateway, remote };
}

function lookup(table: RouteTable, destination: number): [number, number, number] {
  const out = new Int32Array(ROUTE_RESULT_WORDS);
  const length = table.lookup(destination, out);
  return [length, out[0] >>> 0, out[1]];
}

const MISS = [-1, 0, 0];

describe("RouteTable.lookup", () => {
  it("takes the longest prefix that covers the destination", () => {
    const table = RouteTable.create(16);
    expect(lookup(table, 0xc0a80b0a)).toEqual(MISS);
    table.add(route(0xc0a80000, 16, 0x0a390414, 1));
    table.add(route(0xc0a80b00, 24, 0x0a390415, 2));
    table.add(route(0xc0a80b0a, 32, 0, 3));
    expect(lookup(table, 0xc0a80b0a)).toEqual([32, 0, 3]);
    expect(lookup(table, 0xc0a80b0b)).toEqual([24, 0x0a390415, 2]);
    expect(lookup(table, 0xc0a80c0b)).toEqual([16, 0x0a390414, 1]);
    expect(lookup(table, 0xc0a90c0b)).toEqual(MISS);
    table.add(route(0, 0, 0xffffffff, 4));
    expect(lookup(table, 0xc0a90c0b)).toEqual([0, 0xffffffff, 4]);
  });

  it("handles every prefix length, with nested prefixes", () => {
    const table = RouteTable.create(64);
    const prefix = (length: number) => (length === 0 ? 0 : (0xffffffff << (32 - length)) >>> 0);
    for (let n = 0; n <= 32; n++) expect(table.add(route(prefix(n), n, n, n))).toBe(TABLE_OK);
    for (let n = 32; n >= 0; n--) {
      expect(lookup(table, 0xffffffff)).toEqual([n, n, n]);
      expect(table.del(prefix(n), n)).toBe(TABLE_OK);
    }
    expect(lookup(table, 0xffffffff)).toEqual(MISS);
  });
});

describe("RouteTable control operations", () => {
  it("refuses prefixes with host bits and lengths that are none", () => {
    const table = RouteTable.create(4);
    const impossible = [route(0x0a000001, 24), route(1, 0), route(0, 33), route(0, -1)];
    for (const entry of [...impossible, route(0, 1.5)]) {
      expect(table.add(entry)).toBe(TABLE_INVALID);
      expect(table.replace(entry)).toBe(TABLE_INVALID);
    }
    expect(table.count).toBe(0);
  });

  it("adds once, replaces, deletes once, tells what it let go", () => {
    const table = RouteTable.create(1);
    const removed: RouteEntry[] = [];
    const keep = (entry: RouteEntry) => removed.push(entry);
    expect(table.add(route(0x0a000000, 8, 1, 1))).toBe(TABLE_OK);
    expect(table.add(route(0x0a000000, 8, 2, 2))).toBe(TABLE_EXISTS);
    expect(table.add(route(0x0a000000, 9, 2, 2))).toBe(TABLE_FULL);
    expect(lookup(table, 0x0a000001)).toEqual([8, 1, 1]);
    expect(table.replace(route(0x0a000000, 8, 3, 3), keep)).toBe(TABLE_OK);
    expect(table.get(0x0a000000, 8)).toEqual(route(0x0a000000, 8, 3, 3));
    expect(table.del(0x0a000000, 8, keep)).toBe(TABLE_OK);
    expect(table.del(0x0a000000, 8, keep)).toBe(TABLE_NOT_FOUND);
    expect(removed).toEqual([route(0x0a000000, 8, 1, 1), route(0x0a000000, 8, 3, 3)]);
  });

  it("flushes what matches and is shared with whoever attaches", () => {
    const table = RouteTable.create(8);
    for (let n = 1; n <= 6; n++) table.add(route(n << 24, 8, n, n % 2));
    const worker = RouteTable.attach(structuredClone(table.sharedState()));
    const removed: number[] = [];
    const odd = (entry: RouteEntry) => entry.remote === 1;
    expect(table.flush(odd, (entry) => removed.push(entry.gateway))).toBe(3);
    expect(removed.sort()).toEqual([1, 3, 5]);
    expect(
      worker
        .list()
        .map((entry) => entry.gateway)
        .sort(),
    ).toEqual([2, 4, 6]);
    expect(lookup(worker, 0x02000001)).toEqual([8, 2, 0]);
    expect(table.flush()).toBe(3);
    expect(lookup(worker, 0x02000001)).toEqual(MISS);
  });

  it("counts prefix lengths anew after a writer died", () => {
    const table = RouteTable.create(8);
    table.add(route(0x0a000000, 8, 1, 1));
    table.add(route(0, 0, 2, 2));
    const state = table.sharedState();
    new Int32Array(state.lengths).fill(0);
    new Int32Array(state.table.header)[0] = 4711;
    expect(lookup(table, 0x0a000001)).toEqual(MISS);
    table.add(route(0x0b000000, 16, 3, 3));
    expect(lookup(table, 0x0a000001)).toEqual([8, 1, 1]);
    expect(lookup(table, 0x0b000001)).toEqual([16, 3, 3]);
    expect(lookup(table, 0x0c000001)).toEqual([0, 2, 2]);
    table.del(0x0a000000, 8);
    expect(lookup(table, 0x0a000001)).toEqual([0, 2, 2]);
  });
});
