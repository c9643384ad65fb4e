// Every workload of the benchmark for a second between two namespaces joined by a veth: plausible
// values, every metric of the table, and nothing left behind. Bounds are those of a slow, busy
// machine.

import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { watchDaemons } from "../../src/bench/daemon-meter.js";
import { measureWorkload } from "../../src/bench/measure-workload.js";
import { wireCounters } from "../../src/bench/meters.js";
import { WORKLOADS, workloadInfo } from "../../src/bench/metrics.js";
import { type Path, pathBetweenPlaces } from "../../src/bench/path.js";
import { createWorkload, workloadIds } from "../../src/bench/workloads/all-workloads.js";
import type { Cleanup } from "../../src/testbed/cleanup.js";
import { addVeth, Namespace } from "../../src/testbed/namespace.js";
import { isRunning, waitUntil } from "../../src/testbed/process.js";
import { offloadModes } from "../../src/testbed/two-hosts.js";
import { useBed } from "./support.js";

interface Ends {
  client: Namespace;
  server: Namespace;
  address: string;
}

const bed = useBed(["iperf3", "setpriv"], (cleanup: Cleanup): Ends => {
  const client = Namespace.create(cleanup, "client");
  const server = Namespace.create(cleanup, "server");
  addVeth({ namespace: client, device: "eth0" }, { namespace: server, device: "eth0" });
  client.ip("addr", "add", "10.57.9.1/24", "dev", "eth0");
  server.ip("addr", "add", "10.57.9.2/24", "dev", "eth0");
  for (const end of [client, server]) end.setOffloads("eth0", offloadModes.nic);
  return { client, server, address: "10.57.9.2" };
});

/** This test process stands for the daemons: its CPU time is known to be small. */
function path(): Path {
  const { client, server, address } = bed.hosts;
  const wire = { client: wireCounters(client, "eth0"), server: wireCounters(server, "eth0") };
  const daemons = { client: [process.pid], server: [] };
  return pathBetweenPlaces({ client, server, address, hosts: { daemons, wire } });
}

function processesInside(): string[] {
  return [bed.hosts.client, bed.hosts.server].flatMap((end) =>
    end
      .run("ip", "netns", "pids", end.name)
      .split("\n")
      .filter((pid) => pid !== "" && isRunning(Number(pid)))
      .map((pid) => `${pid} ${readFileSync(`/proc/${pid}/cmdline`, "latin1")}`)
      .filter((line) => !line.includes("netns")),
  );
}

async function measure(id: string): Promise<Record<string, number>> {
  const values = await measureWorkload(path(), createWorkload(id), 1);
  expect(processesInside()).toEqual([]);
  return values;
}

function expectBounds(values: Record<string, number>, bounds: Record<string, [number, number]>) {
  for (const [metric, [low, high]] of Object.entries(bounds)) {
    expect(values[metric], metric).toBeGreaterThanOrEqual(low);
    expect(values[metric], metric).toBeLessThanOrEqual(high);
  }
}

describe("a workload", () => {
  it("exists for every id of the table but `daemon`", () => {
    expect([...workloadIds, "daemon"]).toEqual(WORKLOADS.map(({ id }) => id));
  });

  it.each(workloadIds)("%s gives every metric of the table, all finite", async (id) => {
    const values = await measure(id);
    expect(Object.keys(values).sort()).toEqual([...workloadInfo(id)!.metrics].sort());
    expect(Object.values(values).every(Number.isFinite)).toBe(true);
    expectBounds(values, id.startsWith("tcp") ? tcpBounds : id.startsWith("udp") ? udpBounds : {});
    // Ethernet, IPv4 and UDP are 42 bytes in front of every datagram.
    const size = /^udp-(\d+)$/.exec(id)?.[1];
    if (size !== undefined) {
      expect(values.wire_overhead_ratio! * Number(size)).toBeGreaterThan(41);
      expect(values.wire_overhead_ratio! * Number(size)).toBeLessThan(43);
    }
  });

  it("counts the same bytes on the wire without GRO", async () => {
    const { client, server } = bed.hosts;
    for (const end of [client, server]) end.setOffloads("eth0", offloadModes.off);
    const { wire_overhead_ratio } = await measure("udp-1400");
    for (const end of [client, server]) end.setOffloads("eth0", offloadModes.nic);
    expect(wire_overhead_ratio! * 1400).toBeGreaterThan(41);
    expect(wire_overhead_ratio! * 1400).toBeLessThan(43);
  });

  it("by the addon's ping-pong gives round-trip times in order", async () => {
    const workload = createWorkload("latency", { latency: "culvert" });
    const { client, server, address } = bed.hosts;
    const half = await workload.serve(server, 5299, 1);
    const { values } = await workload.run({ from: client, address, port: half.port, seconds: 1 });
    await half.stop();
    expectBounds(values, { rtt_p50_us: [1, 5_000] });
    expect(values.rtt_p99_us).toBeGreaterThanOrEqual(values.rtt_p50_us!);
    expect(values.rtt_p999_us).toBeGreaterThanOrEqual(values.rtt_p99_us!);
  });

  it("leaves no port in TIME-WAIT behind short connections", async () => {
    const { client, server, address } = bed.hosts;
    const workload = createWorkload("connections");
    const half = await workload.serve(server, 5295, 1);
    const { values } = await workload.run({ from: client, address, port: 5295, seconds: 1 });
    await half.stop();
    expect(values.connections_per_s).toBeGreaterThan(100);
    for (const end of [client, server]) {
      expect(end.run("ss", "-Htan", "state", "time-wait")).not.toContain(":5295");
    }
  });

  it.each(["tcp-1", "udp-64", "latency", "connections"])(
    "%s says that nobody answers, and leaves nothing",
    async (id) => {
      const { client, address } = bed.hosts;
      const workload = createWorkload(id, { latency: "culvert" });
      const run = workload.run({ from: client, address, port: 5298, seconds: 1 });
      await expect(run).rejects.toThrow(/refused|ECONNREFUSED/);
      expect(processesInside()).toEqual([]);
    },
  );

  it("refuses a port that is taken, and stops the server half that nobody used", async () => {
    const { server } = bed.hosts;
    for (const id of ["tcp-1", "latency", "connections"]) {
      const workload = createWorkload(id, { latency: "culvert" });
      const first = await workload.serve(server, 5297, 1);
      await expect(workload.serve(server, 5297, 1)).rejects.toThrow(
        /did not start: .*in use|EADDR/,
      );
      await first.stop();
    }
    expect(processesInside()).toEqual([]);
  });

  it("ends its server half by itself when it is forgotten", async () => {
    const forgotten = createWorkload("connections");
    await forgotten.serve(bed.hosts.server, 5296, -9.5);
    expect(await waitUntil(() => processesInside().length === 0, 3_000)).toBe(true);
  });
});

const tcpBounds: Record<string, [number, number]> = {
  throughput_bits_per_s: [1e7, 1e12],
  retransmits_per_gib: [0, 1e6],
  sender_cpu_s_per_gib: [0.01, 100],
  receiver_cpu_s_per_gib: [0.01, 100],
  machine_cpu_s_per_gib: [0.01, 100],
  daemon_cpu_s_per_gib: [0, 10],
  // 66 bytes of headers on 1448 of payload are 4.6 %; acknowledgements and what is sent again come
  // on top.
  wire_overhead_ratio: [0.045, 0.5],
};

const udpBounds: Record<string, [number, number]> = {
  delivered_per_s: [100, 1e7],
  sent_per_s: [100, 1e7],
  loss_ratio: [0, 1],
  machine_cpu_s_per_gib: [0.01, 1000],
};

describe("the daemons' values", () => {
  it("are those of the larger process", async () => {
    const busy = bed.hosts.client.spawn([
      process.execPath,
      "-e",
      "const b = Buffer.alloc(64 << 20, 1); setInterval(() => { for (const t = Date.now(); Date.now() < t + 20; ); }, 100); console.log(b.length)",
    ]);
    const quiet = bed.hosts.client.spawn(["sleep", "30"]);
    expect(await waitUntil(() => busy.stdout !== "", 5_000)).toBe(true);
    const stop = await watchDaemons({ pids: [quiet.pid, busy.pid], ready_ms: 12 });
    const values = stop();
    expect(Object.keys(values).sort()).toEqual([...workloadInfo("daemon")!.metrics].sort());
    expectBounds(values, {
      ready_ms: [12, 12],
      idle_cpu_ratio: [0.05, 0.6],
      rss_idle_bytes: [64 << 20, 512 << 20],
    });
    expect(values.rss_peak_bytes).toBeGreaterThanOrEqual(values.rss_idle_bytes! * 0.9);
    await busy.stop();
    await quiet.stop();
    expect(() => stop()).toThrow("a daemon is gone");
  });

  it("do not exist for a process that is gone", async () => {
    const gone = readdirSync("/proc").includes("4194303") ? 4194302 : 4194303;
    await expect(watchDaemons({ pids: [gone] })).rejects.toThrow("a daemon is gone");
  });
});
