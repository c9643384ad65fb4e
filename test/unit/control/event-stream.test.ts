// The stream of events over a real socket: what crosses it, what a slow or silent client costs,
// how it ends.

import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { monitorDaemon } from "../../../src/control/monitor-client.js";
import type { MonitorLine, MonitorQuery } from "../../../src/control/monitor-events.js";
import {
  type ControlLimits,
  type ControlServer,
  startControlServer,
} from "../../../src/control/server.js";
import { ExitStatus } from "../../../src/errors.js";
import { LEARNED, MemoryEvents } from "./memory-events.js";
import { MemoryTarget, memoryLog } from "./memory-target.js";

let directory: string;
let socketPath: string;
let events: MemoryEvents;
let server: ControlServer | undefined;
let controller: AbortController;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "culvert-stream-"));
  socketPath = join(directory, "c.sock");
  events = new MemoryEvents();
  controller = new AbortController();
});
afterEach(async () => {
  controller.abort();
  await server?.close();
  server = undefined;
  rmSync(directory, { recursive: true, force: true });
});

async function start(limits: Partial<ControlLimits> = {}): Promise<void> {
  const target = new MemoryTarget();
  server = await startControlServer({ socketPath, target, events, log: memoryLog(), limits });
}

/** A monitor that runs until the test ends it. */
function monitor(query: MonitorQuery = {}) {
  const lines: MonitorLine[] = [];
  const { signal } = controller;
  const onLine = (line: MonitorLine) => void lines.push(line);
  const ended = monitorDaemon({ socketPath, query, signal, onLine });
  ended.catch(() => undefined);
  return { lines, ended };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Lets the event loop turn until it is so; the test's own time limit ends it. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn();
}

const listening = (count = 1) => until(() => events.listeners.size === count);

/** A client that sends a request for all events and reads what the test lets it read. */
function rawMonitor(): Socket {
  const socket = connect(socketPath);
  socket.on("error", () => undefined);
  socket.write("GET /v1/monitor HTTP/1.1\r\nhost: culvert\r\n\r\n");
  return socket;
}

describe("GET /v1/monitor", () => {
  it("streams what happens, to each client what it asked for", async () => {
    await start();
    const all = monitor();
    await listening();
    const some = monitor({ kinds: ["fdb", "miss"], dev: "vxlan100" });
    await listening(2);
    const miss = { kind: "miss", time_ms: 1, dev: "vxlan100", ip: "192.168.11.99" } as const;
    events.emit(LEARNED);
    events.emit(miss);
    await until(() => all.lines.length === 2 && some.lines.length === 2);
    expect(all.lines).toEqual([LEARNED, miss]);
    expect(events.queries).toEqual([{}, { kinds: ["fdb", "miss"], dev: "vxlan100" }]);
  });

  it("ends without an error when the client has enough, and the source hears of it", async () => {
    await start();
    const { ended } = monitor();
    await listening();
    controller.abort();
    await expect(ended).resolves.toBeUndefined();
    await listening(0);
  });

  it("says that the daemon stops, with the exit status of no daemon", async () => {
    await start();
    const { lines, ended } = monitor();
    await listening();
    events.emit(LEARNED);
    await server!.close();
    server = undefined;
    await expect(ended).rejects.toMatchObject({
      ...{ code: "CULVERT_NO_DAEMON", exit: ExitStatus.noDaemon },
      message: `the daemon at ${socketPath} has stopped`,
    });
    expect(lines).toEqual([LEARNED]);
    expect(events.listeners.size).toBe(0);
  });

  it("tells a daemon that vanished from one that stopped", async () => {
    await expect(monitor().ended).rejects.toMatchObject({ code: "CULVERT_NO_DAEMON" });
    await start({ idle_ms: 50, heartbeat_ms: 10_000 });
    const { ended } = monitor();
    await expect(ended).rejects.toMatchObject({ code: "CULVERT_CONTROL_BROKEN" });
  });

  it("is kept alive by heartbeats, which are no events", async () => {
    await start({ idle_ms: 300, heartbeat_ms: 20 });
    const { lines } = monitor();
    await listening();
    await new Promise((resolve) => setTimeout(resolve, 600));
    events.emit(LEARNED);
    await until(() => lines.length > 0);
    expect(lines).toEqual([LEARNED]);
  });

  it("refuses what it does not know, and more monitors than there may be", async () => {
    await start({ monitors: 1 });
    const wrong = monitor({ kinds: ["fdb", "weather" as "fdb"] }).ended;
    await expect(wrong).rejects.toMatchObject({ code: "CULVERT_BAD_REQUEST" });
    await expect(wrong).rejects.toThrow("kinds.1: some of fdb, neigh, miss, peer");
    const unknown = monitor({ dev: "vxlan7" }).ended;
    await expect(unknown).rejects.toMatchObject({ code: "CULVERT_NO_TUNNEL" });
    monitor();
    await listening();
    await expect(monitor().ended).rejects.toMatchObject({ code: "CULVERT_MONITOR_LIMIT" });
  });

  it("drops the newest events for a client that does not read, and tells it how many", async () => {
    await start({ monitor_buffer_bytes: 4096 });
    const socket = rawMonitor();
    await listening();
    socket.pause();
    const count = 20_000; // more than the kernel's socket buffers hold
    for (let n = 0; n < count; n++) {
      events.emit({ ...LEARNED, time_ms: n });
      if (n % 10 === 0) await turn();
    }
    let text = "";
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    socket.resume();
    const complete = () => /"kind":"lost".*"count":\d+/.test(text);
    await until(complete);
    events.emit({ ...LEARNED, time_ms: count });
    await until(() => text.includes(`"time_ms":${count},`));
    const lines = text.split("\n").filter((line) => line.startsWith("{"));
    const told = lines.map((line) => JSON.parse(line) as MonitorLine);
    const lost = told.filter((line) => line.kind === "lost");
    const events_ = told.filter((line) => line.kind === "fdb");
    expect(events_.length).toBeLessThan(count);
    expect(lost.reduce((sum, line) => sum + line.count, 0)).toBe(count + 1 - events_.length);
    const order = events_.map(({ time_ms }) => time_ms);
    expect(order).toEqual([...order].sort((a, b) => a - b));
    socket.destroy();
  });

  it("ends a client that reads nothing at all", async () => {
    await start({ idle_ms: 200, heartbeat_ms: 20, monitor_buffer_bytes: 4096 });
    const socket = rawMonitor();
    await listening();
    socket.pause();
    for (let n = 0; n < 5000; n++) {
      events.emit(LEARNED);
      if (n % 10 === 0) await turn();
    }
    await listening(0);
    socket.destroy();
  });
});
