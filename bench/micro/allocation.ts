// Bytes of JavaScript heap allocated per frame or run in steady state: 10 million through each path
// of paths.ts, the heap's fill before and after, no garbage collection in between. It must be 0.00.
// When it is not, V8's sampling profiler says how much it is and which functions it was: that one
// counts what was collected meanwhile, but slows down what it watches.
//
// The last row is the check of the check: a path that makes one object per frame on purpose. Should
// it show less than an object's size, the others mean nothing.

import { Session } from "node:inspector/promises";
import { PerformanceObserver } from "node:perf_hooks";
import { setTimeout } from "node:timers/promises";
import { getHeapStatistics } from "node:v8";
import { monotonicSeconds } from "../../src/shared-memory/clock.js";
import type { Family, Report } from "./harness.js";
import { type Path, paths } from "./paths.js";

const PACKETS = 10_000_000;
const WARM_UP_PACKETS = 3_000_000;
/** For the profiler, which sees one allocation in so many bytes. */
const PROFILED_PACKETS = 2_000_000;
const PROFILE_STEP_BYTES = 512;
/** What is shown as 0.00. */
const NOTHING_BYTES = 0.005;
/** Code that V8 compiles meanwhile lies in the heap too: so one more try, and a last one. */
const ATTEMPTS = 3;
const CULPRITS = 3;
const CULPRIT_BYTES = 0.05;
/** Until the observer has been told of the collections there were. */
const TOLD_MS = 50;
const BATCH = 256;

/** Moves `packets`, time passing as it does: each source gets a new stamp once in a while. */
function move(path: Path, packets: number): void {
  let now_s = 1000;
  for (let moved = 0; moved < packets; now_s++) {
    for (let batch = 0; batch < 1000 && moved < packets; batch++) moved += path.move(now_s);
  }
}

/** Growth of the heap, bytes; undefined when the garbage collector ran: then it means nothing. */
async function heapGrowth(path: Path): Promise<number | undefined> {
  let collections = 0;
  const observer = new PerformanceObserver((list) => {
    collections += list.getEntries().length;
  });
  globalThis.gc?.();
  await setTimeout(TOLD_MS);
  observer.observe({ entryTypes: ["gc"] });
  const before = getHeapStatistics().used_heap_size;
  move(path, PACKETS);
  const after = getHeapStatistics().used_heap_size;
  await setTimeout(TOLD_MS);
  observer.disconnect();
  return collections === 0 ? Math.max(0, after - before) : undefined;
}

/** What the profiler saw: bytes per packet, and where most of them came from. */
async function profile(path: Path): Promise<{ bytes: number; culprits: string[] }> {
  const session = new Session();
  session.connect();
  await session.post("HeapProfiler.startSampling", {
    samplingInterval: PROFILE_STEP_BYTES,
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: true,
  });
  move(path, PROFILED_PACKETS);
  const { profile } = await session.post("HeapProfiler.stopSampling");
  session.disconnect();
  const found: { bytes: number; place: string }[] = [];
  collect(profile.head, found);
  found.sort((a, b) => b.bytes - a.bytes);
  const bytes = found.reduce((sum, one) => sum + one.bytes, 0);
  return { bytes, culprits: found.slice(0, CULPRITS).map(({ place }) => place) };
}

interface ProfileNode {
  readonly callFrame: { functionName: string; url: string; lineNumber: number };
  readonly selfSize: number;
  readonly children: readonly ProfileNode[];
}

/** Functions below `node` that allocated; what the profiler itself needs is less than that. */
function collect(node: ProfileNode, found: { bytes: number; place: string }[]): void {
  const { functionName, url, lineNumber } = node.callFrame;
  const bytes = node.selfSize / PROFILED_PACKETS;
  const file = url.split("/").slice(-2).join("/");
  const place = `${bytes.toFixed(2)} in ${functionName} (${file}:${lineNumber + 1})`;
  if (bytes > CULPRIT_BYTES) found.push({ bytes, place });
  for (const child of node.children) collect(child, found);
}

async function measurePath(path: Path, report: Report, atMost: number): Promise<number> {
  move(path, WARM_UP_PACKETS);
  let growth: number | undefined;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    growth = await heapGrowth(path);
    if (growth !== undefined && growth <= NOTHING_BYTES * PACKETS) break;
  }
  let bytes = (growth ?? 0) / PACKETS;
  let notes: string[] = [];
  if (growth === undefined || bytes > NOTHING_BYTES) {
    const profiled = await profile(path);
    bytes = Math.max(bytes, profiled.bytes);
    notes = profiled.culprits;
  }
  report({ name: path.name, unit: "bytes", median: bytes, min: bytes, max: bytes, atMost, notes });
  return bytes;
}

/** What is made on purpose lies here for a moment. */
let last: { readonly frame: number } | undefined;

function control(): Path {
  const makeObjects = (): number => {
    for (let frame = 0; frame < BATCH; frame++) last = { frame };
    return last === undefined ? 0 : BATCH;
  };
  return { name: "an object per frame (the check of the check)", batch: BATCH, move: makeObjects };
}

/** Once per wake-up of a worker, hence per packet when packets come one by one. */
function clock(): Path {
  const read = (): number => {
    let sum = 0;
    for (let i = 0; i < BATCH; i++) sum += monotonicSeconds();
    return sum > 0 ? BATCH : 0;
  };
  return { name: "reading the clock, per wake-up", batch: BATCH, move: read };
}

async function measureAll(report: Report): Promise<void> {
  for (const path of paths()) await measurePath(path, report, NOTHING_BYTES);
  await measurePath(clock(), report, NOTHING_BYTES);
  const bytes = await measurePath(control(), report, Number.MAX_VALUE);
  if (bytes < 16)
    throw new Error(`objects of ${bytes} bytes: the heap's fill is not what it seems`);
}

export const family: Family = {
  about: "JavaScript heap per frame or run over 10 million, bytes",
  measure: measureAll,
  nodeArguments: ["--expose-gc"],
};
