// From a worker to the main thread: only what is wanted, at most so much per second, woken without
// being asked.

import { beforeEach, describe, expect, it } from "vitest";
import { LEARNED_PER_SECOND, REPORTS_PER_SECOND } from "../../../src/events/event-budget.js";
import { EVENTS_PER_TURN, EventInbox } from "../../../src/events/event-inbox.js";
import {
  EVENT_ADDRESS,
  EVENT_COUNT,
  EVENT_KIND,
  EVENT_KINDS,
  EVENT_L2MISS,
  EVENT_L3MISS,
  EVENT_LEARNED,
  EVENT_MAC_HI,
  EVENT_MAC_LO,
  EVENT_MOVED,
  EVENT_OLD_REMOTE,
  EVENT_REASON,
  EVENT_REFUSED,
  EVENT_REMOTE,
  EVENT_TUNNEL,
  EVENT_UNREPORTED,
  eventBit,
} from "../../../src/events/event-record.js";
import { WorkerEvents } from "../../../src/events/worker-events.js";
import { Counters, WorkerCounters } from "../../../src/telemetry/counters.js";
import { DropReasons } from "../../../src/telemetry/drop-reasons.js";

const ALL = (1 << EVENT_KINDS) - 1;
const FOREIGN = DropReasons.foreignSource.id;
const FDB_FULL = DropReasons.fdbFull.id;
const SOURCE = Int32Array.of(9, 0, 0, 0xffff, 0x0a390417);
const COMMON = [EVENT_KIND, EVENT_TUNNEL] as const;

let records: number[][];
let lost: number;
beforeEach(() => {
  records = [];
  lost = 0;
});

function setUp(ringRecords = 4096) {
  const counters = Counters.create({ workers: 2, maxTunnels: 2, maxRemotes: 4 });
  const inbox = new EventInbox(2, 2, ringRecords);
  const worker = (n: number) =>
    new WorkerEvents(inbox.workerState(n), new WorkerCounters(counters.sharedState(), n));
  const receiver = {
    take: (record: Int32Array) => void records.push(Array.from(record)),
    lost: (count: number) => {
      lost += count;
    },
  };
  const uncounted = (tunnel: number) => counters.tunnel(tunnel).drops[DropReasons.eventsLost.id];
  return { inbox, receiver, first: worker(0), second: worker(1), uncounted };
}

const columns = (record: number[], ...at: number[]) => at.map((column) => record[column]);
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Lets the event loop turn until `records` has `count`; the test's own time limit ends it. */
async function received(count: number): Promise<void> {
  while (records.length < count) await turn();
}

describe("WorkerEvents", () => {
  it("writes nothing that nobody wants, and each kind apart for each tunnel", () => {
    const { inbox, receiver, first } = setUp();
    inbox.want(1, eventBit(EVENT_MOVED));
    inbox.open(receiver);
    first.begin(1);
    for (const tunnel of [0, 1]) {
      first.learned(tunnel, 2, 3, 4);
      first.moved(tunnel, 2, 3, 4, 5);
      first.l2miss(tunnel, 2, 3);
      first.l3miss(tunnel, 0, 0, 0xffff, 7);
      first.refusedSource(tunnel, FOREIGN, SOURCE, 1, 1);
    }
    inbox.drain();
    expect(records.map((record) => columns(record, ...COMMON))).toEqual([[EVENT_MOVED, 1]]);
    inbox.close();
  });

  it("tells what happened, to whom, by whom", () => {
    const { inbox, receiver, first } = setUp();
    inbox.want(0, ALL);
    inbox.open(receiver);
    first.begin(1);
    first.learned(0, 0x0200, -5, 3);
    first.moved(0, 0x0200, -5, 2, 3);
    first.l2miss(0, 0x0201, 6);
    first.l3miss(0, 1, 2, 3, 4);
    first.refusedSource(0, FOREIGN, SOURCE, 1, 12);
    first.refusedMac(0, FDB_FULL, 3, 0x0202, 7, 2);
    inbox.drain();
    const mac = [EVENT_MAC_HI, EVENT_MAC_LO];
    const address = [0, 1, 2, 3].map((word) => EVENT_ADDRESS + word);
    const [learned, moved, l2miss, l3miss, source, full] = records;
    expect(columns(learned, EVENT_KIND, ...mac, EVENT_REMOTE)).toEqual([EVENT_LEARNED, 512, -5, 3]);
    const places = [EVENT_REMOTE, EVENT_OLD_REMOTE];
    expect(columns(moved, EVENT_KIND, ...mac, ...places)).toEqual([EVENT_MOVED, 512, -5, 2, 3]);
    expect(columns(l2miss, EVENT_KIND, ...mac)).toEqual([EVENT_L2MISS, 513, 6]);
    expect(columns(l3miss, EVENT_KIND, ...address)).toEqual([EVENT_L3MISS, 1, 2, 3, 4]);
    const refusal = [EVENT_KIND, EVENT_REASON, EVENT_COUNT, EVENT_REMOTE];
    expect(columns(source, ...refusal)).toEqual([EVENT_REFUSED, FOREIGN, 12, -1]);
    expect(columns(source, ...address)).toEqual([0, 0, 0xffff, 0x0a390417]);
    expect(columns(full, ...refusal)).toEqual([EVENT_REFUSED, FDB_FULL, 2, 3]);
    inbox.close();
  });

  it("reports so many per second, and with the next one how many it did not", () => {
    const { inbox, receiver, first, uncounted } = setUp();
    inbox.want(0, ALL);
    inbox.open(receiver);
    first.begin(1);
    const refuse = () => first.refusedSource(0, FOREIGN, SOURCE, 1, 3);
    for (let n = 0; n < REPORTS_PER_SECOND + 5; n++) refuse();
    first.refusedMac(0, FDB_FULL, 3, 1, 2, 1); // has a budget of its own
    first.begin(1);
    refuse();
    inbox.drain();
    expect(records).toHaveLength(REPORTS_PER_SECOND + 1);
    first.begin(2);
    refuse();
    refuse();
    inbox.drain();
    const told = records.slice(-2).map((record) => columns(record, EVENT_COUNT, EVENT_UNREPORTED));
    expect(told).toEqual([[3, 18], [3, 0]]); // biome-ignore format: one pair each
    expect(uncounted(0)).toBe(0); // the drop reason has counted them
    inbox.close();
  });

  it("counts learned MACs beyond the budget, and events beyond the ring, as lost", () => {
    const { inbox, receiver, first, uncounted } = setUp(16);
    inbox.want(0, ALL);
    first.begin(1);
    for (let n = 0; n < 20; n++) first.l2miss(0, 1, n);
    expect(uncounted(0)).toBe(4);
    inbox.open(receiver);
    expect([records.length, lost]).toEqual([16, 4]);
    for (let n = 0; n < LEARNED_PER_SECOND + 2; n++) {
      first.learned(0, 1, n, 0);
      inbox.drain();
    }
    inbox.drain();
    expect(uncounted(0)).toBe(6);
    expect(lost).toBe(6);
    inbox.close();
  });
});

describe("EventInbox", () => {
  it("sleeps, is woken by the first event of any worker, and sleeps again", async () => {
    const { inbox, receiver, first, second } = setUp();
    inbox.want(0, ALL);
    inbox.open(receiver);
    first.begin(1);
    second.begin(1);
    for (const [n, worker] of [first, second, first].entries()) {
      await turn();
      worker.learned(0, 0, n, 0);
      await received(n + 1);
    }
    expect(records.map((record) => record[EVENT_MAC_LO])).toEqual([0, 1, 2]);
    inbox.close();
  });

  it("handles a bounded number per turn, of every worker in its turn", async () => {
    const { inbox, receiver, first, second } = setUp();
    inbox.want(0, ALL);
    first.begin(1);
    second.begin(1);
    for (let n = 0; n < 2 * EVENTS_PER_TURN; n++) first.learned(0, 1, n, 0);
    second.learned(0, 2, 0, 0);
    inbox.open(receiver);
    expect(records).toHaveLength(EVENTS_PER_TURN);
    await received(EVENTS_PER_TURN + 1);
    expect(records[EVENTS_PER_TURN][EVENT_MAC_HI]).toBe(2);
    await received(2 * EVENTS_PER_TURN + 1);
    inbox.close();
  });

  it("hears nothing once it is closed", async () => {
    const { inbox, receiver, first } = setUp();
    inbox.want(0, ALL);
    inbox.open(receiver);
    inbox.close();
    first.begin(1);
    first.learned(0, 1, 1, 0);
    await turn();
    await turn();
    expect(inbox.drain()).toBe(false);
    expect(records).toEqual([]);
  });
});
