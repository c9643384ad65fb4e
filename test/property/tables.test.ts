// Each table against a plain Map: any sequence of operations leaves both with the same entries and
// the same answers.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  FDB_ADDED,
  FDB_FULL,
  FDB_LEARNED,
  FDB_MOVED,
  FDB_REFRESHED,
  FDB_STATIC,
  FDB_STATIC_CONFLICT,
  Fdb,
} from "../../src/fdb/fdb.js";
import { FloodLists, FloodSnapshot } from "../../src/fdb/flood-lists.js";
import { Neigh } from "../../src/neigh/neigh.js";
import { REMOTE_TABLE_FULL, RemoteTable } from "../../src/remotes/remote-table.js";
import { FLOW_BUCKETS } from "../../src/routes/next-hop-groups.js";
import {
  FIRST_GROUP,
  NO_ROUTE,
  ON_LINK,
  type RouteEntry,
  RouteReader,
  RouteTable,
} from "../../src/routes/route-table.js";
import {
  TABLE_EXISTS,
  TABLE_FULL,
  TABLE_NOT_FOUND,
  TABLE_OK,
} from "../../src/shared-memory/table-result.js";
import {
  formatPrefix,
  type IpAddress,
  type IpPrefix,
  ipEquals,
  ipFromV4,
  maskIp,
} from "../../src/wire/ip-address.js";

const LIMIT = 24;
const RUNS = { numRuns: 60 };

/**
 * Sequences of some hundred operations over few keys, so that keys meet again and the limit is
 * reached.
 */
function operations<const Op extends string>(...ops: Op[]) {
  const operation = fc.record({
    op: fc.constantFrom(...ops),
    key: fc.nat({ max: 39 }),
    value: fc.nat({ max: 5 }),
  });
  return fc.array(operation, { minLength: 100, maxLength: 400, size: "max" });
}

/** Words with all bits in play for a small key number. */
const spread = (key: number) => Math.imul(key + 1, 0x9e3779b1) >>> 0;

/**
 * What `add` (or `replace`, with `overwrite`) has to answer for a table that holds what the map
 * holds.
 */
function putResult<K>(map: Map<K, unknown>, key: K, overwrite: boolean): number {
  if (map.has(key)) return overwrite ? TABLE_OK : TABLE_EXISTS;
  return map.size >= LIMIT ? TABLE_FULL : TABLE_OK;
}

interface Modelled {
  remote: number;
  flags: number;
  updated_s: number;
}

class FdbModel {
  readonly map = new Map<number, Modelled>();

  learn(lo: number, remote: number, now_s: number): number {
    const known = this.map.get(lo);
    if (known === undefined && this.map.size >= LIMIT) return FDB_FULL;
    if (known?.remote === remote) {
      known.updated_s = now_s;
      return FDB_REFRESHED;
    }
    if (known !== undefined && known.flags === FDB_STATIC) return FDB_STATIC_CONFLICT;
    this.map.set(lo, { remote, flags: FDB_LEARNED, updated_s: now_s });
    return known === undefined ? FDB_ADDED : FDB_MOVED;
  }

  put(lo: number, entry: Modelled, overwrite: boolean): number {
    const result = putResult(this.map, lo, overwrite);
    const known = this.map.get(lo);
    // The stamp tells when something changed.
    const same = known?.remote === entry.remote && known.flags === entry.flags;
    if (result === TABLE_OK && !same) this.map.set(lo, entry);
    return result;
  }

  removeWhere(matches: (entry: Modelled) => boolean): number {
    const gone = [...this.map].filter(([, entry]) => matches(entry));
    for (const [lo] of gone) this.map.delete(lo);
    return gone.length;
  }
}

class RouteModel {
  readonly routes = new Map<string, RouteEntry>();
  readonly #family: 4 | 6;

  constructor(family: 4 | 6) {
    this.#family = family;
  }

  /** Few distinct addresses, some of which begin alike: prefixes nest and branch. */
  address(n: number): IpAddress {
    const w0 = spread(n >> 1);
    const last = (w0 ^ (n & 1 ? 0x00000700 : 0)) >>> 0;
    if (this.#family === 4) return ipFromV4(last);
    return { w0, w1: n & 1 ? 0x5555 : 0, w2: spread(n), w3: last };
  }

  prefix(key: number, value: number): IpPrefix {
    const length = this.#family === 4 ? (key * 7) % 33 : (key * 13) % 129;
    return { ip: maskIp(this.address(value), length), length, family: this.#family };
  }

  set(route: RouteEntry): number {
    const name = formatPrefix(route.prefix);
    const result = putResult(this.routes, name, true);
    if (result === TABLE_OK) this.routes.set(name, route);
    return result;
  }

  delete(prefix: IpPrefix): boolean {
    return this.routes.delete(formatPrefix(prefix));
  }

  match(destination: IpAddress): RouteEntry | undefined {
    return [...this.routes.values()]
      .filter(({ prefix: { ip, length } }) => ipEquals(ip, maskIp(destination, length)))
      .sort((a, b) => b.prefix.length - a.prefix.length)
      .at(0);
  }

  /** As `nextHops` finds them. */
  nextHops(route: RouteEntry | undefined): number[] {
    if (route?.hops === undefined) return [NO_ROUTE];
    return route.hops.length === 0 ? [ON_LINK] : route.hops.map(({ remote }) => remote);
  }
}

/** What a worker finds for some flows to a destination, in order of rows. */
function nextHops(reader: RouteReader, { w0, w1, w2, w3 }: IpAddress): number[] {
  const isV4 = w0 === 0 && w1 === 0 && w2 === 0xffff;
  const hop = isV4 ? reader.lookup4(w3) : reader.lookup6(w0, w1, w2, w3);
  if (hop < FIRST_GROUP) return [hop];
  const picked = Array.from({ length: FLOW_BUCKETS }, (_, flow) => reader.pick(hop, flow));
  return [...new Set(picked)].sort((a, b) => a - b);
}

describe("tables against a Map", () => {
  it("Fdb", () => {
    const ops = operations("learn", "learn", "add", "replace", "del", "age", "flush");
    const check = fc.property(ops, (sequence) => {
      const fdb = Fdb.create(LIMIT);
      const model = new FdbModel();
      sequence.forEach(({ op, key, value }, now_s) => {
        const lo = spread(key);
        const entry = { remote: value, flags: FDB_STATIC, updated_s: now_s };
        if (op === "learn") {
          expect(fdb.learn(key, lo, value, now_s)).toBe(model.learn(lo, value, now_s));
        } else if (op === "del") {
          const found = model.map.delete(lo);
          expect(fdb.del(key, lo)).toBe(found ? TABLE_OK : TABLE_NOT_FOUND);
        } else if (op === "age") {
          const old = (e: Modelled) => e.flags !== FDB_STATIC && now_s - e.updated_s >= 30;
          expect(fdb.age(now_s, 30)).toBe(model.removeWhere(old));
        } else if (op === "flush") {
          const gone = model.removeWhere((e) => e.remote === value);
          expect(fdb.flush((entry) => entry.remote === value)).toBe(gone);
        } else {
          const expected = model.put(lo, entry, op === "replace");
          expect(fdb[op](key, lo, value, FDB_STATIC, now_s)).toBe(expected);
        }
        expect(fdb.lookup(key, lo)).toBe(model.map.get(lo)?.remote ?? -1);
        expect(fdb.count).toBe(model.map.size);
      });
      const listed = fdb.list().map(({ hi: _, lo, ...entry }) => [lo, entry] as const);
      expect(new Map(listed)).toEqual(model.map);
    });
    fc.assert(check, RUNS);
  });

  it("FloodLists", () => {
    const ops = operations("append", "append", "append", "remove", "clear");
    const check = fc.property(ops, (sequence) => {
      const lists = FloodLists.create();
      const worker = FloodLists.attach(structuredClone(lists.sharedState()));
      const snapshot = new FloodSnapshot();
      const model = new Map<number, Set<number>>();
      for (const { op, key, value: list } of sequence) {
        const members = model.get(list) ?? new Set();
        model.set(list, members);
        const had = members.has(key);
        if (op === "append") {
          expect(lists.append(key, list)).toBe(had ? TABLE_EXISTS : TABLE_OK);
          members.add(key);
        } else if (op === "remove") {
          expect(lists.remove(key, list)).toBe(had ? TABLE_OK : TABLE_NOT_FOUND);
          members.delete(key);
        } else {
          lists.clear(list);
          members.clear();
        }
        snapshot.refresh(worker);
        for (const [other, wanted] of model) {
          const at = snapshot.first(other);
          const seen = snapshot.members.subarray(at, at + snapshot.count(other));
          expect([...seen]).toEqual([...wanted]);
        }
      }
      for (const [list, members] of model) expect(lists.list(list)).toEqual([...members]);
    });
    fc.assert(check, RUNS);
  });

  it("Neigh", () => {
    const check = fc.property(operations("add", "replace", "del"), (sequence) => {
      const neigh = Neigh.create(LIMIT);
      const model = new Map<number, number>();
      const out = new Int32Array(3);
      for (const { op, key, value } of sequence) {
        const address = [spread(key), 0, key % 3, spread(key + 1)] as const;
        if (op === "del") {
          expect(neigh.del(address)).toBe(model.delete(key) ? TABLE_OK : TABLE_NOT_FOUND);
        } else {
          const result = putResult(model, key, op === "replace");
          expect(neigh[op]({ address, hi: value, lo: spread(value), flags: 1 })).toBe(result);
          if (result === TABLE_OK) model.set(key, value);
        }
        expect(neigh.lookup(...address, out)).toBe(model.has(key));
        if (model.has(key))
          expect([out[0], out[1] >>> 0]).toEqual([model.get(key), spread(out[0])]);
      }
      expect(neigh.list()).toHaveLength(model.size);
    });
    fc.assert(check, RUNS);
  });

  for (const family of [4, 6] as const) {
    it(`RouteTable, IPv${family}`, () => {
      const check = fc.property(operations("set", "set", "delete"), (sequence) => {
        const table = new RouteTable(LIMIT);
        const reader = new RouteReader(structuredClone(table.sharedState()));
        const model = new RouteModel(family);
        for (const { op, key, value } of sequence) {
          const prefix = model.prefix(key, value);
          if (op === "delete") {
            expect(table.delete(prefix)).toBe(model.delete(prefix) ? TABLE_OK : TABLE_NOT_FOUND);
          } else {
            // None, one or two next hops, or nowhere.
            const remotes = [key, 100 + value].slice(0, value % 3);
            const hops = remotes.map((remote) => ({ remote, weight: 1 }));
            const route = { prefix, hops: (key + value) % 5 === 0 ? undefined : hops };
            expect(table.set(route)).toBe(model.set(route));
          }
          for (const destination of [model.address(value), model.address((value + 1) % 6)]) {
            const route = model.match(destination);
            expect(table.match(destination)).toEqual(route);
            expect(nextHops(reader, destination)).toEqual(model.nextHops(route));
          }
        }
        expect(table.count).toBe(model.routes.size);
        expect(new Set(table.list())).toEqual(new Set(model.routes.values()));
        for (const { prefix } of model.routes.values()) table.delete(prefix);
        for (let n = 0; n < 6; n++) expect(table.match(model.address(n))).toBeUndefined();
      });
      fc.assert(check, RUNS);
    });
  }

  it("RemoteTable", () => {
    const PORT = 4789;
    const ops = operations("acquire", "acquire", "release");
    const check = fc.property(ops, (sequence) => {
      const table = RemoteTable.create({ maxRemotes: LIMIT, maxTunnels: 1 });
      table.defineTunnel(0, PORT, 0);
      /** Configured users by (address, port offset). */
      const users = new Map<string, { row: number; references: number }>();
      const rows = () => {
        const names = [...users.keys()].flatMap((name) => [name, `${name.split("+")[0]}+0`]);
        return new Set(names);
      };
      for (const { op, key, value } of sequence) {
        const offset = value % 3;
        const name = `${key % 16}+${offset}`;
        const known = users.get(name);
        if (op === "release" && known !== undefined) {
          table.release(known.row);
          known.references--;
          if (known.references === 0) users.delete(name);
        } else if (op === "acquire") {
          const row = table.acquire(0, 0, 0, 0xffff, key % 16, PORT + offset, 0, 1);
          const wanted = new Set([...rows(), name, `${key % 16}+0`]).size;
          if (wanted > LIMIT) {
            expect(row).toBe(REMOTE_TABLE_FULL);
          } else {
            if (known !== undefined) expect(row).toBe(known.row);
            users.set(name, { row, references: (known?.references ?? 0) + 1 });
          }
        }
        expect(table.count).toBe(rows().size);
        for (const [user, { row }] of users) {
          const [address, port] = user.split("+").map(Number);
          expect(table.find(0, 0, 0, 0xffff, address, PORT + port, 0)).toBe(row);
          expect(table.findSender(0, 0, 0, 0xffff, address)).toBeGreaterThanOrEqual(0);
        }
      }
    });
    fc.assert(check, { numRuns: 15 });
  });
});
