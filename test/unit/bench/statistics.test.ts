// Medians, spreads and ratios within a round.

import { describe, expect, it } from "vitest";
import { Figures, ratiosByRound, summarize } from "../../../src/bench/statistics.js";
import { smallReport } from "./small-report.js";

const key = { setting: 0, variant: "culvert-vxlan", workload: "tcp-1" };

describe("statistics", () => {
  it("gives median, minimum and maximum of odd and even counts", () => {
    expect(summarize([5, 1, 9])).toEqual({ median: 5, min: 1, max: 9, n: 3 });
    expect(summarize([4, 1, 2, 9])).toEqual({ median: 3, min: 1, max: 9, n: 4 });
    expect(summarize([])).toBeUndefined();
  });

  it("takes ratios within a round and leaves out rounds that miss a side", () => {
    expect(ratiosByRound([4, undefined, 9, 8], [8, 2, undefined, 4])).toEqual([0.5, 2]);
    expect(ratiosByRound([4, 5], [0, 10])).toEqual([0.5]);
  });
});

describe("Figures", () => {
  it("sums up values and ratios by setting, variant, workload and metric", () => {
    const figure = new Figures(smallReport).get({ ...key, metric: "throughput_bits_per_s" });
    expect(figure?.value).toEqual({ median: 7.2e9, min: 5e9, max: 11e9, n: 3 });
    // Not the ratio of the medians, which would be 0.6.
    expect(figure?.ratio?.median).toBeCloseTo(0.55, 12);
    expect(figure?.ratio).toMatchObject({ min: 0.5, n: 3 });
  });

  it("keeps settings apart and takes the reference of the same setting", () => {
    const again = smallReport.samples.map((sample) => {
      const factor = sample.variant === "culvert-vxlan" ? 20 : 10;
      return { ...sample, setting: 1, value: sample.value * factor };
    });
    const samples = [...smallReport.samples, ...again];
    const figures = new Figures({ ...smallReport, samples });
    const second = figures.get({ ...key, setting: 1, metric: "throughput_bits_per_s" });
    expect(second?.value.median).toBe(144e9);
    expect(second?.ratio?.median).toBeCloseTo(1.1, 12);
    expect(figures.keys).toHaveLength(8);
  });

  it("has no ratio where the reference has no values", () => {
    const figures = new Figures({ ...smallReport, reference: "nobody" });
    expect(figures.get({ ...key, metric: "retransmits_per_gib" })?.ratio).toBeUndefined();
    expect(figures.get({ ...key, metric: "rtt_p50_us" })).toBeUndefined();
  });

  it("takes rounds in any order, and knows names apart that join to the same", () => {
    const [one] = smallReport.samples;
    const samples = [
      { ...one, variant: 'a","b', workload: "c", round: 2, value: 1 },
      { ...one, variant: "a", workload: 'b","c', round: 0, value: 2 },
      { ...one, variant: 'a","b', workload: "c", round: 0, value: 3 },
    ];
    const figures = new Figures({ samples, reference: "none" });
    expect(figures.keys).toHaveLength(2);
    expect(figures.get(samples[0])?.value).toEqual({ median: 2, min: 1, max: 3, n: 2 });
  });
});
