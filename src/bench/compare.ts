// What moved between two benchmark reports, beyond the noise. Ratios to the reference are compared
// where there are any, because machines differ and so does one machine from day to day; the
// reference itself, and what it has no value of, is compared by value.
//
// A figure moved when both of these hold:
// - Its two ranges (smallest to largest of n rounds), each made wider at both ends by its length /
//   (n - 1), do not touch: as far beyond the extremes of n values the next ones may well lie. For
//   evenly distributed values the widened ends are the unbiased estimate of the true ones.
// - The medians differ by more than 3 %, and by what a table shows at all.
// With fewer than 3 rounds on a side nothing is said. For two reports from one distribution, the
// first condition alone holds by chance in 1 to 2 % of comparisons with 3 rounds, in up to 0.5 %
// with 4 and 0.1 % with 5 (100,000 pairs each: normal, uniform, exponential, log-normal, Student's
// t with 3 degrees). Ranges that merely do not overlap would be 10, 3 and 0.8 %. It knows only the
// noise within a run: what changes from run to run (memory layout, load of the host) can move a
// figure as well.

import { type MetricInfo, metricInfo } from "./metrics.js";
import type { BenchReport, Setting } from "./report-model.js";
import { settingTitle, variantTitle, workloadTitle } from "./report-view.js";
import { type Figure, type FigureKey, Figures, type Summary } from "./statistics.js";

/** Medians closer than this, relative to the earlier one, are the same. */
const least_ratio = 0.03;
const fewestRounds = 3;

export type Verdict = "better" | "worse" | "same" | "undecided";

/** One figure that both reports have. */
export interface Change {
  readonly setting: Setting;
  readonly variant: string;
  readonly variantTitle: string;
  readonly workload: string;
  readonly metric: MetricInfo;
  /** What was compared: ratios to the reference, or values in the metric's unit. */
  readonly basis: "ratio" | "value";
  readonly old: Summary;
  readonly now: Summary;
  /** Of the medians, relative to the earlier one; undefined where that is zero. */
  readonly change: number | undefined;
  readonly verdict: Verdict;
}

/** A property of the machine or the run that is not the same. */
export interface Difference {
  readonly name: string;
  readonly old: string;
  readonly now: string;
}

export interface Comparison {
  readonly old: BenchReport["environment"];
  readonly now: BenchReport["environment"];
  /** Kernel, CPU, Node.js and how it was measured. */
  readonly differences: readonly Difference[];
  /** In the order of the later report. */
  readonly changes: readonly Change[];
  /** What only one of them has: settings, variants, workloads, metrics, in words. */
  readonly onlyOld: readonly string[];
  readonly onlyNow: readonly string[];
  /** Metrics that this culvert has no entry for, so that better and worse have no meaning. */
  readonly unknownMetrics: readonly string[];
}

export function compareReports(old: BenchReport, now: BenchReport): Comparison {
  const before = new Figures(old);
  const after = new Figures(now);
  const changes: Change[] = [];
  const unknown = new Set<string>();
  for (const key of after.keys) {
    const earlier = settingIn(old, now.settings[key.setting]);
    const oldFigure = before.get({ ...key, setting: earlier });
    if (oldFigure === undefined) continue;
    const metric = metricInfo(key.metric);
    if (metric === undefined) unknown.add(key.metric);
    else {
      const byRatio = old.reference === now.reference && key.variant !== now.reference;
      const figures = { old: oldFigure, now: after.get(key)! };
      changes.push({
        setting: now.settings[key.setting],
        variant: key.variant,
        variantTitle: variantTitle(now, key.variant),
        workload: key.workload,
        metric,
        ...judge(figures, metric, byRatio),
      });
    }
  }
  return {
    old: old.environment,
    now: now.environment,
    differences: differencesOf(old, now),
    changes,
    onlyOld: onlyIn({ report: old, figures: before }, { report: now, figures: after }),
    onlyNow: onlyIn({ report: now, figures: after }, { report: old, figures: before }),
    unknownMetrics: [...unknown],
  };
}

/** Index of a setting in a report, -1 where it is not among its settings. */
function settingIn({ settings }: BenchReport, setting: Setting): number {
  return settings.findIndex(
    (one) => one.mtu_bytes === setting.mtu_bytes && one.offloads === setting.offloads,
  );
}

type Judgement = Pick<Change, "basis" | "old" | "now" | "change" | "verdict">;

function judge(
  figures: { readonly old: Figure; readonly now: Figure },
  metric: MetricInfo,
  byRatio: boolean,
): Judgement {
  const ratios =
    byRatio && hasAllRatios(figures.old) && hasAllRatios(figures.now)
      ? { old: figures.old.ratio, now: figures.now.ratio }
      : undefined;
  const old = ratios?.old ?? figures.old.value;
  const now = ratios?.now ?? figures.now.value;
  const shown = ratios === undefined ? metric.scale * 10 ** -metric.digits : 0;
  const difference = now.median - old.median;
  return {
    basis: ratios === undefined ? "value" : "ratio",
    old,
    now,
    change: old.median === 0 ? undefined : difference / Math.abs(old.median),
    verdict: verdictOf(old, now, shown, metric.better),
  };
}

/** Rounds in which the reference was zero have no ratio: those left would not be a fair choice. */
function hasAllRatios(figure: Figure): figure is Figure & { readonly ratio: Summary } {
  return figure.ratio?.n === figure.value.n;
}

function verdictOf(
  old: Summary,
  now: Summary,
  shown: number,
  better: MetricInfo["better"],
): Verdict {
  if (old.n < fewestRounds || now.n < fewestRounds) return "undecided";
  const difference = now.median - old.median;
  const small = Math.max(least_ratio * Math.abs(old.median), shown);
  const before = widened(old);
  const after = widened(now);
  const apart = before.max < after.min || after.max < before.min;
  if (!apart || Math.abs(difference) <= small) return "same";
  return difference > 0 === (better === "higher") ? "better" : "worse";
}

function widened({ min, max, n }: Summary): { min: number; max: number } {
  const margin = (max - min) / (n - 1);
  return { min: min - margin, max: max + margin };
}

function differencesOf(old: BenchReport, now: BenchReport): Difference[] {
  const properties = ({ environment, reference, rounds, seconds }: BenchReport) => ({
    kernel: environment.kernel,
    CPU: `${environment.cpuCount} x ${environment.cpu}`,
    "Node.js": environment.node,
    iperf3: environment.iperf3 ?? "unknown",
    "latency measured by": environment.latencyTool,
    reference,
    rounds: String(rounds),
    "seconds of each transfer": String(seconds),
  });
  const after = Object.entries(properties(now));
  return Object.entries(properties(old))
    .map(([name, value], index) => ({ name, old: value, now: after[index][1] }))
    .filter((one) => one.old !== one.now);
}

interface Side {
  readonly report: BenchReport;
  readonly figures: Figures;
}

/** The largest things that one side has and the other has not, each once. */
function onlyIn(one: Side, other: Side): string[] {
  const theirs = {
    variants: new Set(other.figures.keys.map(({ variant }) => variant)),
    workloads: new Set(other.figures.keys.map(({ workload }) => workload)),
    metrics: new Set(other.figures.keys.map(({ metric }) => metric)),
  };
  const words = one.figures.keys.flatMap((key: FigureKey): string[] => {
    const setting = one.report.settings[key.setting];
    const index = settingIn(other.report, setting);
    if (other.figures.get({ ...key, setting: index }) !== undefined) return [];
    if (index === -1) return [settingTitle(setting)];
    if (!theirs.variants.has(key.variant)) {
      const reason = other.report.variants.find(({ name }) => name === key.variant)?.missing;
      const why = reason === undefined ? "" : ` (missing in the other: ${reason})`;
      return [variantTitle(one.report, key.variant) + why];
    }
    if (!theirs.workloads.has(key.workload)) return [workloadTitle(key.workload)];
    if (!theirs.metrics.has(key.metric)) return [metricInfo(key.metric)?.title ?? key.metric];
    const where = [variantTitle(one.report, key.variant), workloadTitle(key.workload)];
    return [`${where.join(", ")}, ${settingTitle(setting)}`];
  });
  return [...new Set(words)];
}
