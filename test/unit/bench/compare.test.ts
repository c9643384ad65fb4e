// What counts as moved: the rule at its edges, how often noise alone passes it, and what is said
// about what cannot be compared.

import { describe, expect, it } from "vitest";
import { type Change, type Comparison, compareReports } from "../../../src/bench/compare.js";
import { renderComparison } from "../../../src/bench/render-comparison.js";
import type { BenchReport, Sample } from "../../../src/bench/report-model.js";
import { type SampleOptions, sampleReport, seededNormal } from "./sample-report.js";
import { hostile, hostileReport } from "./small-report.js";

const settings = [{ mtu_bytes: 1500, offloads: "default" }];
const throughput = "throughput_bits_per_s";

function report(options: SampleOptions = {}): BenchReport {
  return sampleReport({ settings, ...options });
}

/** A report with one metric of one workload only, by variant and round. */
function reportOf(
  values: Record<string, readonly number[]>,
  metric = throughput,
  workload = "tcp-1",
): BenchReport {
  const samples = Object.entries(values).flatMap(([variant, rounds]) =>
    rounds.map((value, round): Sample => ({ setting: 0, variant, round, workload, metric, value })),
  );
  return { ...report({ rounds: 1 }), rounds: 10, samples, failures: [] };
}

function changeOf(comparison: Comparison, variant = "culvert-vxlan"): Change {
  const found = comparison.changes.find((change) => change.variant === variant);
  if (found === undefined) throw new Error(`no change of ${variant}`);
  return found;
}

/** The verdict on one variant without a reference. */
function verdict(old: readonly number[], now: readonly number[], metric = throughput): string {
  const [before, after] = [old, now].map((values) => reportOf({ "culvert-vxlan": values }, metric));
  return changeOf(compareReports(before, after)).verdict;
}

function moved({ changes }: Comparison): Change[] {
  return changes.filter(({ verdict }) => verdict === "better" || verdict === "worse");
}

describe("the rule", () => {
  it("asks for ranges that stay apart when each is widened by its length / (n - 1)", () => {
    // Lengths 2e9, widened by 1e9 at each end: they touch when 2e9 lie between them.
    const old = [10e9, 11e9, 12e9];
    expect(verdict(old, [14.01e9, 15e9, 16e9])).toBe("better");
    expect(verdict(old, [14e9, 15e9, 16e9])).toBe("same");
    expect(verdict([14.01e9, 15e9, 16e9], old)).toBe("worse");
    // With five rounds the same lengths are widened by half as much.
    const five = [10e9, 10.5e9, 11e9, 11.5e9, 12e9];
    expect(verdict(five, [13.01e9, 13.5e9, 14e9, 14.5e9, 15e9])).toBe("better");
    expect(verdict(five, [13e9, 13.5e9, 14e9, 14.5e9, 15e9])).toBe("same");
  });

  it("asks for medians more than 3 % apart", () => {
    expect(verdict([10e9, 10e9, 10e9], [10.3e9, 10.3e9, 10.3e9])).toBe("same");
    expect(verdict([10e9, 10e9, 10e9], [10.31e9, 10.31e9, 10.31e9])).toBe("better");
    expect(verdict([10e9, 10e9, 10e9], [9.69e9, 9.69e9, 9.69e9])).toBe("worse");
  });

  it("turns better and worse around for what should be low", () => {
    expect(verdict([50, 51, 52], [90, 91, 92], "rtt_p50_us")).toBe("worse");
    expect(verdict([90, 91, 92], [50, 51, 52], "rtt_p50_us")).toBe("better");
  });

  it("says nothing with fewer than three rounds on a side", () => {
    expect(verdict([1e9, 1e9], [9e9, 9e9, 9e9])).toBe("undecided");
    expect(verdict([1e9, 1e9, 1e9], [9e9, 9e9])).toBe("undecided");
  });

  it("takes a difference that no table shows for none, from zero as well", () => {
    // 0.001 % of loss, which is shown with two digits.
    expect(verdict([0, 0, 0], [1e-5, 1e-5, 1e-5], "loss_ratio")).toBe("same");
    expect(verdict([0, 0, 0], [0.02, 0.02, 0.02], "loss_ratio")).toBe("worse");
    expect(verdict([0, 0, 0], [0, 0, 0], "loss_ratio")).toBe("same");
  });
});

describe("noise alone", () => {
  /** Of all comparisons of two reports of the same distribution, how many are called moved. */
  function falseRate(rounds: number, noise: number, pairs: number): number {
    let compared = 0;
    let flagged = 0;
    for (let pair = 0; pair < pairs; pair++) {
      const old = report({ rounds, noise, seed: 2 * pair + 1 });
      const now = report({ rounds, noise, seed: 2 * pair + 2 });
      const comparison = compareReports(old, now);
      compared += comparison.changes.length;
      flagged += moved(comparison).length;
    }
    expect(compared).toBeGreaterThan(300 * pairs);
    return flagged / compared;
  }

  it.each([
    [3, 0.03, 0.02],
    [3, 0.15, 0.02],
    [4, 0.15, 0.005],
    [5, 0.03, 0.002],
    [5, 0.15, 0.002],
  ])("is rarely called a change: %i rounds, deviation %d", (rounds, noise, limit) => {
    expect(falseRate(rounds, noise, 24)).toBeLessThan(limit);
  });

  it("is noise on a slower machine too: ratios are compared, not values", () => {
    const old = report({ noise: 0.03 });
    const now = report({ noise: 0.03, seed: 2 });
    const slower = now.samples.map((sample) => ({ ...sample, value: sample.value / 2 }));
    const flagged = moved(compareReports(old, { ...now, samples: slower }));
    expect(flagged.length).toBeGreaterThan(0);
    expect(flagged.filter(({ basis }) => basis === "ratio")).toEqual([]);
    expect(
      changeOf({ ...compareReports(old, now), changes: flagged }, "kernel-vxlan"),
    ).toMatchObject({ basis: "value", verdict: "worse" });
  });

  it("does not hide a change of five deviations", () => {
    const change: SampleOptions["change"] = ({ variant, metric }) =>
      variant === "culvert-vxlan" && metric === throughput ? 1.25 : 1;
    const now = report({ noise: 0.03, seed: 2, change });
    const wanted = compareReports(report({ noise: 0.03 }), now).changes.filter(
      ({ variant, metric }) => variant === "culvert-vxlan" && metric.id === throughput,
    );
    expect(wanted).toHaveLength(6);
    expect(wanted.filter(({ verdict }) => verdict === "better").length).toBeGreaterThanOrEqual(5);
  });
});

describe("what is compared", () => {
  const steady = { "kernel-vxlan": [10e9, 20e9, 40e9], "culvert-vxlan": [5e9, 10e9, 20e9] };

  it("takes ratios in the same round, whatever the machine does between rounds", () => {
    const normal = seededNormal(7);
    const drift = [1, 3, 0.5].map((factor) => factor * (1 + 0.001 * normal()));
    const now = {
      "kernel-vxlan": drift.map((factor) => factor * 1e9),
      "culvert-vxlan": drift.map((factor) => factor * 0.6e9),
    };
    const change = changeOf(compareReports(reportOf(steady), reportOf(now)));
    expect(change).toMatchObject({ basis: "ratio", verdict: "better" });
    expect(change.change).toBeCloseTo(0.2, 9);
  });

  it("takes values where the reference differs, is absent, or is zero in a round", () => {
    const before = reportOf({ ...steady, plain: [20e9, 30e9, 60e9] });
    const other = { ...before, reference: "plain" };
    expect(changeOf(compareReports(before, other)).basis).toBe("value");
    expect(changeOf(compareReports(other, other)).basis).toBe("ratio");
    const alone = reportOf({ "culvert-vxlan": [5e9, 10e9, 20e9] });
    expect(changeOf(compareReports(before, alone)).basis).toBe("value");
    const zero = reportOf({ ...steady, "kernel-vxlan": [10e9, 0, 40e9] });
    expect(changeOf(compareReports(zero, zero)).basis).toBe("value");
    expect(changeOf(compareReports(before, before)).basis).toBe("ratio");
    expect(changeOf(compareReports(before, before), "kernel-vxlan").basis).toBe("value");
  });

  it("finds a setting by what it is, not by its place", () => {
    const two = [{ mtu_bytes: 9000, offloads: "default" }, ...settings];
    const old = sampleReport({ settings: two, rounds: 3, noise: 0, change: byMtu(two) });
    const now = sampleReport({ settings, rounds: 3, noise: 0, change: byMtu(settings) });
    const comparison = compareReports(old, now);
    expect(comparison.changes.length).toBeGreaterThan(300);
    expect(moved(comparison)).toEqual([]);
    expect(comparison.onlyOld).toEqual([
      "MTU 9000, offloads default",
      // Fails in the first setting of a sample report, whichever that is.
      "Open vSwitch, netdev datapath, short TCP connections, MTU 1500, offloads default",
    ]);
  });

  function byMtu(list: readonly { readonly mtu_bytes: number }[]) {
    return ({ setting }: { readonly setting: number }) => list[setting].mtu_bytes;
  }

  it("says what only one of them has, the largest thing first, and why it is missing", () => {
    const now = report();
    const old: BenchReport = {
      ...now,
      variants: now.variants.map((variant) =>
        variant.name === "ovs-netdev" ? { ...variant, missing: "not installed" } : variant,
      ),
      samples: now.samples.filter(
        ({ variant, workload, metric }) =>
          variant !== "ovs-netdev" &&
          workload !== "latency" &&
          metric !== "sent_per_s" &&
          (variant !== "macvlan" || workload !== "tcp-4"),
      ),
    };
    expect(compareReports(old, now).onlyOld).toEqual([]);
    expect(compareReports(old, now).onlyNow).toEqual([
      "sent kpps",
      "latency",
      "macvlan, TCP, 4 streams, MTU 1500, offloads default",
      "Open vSwitch, netdev datapath (missing in the other: not installed)",
    ]);
    expect(compareReports(now, old).onlyOld).toEqual(compareReports(old, now).onlyNow);
  });

  it("does not judge metrics that it does not know", () => {
    const values = { "culvert-vxlan": [1, 1, 1] };
    const strange = reportOf(values, "future_per_s");
    expect(compareReports(strange, strange)).toMatchObject({
      changes: [],
      unknownMetrics: ["future_per_s"],
    });
  });
});

describe("renderComparison", () => {
  const change: SampleOptions["change"] = ({ variant, workload, metric }) =>
    variant === "culvert-vxlan" && workload === "tcp-1" && metric === throughput ? 1.5 : 1;
  const old = report({ noise: 0 });
  const now = report({ noise: 0, change });

  it("shows what moved, old and new, and counts the rest", () => {
    const text = renderComparison(compareReports(old, now));
    expect(text).toMatch(
      /culvert vxlan +TCP, 1 stream +Gb\/s +0\.58x +0\.87x +\+50\.0 % +better\n/,
    );
    expect(text).toContain(" compared: 1 better, 0 worse, ");
    expect(text).not.toContain("Not measured alike");
    expect(text).not.toContain("too few rounds");
  });

  it("shows where machine and run differ", () => {
    const changed = { kernel: "6.19.1", node: "v22.1.0", latencyTool: "sockperf" };
    const environment = { ...now.environment, ...changed };
    const text = renderComparison(compareReports(old, { ...now, environment, seconds: 10 }));
    expect(text).toContain("  kernel                    6.18.5 -> 6.19.1\n");
    expect(text).toContain("  Node.js                   v20.20.2 -> v22.1.0\n");
    expect(text).toMatch(/ {2}latency measured by +\S+ -> sockperf\n/);
    expect(text).toContain("  seconds of each transfer  3 -> 10\n");
    expect(text).not.toContain("  CPU ");
  });

  it("says when rounds were too few, and what was from zero", () => {
    const few = renderComparison(compareReports(report({ rounds: 2 }), report({ rounds: 2 })));
    expect(few).toMatch(/0 within the noise, \d{3} with too few rounds to tell/);
    const zero = reportOf({ "culvert-vxlan": [0, 0, 0] }, "loss_ratio", "udp-64");
    const lossy = reportOf({ "culvert-vxlan": [0.1, 0.1, 0.1] }, "loss_ratio", "udp-64");
    expect(renderComparison(compareReports(zero, lossy))).toMatch(/0\.00 +10\.00 +from 0 +worse/);
  });

  it("lets no control character through", () => {
    const other = hostileReport(hostile);
    const onlyOld = renderComparison(compareReports(other, old));
    expect(onlyOld).toContain("Only in old:\n");
    const unknown = renderComparison(compareReports(other, other));
    expect(unknown).toContain("does not know the metric:\n");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are looked for.
    expect(onlyOld + unknown).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
  });
});
