// Flood lists: order, limits, snapshots, numbers.
import { describe, expect, it } from "vitest";
import { DEFAULT_LIST, FloodLists, FloodSnapshot } from "../../../src/fdb/flood-lists.js";
import {
  MAX_FLOOD_LISTS,
  MAX_FLOOD_MEMBERS,
  MAX_FLOOD_REMOTES,
} from "../../../src/shared-memory/limits.js";
import {
  TABLE_EXISTS,
  TABLE_FULL,
  TABLE_NOT_FOUND,
  TABLE_OK,
} from "../../../src/shared-memory/table-result.js";

/** What a worker sees of a list. */
function seen(lists: FloodLists, list = DEFAULT_LIST, snapshot = new FloodSnapshot()): number[] {
  snapshot.refresh(lists);
  const first = snapshot.first(list);
  return Array.from(snapshot.members.subarray(first, first + snapshot.count(list)));
}

describe("FloodLists", () => {
  it("append each remote once and keep the order over removals", () => {
    const lists = FloodLists.create();
    for (const remote of [7, 3, 9]) expect(lists.append(remote)).toBe(TABLE_OK);
    expect(lists.append(3)).toBe(TABLE_EXISTS);
    expect(lists.remove(3)).toBe(TABLE_OK);
    expect(lists.remove(3)).toBe(TABLE_NOT_FOUND);
    expect(lists.append(1)).toBe(TABLE_OK);
    expect(lists.list()).toEqual([7, 9, 1]);
    expect(seen(lists)).toEqual([7, 9, 1]);
  });

  it("keep lists apart, whatever their order of change", () => {
    const lists = FloodLists.create();
    const first = lists.allocate();
    lists.append(5, first);
    const second = lists.allocate();
    for (const remote of [6, 5]) lists.append(remote, second);
    lists.append(9);
    lists.append(7, first);
    expect([DEFAULT_LIST, first, second].map((list) => seen(lists, list))).toEqual([
      ...[[9], [5, 7], [6, 5]],
    ]);
    lists.clear(first);
    expect([DEFAULT_LIST, first, second].map((list) => lists.list(list))).toEqual([
      ...[[9], [], [6, 5]],
    ]);
    expect(seen(lists, first)).toEqual([]);
  });

  it("have another version after each change, and only then", () => {
    const lists = FloodLists.create();
    const versions = new Set([lists.version()]);
    lists.append(1);
    versions.add(lists.version());
    lists.append(2, 4);
    versions.add(lists.version());
    lists.remove(1);
    versions.add(lists.version());
    expect(versions.size).toBe(4);
    lists.append(2, 4);
    lists.remove(77);
    lists.clear(9);
    versions.add(lists.version());
    expect(versions.size).toBe(4);
  });

  it("hold MAX_FLOOD_REMOTES remotes each", () => {
    const lists = FloodLists.create();
    for (let remote = 0; remote < MAX_FLOOD_REMOTES; remote++) lists.append(remote);
    expect(lists.append(MAX_FLOOD_REMOTES)).toBe(TABLE_FULL);
    expect(seen(lists)).toHaveLength(MAX_FLOOD_REMOTES);
    expect(seen(lists).at(-1)).toBe(MAX_FLOOD_REMOTES - 1);
    expect(lists.remove(0)).toBe(TABLE_OK);
    expect(lists.append(MAX_FLOOD_REMOTES)).toBe(TABLE_OK);
  });

  it("hold MAX_FLOOD_MEMBERS remotes together", () => {
    const lists = FloodLists.create();
    const full = MAX_FLOOD_MEMBERS / MAX_FLOOD_REMOTES;
    for (let i = 0; i < MAX_FLOOD_MEMBERS; i++) {
      expect(lists.append(Math.floor(i / full), i % full)).toBe(TABLE_OK);
    }
    expect(lists.append(1, full)).toBe(TABLE_FULL);
    expect(seen(lists, full - 1).at(-1)).toBe(MAX_FLOOD_REMOTES - 1);
    lists.clear(3);
    expect(lists.append(1, full)).toBe(TABLE_OK);
  });

  it("give numbers in turn, never that of the all-zero MAC, until none is free", () => {
    const lists = FloodLists.create();
    const numbers = Array.from({ length: MAX_FLOOD_LISTS - 1 }, () => {
      const list = lists.allocate();
      lists.append(list, list);
      return list;
    });
    expect(new Set(numbers).size).toBe(MAX_FLOOD_LISTS - 1);
    expect(numbers).not.toContain(DEFAULT_LIST);
    expect(lists.allocate()).toBe(-1);
    for (const list of [5, 6]) lists.remove(list, list);
    expect(lists.allocate()).toBe(5);
    expect(lists.allocate()).toBe(6);
  });

  it("are the same lists for every thread that attaches", () => {
    const lists = FloodLists.create();
    const worker = FloodLists.attach(structuredClone(lists.sharedState()));
    lists.append(4);
    lists.append(8, 3);
    expect(seen(worker)).toEqual([4]);
    expect(seen(worker, 3)).toEqual([8]);
  });

  it("serve readers while a writer sits in a change", () => {
    const lists = FloodLists.create();
    lists.append(4);
    const words = new Int32Array(lists.sharedState().words);
    words[0] = 99;
    expect(seen(lists)).toEqual([4]);
  });

  it("leave a snapshot as it is until it is refreshed", () => {
    const lists = FloodLists.create();
    lists.append(4);
    const snapshot = new FloodSnapshot();
    expect(seen(lists, DEFAULT_LIST, snapshot)).toEqual([4]);
    const { members } = snapshot;
    lists.remove(4);
    expect(snapshot.count(DEFAULT_LIST)).toBe(1);
    expect(seen(lists, DEFAULT_LIST, snapshot)).toEqual([]);
    expect(snapshot.members).toBe(members);
  });
});
