// How flows are shared out among next hops: by weight, and so that a change moves no more of them
// than it must.
import { describe, expect, it } from "vitest";
import {
  FLOW_BUCKETS,
  MAX_GROUPS,
  type NextHop,
  NextHopGroups,
  NextHopReader,
  OUTDATED,
} from "../../../src/routes/next-hop-groups.js";

function makeGroups() {
  const groups = new NextHopGroups();
  const reader = new NextHopReader(structuredClone(groups.sharedState()));
  /** The next hop of each bucket. */
  const owners = (hops: readonly NextHop[]) => {
    const handle = groups.acquire(hops);
    const found = Array.from({ length: FLOW_BUCKETS }, (_, hash) => reader.pick(handle, hash));
    groups.release(handle);
    return found;
  };
  return { groups, reader, owners };
}

function equal(...remotes: number[]): NextHop[] {
  return remotes.map((remote) => ({ remote, weight: 1 }));
}

describe("NextHopGroups", () => {
  it("shares flows out by weight", () => {
    const { owners } = makeGroups();
    const weights: NextHop[][] = [
      equal(1, 2),
      equal(0, 16_383),
      equal(3, 4, 5, 6),
      [
        { remote: 1, weight: 1 },
        { remote: 2, weight: 3 },
      ],
      [
        { remote: 10, weight: 10 },
        { remote: 11, weight: 20 },
        { remote: 12, weight: 70 },
      ],
      [
        { remote: 7, weight: 256 },
        { remote: 8, weight: 256 },
      ],
    ];
    for (const hops of weights) {
      const all = hops.reduce((sum, { weight }) => sum + weight, 0);
      const found = owners(hops);
      for (const { remote, weight } of hops) {
        const share = weight / all;
        // Three standard deviations of as many random choices.
        const tolerance = 3 * Math.sqrt(FLOW_BUCKETS * share * (1 - share));
        const count = found.filter((owner) => owner === remote).length;
        expect(Math.abs(count - FLOW_BUCKETS * share)).toBeLessThan(tolerance);
      }
    }
  });

  it("moves only the flows of a next hop that leaves, comes or gets another weight", () => {
    const { owners } = makeGroups();
    const before = owners(equal(1, 2, 3, 4));
    const without = owners(equal(1, 2, 4));
    const heavier = owners([...equal(1, 2, 4), { remote: 3, weight: 4 }]);
    for (const [bucket, owner] of before.entries()) {
      if (owner !== 3) expect(without[bucket]).toBe(owner);
      if (heavier[bucket] !== 3) expect(heavier[bucket]).toBe(owner);
      if (owner === 3) expect(heavier[bucket]).toBe(3);
    }
    expect(new Set(without)).toEqual(new Set([1, 2, 4]));
  });

  it("says so when a handle's place has become another group's", () => {
    const { groups, reader } = makeGroups();
    const old = groups.acquire(equal(1, 2));
    groups.release(old);
    // Free but not used again: who has just looked it up may go on.
    expect(reader.pick(old, 0)).toBeGreaterThan(0);
    for (let n = 0; n < MAX_GROUPS; n++) groups.acquire(equal(n, n + 1, n + 2));
    for (let hash = 0; hash < FLOW_BUCKETS; hash++) expect(reader.pick(old, hash)).toBe(OUTDATED);
    expect(groups.acquire(equal(5, 9))).toBe(-1);
    expect(groups.count).toBe(MAX_GROUPS);
  });

  it("tells uses of a place apart, tens of thousands of them", () => {
    const { groups, reader } = makeGroups();
    for (let n = 1; n < MAX_GROUPS; n++) groups.acquire(equal(n, n + 1));
    const handles = new Set<number>();
    for (let n = 0; n < 32_767; n++) {
      const handle = groups.acquire(equal(n % 7, 10_000));
      handles.add(handle);
      if (n % 1000 === 0) expect([n % 7, 10_000]).toContain(reader.pick(handle, n));
      groups.release(handle);
    }
    expect(handles.size).toBe(32_767);
    expect(Math.min(...handles)).toBeGreaterThan(0);
  });
});
