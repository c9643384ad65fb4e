// The parts of the testbed that need no root: reading ping, iperf3 and /proc, the undo stack, child
// processes and their end. The outputs below are of real runs (iputils 20221126, iperf 3.12).

import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Cleanup } from "../../src/testbed/cleanup.js";
import {
  machineCpu_s,
  parseMachineCpu,
  parseProcessCpu,
  processCpu_s,
  residentMemory_bytes,
} from "../../src/testbed/cpu.js";
import { socketAnswers, temporaryFolder } from "../../src/testbed/daemon.js";
import { describeError, TestbedError } from "../../src/testbed/error.js";
import { parseTcp, parseUdp } from "../../src/testbed/iperf.js";
import { parsePing } from "../../src/testbed/ping.js";
import { Child, isRunning, runSync, waitUntil } from "../../src/testbed/process.js";
import { type Ends, type Tunnel, withTunnel } from "../../src/testbed/tunnel.js";

describe("ping", () => {
  const replies = `PING 192.168.11.10 (192.168.11.10) 56(84) bytes of data.
64 bytes from 192.168.11.10: icmp_seq=1 ttl=62 time=0.118 ms
64 bytes from 192.168.11.10: icmp_seq=2 ttl=62 time=0.061 ms
64 bytes from 192.168.11.10: icmp_seq=3 ttl=62 time=0.074 ms

--- 192.168.11.10 ping statistics ---
4 packets transmitted, 3 received, 25% packet loss, time 60ms
rtt min/avg/max/mdev = 0.061/0.084/0.118/0.024 ms
`;

  it("reads counts, loss and round-trip times", () => {
    expect(parsePing(replies)).toEqual({
      sent: 4,
      received: 3,
      loss: 0.25,
      min_us: 61,
      avg_us: 84,
      median_us: 74,
      max_us: 118,
      mdev_us: 24,
    });
  });

  it("reports total loss without times", () => {
    const silence = "1 packets transmitted, 0 received, +1 errors, 100% packet loss, time 0ms\n";
    const result = parsePing(silence);
    expect(result.loss).toBe(1);
    expect(result.median_us).toBeNaN();
    expect(result.avg_us).toBeNaN();
  });

  it("says what ping said when it did not run", () => {
    expect(() => parsePing("ping: connect: Network is unreachable\n")).toThrow(
      "Network is unreachable",
    );
  });
});

describe("iperf3", () => {
  const udp = JSON.stringify({
    end: {
      sum_sent: { seconds: 1.000013, bytes: 16407680, bits_per_second: 131259733.6 },
      sum_received: { seconds: 1.00049, bytes: 16249728, bits_per_second: 129934156.3 },
    },
  });

  it("counts delivered datagrams by the receiver's bytes", () => {
    const result = parseUdp(udp, 64);
    expect(result.delivered_per_s).toBeCloseTo(253_902 / 1.00049, 6);
    expect(result.sent_per_s).toBeCloseTo(256_370 / 1.000013, 6);
    expect(result.loss).toBeCloseTo(0.009627, 5);
  });

  it("takes the receiver's rate of a TCP test", () => {
    const sum_sent = { seconds: 1, bytes: 2_000_000_000, bits_per_second: 16e9, retransmits: 7 };
    const sum_received = { seconds: 1, bytes: 1_990_000_000, bits_per_second: 15.92e9 };
    const result = parseTcp(JSON.stringify({ end: { sum_sent, sum_received } }));
    const cpu_s = { client: 0, server: 0 };
    expect(result).toEqual({ bits_per_s: 15.92e9, bytes: 1_990_000_000, retransmits: 7, cpu_s });
  });

  it("passes on iperf3's own error, and text that is no JSON", () => {
    const refused = '{"start":{},"intervals":[],"end":{},"error":"Connection refused"}';
    expect(() => parseTcp(refused)).toThrow("iperf3: Connection refused");
    expect(() => parseTcp("iperf3: unrecognized option")).toThrow("unrecognized option");
  });
});

describe("CPU and memory", () => {
  it("reads user and system time behind a command name with parentheses", () => {
    const stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 1 0 0 0 250 75 0 0 20 0 1 0 100 0 0";
    expect(parseProcessCpu(stat)).toBeCloseTo(3.25, 9);
  });

  it("leaves idle, iowait and steal out of the machine's busy time", () => {
    const stat = "cpu  100 20 300 9000 5000 6 70 8000 0 0\ncpu0 1 1 1 1\n";
    expect(parseMachineCpu(stat)).toBeCloseTo(4.96, 9);
  });

  it("sees the work of this process", () => {
    const before = { process_s: processCpu_s(process.pid), machine_s: machineCpu_s() };
    const end_ms = performance.now() + 150;
    while (performance.now() < end_ms);
    expect(processCpu_s(process.pid)).toBeGreaterThan(before.process_s);
    expect(machineCpu_s()).toBeGreaterThan(before.machine_s);
    expect(residentMemory_bytes(process.pid)).toBeGreaterThan(10 * 2 ** 20);
  });
});

describe("Cleanup", () => {
  it("undoes in reverse order, each step once, and goes on after a failing step", () => {
    const cleanup = new Cleanup();
    const undone: string[] = [];
    cleanup.defer("first", () => undone.push("first"));
    cleanup.defer("broken", () => {
      undone.push("broken");
      throw new Error("no");
    });
    const removeNow = cleanup.defer("early", () => undone.push("early"));
    removeNow();
    removeNow();
    expect(() => cleanup.run()).toThrow("could not remove everything: broken: no");
    expect(undone).toEqual(["early", "broken", "first"]);
    cleanup.run();
    expect(undone).toHaveLength(3);
  });

  it("runs a nested stack at its place, unless that was run on its own", () => {
    const whole = new Cleanup();
    const undone: string[] = [];
    const part = new Cleanup(whole);
    whole.defer("first", () => undone.push("first"));
    part.defer("inner", () => undone.push("inner"));
    whole.defer("last", () => undone.push("last"));
    expect(whole.size).toBe(3);
    part.run();
    expect(undone).toEqual(["inner"]);
    expect(whole.size).toBe(2);
    part.defer("again", () => undone.push("again"));
    whole.run();
    expect(undone).toEqual(["inner", "again", "last", "first"]);
    expect(part.size).toBe(0);
    part.defer("broken", () => {
      throw new Error("cannot be removed");
    });
    expect(() => whole.run()).toThrow("a part of it: could not remove everything: broken: cannot");
  });

  it("listens to signals only while there is something to undo", () => {
    const listeners = process.listenerCount("SIGTERM");
    const cleanup = new Cleanup();
    cleanup.defer("thing", () => undefined);
    expect(process.listenerCount("SIGTERM")).toBe(listeners + 1);
    cleanup.run();
    expect(process.listenerCount("SIGTERM")).toBe(listeners);
    const removeNow = new Cleanup(cleanup).defer("thing", () => undefined);
    expect(process.listenerCount("SIGTERM")).toBe(listeners + 1);
    removeNow();
    expect(process.listenerCount("SIGTERM")).toBe(listeners);
    expect(cleanup.size).toBe(0);
  });

  it("removes temporary folders", () => {
    const cleanup = new Cleanup();
    const folder = temporaryFolder(cleanup, "test");
    expect(existsSync(folder)).toBe(true);
    cleanup.run();
    expect(existsSync(folder)).toBe(false);
  });
});

describe("processes", () => {
  it("returns the output of a command and explains a failing and a missing one", () => {
    expect(runSync(["echo", "hello"])).toBe("hello\n");
    expect(() => runSync(["sh", "-c", "echo broken >&2; exit 3"])).toThrow("broken");
    expect(() => runSync(["culvert-no-such-program"])).toThrow(TestbedError);
  });

  it("collects output and status of a child that ends by itself", async () => {
    const cleanup = new Cleanup();
    const child = new Child(cleanup, ["sh", "-c", "echo out; echo err >&2; exit 7"]);
    const result = await child.wait(5_000);
    expect(result).toEqual({ status: 7, signal: null, stdout: "out\n", stderr: "err\n" });
    expect(cleanup.size).toBe(0);
    cleanup.run();
  });

  it("stops a child by signal, and kills one that does not listen", async () => {
    const cleanup = new Cleanup();
    const obedient = new Child(cleanup, ["sleep", "60"]);
    await waitUntil(() => isRunning(obedient.pid), 1_000);
    expect((await obedient.stop()).signal).toBe("SIGTERM");
    const deaf = new Child(cleanup, ["sh", "-c", "trap '' TERM; echo deaf; sleep 60"]);
    expect(await waitUntil(() => deaf.stdout !== "", 2_000)).toBe(true);
    expect((await deaf.stop("SIGTERM", 100)).signal).toBe("SIGKILL");
    cleanup.run();
  });

  it("kills and reports a child that takes too long", async () => {
    const cleanup = new Cleanup();
    const child = new Child(cleanup, ["sleep", "60"]);
    await expect(child.wait(100)).rejects.toThrow("no end after 0.1 s");
    expect(isRunning(child.pid)).toBe(false);
    cleanup.run();
  });

  it("ends a running child, with what it started, when the cleanup runs", async () => {
    const cleanup = new Cleanup();
    const child = new Child(cleanup, ["sh", "-c", "sleep 60 & echo $!; wait"]);
    expect(await waitUntil(() => child.stdout.includes("\n"), 2_000)).toBe(true);
    const grandchild = Number(child.stdout);
    expect(isRunning(grandchild)).toBe(true);
    cleanup.run();
    expect(isRunning(child.pid)).toBe(false);
    expect(await waitUntil(() => !isRunning(grandchild), 2_000)).toBe(true);
  });

  it("knows whether a unix socket answers", async () => {
    const cleanup = new Cleanup();
    const path = join(temporaryFolder(cleanup, "test"), "socket");
    expect(await socketAnswers(path)).toBe(false);
    const server = createServer((socket) => socket.end());
    await new Promise<void>((resolve) => server.listen(path, resolve));
    expect(await socketAnswers(path)).toBe(true);
    await new Promise((resolve) => server.close(resolve));
    cleanup.run();
  });
});

describe("withTunnel", () => {
  function fakeTunnel(events: string[], failing: readonly string[]): Tunnel {
    const event = async (name: string): Promise<void> => {
      events.push(name);
      if (failing.includes(name)) throw new TestbedError(`${name} failed`);
    };
    return {
      unsupported: () => undefined,
      up: () => event("up"),
      down: () => event("down"),
      ends: {} as Ends,
      pids: [],
      ready_ms: undefined,
    };
  }

  it("takes the tunnel down after success and after failure", async () => {
    const events: string[] = [];
    expect(await withTunnel(fakeTunnel(events, []), async () => 5)).toBe(5);
    const failing = withTunnel(fakeTunnel(events, ["up"]), async () => 5);
    await expect(failing).rejects.toThrow("up failed");
    expect(events).toEqual(["up", "down", "up", "down"]);
  });

  it("names both errors when taking it down fails too, and the only one otherwise", async () => {
    const both = withTunnel(fakeTunnel([], ["up", "down"]), async () => 5);
    await expect(both).rejects.toThrow("up failed\ndown failed");
    const late = withTunnel(fakeTunnel([], ["down"]), async () => 5);
    await expect(late).rejects.toThrow("down failed");
  });
});

describe("describeError", () => {
  it("shows the cure of an expected error and the stack of an unexpected one", () => {
    expect(describeError(new TestbedError("broken", "mend it"))).toBe("broken\n  -> mend it");
    expect(describeError(new TestbedError("broken"))).toBe("broken");
    expect(describeError(new TypeError("bug"))).toContain("testbed.test.ts");
  });
});
