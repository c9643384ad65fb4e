// The listener over a real connection: what it answers, and that a broken, silent or hostile client
// neither stops nor keeps it. No daemon, no traffic: that is test/netns/bench-remote.test.ts.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { runListener } from "../../../src/bench/listen.js";
import { ListenerConnection } from "../../../src/bench/remote-connection.js";
import { REMOTE_LIMITS } from "../../../src/bench/remote-protocol.js";
import { waitUntil } from "../../../src/testbed/process.js";

const hello = { type: "hello", version: 1 };
let port: number;
let log: string[];
let stop: AbortController;
let ended: Promise<void>;
const sockets: Socket[] = [];

beforeEach(async () => {
  log = [];
  stop = new AbortController();
  ended = runListener({
    ...{ bind: "127.0.0.1", port: 0, socketPath: "/nonexistent/culvert.sock" },
    ...{ signal: stop.signal, log: (line: string) => void log.push(line) },
  });
  await logged(/waiting on/);
  port = Number(/port (\d+)/.exec(log[0]!)![1]);
});

afterEach(async () => {
  vi.useRealTimers();
  for (const socket of sockets.splice(0)) socket.destroy();
  stop.abort();
  await ended;
});

async function logged(pattern: RegExp): Promise<void> {
  expect(await waitUntil(() => log.some((line) => pattern.test(line)), 2_000), `${pattern}`).toBe(
    true,
  );
}

/** A client that collects what it hears. */
class Client {
  readonly socket = connect(port, "127.0.0.1");
  heard = "";

  constructor() {
    sockets.push(this.socket);
    this.socket.on("data", (data) => {
      this.heard += data;
    });
    this.socket.on("error", () => undefined);
  }

  say(value: unknown): void {
    this.socket.write(typeof value === "string" ? value : `${JSON.stringify(value)}\n`);
  }

  async answers(count: number): Promise<Record<string, unknown>[]> {
    const lines = (): string[] => this.heard.split("\n").slice(0, -1);
    expect(await waitUntil(() => lines().length >= count, 2_000), this.heard).toBe(true);
    return lines().map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  async dropped(): Promise<void> {
    if (!this.socket.closed) await once(this.socket, "close");
  }
}

/** Expects that the listener still serves. */
async function expectWellServed(): Promise<void> {
  await logged(/gone|disconnected|request|longer|ECONNRESET|aborted|Premature/);
  const [connection, greeting] = await ListenerConnection.open("127.0.0.1", port);
  expect(greeting).toMatchObject({ type: "hello", version: 1, tunnels: [] });
  connection.close();
}

describe("a listener", () => {
  it("offers no tunnels without a daemon, and says why", async () => {
    const client = new Client();
    client.say(hello);
    const [greeting] = await client.answers(1);
    expect(greeting).toMatchObject({ type: "hello", version: 1, tunnels: [] });
    expect(greeting!.problem).toContain("no daemon answers at /nonexistent/culvert.sock");
  });

  it("meters its host between two messages", async () => {
    const [connection] = await ListenerConnection.open("127.0.0.1", port);
    await expect(connection.request({ type: "used" })).rejects.toThrow("meter comes first");
    await connection.request({ type: "meter" });
    for (const end_ms = performance.now() + 50; performance.now() < end_ms; );
    const used = await connection.request({ type: "used" });
    expect(used.machineCpu_s).toBeGreaterThan(0.01);
    expect(used.daemonCpu_s).toBeUndefined();
    await connection.request({ type: "stop" });
    connection.close();
  });

  it("wants a greeting of its own version first", async () => {
    const client = new Client();
    client.say({ type: "meter" });
    client.say({ type: "hello", version: 2 });
    client.say({ type: "meter" });
    const answers = await client.answers(3);
    expect(answers.map(({ type }) => type)).toEqual(["error", "error", "error"]);
    expect(answers[1]!.message).toBe("the listener speaks version 1, not 2");
  });

  it("turns a second client away, and takes it when the first is gone", async () => {
    const first = new Client();
    first.say(hello);
    await first.answers(1);
    await expect(ListenerConnection.open("127.0.0.1", port)).rejects.toThrow(
      "listener 127.0.0.1: busy with another client",
    );
    first.socket.destroy();
    await expectWellServed();
  });

  it.each([
    ["no JSON", "nonsense\n"],
    ["no object", "[1,2]\n"],
    ["an unknown type", '{"type":"exec","command":"id"}\n'],
    ["an unknown field", '{"type":"hello","version":1,"x":1}\n'],
    [
      "an unknown workload",
      '{"type":"serve","workload":"__proto__","seconds":1,"latency":"culvert"}\n',
    ],
    ["an endless run", '{"type":"serve","workload":"tcp-1","seconds":1e9,"latency":"culvert"}\n'],
    ["bytes that are no text", "\xff\xfe\x00\n"],
  ])("tells a client that sends %s, and drops it", async (_what, text) => {
    const client = new Client();
    client.say(hello);
    client.say(text);
    const answers = await client.answers(2);
    expect(answers[1]).toMatchObject({
      type: "error",
      message: expect.stringContaining("request"),
    });
    await client.dropped();
    await expectWellServed();
  });

  it("drops a client whose line does not end", async () => {
    const client = new Client();
    client.say("x".repeat(REMOTE_LIMITS.line_bytes + 1));
    await client.dropped();
    await expectWellServed();
    expect(log.join()).toContain(`longer than ${REMOTE_LIMITS.line_bytes} bytes`);
  });

  it("drops a client that is silent, also one that sends a byte now and then", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const client = new Client();
    await once(client.socket, "connect");
    await vi.waitFor(() => expect(log.join()).toContain("connected"));
    vi.advanceTimersByTime(REMOTE_LIMITS.greeting_ms - 1);
    client.say("{");
    vi.advanceTimersByTime(1);
    vi.useRealTimers();
    await client.dropped();
    await logged(/silent for too long/);
    await expectWellServed();
  });

  it("survives a client that sends many requests and reads nothing", async () => {
    const client = new Client();
    client.socket.pause();
    client.say(hello);
    client.say(`${JSON.stringify({ type: "stop" })}\n`.repeat(20_000));
    await logged(/connected/);
    client.socket.resetAndDestroy();
    await expectWellServed();
  });

  it("says what keeps it from listening", async () => {
    const second = runListener({
      ...{ bind: "127.0.0.1", port, socketPath: "/nonexistent" },
      ...{ signal: stop.signal, log: () => undefined },
    });
    await expect(second).rejects.toThrow(`cannot listen on 127.0.0.1 port ${port}`);
  });
});

describe("the client", () => {
  it("names a listener that is not there", async () => {
    stop.abort();
    await ended;
    await expect(ListenerConnection.open("127.0.0.1", port)).rejects.toThrow(
      expect.objectContaining({
        message: expect.stringContaining(`no listener at 127.0.0.1 port ${port}`),
        hint: expect.stringContaining("culvert bench --listen"),
      }),
    );
  });

  it("notices that the connection is gone", async () => {
    const [connection] = await ListenerConnection.open("127.0.0.1", port);
    stop.abort();
    await ended;
    await expect(connection.request({ type: "meter" })).rejects.toThrow("listener 127.0.0.1: ");
    await expect(connection.request({ type: "meter" })).rejects.toThrow("listener 127.0.0.1: ");
  });
});
