// From tables, workers and ageing to monitors, rtnetlink and the log: who hears of what, in which
// words, how often.

import { afterEach, describe, expect, it } from "vitest";
import type { MonitorEvent, MonitorQuery } from "../../../src/control/monitor-events.js";
import { Ageing } from "../../../src/daemon/ageing.js";
import { SILENT_S } from "../../../src/daemon/peer-watch.js";
import { MAX_REFUSED_SOURCES } from "../../../src/daemon/refusals.js";
import type { FdbTableChange } from "../../../src/daemon/table-changes.js";
import { LEARNED_PER_SECOND } from "../../../src/events/event-budget.js";
import { monotonicSeconds } from "../../../src/shared-memory/clock.js";
import { DropReasons } from "../../../src/telemetry/drop-reasons.js";
import { ip, mac } from "../forwarding/frames.js";
import { type ControlFixture, controlContext, TWO_TUNNELS } from "./control-context.js";
import { daemonEvents, type EventsFixture } from "./daemon-events.js";

const RTM_NEWNEIGH = 28;
const RTM_DELNEIGH = 29;
const RTM_GETNEIGH = 30;
const MAC = "02:00:00:00:00:63";
const { hi: HI, lo: LO } = mac(MAC);
const PEER = "10.57.4.21";
const { w0, w1, w2, w3 } = ip(PEER);

let running: EventsFixture | undefined;
afterEach(() => running?.events.stop());

function started(text = TWO_TUNNELS) {
  const context = controlContext(text);
  const fixture = daemonEvents(context);
  running = fixture;
  fixture.events.start(context.changes);
  const [row] = context.vxlan.flood.list();
  return { ...context, ...fixture, row };
}

/** What a monitor is told, times left out. */
function listen({ events }: EventsFixture, query: MonitorQuery = {}) {
  const told: Omit<MonitorEvent, "time_ms">[] = [];
  const lost: number[] = [];
  const stop = events.monitors.monitor(query, {
    event: ({ time_ms, ...event }) => {
      expect(Math.abs(time_ms - Date.now())).toBeLessThan(60_000);
      told.push(event);
    },
    lost: (count) => void lost.push(count),
  });
  return { told, lost, stop };
}

const tableChange = (
  { vxlan }: ControlFixture,
  change: Partial<FdbTableChange> = {},
): FdbTableChange => ({
  ...{ op: "new", tunnel: vxlan, mac: { hi: HI, lo: LO }, state: "permanent" },
  ...{ router: false, externLearn: false, dst: [w0, w1, w2, w3], port: 4789, vni: 100 },
  ...change,
});

/** Message type and ndmsg.ndm_state. */
const kinds = ({ notified }: EventsFixture) =>
  notified.map(({ type, payload }) => [type, payload[8]]);

describe("changes of tables", () => {
  it("reach monitors and listeners of rtnetlink in the kernel's words", async () => {
    const fixture = started();
    const { told } = listen(fixture);
    const { changes } = fixture;
    changes.fdb(tableChange(fixture));
    changes.fdb(tableChange(fixture, { state: "static", port: 8472, vni: 7 }));
    changes.fdb(
      tableChange(fixture, { op: "del", state: "learned", router: true, dst: undefined }),
    );
    await fixture.settle();
    const entry = { kind: "fdb", dev: "vxlan100", mac: MAC };
    expect(told).toEqual([
      { ...entry, op: "new", dst: PEER, state: "permanent" },
      { ...entry, op: "new", dst: PEER, state: "static", port: 8472, vni: 7 },
      { ...entry, op: "del", state: "reachable", router: true },
    ]);
    expect(kinds(fixture)).toEqual([
      [RTM_NEWNEIGH, 0xc0],
      [RTM_NEWNEIGH, 0x42],
      [RTM_DELNEIGH, 0x02],
    ]);
  });

  it("of neighbours reach monitors alone: the kernel tells of those on the device", async () => {
    const fixture = started();
    const { told } = listen(fixture, { kinds: ["neigh"] });
    const { changes, vxlan: tunnel } = fixture;
    changes.neigh({
      op: "new",
      tunnel,
      ip: "192.168.11.7",
      mac: MAC,
      state: "permanent",
      router: true,
    });
    changes.neigh({
      op: "del",
      tunnel,
      ip: "192.168.11.7",
      mac: MAC,
      state: "noarp",
      router: false,
    });
    await fixture.settle();
    const entry = { kind: "neigh", dev: "vxlan100", ip: "192.168.11.7", mac: MAC };
    expect(told).toEqual([
      { ...entry, op: "new", state: "PERMANENT", router: true },
      { ...entry, op: "del", state: "NOARP" },
    ]);
    expect(fixture.notified).toEqual([]);
  });

  it("are not put on rtnetlink with `notify: false`", async () => {
    const fixture = started(TWO_TUNNELS.replace("vni: 100\n", "vni: 100\n    notify: false\n"));
    const { changes } = fixture;
    const { told, stop } = listen(fixture, { dev: "vxlan100" });
    changes.fdb(tableChange(fixture));
    stop();
    changes.fdb(tableChange(fixture));
    await fixture.settle();
    expect(told).toHaveLength(1);
    expect(fixture.notified).toEqual([]);
  });

  it("go on when rtnetlink refuses, which is logged once", async () => {
    const fixture = started();
    const { told } = listen(fixture);
    fixture.socket.errno = -1;
    for (let n = 0; n < 3; n++) {
      fixture.changes.fdb(tableChange(fixture));
      await fixture.settle();
    }
    expect(told).toHaveLength(3);
    expect(fixture.logged).toMatchObject([{ level: 40, errno: "EPERM", count: 1 }]);
  });
});

describe("workers", () => {
  it("tell of learned and moved MACs, before what the main thread does later", async () => {
    const fixture = started();
    const { told } = listen(fixture, { kinds: ["fdb"] });
    const { reporter, changes, row, peers } = fixture;
    const other = peers.acquire(0, "10.57.4.23", 8472, 7);
    reporter.learned(0, HI, LO | 0, row);
    reporter.moved(0, HI, LO | 0, other, row);
    changes.fdb(tableChange(fixture, { op: "del", state: "learned" }));
    await fixture.settle();
    const entry = { kind: "fdb", dev: "vxlan100", mac: MAC, state: "reachable" };
    const there = { dst: "10.57.4.23", port: 8472, vni: 7 };
    expect(told).toEqual([
      { ...entry, op: "new", dst: PEER },
      { ...entry, op: "new", ...there, from: PEER },
      { ...entry, op: "del", dst: PEER },
    ]);
    expect(kinds(fixture).map(([type]) => type)).toEqual([
      ...[RTM_NEWNEIGH, RTM_NEWNEIGH, RTM_DELNEIGH],
    ]);
  });

  it("tell of misses only where the tunnel says so", async () => {
    const wanted = TWO_TUNNELS.replace(
      "vni: 100\n",
      "vni: 100\n    proxy: true\n    l2miss: true\n    l3miss: true\n",
    );
    for (const text of [TWO_TUNNELS, wanted]) {
      const fixture = started(text);
      const { told } = listen(fixture, { kinds: ["miss"] });
      const { w0, w1, w2, w3 } = ip("192.168.11.99");
      fixture.reporter.l2miss(0, HI, LO | 0);
      fixture.reporter.l3miss(0, w0, w1, w2, w3);
      await fixture.settle();
      const miss = { kind: "miss", dev: "vxlan100" };
      const both = [
        { ...miss, mac: MAC },
        { ...miss, ip: "192.168.11.99" },
      ];
      expect(told).toEqual(text === wanted ? both : []);
      const stale = [RTM_GETNEIGH, 0x04];
      expect(kinds(fixture)).toEqual(text === wanted ? [stale, stale] : []);
      fixture.events.stop();
    }
  });

  it("tell of a hundred misses per second, and then how many there were besides", async () => {
    const text = TWO_TUNNELS.replace("vni: 100\n", "vni: 100\n    l2miss: true\n");
    const fixture = started(text);
    const { told, lost } = listen(fixture, { kinds: ["miss"] });
    for (let n = 0; n < 150; n++) fixture.reporter.l2miss(0, HI, LO | 0);
    await fixture.settle();
    expect([told.length, lost]).toEqual([100, []]);
    fixture.reporter.begin(2);
    fixture.reporter.l2miss(0, HI, LO | 0);
    await fixture.settle();
    expect([told.length, lost]).toEqual([101, [50]]);
  });

  it("tell once how many learned MACs nobody hears of", async () => {
    const fixture = started();
    const { told, lost } = listen(fixture, { kinds: ["fdb"] });
    const { reporter, row } = fixture;
    for (let n = 0; n < LEARNED_PER_SECOND + 7; n++) {
      reporter.learned(0, HI, n, row);
      if (n % 256 === 0) await fixture.settle();
    }
    reporter.begin(2);
    reporter.learned(0, HI, LO | 0, row);
    await fixture.settle();
    expect(told).toHaveLength(LEARNED_PER_SECOND + 1);
    expect(lost).toEqual([7]);
  });

  it("tell of refusals: one warning per source and minute, with their number", async () => {
    const fixture = started();
    const { told } = listen(fixture, { kinds: ["peer"] });
    const reason = DropReasons.foreignSource;
    const refuse = (last: number, count: number) =>
      fixture.reporter.refusedSource(1, reason.id, Int32Array.of(0, 0, 0xffff, last), 0, count);
    for (let n = 0; n < 5; n++) refuse(0x0a390463, 2);
    fixture.reporter.refusedMac(0, DropReasons.fdbFull.id, fixture.row, HI, LO | 0, 1);
    await fixture.settle();
    const foreign = { tunnel: "ipip0", source: "10.57.4.99", reason: reason.name, count: 2 };
    const full = { tunnel: "vxlan100", source: PEER, reason: "fdb-full", count: 1 };
    expect(fixture.logged).toMatchObject([{ ...foreign, level: 40 }, full]);
    expect(fixture.logged[0]!.msg).toBe(`refused: ${reason.meaning}`);
    const event = { kind: "peer", change: "refused" };
    expect(told).toEqual([
      { ...event, dev: "ipip0", address: "10.57.4.99", reason: reason.name, count: 2 },
      { ...event, dev: "vxlan100", address: PEER, reason: "fdb-full", count: 1 },
    ]);
  });

  it("cannot fill the log with invented sources", async () => {
    const fixture = started();
    for (let n = 0; n < 90; n++) {
      const source = Int32Array.of(0, 0, 0xffff, 0x0b000000 + n);
      fixture.reporter.refusedSource(0, DropReasons.foreignSource.id, source, 0, 1);
    }
    await fixture.settle();
    expect(fixture.logged).toHaveLength(MAX_REFUSED_SOURCES + 1);
    expect(fixture.logged.at(-1)).toMatchObject({ source: "others", count: 1 });
  });
});

describe("ageing", () => {
  it("tells of what it forgets, and where it was", async () => {
    const fixture = started();
    const { told } = listen(fixture);
    const { vxlan, tunnels, peers, fdbEntries, events, row } = fixture;
    const now_s = monotonicSeconds();
    vxlan.fdb.learn(HI, LO, row, now_s - 500);
    new Ageing(tunnels, peers, fdbEntries, events).run(now_s);
    await fixture.settle();
    const entry = { kind: "fdb", dev: "vxlan100", mac: MAC };
    expect(told).toEqual([{ ...entry, op: "del", dst: PEER, state: "stale" }]);
    expect(kinds(fixture)).toEqual([[RTM_DELNEIGH, 0x04]]);
  });
});

describe("peers", () => {
  it("are seen and silent, once each; what was so before is no news", () => {
    const fixture = started();
    const { events, remotes, row, peers } = fixture;
    const start_s = monotonicSeconds();
    const elsewhere = peers.acquire(0, "10.57.4.30", 8472, 7);
    remotes.seen(row, start_s);
    const { told } = listen(fixture, { kinds: ["peer"] });
    // Before the first tick: news all the same.
    remotes.seen(remotes.base(elsewhere), start_s + 1);
    events.tick(start_s + 1);
    events.tick(start_s + 2);
    events.tick(start_s + SILENT_S);
    events.tick(start_s + SILENT_S + 1);
    remotes.seen(row, start_s + SILENT_S + 2);
    events.tick(start_s + SILENT_S + 2);
    const event = { kind: "peer", dev: "vxlan100" };
    expect(told).toEqual([
      { ...event, address: "10.57.4.30", change: "seen" },
      { ...event, address: PEER, change: "silent", silent_s: SILENT_S },
      { ...event, address: "10.57.4.30", change: "silent", silent_s: SILENT_S },
      { ...event, address: PEER, change: "seen" },
    ]);
  });
});

describe("a monitor", () => {
  it("hears of its kinds and its device only, and not of an unknown one", () => {
    const fixture = started();
    const { told } = listen(fixture, { kinds: ["peer"], dev: "ipip0" });
    const event = { kind: "peer", address: PEER, change: "up" } as const;
    for (const dev of ["vxlan100", "ipip0"]) fixture.events.peer({ ...event, dev });
    fixture.changes.fdb(tableChange(fixture));
    expect(told).toEqual([{ ...event, dev: "ipip0" }]);
    expect(() => listen(fixture, { dev: "vxlan7" })).toThrow("no tunnel named vxlan7");
  });

  it("is told how many events of workers were lost", () => {
    const fixture = started();
    const { lost } = listen(fixture);
    for (let n = 0; n < 5000; n++) fixture.reporter.learned(0, HI, n, fixture.row);
    fixture.changes.fdb(tableChange(fixture));
    expect(lost).toEqual([5000 - 4096]);
  });
});
