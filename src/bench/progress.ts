// What the benchmark says while it runs: what will be measured and about how long it takes, then a
// line for every variant and round. Text only; somebody else prints it.

import { metricInfo, workloadInfo } from "./metrics.js";
import { unitText, valueText } from "./report-view.js";
import { DAEMON_WORKLOAD, type Turn } from "./rounds.js";

/** Starting the two halves, and iperf3's exchange of results: seen on an idle machine. */
const workloadOverhead_s = 0.3;
/** Bringing a variant up, the first ping, taking it down; most of it is for daemons. */
const turnOverhead_s = 0.5;

export interface Extent {
  readonly settings: number;
  readonly variants: number;
  readonly rounds: number;
  readonly workloads: readonly string[];
  readonly seconds: number;
}

export function countTurns({ settings, variants, rounds }: Extent): number {
  return settings * variants * rounds;
}

/** About how long measuring takes. */
export function estimate_s(extent: Extent): number {
  // The daemons are watched for a second at rest, then while the other workloads run.
  const transfers = extent.workloads.filter((id) => id !== DAEMON_WORKLOAD).length;
  const rest_s = transfers < extent.workloads.length ? 1 : 0;
  const turn_s = turnOverhead_s + rest_s + transfers * (extent.seconds + workloadOverhead_s);
  return countTurns(extent) * turn_s;
}

/** `0:07`, `12:05`, `1:02:05`. */
export function clockTime(duration_s: number): string {
  const all_s = Math.round(duration_s);
  const parts = [Math.floor(all_s / 60) % 60, all_s % 60];
  if (all_s >= 3600) parts.unshift(Math.floor(all_s / 3600));
  return parts.map((part, i) => (i === 0 ? String(part) : String(part).padStart(2, "0"))).join(":");
}

/** `9 s`, `5 minutes`, `1 h 10 min`: for an estimate, so rounded. */
export function roughTime(duration_s: number): string {
  if (duration_s < 90) return `${Math.max(1, Math.round(duration_s))} s`;
  const minutes = Math.round(duration_s / 60);
  if (minutes < 90) return `${minutes} minutes`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** What will be measured, before it begins; lines without their ends. */
export function describeExtent(extent: Extent): string[] {
  const plural = (count: number, word: string) => `${count} ${word}${count === 1 ? "" : "s"}`;
  const titles = extent.workloads.map((id) => workloadInfo(id)?.title ?? id);
  const counts = [
    plural(extent.variants, "variant"),
    plural(extent.workloads.length, "workload"),
    plural(extent.rounds, "round"),
    `transfers of ${extent.seconds} s`,
    ...(extent.settings > 1 ? [plural(extent.settings, "setting")] : []),
  ];
  return [
    `workloads: ${titles.join("; ")}`,
    `${counts.join(", ")}: about ${roughTime(estimate_s(extent))}; Ctrl-C ends it and removes everything`,
  ];
}

/** Lines of progress, with the time passed and the time left at the pace so far. */
export class Progress {
  readonly #extent: Extent;
  readonly #now_ms: () => number;
  readonly #started_ms: number;
  #turns = 0;

  constructor(extent: Extent, now_ms: () => number = () => performance.now()) {
    this.#extent = extent;
    this.#now_ms = now_ms;
    this.#started_ms = now_ms();
  }

  /** `[1:32] round 2/5 kernel vxlan: tcp-1 13.31 Gb/s, latency p50 35.2 us; 4:10 left`. */
  line({ round, variant, samples, failures }: Turn): string {
    this.#turns++;
    const passed_s = (this.#now_ms() - this.#started_ms) / 1000;
    const toCome = countTurns(this.#extent) - this.#turns;
    const left = toCome === 0 ? "" : `; ${clockTime((passed_s / this.#turns) * toCome)} left`;
    const values = this.#extent.workloads.flatMap((id) => {
      const metric = metricInfo(workloadInfo(id)?.metrics[0] ?? "");
      const found = samples.find((one) => one.workload === id && one.metric === metric?.id);
      if (metric === undefined || found === undefined) return [];
      // `p50 us`: the unit goes behind the value, a name before it.
      const unit = unitText(metric);
      const name = metric.title.slice(0, -unit.length);
      return `${id} ${name}${valueText(metric, found.value)} ${unit}`;
    });
    const head = `[${clockTime(passed_s)}] round ${round + 1}/${this.#extent.rounds} ${variant.title}`;
    const failed = failures.map(({ workload, reason }) => `\n  ${workload} FAILED: ${reason}`);
    return `${head}: ${values.join(", ") || "nothing measured"}${left}${failed.join("")}`;
  }
}
