// A report as a machine with everything but kernel ipip would give, made of figures and seeded
// noise: for tests of what shows and compares reports. Its figures are made up.

import { METRICS, WORKLOADS } from "../../../src/bench/metrics.js";
import type {
  BenchReport,
  Failure,
  ReportVariant,
  Sample,
  Setting,
} from "../../../src/bench/report-model.js";

/** Uniform in [0, 1), the same for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Normally distributed around 0 with deviation 1 (Box-Muller). */
export function seededNormal(seed: number): () => number {
  const random = seededRandom(seed);
  return () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

export const sampleVariants: readonly ReportVariant[] = [
  { name: "plain", title: "plain veth" },
  { name: "host-route", title: "host route" },
  { name: "macvlan", title: "macvlan" },
  { name: "kernel-vxlan", title: "kernel vxlan" },
  { name: "kernel-ipip", title: "kernel ipip", missing: "this kernel has no ipip device" },
  { name: "culvert-vxlan", title: "culvert vxlan" },
  { name: "culvert-ipip", title: "culvert ipip" },
  { name: "ovs-netdev", title: "Open vSwitch, netdev datapath" },
];

/** Of kernel vxlan, MTU 1500, default offloads; in the metric's unit. */
const base: Record<string, Record<string, number>> = {
  "tcp-1": { throughput_bits_per_s: 13.3e9, retransmits_per_gib: 42 },
  "tcp-4": { throughput_bits_per_s: 14.1e9, retransmits_per_gib: 310 },
  "tcp-both": { throughput_bits_per_s: 12.2e9, retransmits_per_gib: 120 },
  "udp-64": { delivered_per_s: 114e3, throughput_bits_per_s: 58e6, sent_per_s: 121e3 },
  "udp-512": { delivered_per_s: 113e3, throughput_bits_per_s: 463e6, sent_per_s: 120e3 },
  "udp-1400": { delivered_per_s: 111.6e3, throughput_bits_per_s: 1.25e9, sent_per_s: 118e3 },
  latency: { rtt_p50_us: 31, rtt_p99_us: 68, rtt_p999_us: 240 },
  connections: { connections_per_s: 9_800 },
  daemon: { ready_ms: 276, rss_idle_bytes: 84e6, rss_peak_bytes: 95e6, idle_cpu_ratio: 0.0021 },
};

const metered: Record<string, number> = {
  loss_ratio: 0.055,
  sender_cpu_s_per_gib: 0.41,
  receiver_cpu_s_per_gib: 0.44,
  machine_cpu_s_per_gib: 0.85,
  wire_overhead_ratio: 0.0012,
};

/** How fast a variant is against kernel vxlan, one stream and small datagrams. */
const speed: Record<string, number> = {
  plain: 1.42,
  "host-route": 1.25,
  macvlan: 1.36,
  "kernel-vxlan": 1,
  "culvert-vxlan": 0.58,
  "culvert-ipip": 0.148,
  "ovs-netdev": 0.08,
};

export interface SampleOptions {
  readonly seed?: number;
  readonly rounds?: number;
  /** Relative deviation of every value. */
  readonly noise?: number;
  readonly settings?: readonly Setting[];
  /** Multiplies a value of that workload and metric. */
  readonly change?: (sample: Omit<Sample, "value" | "round">) => number;
}

const sampleSettings: readonly Setting[] = [
  { mtu_bytes: 1500, offloads: "default" },
  { mtu_bytes: 1500, offloads: "nic" },
  { mtu_bytes: 9000, offloads: "default" },
];

function typicalOf(workload: string, metric: string, variant: string): number | undefined {
  const isDaemon = variant.startsWith("culvert-") || variant === "ovs-netdev";
  if (workload === "daemon" && !isDaemon) return undefined;
  const own = base[workload]?.[metric];
  if (metric === "daemon_cpu_s_per_gib") return isDaemon ? 0.9 / speed[variant]! : undefined;
  const typical = own ?? metered[metric];
  if (typical === undefined) return undefined;
  const { better } = METRICS.find(({ id }) => id === metric)!;
  if (workload === "daemon" || metric === "sent_per_s" || metric === "wire_overhead_ratio") {
    return typical;
  }
  return better === "higher" ? typical * speed[variant]! : typical / speed[variant]! ** 0.6;
}

/** Every metric of every workload, all rounds; a failure of one round and one of a workload. */
export function sampleReport(options: SampleOptions = {}): BenchReport {
  const { seed = 1, rounds = 5, noise = 0.03, settings = sampleSettings, change } = options;
  const normal = seededNormal(seed);
  const samples: Sample[] = [];
  for (const setting of settings.keys()) {
    for (let round = 0; round < rounds; round++) {
      for (const { name: variant, missing } of sampleVariants) {
        for (const { id: workload, metrics } of missing === undefined ? WORKLOADS : []) {
          for (const metric of metrics) {
            const typical = typicalOf(workload, metric, variant);
            if (typical === undefined) continue;
            const factor = change?.({ setting, variant, workload, metric }) ?? 1;
            const value = typical * factor * (1 + noise * normal());
            samples.push({ setting, variant, round, workload, metric, value });
          }
        }
      }
    }
  }
  const failures: Failure[] = [
    { ...where("ovs-netdev", "tcp-both"), round: 1, reason: "iperf3: unable to connect" },
    ...Array.from({ length: rounds }, (_, round) => ({
      ...where("ovs-netdev", "connections"),
      round,
      reason: "no answer from 192.168.11.10 to five pings",
    })),
  ];
  const failed = (sample: Sample): boolean =>
    failures.some(
      (one) =>
        one.setting === sample.setting &&
        one.variant === sample.variant &&
        one.round === sample.round &&
        one.workload === sample.workload,
    );
  return {
    format: "culvert-bench",
    version: 1,
    environment: {
      kernel: "6.18.5",
      cpu: "AMD EPYC 9B14",
      cpuCount: 2,
      memory_bytes: 24 * 2 ** 30,
      node: "v20.20.2",
      culvert: "0.1.0",
      commit: "15708a5c0ffe",
      iperf3: "3.12",
      latencyTool: "culvert",
      date: "2026-11-01T12:00:00.000Z",
    },
    reference: "kernel-vxlan",
    rounds,
    seconds: 3,
    workloads: WORKLOADS.map(({ id }) => id),
    settings,
    variants: sampleVariants,
    samples: samples.filter((sample) => !failed(sample)),
    failures,
  };
}

function where(
  variant: string,
  workload: string,
): Pick<Failure, "setting" | "variant" | "workload"> {
  return { setting: 0, variant, workload };
}
