// FDB: what a frame pays for its destination (lookup) and its source (learn), in small and large
// tables. Random keys of a large table show what a cache miss costs; "of 1,000 in use" is what
// traffic between few stations of many pays.

import { Fdb } from "../../src/fdb/fdb.js";
import { type Case, type Family, measureCases, numbers, shuffled } from "./harness.js";

const SIZES = [1_000, 65_536, 1_000_000];
const IN_USE = 1_000;
/** Keys of one pass: enough that no cache holds the slots of the largest table. */
const KEYS = 1 << 20;
const REMOTES = 64;
const START_S = 1000;

/** MACs in the order in which they are looked up, over and over. */
interface Keys {
  readonly hi: Int32Array;
  readonly lo: Int32Array;
  readonly remote: Int32Array;
}

interface Table {
  readonly fdb: Fdb;
  readonly keys: Keys;
}

function makeTable(size: number, random: () => number): Table {
  const fdb = Fdb.create(size);
  const hi = Int32Array.from({ length: size }, () => random() & 0xfeff);
  const lo = Int32Array.from({ length: size }, () => random() | 0);
  const remote = Int32Array.from({ length: size }, () => random() % REMOTES);
  for (let i = 0; i < size; i++) fdb.learn(hi[i]!, lo[i]! >>> 0, remote[i]!, START_S);
  if (fdb.count !== size) throw new Error("the same MAC twice");
  return { fdb, keys: { hi, lo, remote } };
}

/** KEYS of the first `count` keys, each as often as the others, in random order. */
function pick({ hi, lo, remote }: Keys, count: number, random: () => number): Keys {
  const order = shuffled(count, random);
  const from = Int32Array.from({ length: KEYS }, (_, i) => order[i % count]!);
  return {
    hi: from.map((i) => hi[i]!),
    lo: from.map((i) => lo[i]!),
    remote: from.map((i) => remote[i]!),
  };
}

function lookup(fdb: Fdb, { hi, lo }: Keys): Case["run"] {
  return (count) => {
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const key = i & (KEYS - 1);
      kept += fdb.lookup(hi[key]!, lo[key]!);
    }
    return kept;
  };
}

/** The next key is known when the lookup before is done: nothing overlaps. */
function lookupInTurn(fdb: Fdb, { hi, lo }: Keys): Case["run"] {
  return (count) => {
    let result = 0;
    for (let i = 0; i < count; i++) {
      const key = (i + (result >> 16)) & (KEYS - 1);
      result = fdb.lookup(hi[key]!, lo[key]!);
    }
    return result;
  };
}

/** Every station is where it was; with `stamp` each one's time stamp is stored anew as well. */
function learn(fdb: Fdb, { hi, lo, remote }: Keys, stamp: boolean): Case["run"] {
  let now_s = START_S;
  return (count) => {
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const key = i & (KEYS - 1);
      if (stamp) now_s++;
      kept += fdb.learn(hi[key]!, lo[key]!, remote[key]!, now_s);
    }
    return kept;
  };
}

function* cases(): Generator<Case> {
  for (const size of SIZES) {
    const random = numbers();
    const { fdb, keys } = makeTable(size, random);
    const all = pick(keys, size, random);
    const absent = { ...all, lo: all.lo.map(() => random() | 0) };
    const of = `${size.toLocaleString("en")} entries`;
    yield { name: `lookup hit, ${of}`, run: lookup(fdb, all) };
    yield { name: `lookup hit, ${of}, one waits for the other`, run: lookupInTurn(fdb, all) };
    if (size > IN_USE) {
      const used = pick(keys, IN_USE, random);
      yield { name: `lookup hit, ${of}, 1,000 in use`, run: lookup(fdb, used) };
    }
    yield { name: `lookup miss, ${of}`, run: lookup(fdb, absent) };
    yield { name: `learn, refresh, ${of}`, run: learn(fdb, all, false) };
    yield { name: `learn, refresh with a new stamp, ${of}`, run: learn(fdb, all, true) };
  }
}

export const family: Family = {
  about: "one MAC in the forwarding database, random keys unless it says otherwise, ns",
  measure: (report) => measureCases(cases(), report),
};
