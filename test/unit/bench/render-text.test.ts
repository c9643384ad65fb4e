// A report for the terminal and as Markdown.

import { describe, expect, it } from "vitest";
import { renderMarkdown } from "../../../src/bench/render-markdown.js";
import { renderTable } from "../../../src/bench/render-table.js";
import { sampleReport } from "./sample-report.js";
import { hostile, hostileReport, smallReport } from "./small-report.js";

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are looked for.
const control = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/;

/** The lines from the one that starts with `first` up to the next empty one. */
function paragraph(text: string, first: string): string {
  return text.slice(text.indexOf(`\n${first}`) + 1).split("\n\n")[0];
}

describe("renderTable", () => {
  const text = renderTable(smallReport);

  it("shows headline and ratio with spreads, the others with the ratio in brackets", () => {
    expect(paragraph(text, "TCP, 1 stream")).toBe(
      `TCP, 1 stream (iperf3, received by the other end)
                              Gb/s             ratio  retransmits/GiB
-------------  -------------------  ----------------  ---------------
kernel vxlan   12.00 (10.00-20.00)              1.00       12 (1.00x)
culvert vxlan    7.20 (5.00-11.00)  0.55 (0.50-0.60)        7 (0.55x)`,
    );
  });

  it("ends a setting with the ratios of all workloads", () => {
    expect(paragraph(text, "Ratio to kernel vxlan")).toBe(
      `Ratio to kernel vxlan
               TCP, 1
               stream
                 Gb/s
-------------  ------
kernel vxlan     1.00
culvert vxlan    0.55`,
    );
    expect(renderTable(sampleReport())).toContain("(lower is better: latency)");
  });

  it("names what is missing and what failed, and the environment", () => {
    expect(paragraph(text, "Not measured")).toBe("Not measured:\n  kernel ipip: no such device");
    expect(paragraph(text, "Failed")).toBe(
      "Failed:\n  culvert ipip, TCP, 1 stream, MTU 1500, offloads nic, every round: no answer",
    );
    expect(text).toContain("CPU      2 x AMD EPYC 9B14\n");
    expect(text).toContain("date     2026-11-01 12:00 UTC\n");
  });

  it("stays within 120 columns, every figure included", () => {
    const tables = renderTable(sampleReport()).split("\nNot measured")[0];
    expect(Math.max(...tables.split("\n").map((line) => line.length))).toBeLessThanOrEqual(120);
    for (const head of ["daemons", "overhead %", "p99.9 us", "idle CPU %"]) {
      expect(tables).toContain(head);
    }
  });

  it("counts rounds where some are missing", () => {
    const rows = renderTable(sampleReport()).split("\n");
    const counted = rows.filter((row) => /(all|4 of 5)$/.test(row));
    expect(counted).toHaveLength(7);
    expect(counted[6]).toMatch(/^Open vSwitch.* 4 of 5$/);
  });

  it("leaves variants out of workloads that they have nothing of", () => {
    const daemons = paragraph(renderTable(sampleReport()), "daemon (");
    expect(daemons).toContain("culvert vxlan");
    expect(daemons).not.toContain("kernel vxlan");
  });

  it("lets no control character through", () => {
    expect(renderTable(hostileReport(hostile))).not.toMatch(control);
  });

  it("shows a metric and a workload that it does not know, and what has no figures", () => {
    const [first, ...others] = smallReport.samples;
    const strange = { ...first, metric: "future_per_s", value: 4 };
    expect(renderTable({ ...smallReport, samples: [strange, ...others] })).toContain(
      "future_per_s",
    );
    const samples = smallReport.samples.map((sample) => ({ ...sample, workload: "future" }));
    const text = renderTable({ ...smallReport, workloads: ["future", "tcp-4"], samples });
    expect(text).toMatch(/^future$/m);
    expect(text).toContain("TCP, 4 streams (iperf3 -P 4, sum of the streams)\n  no figures\n");
  });

  it("calls a run between real hosts by that name", () => {
    expect(renderTable({ ...smallReport, settings: [{}] })).toContain("\nbetween two hosts\n=====");
  });
});

describe("renderMarkdown", () => {
  const text = renderMarkdown(smallReport);

  it("makes a table for each workload, with what is missing", () => {
    expect(text).toContain(`### TCP, 1 stream

iperf3, received by the other end.

|  | Gb/s | ratio | retransmits/GiB | ratio |
| --- | ---: | ---: | ---: | ---: |
| kernel vxlan | 12.00 (10.00-20.00) | 1.00 | 12 | 1.00 |
| kernel ipip | not measured |  |  |  |
| **culvert vxlan** | 7.20 (5.00-11.00) | 0.55 (0.50-0.60) | 7 | 0.55 |
| **culvert ipip** | not measured |  |  |  |
`);
    expect(text).toContain("## Not measured\n\n- kernel ipip: no such device\n");
    expect(text).toContain("| CPU | 2 x AMD EPYC 9B14 |");
  });

  it("gives every row of a table as many cells as its head", () => {
    for (const report of [sampleReport(), hostileReport(hostile), smallReport]) {
      const tables = renderMarkdown(report)
        .split("\n\n")
        .filter((part) => part.startsWith("|"));
      expect(tables.length).toBeGreaterThan(1);
      for (const table of tables) {
        const cells = table.split("\n").map((row) => row.match(/(?<!\\)\|/g)?.length);
        expect(new Set(cells).size).toBe(1);
      }
    }
  });

  it("takes markup as text", () => {
    const escaped = renderMarkdown(hostileReport(hostile));
    expect(escaped).not.toMatch(/(?<!\\)<|(?<!\\)`/);
    expect(escaped).not.toMatch(/^# z/m);
    expect(escaped).toContain("\\<script\\>");
    expect(escaped).not.toMatch(control);
  });
});
