// The one table of what is measured: workloads, their metrics, units, and which way is better.
// Whoever shows or compares values reads it here.

/** What `_per_gib` is per. */
export const GIB_BYTES = 2 ** 30;

export interface MetricInfo {
  /** Id in reports; ends in its unit. */
  readonly id: string;
  /** Head of a column, its unit included: `Gb/s`. */
  readonly title: string;
  /** One value of the column's unit, in the metric's own unit: 1e9 for Gb/s of bits/s. */
  readonly scale: number;
  /** Digits after the point, for people. */
  readonly digits: number;
  readonly better: "higher" | "lower";
}

export interface WorkloadInfo {
  readonly id: string;
  readonly title: string;
  /** Says how it is measured, in one sentence. */
  readonly about: string;
  /** The first one is the workload's headline: what is drawn and what goals are set in. */
  readonly metrics: readonly string[];
}

const metric = (
  id: string,
  title: string,
  scale: number,
  digits: number,
  better: MetricInfo["better"],
): MetricInfo => ({ id, title, scale, digits, better });

export const METRICS: readonly MetricInfo[] = [
  metric("throughput_bits_per_s", "Gb/s", 1e9, 2, "higher"),
  metric("delivered_per_s", "kpps", 1e3, 1, "higher"),
  metric("sent_per_s", "sent kpps", 1e3, 1, "higher"),
  metric("loss_ratio", "loss %", 0.01, 2, "lower"),
  metric("retransmits_per_gib", "retransmits/GiB", 1, 0, "lower"),
  metric("sender_cpu_s_per_gib", "sender CPU s/GiB", 1, 2, "lower"),
  metric("receiver_cpu_s_per_gib", "receiver CPU s/GiB", 1, 2, "lower"),
  metric("daemon_cpu_s_per_gib", "of it daemons", 1, 2, "lower"),
  metric("machine_cpu_s_per_gib", "whole machine CPU s/GiB", 1, 2, "lower"),
  metric("wire_overhead_ratio", "wire overhead %", 0.01, 2, "lower"),
  metric("rtt_p50_us", "p50 us", 1, 1, "lower"),
  metric("rtt_p99_us", "p99 us", 1, 1, "lower"),
  metric("rtt_p999_us", "p99.9 us", 1, 1, "lower"),
  metric("connections_per_s", "connections/s", 1, 0, "higher"),
  metric("ready_ms", "ready ms", 1, 0, "lower"),
  metric("rss_idle_bytes", "RSS idle MiB", 2 ** 20, 0, "lower"),
  metric("rss_peak_bytes", "RSS peak MiB", 2 ** 20, 0, "lower"),
  metric("idle_cpu_ratio", "idle CPU %", 0.01, 2, "lower"),
];

const cpu = ["sender_cpu_s_per_gib", "receiver_cpu_s_per_gib", "daemon_cpu_s_per_gib"] as const;
const tcp = [
  "throughput_bits_per_s",
  "retransmits_per_gib",
  ...cpu,
  "machine_cpu_s_per_gib",
  "wire_overhead_ratio",
];
const udp = [
  "delivered_per_s",
  "throughput_bits_per_s",
  "sent_per_s",
  "loss_ratio",
  ...cpu,
  "machine_cpu_s_per_gib",
  "wire_overhead_ratio",
];

const workload = (
  id: string,
  title: string,
  metrics: readonly string[],
  about: string,
): WorkloadInfo => ({ id, title, metrics, about });

/** In the order in which they are measured and shown. */
export const WORKLOADS: readonly WorkloadInfo[] = [
  workload("tcp-1", "TCP, 1 stream", tcp, "iperf3, received by the other end"),
  workload("tcp-4", "TCP, 4 streams", tcp, "iperf3 -P 4, sum of the streams"),
  workload("tcp-both", "TCP, both directions", tcp, "iperf3 --bidir, sum of both directions"),
  workload("udp-64", "UDP, 64 bytes", udp, "iperf3, sender unpaced, what was delivered"),
  workload("udp-512", "UDP, 512 bytes", udp, "iperf3, sender unpaced, what was delivered"),
  workload("udp-1400", "UDP, 1400 bytes", udp, "iperf3, sender unpaced, what was delivered"),
  workload(
    "latency",
    "latency",
    ["rtt_p50_us", "rtt_p99_us", "rtt_p999_us"],
    "UDP ping-pong of 64 bytes, round trips one after the other",
  ),
  workload(
    "connections",
    "short TCP connections",
    ["connections_per_s"],
    "connect, one byte each way, close; one after the other",
  ),
  workload(
    "daemon",
    "daemon",
    ["ready_ms", "rss_idle_bytes", "rss_peak_bytes", "idle_cpu_ratio"],
    "the larger of the two daemons; idle CPU over a second without traffic",
  ),
];

export function metricInfo(id: string): MetricInfo | undefined {
  return METRICS.find((one) => one.id === id);
}

export function workloadInfo(id: string): WorkloadInfo | undefined {
  return WORKLOADS.find((one) => one.id === id);
}
