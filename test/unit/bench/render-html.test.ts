// The page: well-formed, self-contained, complete, and no name in it can be more than text.

import { describe, expect, it } from "vitest";
import { renderHtml } from "../../../src/bench/render-html.js";
import type { BenchReport } from "../../../src/bench/report-model.js";
import { escapeXml, ticks } from "../../../src/bench/svg-chart.js";
import { sampleReport } from "./sample-report.js";
import { hostile, hostileReport, smallReport } from "./small-report.js";
import { elements, parseXml, textOf, type XmlElement } from "./xml.js";

const page = parseXml(renderHtml(sampleReport()));
const small = parseXml(renderHtml(smallReport));

function ofClass(root: XmlElement, element: string, name: string): XmlElement[] {
  return elements(root, element).filter((one) =>
    one.attributes.get("class")?.split(" ").includes(name),
  );
}

function percent(element: XmlElement, attribute: string): number {
  return Number.parseFloat(element.attributes.get(attribute)!);
}

function everyElement(root: XmlElement): XmlElement[] {
  return [
    root,
    ...root.children.flatMap((child) => (typeof child === "string" ? [] : everyElement(child))),
  ];
}

describe("the reader of XML", () => {
  it.each([
    "<a>",
    "<a></b>",
    "<a/><b/>",
    "<a>&nbsp;</a>",
    "<a>&</a>",
    "<a>1 < 2</a>",
    "<a>1 > 2</a>",
    '<a b="1" b="2"/>',
    "<a b=1/>",
    "<a>\u001b</a>",
    "<a><!-- --></a>",
  ])("refuses %j", (text) => expect(() => parseXml(text)).toThrow());

  it("reads elements, attributes and text", () => {
    const root = parseXml('<!DOCTYPE html><a b="&quot;1&gt;"><c/>x &amp; <d>y</d></a>');
    expect(root.attributes.get("b")).toBe('"1>');
    expect(textOf(root)).toBe("x & y");
    expect(elements(root, "d")).toHaveLength(1);
  });
});

describe("renderHtml", () => {
  it("loads nothing and runs nothing", () => {
    const names = new Set(everyElement(page).map(({ name }) => name));
    for (const name of ["script", "link", "img", "iframe", "object"]) {
      expect(names).not.toContain(name);
    }
    for (const { attributes } of everyElement(page)) {
      for (const [name, value] of attributes) {
        expect(name).not.toMatch(/^on|^src$|^style$/);
        if (name === "href") expect(value).toMatch(/^#s\d+$/);
      }
    }
    expect(textOf(elements(page, "style")[0])).not.toMatch(/url\(|@import/);
  });

  it("uses every id once, and points to ids that are there", () => {
    const all = everyElement(page);
    const ids = all.flatMap(({ attributes }) => attributes.get("id") ?? []);
    expect(new Set(ids).size).toBe(ids.length);
    const targets = all.flatMap(({ attributes }) => [
      ...(attributes.get("aria-labelledby")?.split(" ") ?? []),
      ...(attributes.get("href")?.slice(1).split(" ") ?? []),
    ]);
    expect(targets.length).toBeGreaterThan(50);
    expect(targets.filter((target) => !ids.includes(target))).toEqual([]);
  });

  it("draws a chart and a table of all figures for each setting and workload", () => {
    const { settings, workloads } = sampleReport();
    const charts = ofClass(page, "svg", "chart");
    expect(charts).toHaveLength(settings.length * workloads.length);
    expect(elements(page, "details")).toHaveLength(charts.length);
    for (const chart of charts) {
      expect(chart.attributes.get("role")).toBe("img");
      expect(elements(chart, "desc")).toHaveLength(1);
    }
  });

  it("draws medians, ranges and the reference to one scale", () => {
    const [chart] = ofClass(small, "svg", "chart");
    const [reference, culvert] = ofClass(chart, "rect", "bar").map((bar) => percent(bar, "width"));
    expect(culvert / reference).toBeCloseTo(7.2 / 12, 3);
    const [line] = ofClass(chart, "line", "reference-line");
    expect(percent(line, "x1")).toBe(reference);
    const [range] = ofClass(chart, "line", "error");
    expect(percent(range, "x1") / reference).toBeCloseTo(10 / 12, 3);
    expect(percent(range, "x2") / reference).toBeCloseTo(20 / 12, 3);
    expect(percent(range, "x2")).toBeLessThan(100);
    expect(ofClass(chart, "text", "tick").map(textOf)).toEqual(["0", "5", "10", "15", "20"]);
  });

  it("labels bars with value and ratio, and says the row in words", () => {
    const [chart] = ofClass(small, "svg", "chart");
    expect(ofClass(chart, "text", "value").map(textOf)).toEqual(["12.00 Gb/s", "7.20 Gb/s"]);
    expect(ofClass(chart, "text", "ratio").map(textOf)).toEqual(["1.00×", "0.55×"]);
    expect(textOf(elements(chart, "desc")[0])).toContain(
      "culvert vxlan: 7.20 (5.00–11.00) Gb/s, 0.55 (0.50–0.60) times kernel vxlan",
    );
  });

  it("labels latency by its unit, without the percentile", () => {
    const labels = ofClass(page, "text", "value").map(textOf);
    expect(labels.filter((label) => / us$/.test(label)).length).toBeGreaterThan(6);
    expect(labels.join()).not.toContain("p50");
  });

  it("leaves a row for what is missing or failed, with the reason", () => {
    const [chart] = ofClass(small, "svg", "chart");
    expect(ofClass(chart, "rect", "empty")).toHaveLength(2);
    expect(ofClass(chart, "text", "reason").map(textOf)).toEqual(["no such device", "no answer"]);
    expect(textOf(small)).toContain("kernel ipip: no such device");
    expect(textOf(small)).toContain("culvert ipip, TCP, 1 stream, MTU 1500, offloads nic, every");
  });

  it("says when a figure has fewer rounds than the others", () => {
    expect(textOf(page)).toContain("4 of 5 rounds");
    expect(textOf(small)).not.toMatch(/\d of 3 rounds/);
  });

  it("takes any text as text", () => {
    const root = parseXml(renderHtml(hostileReport(hostile)));
    expect(elements(root, "script")).toEqual([]);
    expect(textOf(root)).toContain("</title><script>alert(1)</script>&amp;\"'|*_`[x](y) [2J # z");
  });

  it("escapes for attributes as for text", () => {
    expect(escapeXml(`<a b="c" d='e'>&amp;`)).toBe(
      "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;amp;",
    );
  });

  it.each([
    [0, [0]],
    [1, [0, 0.2, 0.4, 0.6, 0.8, 1]],
    [19.7, [0, 5, 10, 15]],
    [24, [0, 5, 10, 15, 20]],
    [3e9, [0, 1e9, 2e9, 3e9]],
  ])("sets round marks on an axis up to %d", (largest, marks) => {
    const found = ticks(largest);
    expect(found).toHaveLength(marks.length);
    for (const [index, mark] of marks.entries()) expect(found[index]).toBeCloseTo(mark, 9);
  });

  it("clips long names in charts but not in tables", () => {
    const title = "x".repeat(500);
    const long: BenchReport = {
      ...smallReport,
      variants: smallReport.variants.map((variant) => ({ ...variant, title })),
    };
    const root = parseXml(renderHtml(long));
    const names = ofClass(root, "text", "name").map(textOf);
    expect(Math.max(...names.map((name) => name.length))).toBeLessThan(40);
    expect(elements(root, "th").map(textOf)).toContain(title);
  });

  it("stands reports without samples, without reference, and of zeros", () => {
    const without = sampleReport({ rounds: 1, settings: [{}] });
    const bare = { ...without, samples: [], failures: [] };
    expect(textOf(parseXml(renderHtml(bare)))).toContain("No figures.");
    const alone = { ...without, reference: "nobody" };
    expect(ofClass(parseXml(renderHtml(alone)), "line", "reference-line")).toEqual([]);
    const samples = without.samples.map((sample) => ({ ...sample, value: 0 }));
    expect(renderHtml({ ...without, samples })).not.toContain("NaN");
  });
});
