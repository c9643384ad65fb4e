// Next hops of multipath routes: which remote a flow goes to. Routes with the same next hops share
// a group; who may change one is route-table.ts.
//
// Theory of operation. A group is BUCKETS rows of the remote table; a flow's hash picks one, so a
// reader needs a single load and a flow keeps its remote. Buckets are given to next hops by highest
// random weight (rendezvous hashing): when a next hop comes or goes, only the flows of its own share
// move. Groups are written once and never changed; free ones are given out in turn, so that a
// number which a reader took just before its group was freed most likely still means the same.
// Limits: MAX_GROUPS groups; a next hop whose share is less than one bucket may get no flow.
import assert from "node:assert/strict";

/** Different sets of next hops of one tunnel. */
export const MAX_GROUPS = 1024;
/** Flows are told apart by so many values of their hash, a power of two. */
export const BUCKETS = 64;

export interface NextHop {
  /** Row of the remote table. */
  readonly remote: number;
  /** Share of the flows, 1..256 (ip-route(8) `weight`). */
  readonly weight: number;
}

export interface NextHopGroupsState {
  readonly buckets: SharedArrayBuffer;
}

interface Group {
  readonly number: number;
  readonly key: string;
  readonly hops: readonly NextHop[];
  references: number;
}

/** The readers' side: any thread. */
export class NextHopReader {
  readonly #buckets: Int32Array;

  constructor({ buckets }: NextHopGroupsState) {
    this.#buckets = new Int32Array(buckets);
  }

  /** Hot. @returns a row of the remote table */
  pick(group: number, hash: number): number {
    return this.#buckets[group * BUCKETS + (hash & (BUCKETS - 1))];
  }
}

/** The writer's side: one thread, which alone knows what the groups stand for. */
export class NextHopGroups {
  readonly #words = new Int32Array(new SharedArrayBuffer(MAX_GROUPS * BUCKETS * 4));
  readonly #byKey = new Map<string, Group>();
  readonly #byNumber = new Map<number, Group>();
  #next = 0;

  sharedState(): NextHopGroupsState {
    return { buckets: this.#words.buffer as SharedArrayBuffer };
  }

  /** Takes a reference to the group of these next hops. @returns its number, -1: there is no room */
  acquire(hops: readonly NextHop[]): number {
    const sorted = [...hops].sort((a, b) => a.remote - b.remote);
    const key = sorted.map(({ remote, weight }) => `${remote}*${weight}`).join(" ");
    const known = this.#byKey.get(key);
    if (known !== undefined) {
      known.references++;
      return known.number;
    }
    const number = this.#free();
    if (number < 0) return -1;
    const group: Group = { number, key, hops: sorted, references: 1 };
    this.#byKey.set(key, group);
    this.#byNumber.set(number, group);
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      Atomics.store(this.#words, number * BUCKETS + bucket, ownerOf(bucket, sorted));
    }
    return number;
  }

  release(number: number): void {
    const group = this.#byNumber.get(number);
    assert(group !== undefined, `no group ${number}`);
    if (--group.references > 0) return;
    this.#byKey.delete(group.key);
    this.#byNumber.delete(number);
  }

  /** By remote; empty: there is no such group. */
  hops(number: number): readonly NextHop[] {
    return this.#byNumber.get(number)?.hops ?? [];
  }

  #free(): number {
    for (let step = 0; step < MAX_GROUPS; step++) {
      const number = (this.#next + step) % MAX_GROUPS;
      if (this.#byNumber.has(number)) continue;
      this.#next = (number + 1) % MAX_GROUPS;
      return number;
    }
    return -1;
  }
}

/** Highest random weight: of each next hop -weight / ln(u), u in (0, 1) from bucket and remote. */
function ownerOf(bucket: number, hops: readonly NextHop[]): number {
  let best = -1;
  let highest = Number.NEGATIVE_INFINITY;
  for (const { remote, weight } of hops) {
    const score = -weight / Math.log(fraction(bucket, remote));
    if (score <= highest) continue;
    highest = score;
    best = remote;
  }
  return best;
}

/** A number in (0, 1) that looks random, always the same for the same two. */
function fraction(bucket: number, remote: number): number {
  let hash = Math.imul(bucket + 1, 0x9e3779b1) ^ Math.imul(remote + 1, 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39);
  hash ^= hash >>> 15;
  return ((hash >>> 0) + 0.5) / 2 ** 32;
}
