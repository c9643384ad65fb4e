// Next hops of multipath routes: which remote a flow goes to. Routes with the same next hops share
// a group; who may change one is route-table.ts.
//
// Theory of operation. A group is FLOW_BUCKETS rows of the remote table; a flow's hash picks one,
// so a reader needs a single load and a flow keeps its remote. Buckets are given to next hops by
// highest random weight (rendezvous hashing): when a next hop comes or goes, only the flows of its
// own share move.
//
// A freed place is used again for other next hops, and a reader may have learned of the old ones
// just before. So the handle of a group has a tag, another one for each use of its place, and so
// has each bucket: a reader whose handle is out of date is told so. (A tag comes again after 32,767
// uses of its place; free places are used in turn.) Limits: MAX_GROUPS groups; next hops with a
// share of less than a bucket may get no flow.
import assert from "node:assert/strict";

/** Different sets of next hops of one tunnel. */
export const MAX_GROUPS = 1024;
/**
 * Flows are told apart by so many values of their hash, a power of two. With 64 one of two equal
 * next hops would often get 25 buckets and the other 39; the kernel's weights go up to 256.
 */
export const FLOW_BUCKETS = 256;
/** `pick`: the group of this handle is no more. */
export const OUTDATED = -1;

/** A handle is tag << 16 | GROUP_MARK | place, a bucket is tag << 16 | row. */
const GROUP_MARK = 0x8000;
const TAG_SHIFT = 16;
const LOW_MASK = 0xffff;
const MAX_TAG = 0x7fff;
const PLACE_MASK = MAX_GROUPS - 1;

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
  readonly handle: number;
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

  /** Hot. @returns a row of the remote table, or OUTDATED */
  pick(handle: number, hash: number): number {
    const at = (handle & PLACE_MASK) * FLOW_BUCKETS + (hash & (FLOW_BUCKETS - 1));
    const bucket = Atomics.load(this.#buckets, at);
    return bucket >> TAG_SHIFT === handle >> TAG_SHIFT ? bucket & LOW_MASK : OUTDATED;
  }
}

/** The writer's side: one thread, which alone knows what the groups stand for. */
export class NextHopGroups {
  readonly #buckets = new Int32Array(new SharedArrayBuffer(MAX_GROUPS * FLOW_BUCKETS * 4));
  readonly #byKey = new Map<string, Group>();
  readonly #byPlace = new Map<number, Group>();
  /** Where the search for a free place goes on. */
  #next = 0;

  sharedState(): NextHopGroupsState {
    return { buckets: this.#buckets.buffer as SharedArrayBuffer };
  }

  /**
   * Takes a reference to the group of these next hops.
   * @param hops each remote once
   * @returns its handle, from GROUP_MARK on; -1: there is no room
   */
  acquire(hops: readonly NextHop[]): number {
    const sorted = [...hops].sort((a, b) => a.remote - b.remote);
    const key = sorted.map(({ remote, weight }) => `${remote}*${weight}`).join(" ");
    const known = this.#byKey.get(key);
    if (known !== undefined) {
      known.references++;
      return known.handle;
    }
    const place = this.#freePlace();
    if (place < 0) return -1;
    const handle = this.#fill(place, sorted);
    const group: Group = { handle, key, hops: sorted, references: 1 };
    this.#byKey.set(key, group);
    this.#byPlace.set(place, group);
    return handle;
  }

  release(handle: number): void {
    const group = this.#group(handle);
    assert(group !== undefined, `no group ${handle}`);
    if (--group.references > 0) return;
    this.#byKey.delete(group.key);
    this.#byPlace.delete(handle & PLACE_MASK);
  }

  /** Groups in use. */
  get count(): number {
    return this.#byPlace.size;
  }

  /** By remote. */
  hops(handle: number): readonly NextHop[] {
    const group = this.#group(handle);
    assert(group !== undefined, `no group ${handle}`);
    return group.hops;
  }

  #group(handle: number): Group | undefined {
    const group = this.#byPlace.get(handle & PLACE_MASK);
    return group?.handle === handle ? group : undefined;
  }

  #freePlace(): number {
    for (let step = 0; step < MAX_GROUPS; step++) {
      const place = (this.#next + step) & PLACE_MASK;
      if (this.#byPlace.has(place)) continue;
      this.#next = (place + 1) & PLACE_MASK;
      return place;
    }
    return -1;
  }

  /** Writes the buckets of a free place. @returns its new handle */
  #fill(place: number, hops: readonly NextHop[]): number {
    const at = place * FLOW_BUCKETS;
    // Never 0, which is what a place has that was never used.
    const tag = ((this.#buckets[at] >> TAG_SHIFT) % MAX_TAG) + 1;
    for (let bucket = 0; bucket < FLOW_BUCKETS; bucket++) {
      const row = ownerOf(bucket, hops);
      Atomics.store(this.#buckets, at + bucket, (tag << TAG_SHIFT) | row);
    }
    return (tag << TAG_SHIFT) | GROUP_MARK | place;
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
