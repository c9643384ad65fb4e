// Merging what a workload measured with what its hosts used.

import { describe, expect, it } from "vitest";
import { type MeterResult, mergeMetrics, meterHosts } from "../../../src/bench/meters.js";
import type { WorkloadResult } from "../../../src/bench/workload.js";

const gib_bytes = 2 ** 30;

const transfer: WorkloadResult = {
  values: { throughput_bits_per_s: 5e9 },
  payload_bytes: 2 * gib_bytes,
  generatorCpu_s: { client: 1, server: 2 },
};
const used: MeterResult = {
  machineCpu_s: 10,
  daemonCpu_s: { client: 3, server: 5 },
  wire: {
    client: { bytes: 2.2 * gib_bytes, packets: 1_000_000 },
    server: { bytes: 0.1 * gib_bytes, packets: 1000 },
  },
};

describe("mergeMetrics", () => {
  it("sums generator and daemon of a host, per GiB that arrived", () => {
    const merged = mergeMetrics(transfer, used);
    expect(merged).toEqual({
      throughput_bits_per_s: 5e9,
      sender_cpu_s_per_gib: 2,
      receiver_cpu_s_per_gib: 3.5,
      daemon_cpu_s_per_gib: 4,
      machine_cpu_s_per_gib: 5,
      wire_overhead_ratio: expect.closeTo(0.15, 9),
    });
  });

  it("leaves out what was not metered, and counts no daemons where there are none", () => {
    expect(mergeMetrics(transfer, { machineCpu_s: 10 })).toEqual({
      throughput_bits_per_s: 5e9,
      sender_cpu_s_per_gib: 0.5,
      receiver_cpu_s_per_gib: 1,
      machine_cpu_s_per_gib: 5,
    });
    const { generatorCpu_s: _, ...silent } = transfer;
    expect(mergeMetrics(silent, used)).not.toHaveProperty("sender_cpu_s_per_gib");
  });

  it("takes the overhead of a datagram, lost or not, and none without datagrams", () => {
    const wire = (packets: number): MeterResult => ({
      machineCpu_s: 1,
      wire: { client: { bytes: packets * 150, packets }, server: { bytes: 9e9, packets: 1 } },
    });
    const few = { ...transfer, datagram_bytes: 100, payload_bytes: 1000 };
    expect(mergeMetrics(few, wire(1000)).wire_overhead_ratio).toBeCloseTo(0.5, 9);
    expect(mergeMetrics(few, wire(0))).not.toHaveProperty("wire_overhead_ratio");
  });

  it("gives no figures per GiB for what moves none", () => {
    const latency = { values: { rtt_p50_us: 12 } };
    expect(mergeMetrics(latency, used)).toEqual(latency.values);
    expect(mergeMetrics({ ...latency, payload_bytes: 0 }, used)).toEqual(latency.values);
  });
});

describe("meterHosts", () => {
  it("gives differences between start and end, of each host", () => {
    let bytes = 1000;
    const sent = (factor: number) => () => ({ bytes: bytes * factor, packets: bytes / 100 });
    const stop = meterHosts({
      daemons: { client: [process.pid], server: [] },
      wire: { client: sent(1), server: sent(2) },
    });
    bytes = 1500;
    for (const end_ms = performance.now() + 100; performance.now() < end_ms; );
    const result = stop();
    expect(result.wire).toEqual({
      client: { bytes: 500, packets: 5 },
      server: { bytes: 1000, packets: 5 },
    });
    expect(result.daemonCpu_s?.client).toBeGreaterThan(0.03);
    expect(result.daemonCpu_s?.server).toBe(0);
    expect(result.machineCpu_s).toBeGreaterThan(0.03);
    expect(meterHosts({})()).not.toHaveProperty("wire");
  });
});
