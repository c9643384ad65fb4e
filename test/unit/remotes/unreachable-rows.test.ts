// The soft state of remotes that routers call unreachable: how long it lasts, whose it is, and that
// one sender per second is told.

import { describe, expect, it } from "vitest";
import { RemoteTable } from "../../../src/remotes/remote-table.js";
import {
  HOST_UNREACHABLE,
  NET_UNREACHABLE,
  REACHABLE,
  UNREACHABLE_NAMES,
  UNREACHABLE_S,
  UnreachableRows,
} from "../../../src/remotes/unreachable-rows.js";

const NOW_S = 1000;
const OFFENDER = Int32Array.of(7, 0, 0, 0xffff, 0x0a390401, 7);

function fixture() {
  const remotes = RemoteTable.create({ maxTunnels: 2, maxRemotes: 4 });
  const acquire = (last: number, port = 0, vni = 0): number =>
    remotes.acquire(0, 0, 0, 0xffff, last, port, vni, 0);
  const row = acquire(1);
  const rows = UnreachableRows.create(remotes.rows, 4);
  const note = (kind: number, now_s: number, owed = false, of = row): void =>
    rows.note(of, kind, owed, now_s, OFFENDER, 1);
  return { remotes, acquire, row, rows, note };
}

describe("an unreachable remote", () => {
  it("is what was said last, by whom, and how often", () => {
    const { rows, row, note } = fixture();
    expect(rows.get(row, NOW_S)).toBeUndefined();
    note(NET_UNREACHABLE, NOW_S);
    note(HOST_UNREACHABLE, NOW_S + 3);
    const offender = [0, 0, 0xffff, 0x0a390401];
    const known = { kind: HOST_UNREACHABLE, at_s: NOW_S + 3, count: 2, offender };
    expect(rows.get(row, NOW_S + 4)).toEqual(known);
    expect(UNREACHABLE_NAMES[known.kind]).toBe("host-unreachable");
  });

  it("is seen by whoever attaches to the memory", () => {
    const { remotes, rows, row, note } = fixture();
    note(HOST_UNREACHABLE, NOW_S, true);
    const other = UnreachableRows.attach(rows.sharedState(), remotes.rows);
    expect(other.get(row, NOW_S)?.kind).toBe(HOST_UNREACHABLE);
    expect(other.takeOwed(row, NOW_S)).toBe(HOST_UNREACHABLE);
    expect(rows.isOwed(row)).toBe(false);
  });

  it("is one no more some time after the last error, and begins anew with the next", () => {
    const { rows, row, note } = fixture();
    note(HOST_UNREACHABLE, NOW_S);
    note(HOST_UNREACHABLE, NOW_S);
    expect(rows.get(row, NOW_S + UNREACHABLE_S - 1)?.count).toBe(2);
    expect(rows.get(row, NOW_S + UNREACHABLE_S)).toBeUndefined();
    note(HOST_UNREACHABLE, NOW_S + UNREACHABLE_S);
    expect(rows.get(row, NOW_S + UNREACHABLE_S)?.count).toBe(1);
  });

  it("is one no more once it is heard", () => {
    const { remotes, rows, row, note } = fixture();
    note(HOST_UNREACHABLE, NOW_S, true);
    remotes.seen(row, NOW_S - 1);
    expect(rows.get(row, NOW_S + 1)).toBeDefined();
    remotes.seen(row, NOW_S + 1);
    expect(rows.get(row, NOW_S + 1)).toBeUndefined();
    expect(rows.takeOwed(row, NOW_S + 1)).toBe(REACHABLE);
  });

  it("is heard at its base row when it has a port or VNI of its own", () => {
    const { remotes, rows, acquire, note } = fixture();
    const row = acquire(9, 8472, 5);
    note(HOST_UNREACHABLE, NOW_S, false, row);
    expect(rows.get(row, NOW_S)).toBeDefined();
    expect(remotes.base(row)).not.toBe(row);
    remotes.seen(remotes.base(row), NOW_S + 1);
    expect(rows.get(row, NOW_S + 2)).toBeUndefined();
  });

  it("takes nothing of it along when its row becomes another's", () => {
    const { remotes, rows, acquire, row, note } = fixture();
    note(HOST_UNREACHABLE, NOW_S, true);
    remotes.release(row);
    expect(rows.get(row, NOW_S)).toBeUndefined();
    const others = [2, 3, 4, 5].map((last) => acquire(last));
    expect(others).toContain(row);
    expect(rows.get(row, NOW_S)).toBeUndefined();
    expect(rows.takeOwed(row, NOW_S)).toBe(REACHABLE);
    note(NET_UNREACHABLE, NOW_S, false);
    expect(rows.get(row, NOW_S)).toMatchObject({ kind: NET_UNREACHABLE, count: 1 });
  });
});

describe("an answer that is owed", () => {
  it("is given once, with the kind that was said last", () => {
    const { rows, row, note } = fixture();
    expect(rows.isOwed(row)).toBe(false);
    note(HOST_UNREACHABLE, NOW_S, true);
    note(NET_UNREACHABLE, NOW_S, false);
    expect(rows.isOwed(row)).toBe(true);
    expect(rows.takeOwed(row, NOW_S)).toBe(NET_UNREACHABLE);
    expect(rows.isOwed(row)).toBe(false);
    expect(rows.takeOwed(row, NOW_S + 1)).toBe(REACHABLE);
  });

  it("waits for the next second when one was given in this one", () => {
    const { rows, row, note } = fixture();
    note(HOST_UNREACHABLE, NOW_S, true);
    expect(rows.takeOwed(row, NOW_S)).toBe(HOST_UNREACHABLE);
    note(HOST_UNREACHABLE, NOW_S, true);
    expect(rows.takeOwed(row, NOW_S)).toBe(REACHABLE);
    expect(rows.takeOwed(row, NOW_S + 1)).toBe(HOST_UNREACHABLE);
  });

  it("is not given when the state is over", () => {
    const { rows, row, note } = fixture();
    note(HOST_UNREACHABLE, NOW_S, true);
    expect(rows.takeOwed(row, NOW_S + UNREACHABLE_S)).toBe(REACHABLE);
    note(HOST_UNREACHABLE, NOW_S + UNREACHABLE_S, false);
    expect(rows.isOwed(row)).toBe(false);
  });
});
