// `culvert monitor`: its lines next to those that iproute2 6.1 printed for the kernel's vxlan
// device (vx renamed), its words, and how it ends.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { formatEvent } from "../../../src/cli/monitor-text.js";
import type { FdbEvent, MonitorEvent } from "../../../src/control/monitor-events.js";
import { LEARNED } from "../control/memory-events.js";
import { type CliResult, culvert, type Daemon, startDaemon } from "./harness.js";

const at = { time_ms: LEARNED.time_ms, dev: "vx" };
const fdb = (change: Partial<FdbEvent>): FdbEvent => ({
  ...{ kind: "fdb", ...at, op: "new", mac: "02:00:00:00:00:01", dst: "10.57.4.21" },
  state: "permanent",
  ...change,
});

describe("lines", () => {
  it.each<[line: string, event: MonitorEvent]>([
    ["02:00:00:00:00:01 dev vx dst 10.57.4.21 self permanent", fdb({})],
    ["02:00:00:00:00:01 dev vx dst 10.57.4.21 self static", fdb({ state: "static" })],
    ["02:00:00:00:00:01 dev vx dst 10.57.4.21 self ", fdb({ state: "reachable" })],
    [
      "02:00:00:00:00:01 dev vx dst 10.57.4.21 port 8472 vni 7 self permanent",
      fdb({ port: 8472, vni: 7 }),
    ],
    ["02:00:00:00:00:01 dev vx dst 10.57.4.21 self router permanent", fdb({ router: true })],
    [
      "02:00:00:00:00:01 dev vx dst 10.57.4.21 self router extern_learn permanent",
      fdb({ router: true, extern_learn: true }),
    ],
    [
      "Deleted 02:00:00:00:00:01 dev vx dst 10.57.4.21 self stale",
      fdb({ op: "del", state: "stale" }),
    ],
    ["Deleted 02:00:00:00:00:01 dev vx self permanent", fdb({ op: "del", dst: undefined })],
    [
      "10.99.0.6 dev vx lladdr 02:00:00:00:00:78 router PERMANENT ",
      {
        ...{ kind: "neigh", ...at, op: "new", ip: "10.99.0.6", mac: "02:00:00:00:00:78" },
        ...{ state: "PERMANENT", router: true },
      },
    ],
    [
      "Deleted 10.99.0.7 dev vx lladdr 02:00:00:00:00:78 NOARP ",
      {
        ...{ kind: "neigh", ...at, op: "del", ip: "10.99.0.7", mac: "02:00:00:00:00:78" },
        state: "NOARP",
      },
    ],
    [
      "miss dev vx lladdr 02:00:00:00:00:77 STALE ",
      { kind: "miss", ...at, mac: "02:00:00:00:00:77" },
    ],
    ["miss fd00::8 dev vx STALE ", { kind: "miss", ...at, ip: "fd00::8" }],
    ["peer 10.57.4.21 dev vx seen", { kind: "peer", ...at, address: "10.57.4.21", change: "seen" }],
    [
      "peer 10.57.4.21 dev vx silent for 61s",
      { kind: "peer", ...at, address: "10.57.4.21", change: "silent", silent_s: 61 },
    ],
    [
      "peer fd00::9 dev vx refused foreign-source count 12",
      {
        ...{ kind: "peer", ...at, address: "fd00::9", change: "refused" },
        ...{ reason: "foreign-source", count: 12 },
      },
    ],
  ])("%s", (line, event) => {
    expect(formatEvent(event, "none")).toBe(`${line}\n`);
  });

  it("have iproute2's times", () => {
    const date = new Date(2026, 10, 3, 5, 40, 51);
    const event = { ...fdb({}), time_ms: date.getTime() + 36.789 };
    const line = "02:00:00:00:00:01 dev vx dst 10.57.4.21 self permanent\n";
    expect(formatEvent(event, "line")).toBe(
      `Timestamp: Tue Nov  3 05:40:51 2026 36789 usec\n${line}`,
    );
    expect(formatEvent(event, "short")).toBe(`[2026-11-03T05:40:51.036789] ${line}`);
  });
});

describe("culvert monitor", () => {
  let daemon: Daemon;
  beforeEach(async () => {
    daemon = await startDaemon();
  });
  afterEach(() => daemon.close());

  /** Runs it until it has printed something for `event`, then interrupts it. */
  async function printed(line: string, event: MonitorEvent = LEARNED): Promise<CliResult> {
    const controller = new AbortController();
    const words = ["--socket", daemon.socketPath, ...line.split(" ")];
    const onOut = () => controller.abort();
    const result = culvert(words, { interrupted: controller.signal, onOut });
    while (daemon.events.listeners.size === 0) await new Promise(setImmediate);
    daemon.events.emit(event);
    await result;
    while (daemon.events.listeners.size > 0) await new Promise(setImmediate);
    return result;
  }

  it("prints events until Ctrl-C, which is no failure", async () => {
    expect(await printed("monitor")).toEqual({
      ...{ status: 0, err: "" },
      out: "02:00:00:00:00:0b dev vxlan100 dst 10.57.4.21 self \n",
    });
    expect(daemon.events.queries).toEqual([{}]);
  });

  it("asks for the kinds and the device that are named", async () => {
    await printed("monitor fdb dev vxlan100 miss");
    await printed("monitor all peer");
    expect(daemon.events.queries).toEqual([{ kinds: ["fdb", "miss"], dev: "vxlan100" }, {}]);
  });

  it("prints times on lines of their own, or in front", async () => {
    expect((await printed("monitor -t")).out).toMatch(/^Timestamp: .* usec\n02:/);
    expect((await printed("monitor -ts")).out).toMatch(/^\[\d{4}-.*T.*\.123456\] 02:/);
  });

  it("prints one object per line with -j", async () => {
    const { out } = await printed("monitor -j");
    expect(JSON.parse(out)).toEqual(LEARNED);
    expect(out.split("\n")).toHaveLength(2);
  });

  it("says on stderr that events were lost", async () => {
    const controller = new AbortController();
    const words = ["--socket", daemon.socketPath, "monitor"];
    const onOut = () => controller.abort();
    const result = culvert(words, { interrupted: controller.signal, onOut });
    while (daemon.events.listeners.size === 0) await new Promise(setImmediate);
    for (const listener of daemon.events.listeners) listener.lost(12);
    daemon.events.emit(LEARNED);
    expect((await result).err).toBe("culvert: 12 events were lost: they came too fast\n");
  });

  it("ends with status 3 when the daemon stops or is not there", async () => {
    const words = ["--socket", daemon.socketPath, "monitor"];
    const result = culvert(words);
    while (daemon.events.listeners.size === 0) await new Promise(setImmediate);
    await daemon.close();
    const { status, err } = await result;
    expect(status).toBe(3);
    expect(err).toContain("has stopped");
    expect((await culvert(words)).status).toBe(3);
  });

  it("refuses unknown words and devices", async () => {
    const words = ["--socket", daemon.socketPath, "monitor"];
    const wrong = await culvert([...words, "fbd"]);
    expect([wrong.status, wrong.err]).toEqual([2, expect.stringContaining('did you mean "fdb"?')]);
    const unknown = await culvert([...words, "dev", "vxlan7"]);
    expect([unknown.status, unknown.err]).toEqual([1, expect.stringContaining("vxlan7")]);
  });
});
