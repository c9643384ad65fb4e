// Reports as files: what is written comes back, and every kind of wrong file is refused with words.

import { describe, expect, it } from "vitest";
import { formatReport, parseReport } from "../../../src/bench/report-file.js";
import type { BenchReport, Sample } from "../../../src/bench/report-model.js";
import { CulvertError } from "../../../src/errors.js";
import { sampleReport } from "./sample-report.js";

const report = sampleReport({ rounds: 2, settings: [{ mtu_bytes: 1500, offloads: "default" }] });

function refusal(content: string): CulvertError {
  try {
    parseReport(content, "old.json");
  } catch (error) {
    if (error instanceof CulvertError) return error;
    throw error;
  }
  throw new Error("not refused");
}

/** The report as plain JSON with some keys replaced. */
function altered(changes: object): string {
  return JSON.stringify({ ...report, ...changes });
}

function withSample(changes: object): string {
  return altered({ samples: [report.samples[0], { ...report.samples[1], ...changes }] });
}

describe("formatReport", () => {
  it("writes what parseReport reads", () => {
    expect(parseReport(formatReport(report))).toEqual(report);
  });

  it("keeps settings without MTU and offloads, and empty lists", () => {
    const bare: BenchReport = { ...report, settings: [{}], samples: [], failures: [] };
    expect(parseReport(formatReport(bare))).toEqual(bare);
  });

  it("writes one line for each sample", () => {
    const lines = formatReport(report).split("\n");
    expect(lines.filter((line) => line.includes('"metric"'))).toHaveLength(report.samples.length);
  });
});

describe("parseReport", () => {
  it("leaves out keys that it does not know, and keeps metrics that it does not know", () => {
    const sample: Sample = { ...report.samples[0], metric: "future_per_s" };
    const later = { ...report, later: true, samples: [{ ...sample, later: 1 }] };
    expect(parseReport(JSON.stringify(later))).toEqual({ ...report, samples: [sample] });
  });

  it.each([
    ["", "is empty"],
    [" \n", "is empty"],
    ["{", "is not JSON"],
    ["\u001b[2J", "is not JSON"],
    [formatReport(report).slice(0, -40), "is not JSON"],
    ["null", "is not a report of culvert bench"],
    ["[]", "is not a report of culvert bench"],
    ['{"rounds":5}', "is not a report of culvert bench"],
    [altered({ format: "other" }), "is not a report of culvert bench"],
    [altered({ version: 2 }), "has version 2 of the report's form, this culvert reads version 1"],
    [altered({ version: "1" }), "has no known version"],
    [altered({ version: undefined }), "has no known version"],
  ])("refuses case %#", (content, words) => {
    const error = refusal(content);
    expect(error.message).toContain(`old.json ${words}`);
    expect(error.message).not.toContain("\u001b");
    expect(error).toMatchObject({ code: "CULVERT_BENCH_REPORT", exit: 2 });
    expect(error.hint).toBeDefined();
  });

  it.each([
    [altered({ samples: undefined }), "samples: "],
    [altered({ reference: 5 }), "reference: "],
    [altered({ rounds: 0 }), "rounds: "],
    [altered({ rounds: 1e9 }), "rounds: "],
    [altered({ seconds: -1 }), "seconds: "],
    [altered({ settings: [{ mtu_bytes: "1500" }] }), "settings[0].mtu_bytes: "],
    [altered({ environment: { ...report.environment, node: null } }), "environment.node: "],
    [withSample({ value: "5" }), "samples[1].value: "],
    [withSample({ value: null }), "samples[1].value: "],
    [withSample({ round: -1 }), "samples[1].round: "],
    [withSample({ setting: 7 }), "samples[1].setting: no setting 7"],
    [withSample({ round: 2 }), "samples[1].round: 2 of 2, from 0"],
    [withSample({ variant: "nobody" }), "samples[1].variant: not among the variants"],
    [withSample({ workload: "none" }), "samples[1].workload: not among the workloads"],
    [withSample(report.samples[0]), "samples[1]: a second value of the same round"],
    [altered({ failures: [{ ...report.failures[0], setting: 1 }] }), "failures[0].setting: "],
    [altered({ workloads: [...report.workloads, "tcp-1"] }), "workloads: one is there twice"],
    [altered({ variants: [...report.variants, report.variants[0]] }), "variants: a name is there"],
  ])("names what is wrong in case %#", (content, words) => {
    const error = refusal(content);
    expect(error.message).toContain(`old.json is not a whole report:\n  ${words}`);
    expect(error).toMatchObject({ code: "CULVERT_BENCH_REPORT", exit: 2 });
  });

  it("names five problems and counts the others", () => {
    const samples = report.samples.slice(0, 9).map((sample) => ({ ...sample, setting: 3 }));
    const { message } = refusal(altered({ samples }));
    expect(message.match(/no setting 3/g)).toHaveLength(5);
    expect(message).toContain("\n  and 4 more");
  });
});
