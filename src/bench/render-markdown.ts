// A benchmark report as GitHub-flavoured Markdown, for issues and documents.

import type { MetricInfo } from "./metrics.js";
import type { BenchReport } from "./report-model.js";
import {
  type Glance,
  glanceTitle,
  type RowView,
  ratioSpreadText,
  ratioText,
  spreadText,
  valueText,
  viewOf,
  type WorkloadView,
} from "./report-view.js";

/** The whole report; ends in a newline. */
export function renderMarkdown(report: BenchReport): string {
  const view = viewOf(report);
  const parts = [
    "# culvert bench",
    table(
      ["", ""],
      view.environment.map(([name, value]) => [escaped(name), escaped(value)]),
      ["---", "---"],
    ),
    view.method.map(escaped).join("\n"),
  ];
  for (const { title, about, workloads, glance } of view.settings) {
    parts.push(`## ${escaped(title)}`);
    if (about !== "") parts.push(`${escaped(about)}.`);
    parts.push(...glanceParts(glance, view.reference));
    for (const workload of workloads) parts.push(...workloadParts(workload));
  }
  const missing = view.missing.map(({ title, reason }) => `${title}: ${reason}`);
  if (missing.length > 0) parts.push("## Not measured", list(missing));
  if (view.failures.length > 0) parts.push("## Failed", list(view.failures));
  return `${parts.join("\n\n")}\n`;
}

function glanceParts(glance: Glance, reference: string): string[] {
  if (glance.columns.length === 0) return [];
  const head = ["", ...glance.columns.map(({ title, metric }) => `${title}, ${metric.title}`)];
  const rows = glance.rows.map(({ title, kind, reason, ratios }) => [
    named(title, kind),
    ...ratios.map((ratio, index) => {
      if (reason !== undefined) return index === 0 ? "not measured" : "";
      return ratio === undefined ? "" : ratioText(ratio.median);
    }),
  ]);
  const rule = ["---", ...glance.columns.map(() => "---:")];
  return [`${escaped(glanceTitle(glance, reference))}:`, table(head.map(escaped), rows, rule)];
}

/** Those that the reader looks for stand out. */
function named(title: string, kind: RowView["kind"]): string {
  return kind === "culvert" ? `**${escaped(title)}**` : escaped(title);
}

function workloadParts({ title, about, metrics, rows }: WorkloadView): string[] {
  const heading = `### ${escaped(title)}`;
  const parts = about === "" ? [heading] : [heading, `${escaped(about)}.`];
  if (metrics.length === 0) return [...parts, "No figures."];
  const incomplete = rows.some(({ rounds }) => rounds !== undefined);
  const withRatio = metrics.map((_, index) =>
    rows.some((row) => row.figures[index]?.ratio !== undefined),
  );
  const head = [
    "",
    ...metrics.flatMap(({ title: name }, index) =>
      withRatio[index] ? [escaped(name), "ratio"] : [escaped(name)],
    ),
    ...(incomplete ? ["rounds"] : []),
  ];
  const body = rows.map((row) => [
    named(row.title, row.kind),
    ...(row.reason === undefined
      ? metrics.flatMap((metric, index) => figureCells(row, metric, index, withRatio[index]))
      : [
          "not measured",
          ...Array.from({ length: head.length - 2 - (incomplete ? 1 : 0) }, () => ""),
        ]),
    ...(incomplete ? [row.rounds ?? (row.reason === undefined ? "all" : "")] : []),
  ]);
  return [...parts, table(head, body, ["---", ...head.slice(1).map(() => "---:")])];
}

/** Spreads for the headline only: a table with all of them cannot be read. */
function figureCells(
  row: RowView,
  metric: MetricInfo,
  index: number,
  withRatio: boolean,
): string[] {
  const figure = row.figures[index];
  if (figure === undefined) return withRatio ? ["", ""] : [""];
  const { value, ratio } = figure;
  const cell = index === 0 ? spreadText(metric, value) : valueText(metric, value.median);
  if (!withRatio) return [cell];
  if (ratio === undefined) return [cell, ""];
  return [cell, index === 0 ? ratioSpreadText(ratio) : ratioText(ratio.median)];
}

function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  rule: readonly string[],
): string {
  return [head, rule, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function list(lines: readonly string[]): string {
  return lines.map((line) => `- ${escaped(line)}`).join("\n");
}

/** What Markdown would read as markup, as text. */
function escaped(text: string): string {
  return text.replace(/[\\`*_[\]<>|~&#]/g, "\\$&");
}
