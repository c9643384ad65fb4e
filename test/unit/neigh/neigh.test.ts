// Neighbour table: both families under one key, results in the caller's words, control operations.
import { describe, expect, it } from "vitest";
import {
  type AddressWords,
  NEIGH_PERMANENT,
  NEIGH_RESULT_WORDS,
  NEIGH_ROUTER,
  Neigh,
  type NeighEntry,
} from "../../../src/neigh/neigh.js";
import {
  TABLE_EXISTS,
  TABLE_FULL,
  TABLE_NOT_FOUND,
  TABLE_OK,
} from "../../../src/shared-memory/table-result.js";

const V4: AddressWords = [0, 0, 0xffff, 0xc0a80b01];
const V6: AddressWords = [0xfd000000, 0, 0, 0xc0a80b01];
const entry = (address: AddressWords, lo: number, flags = NEIGH_PERMANENT): NeighEntry => ({
  address,
  hi: 0x0200,
  lo,
  flags,
});

describe("Neigh", () => {
  it("keeps IPv4 and IPv6 apart and writes the MAC into the caller's words", () => {
    const neigh = Neigh.create(8);
    const out = new Int32Array(NEIGH_RESULT_WORDS);
    expect(neigh.lookup(...V4, out)).toBe(false);
    expect(neigh.add(entry(V4, 0xfe00000b))).toBe(TABLE_OK);
    expect(neigh.add(entry(V6, 0x0000000c, NEIGH_PERMANENT | NEIGH_ROUTER))).toBe(TABLE_OK);
    expect(neigh.lookup(...V4, out)).toBe(true);
    expect([out[0], out[1] >>> 0, out[2]]).toEqual([0x0200, 0xfe00000b, NEIGH_PERMANENT]);
    expect(neigh.lookup(...V6, out)).toBe(true);
    expect([out[0], out[1], out[2]]).toEqual([0x0200, 12, NEIGH_PERMANENT | NEIGH_ROUTER]);
    expect(neigh.lookup(0, 0, 0, 0xc0a80b01, out)).toBe(false);
    expect(out[1]).toBe(12);
  });

  it("adds once, replaces, deletes once", () => {
    const neigh = Neigh.create(8);
    expect(neigh.add(entry(V4, 1))).toBe(TABLE_OK);
    expect(neigh.add(entry(V4, 2))).toBe(TABLE_EXISTS);
    expect(neigh.list()).toEqual([entry(V4, 1)]);
    expect(neigh.replace(entry(V4, 3))).toBe(TABLE_OK);
    expect(neigh.list()).toEqual([entry(V4, 3)]);
    expect(neigh.del(V4)).toBe(TABLE_OK);
    expect(neigh.del(V4)).toBe(TABLE_NOT_FOUND);
    expect(neigh.count).toBe(0);
  });

  it("has a limit", () => {
    const neigh = Neigh.create(1);
    neigh.add(entry(V4, 1));
    expect(neigh.add(entry(V6, 1))).toBe(TABLE_FULL);
    expect(neigh.replace(entry(V6, 1))).toBe(TABLE_FULL);
    expect(neigh.replace(entry(V4, 2))).toBe(TABLE_OK);
  });

  it("flushes what matches, or everything", () => {
    const neigh = Neigh.create(8);
    neigh.add(entry(V4, 1));
    neigh.add(entry(V6, 2, 0));
    expect(neigh.flush((found) => (found.flags & NEIGH_PERMANENT) !== 0)).toBe(1);
    const attached = Neigh.attach(structuredClone(neigh.sharedState()));
    expect(attached.list()).toEqual([entry(V6, 2, 0)]);
    expect(attached.flush()).toBe(1);
    expect(neigh.list()).toEqual([]);
  });
});
