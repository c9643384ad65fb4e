// Flood list: order, limit, snapshots.
import { describe, expect, it } from "vitest";
import { FloodLists } from "../../../src/fdb/flood-lists.js";
import { MAX_FLOOD_REMOTES } from "../../../src/shared-memory/limits.js";
import {
  TABLE_EXISTS,
  TABLE_FULL,
  TABLE_NOT_FOUND,
  TABLE_OK,
} from "../../../src/shared-memory/table-result.js";

describe("FloodLists", () => {
  it("appends each remote once and keeps the order over removals", () => {
    const list = FloodLists.create();
    for (const remote of [7, 3, 9]) expect(list.append(remote)).toBe(TABLE_OK);
    expect(list.append(3)).toBe(TABLE_EXISTS);
    expect(list.remove(3)).toBe(TABLE_OK);
    expect(list.remove(3)).toBe(TABLE_NOT_FOUND);
    expect(list.append(1)).toBe(TABLE_OK);
    expect(list.list()).toEqual([7, 9, 1]);
  });

  it("gives a snapshot and its count, and touches nothing behind it", () => {
    const list = FloodLists.create();
    const out = new Int32Array(MAX_FLOOD_REMOTES).fill(-5);
    expect(list.snapshot(out)).toBe(0);
    list.append(0);
    list.append(12);
    expect(list.snapshot(out)).toBe(2);
    expect([...out.subarray(0, 3)]).toEqual([0, 12, -5]);
  });

  it("has another version after each change, and only then", () => {
    const list = FloodLists.create();
    const versions = new Set([list.version()]);
    list.append(1);
    versions.add(list.version());
    list.append(2);
    versions.add(list.version());
    list.remove(1);
    versions.add(list.version());
    expect(versions.size).toBe(4);
    list.append(2);
    list.remove(77);
    versions.add(list.version());
    expect(versions.size).toBe(4);
  });

  it("holds MAX_FLOOD_REMOTES remotes", () => {
    const list = FloodLists.create();
    for (let remote = 0; remote < MAX_FLOOD_REMOTES; remote++) list.append(remote);
    expect(list.append(MAX_FLOOD_REMOTES)).toBe(TABLE_FULL);
    const out = new Int32Array(MAX_FLOOD_REMOTES);
    expect(list.snapshot(out)).toBe(MAX_FLOOD_REMOTES);
    expect(out.at(-1)).toBe(MAX_FLOOD_REMOTES - 1);
    expect(list.remove(0)).toBe(TABLE_OK);
    expect(list.append(MAX_FLOOD_REMOTES)).toBe(TABLE_OK);
  });

  it("is the same list for every thread that attaches", () => {
    const list = FloodLists.create();
    const worker = FloodLists.attach(structuredClone(list.sharedState()));
    list.append(4);
    expect(worker.list()).toEqual([4]);
  });

  it("serves readers while a writer sits in a change", () => {
    const list = FloodLists.create();
    list.append(4);
    const words = new Int32Array(list.sharedState().words);
    words[0] = 99;
    expect(list.snapshot(new Int32Array(MAX_FLOOD_REMOTES))).toBe(1);
  });
});
