// What a report says, laid out for readers: settings, workloads, rows and words that terminal,
// Markdown and HTML share. Text in a report may come from another host; control characters end
// here, markup is escaped by each renderer.

import type { OffloadMode } from "../testbed/two-hosts.js";
import { type MetricInfo, metricInfo, type WorkloadInfo, workloadInfo } from "./metrics.js";
import type { BenchReport, Failure, Setting } from "./report-model.js";
import { type Figure, Figures, type Summary } from "./statistics.js";

export interface ReportView {
  readonly date: string;
  /** Name of a property of machine or run, and what it was. */
  readonly environment: readonly (readonly [string, string])[];
  /** How to read the figures, in sentences. */
  readonly method: readonly string[];
  /** Title of the variant that the ratios are to. */
  readonly reference: string;
  readonly workloads: readonly WorkloadInfo[];
  readonly settings: readonly SettingView[];
  readonly missing: readonly { readonly title: string; readonly reason: string }[];
  /** One sentence for each kind of failure, with the rounds it happened in. */
  readonly failures: readonly string[];
}

export interface SettingView {
  readonly title: string;
  /** What the offload mode means; empty where there is nothing to say. */
  readonly about: string;
  readonly workloads: readonly WorkloadView[];
  readonly glance: Glance;
}

/** The ratios of all headlines side by side; those of a setting without any have no columns. */
export interface Glance {
  readonly columns: readonly { readonly title: string; readonly metric: MetricInfo }[];
  readonly rows: readonly {
    readonly title: string;
    readonly kind: RowView["kind"];
    /** Why it was not measured; undefined when it was. */
    readonly reason: string | undefined;
    /** One for each column. */
    readonly ratios: readonly (Summary | undefined)[];
  }[];
}

export interface WorkloadView {
  readonly title: string;
  readonly about: string;
  /** Those that have a value somewhere, the headline first. */
  readonly metrics: readonly MetricInfo[];
  readonly rows: readonly RowView[];
}

export interface RowView {
  /** Of the variant, as in the report: for looking up, not for showing. */
  readonly name: string;
  readonly title: string;
  readonly kind: "culvert" | "reference" | "other";
  /** Why there are no figures, where there are none. */
  readonly reason: string | undefined;
  /** One for each metric. */
  readonly figures: readonly (Figure | undefined)[];
  /** `3 of 5` where rounds are missing from the headline. */
  readonly rounds: string | undefined;
}

const offloadWords: Record<OffloadMode, string> = {
  default: "as a veth has them: superpackets and unfinished checksums cross the underlay",
  nic: "segmentation and checksum offload off, GRO on: stands for a plain NIC",
  coalesced: "as nic, and GRO waits 50 us for more, as NICs do that coalesce interrupts",
  off: "segmentation and checksum offload off, GRO off",
};

/**
 * Control characters would reach a terminal and no XML may hold them; bidirectional overrides make
 * a name look like another one.
 */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cs}\p{Bidi_Control}\ufffe\uffff]+/gu, " ");
}

export function settingTitle({ mtu_bytes, offloads }: Setting): string {
  const words = [];
  if (mtu_bytes !== undefined) words.push(`MTU ${mtu_bytes}`);
  if (offloads !== undefined) words.push(`offloads ${printable(offloads)}`);
  return words.length === 0 ? "between two hosts" : words.join(", ");
}

export function workloadTitle(id: string): string {
  return workloadInfo(id)?.title ?? printable(id);
}

export function variantTitle({ variants }: Pick<BenchReport, "variants">, name: string): string {
  return printable(variants.find((one) => one.name === name)?.title ?? name);
}

/** The value in the unit of the metric's column. */
export function valueText(metric: MetricInfo, value: number): string {
  return (value / metric.scale).toFixed(metric.digits);
}

/** `(8.02-8.77)`; empty where all values print the same. */
export function rangeText(metric: MetricInfo, { min, max }: Summary, dash = "-"): string {
  const [from, to] = [valueText(metric, min), valueText(metric, max)];
  return from === to ? "" : `(${from}${dash}${to})`;
}

/** `0.58`; about three digits, so that small and large ratios say something. */
export function ratioText(ratio: number): string {
  if (ratio >= 100) return ratio.toFixed(0);
  if (ratio >= 10) return ratio.toFixed(1);
  return ratio.toFixed(ratio !== 0 && ratio < 0.1 ? 3 : 2);
}

/** `us` of `p50 us`: heads of columns end in the unit. */
export function unitText({ title }: MetricInfo): string {
  return title.slice(title.lastIndexOf(" ") + 1);
}

/** `8.41 (8.02-8.77)` */
export function spreadText(metric: MetricInfo, summary: Summary, dash = "-"): string {
  return `${valueText(metric, summary.median)} ${rangeText(metric, summary, dash)}`.trimEnd();
}

/** `0.58x (0.55-0.61)` with `times` of `x`; no range where all print the same. */
export function ratioSpreadText({ median, min, max }: Summary, times = "", dash = "-"): string {
  const [from, to] = [ratioText(min), ratioText(max)];
  return `${ratioText(median)}${times}${from === to ? "" : ` (${from}${dash}${to})`}`;
}

/** `Ratio to kernel vxlan (lower is better: latency)`. */
export function glanceTitle({ columns }: Glance, reference: string): string {
  const lower = columns.filter(({ metric }) => metric.better === "lower");
  const names = lower.map(({ title }) => title).join(", ");
  return `Ratio to ${reference}${names === "" ? "" : ` (lower is better: ${names})`}`;
}

export function viewOf(report: BenchReport): ReportView {
  const figures = new Figures(report);
  const reference = variantTitle(report, report.reference);
  return {
    date: dateText(report.environment.date),
    environment: environmentOf(report),
    method: methodOf(report, reference),
    reference,
    workloads: report.workloads.map((id) => knownWorkload(id)),
    settings: report.settings.map((setting, index) => {
      const workloads = report.workloads.map((id) => workloadView(report, figures, index, id));
      return {
        title: settingTitle(setting),
        about: offloadsAbout(setting),
        workloads,
        glance: glanceOf(report, workloads),
      };
    }),
    missing: report.variants.flatMap(({ title, missing }) =>
      missing === undefined ? [] : [{ title: printable(title), reason: printable(missing) }],
    ),
    failures: failuresOf(report),
  };
}

function offloadsAbout({ offloads, offloadsInForce = {} }: Setting): string {
  const mode = Object.entries(offloadWords).find(([name]) => name === offloads);
  if (mode === undefined) return "";
  const inForce = inForceText(offloadsInForce);
  const measured = inForce === "" ? "" : ` (${printable(inForce)})`;
  return `offloads ${mode[0]}: ${mode[1]}${measured}`;
}

/** `tx on, gro off`, in the words of ethtool(8). */
export function inForceText(offloads: NonNullable<Setting["offloadsInForce"]>): string {
  return Object.entries(offloads)
    .map(([name, on]) => `${name} ${on ? "on" : "off"}`)
    .join(", ");
}

/** `2026-11-01 12:00 UTC` of an ISO date. */
export function dateText(date: string): string {
  return printable(date.replace(/^(\S+)T(\d+:\d+):[\d.]+Z$/, "$1 $2 UTC"));
}

function environmentOf({ environment, rounds, seconds }: BenchReport): [string, string][] {
  const { kernel, cpu, cpuCount, memory_bytes, node, culvert, commit, date } = environment;
  const { iperf3 = "not installed", latencyTool } = environment;
  const words: [string, string][] = [
    ["date", dateText(date)],
    ["kernel", kernel],
    ["CPU", `${cpuCount} x ${cpu}`],
    ["memory", `${(memory_bytes / 2 ** 30).toFixed(1)} GiB`],
    ["Node.js", node],
    ["culvert", culvert],
    ["commit", commit],
    ["iperf3", iperf3],
    ["latency", latencyTool === "culvert" ? "culvert's own ping-pong" : latencyTool],
    ["rounds", `${rounds} x ${seconds} s`],
  ];
  return words.map(([name, value]) => [name, printable(value)]);
}

function methodOf({ rounds }: BenchReport, reference: string): string[] {
  const counted =
    rounds === 1 ? "1 round" : `${rounds} rounds, in each of which variants take turns`;
  return [
    `Medians of ${counted}; in brackets the smallest and the largest value.`,
    `Ratios are to ${reference} in the same round, then the median over the rounds.`,
    "A variant without a row has nothing of the kind: no daemon, for example.",
  ];
}

/** An id of a newer culvert is shown as it is: nothing that was measured is left out. */
function knownWorkload(id: string): WorkloadInfo {
  return workloadInfo(id) ?? { id, title: printable(id), about: "", metrics: [] };
}

function knownMetric(id: string): MetricInfo {
  const unknown = { id, title: printable(id), scale: 1, digits: 2, better: "higher" } as const;
  return metricInfo(id) ?? unknown;
}

function workloadView(
  report: BenchReport,
  figures: Figures,
  setting: number,
  id: string,
): WorkloadView {
  const here = figures.keys.filter((key) => key.setting === setting && key.workload === id);
  const measured = new Set(here.map(({ metric }) => metric));
  const { title, about, metrics: listed } = knownWorkload(id);
  const known = listed.filter((metric) => measured.has(metric));
  const ids = [...known, ...[...measured].filter((metric) => !known.includes(metric))];
  const rows = report.variants.flatMap((variant): RowView[] => {
    const cells = ids.map((metric) =>
      figures.get({ setting, variant: variant.name, workload: id, metric }),
    );
    const none = cells.every((cell) => cell === undefined);
    const failure = report.failures.find(
      (one) => one.setting === setting && one.workload === id && one.variant === variant.name,
    );
    const reason = variant.missing ?? failure?.reason;
    if (none && reason === undefined) return [];
    const counted = cells.find((cell) => cell !== undefined)?.value.n ?? 0;
    return [
      {
        name: variant.name,
        title: printable(variant.title),
        kind: kindOf(variant.name, report.reference),
        reason: none && reason !== undefined ? printable(reason) : undefined,
        figures: cells,
        rounds: none || counted === report.rounds ? undefined : `${counted} of ${report.rounds}`,
      },
    ];
  });
  return { title, about, metrics: ids.map(knownMetric), rows };
}

function glanceOf(report: BenchReport, workloads: readonly WorkloadView[]): Glance {
  const shown = workloads.filter(({ rows }) => rows.some((row) => row.figures[0]?.ratio));
  const rows = report.variants.map(({ name, title, missing }) => ({
    title: printable(title),
    reason: missing === undefined ? undefined : printable(missing),
    kind: kindOf(name, report.reference),
    ratios: shown.map((one) => one.rows.find((row) => row.name === name)?.figures[0]?.ratio),
  }));
  return {
    columns: shown.map(({ title, metrics }) => ({ title, metric: metrics[0] })),
    rows: rows.filter(
      ({ reason, ratios }) => reason !== undefined || ratios.some((ratio) => ratio !== undefined),
    ),
  };
}

function kindOf(name: string, reference: string): RowView["kind"] {
  if (name === reference) return "reference";
  return name.startsWith("culvert-") ? "culvert" : "other";
}

/** Failures that differ in nothing but their round are one. */
function failuresOf(report: BenchReport): string[] {
  const rounds = new Map<string, number[]>();
  const textOf = ({ variant, workload, setting, reason }: Failure): [string, string] => [
    [
      variantTitle(report, variant),
      workloadTitle(workload),
      settingTitle(report.settings[setting]),
    ].join(", "),
    printable(reason),
  ];
  for (const failure of report.failures) {
    const key = JSON.stringify(textOf(failure));
    rounds.set(key, [...(rounds.get(key) ?? []), failure.round + 1]);
  }
  return Array.from(rounds, ([key, numbers]) => {
    const [where, reason] = JSON.parse(key) as [string, string];
    const every = numbers.length === report.rounds && report.rounds > 1;
    return `${where}, ${every ? "every round" : `round ${numbers.join(", ")}`}: ${reason}`;
  });
}
