// The three forms of a report.

import { describe, expect, it } from "vitest";
import { compareReports } from "../../../src/bench/compare.js";
import { renderComparison } from "../../../src/bench/render-comparison.js";
import { renderHtml } from "../../../src/bench/render-html.js";
import { renderMarkdown } from "../../../src/bench/render-markdown.js";
import { renderTable } from "../../../src/bench/render-table.js";
import { sampleReport } from "./sample-report.js";

const report = sampleReport();

describe("renderers", () => {
  it.each([renderTable, renderMarkdown, renderHtml])("name every variant", (render) => {
    for (const { title } of report.variants) expect(render(report)).toContain(title);
  });

  it("find nothing moved in a report against itself", () => {
    expect(renderComparison(compareReports(report, report))).toContain(" 0 better, 0 worse");
  });
});
