// Routes that change all the time while another thread looks them up. Destination n always has a
// route, and whatever it is, all of its next hops are rows that are n modulo DESTINATIONS: so a
// reader can tell what was never there. Most groups are taken, so that the few others are used for
// one destination after the other.
import { MAX_GROUPS } from "../../../src/routes/next-hop-groups.js";
import {
  FIRST_GROUP,
  NO_ROUTE,
  RouteReader,
  type RouteTable,
  type RouteTableState,
} from "../../../src/routes/route-table.js";
import { type IpPrefix, ipFromV4, maskIp } from "../../../src/wire/ip-address.js";

const DESTINATIONS = 16;
/** Groups that are left for the routes that change: each has at most two, one takes over. */
const FREE_GROUPS = 4 * DESTINATIONS + 1;

/** What a lookup found; words of the counts that `readRoutes` keeps. */
export const FITS = 0;
export const NOTHING = 1;
export const NEVER_THERE = 2;

const W0 = 0x20010db8;
/** The nth destination, or the end of it. Neighbours are neighbours in memory, too. */
const word = (n: number) => 0xc0a80007 + (n << 8);

/** One round of lookups of every destination. */
export function readRoutes(state: RouteTableState, counts: Int32Array): () => void {
  const reader = new RouteReader(state);
  let flow = 0;
  const check = (hop: number, n: number) => {
    flow = (flow + 1) | 0;
    const row = hop >= FIRST_GROUP ? reader.pick(hop, flow) : hop;
    const fits = row >= 0 && row % DESTINATIONS === n;
    Atomics.add(counts, row === NO_ROUTE ? NOTHING : fits ? FITS : NEVER_THERE, 1);
  };
  return () => {
    for (let n = 0; n < DESTINATIONS; n++) {
      check(reader.lookup4(word(n)), n);
      check(reader.lookup6(W0, word(n), 0, 1), n);
    }
  };
}

/** The routes of destination n, the shortest first. */
function prefixes(n: number, family: 4 | 6): IpPrefix[] {
  const ip = family === 4 ? ipFromV4(word(n)) : { w0: W0, w1: word(n), w2: 0, w3: 1 };
  const lengths = family === 4 ? [24, 26, 32] : [56, 64, 128];
  return lengths.map((length) => ({ ip: maskIp(ip, length), length, family }));
}

/** Fills a table. @returns what changes the routes of one destination, in both families */
export function churnRoutes(table: RouteTable): () => void {
  for (let n = 0; n < MAX_GROUPS - FREE_GROUPS; n++) {
    const prefix = { ip: ipFromV4(0x0a000000 + n * 256), length: 24, family: 4 } as const;
    const hops = [n, n + 1].map((remote) => ({ remote, weight: 1 }));
    table.set({ prefix, hops });
  }
  let round = 0;
  const set = (prefix: IpPrefix, n: number) => {
    // 2, 1, 2, 1, ... next hops, and not the same for long.
    const count = 1 + (round & 1);
    const rows = Array.from(
      { length: count },
      (_, i) => ((round + 37 * i) % 1000) * DESTINATIONS + n,
    );
    table.set({ prefix, hops: rows.map((remote) => ({ remote, weight: 1 })) });
    round++;
  };
  const all = ([4, 6] as const).map((family) =>
    Array.from({ length: DESTINATIONS }, (_, n) => prefixes(n, family)),
  );
  for (const family of all) for (const [n, [shortest]] of family.entries()) set(shortest!, n);
  let turn = 0;
  return () => {
    const n = turn++ % DESTINATIONS;
    for (const family of all) {
      const [short, middle, long] = family[n]!;
      set(short!, n);
      // One takes over from another that goes, so that none is there all the time.
      set(long!, n);
      table.delete(short!);
      set(middle!, n);
      table.delete(long!);
      set(middle!, n);
      set(short!, n);
      table.delete(middle!);
    }
  };
}
