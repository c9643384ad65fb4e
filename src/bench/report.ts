// The tables of the benchmark: every metric as median and spread over the rounds, and as a ratio to
// kernel vxlan.

import { formatTable, namesAndNumbers } from "../text-table.js";
import type { Measurement } from "./measure.js";
import { ratiosByRound, summarize } from "./statistics.js";

/** Measurements of each variant, indexed by round; undefined where a round failed. */
export type Rounds = Map<string, (Measurement | undefined)[]>;

interface Metric {
  title: string;
  read: (measurement: Measurement) => number | undefined;
  /** Divides the value for display. */
  unit: number;
  digits: number;
}

const reference = "kernel-vxlan";

const traffic: readonly Metric[] = [
  { title: "TCP Gb/s", read: (m) => m.tcp_bits_per_s, unit: 1e9, digits: 2 },
  { title: "TCP back Gb/s", read: (m) => m.tcpReverse_bits_per_s, unit: 1e9, digits: 2 },
  { title: "UDP 64 B kpps", read: (m) => m.udp64_delivered_per_s, unit: 1e3, digits: 0 },
  { title: "UDP 1400 B Gb/s", read: (m) => m.udp1400_bits_per_s, unit: 1e9, digits: 2 },
  { title: "RTT p50 us", read: (m) => m.rtt_us, unit: 1, digits: 0 },
];

const cost: readonly Metric[] = [
  { title: "TCP CPU s/GB", read: (m) => m.tcpCpu_s_per_gb, unit: 1, digits: 2 },
  { title: "ready ms", read: (m) => m.ready_ms, unit: 1, digits: 0 },
  { title: "RSS idle MiB", read: (m) => m.rssBefore_bytes, unit: 2 ** 20, digits: 0 },
  { title: "RSS peak MiB", read: (m) => m.rssPeak_bytes, unit: 2 ** 20, digits: 0 },
  { title: "RSS after MiB", read: (m) => m.rssAfter_bytes, unit: 2 ** 20, digits: 0 },
];

function column(measurements: readonly (Measurement | undefined)[], metric: Metric) {
  return measurements.map((one) => (one === undefined ? undefined : metric.read(one)));
}

/** `8.41 (8.02-8.77)`, or `-` where nothing was measured. */
function spread(values: readonly (number | undefined)[], { unit, digits }: Metric): string {
  const summary = summarize(values.filter((value) => value !== undefined));
  if (summary === undefined) return "-";
  const text = (value: number): string => (value / unit).toFixed(digits);
  return `${text(summary.median)} (${text(summary.min)}-${text(summary.max)})`;
}

function table(rounds: Rounds, metrics: readonly Metric[], withRatio: boolean): string {
  const measured = metrics.filter((metric) =>
    [...rounds.values()].some((all) => column(all, metric).some((value) => value !== undefined)),
  );
  const head = measured.flatMap(({ title }) => (withRatio ? [title, "ratio"] : [title]));
  const base = rounds.get(reference) ?? [];
  const rows = [...rounds].map(([name, measurements]) => [
    name,
    ...measured.flatMap((metric) => {
      const values = column(measurements, metric);
      const cell = spread(values, metric);
      if (!withRatio) return [cell];
      const ratio = summarize(ratiosByRound(values, column(base, metric)));
      return [cell, ratio === undefined ? "-" : ratio.median.toFixed(2)];
    }),
  ]);
  return formatTable([["median (min-max)", ...head], ...rows], namesAndNumbers(head.length + 1), {
    heads: 1,
  });
}

/** Both tables with their legend. */
export function formatResults(rounds: Rounds): string {
  return [
    table(rounds, traffic, true),
    table(rounds, cost, false),
    `ratio: to ${reference} in the same round, median of the rounds. UDP: delivered to the receiver, sender unpaced.`,
    "RTT: median of 100 pings. CPU: whole machine, traffic generator included. RSS: the larger of the two daemons.",
  ].join("\n");
}
