// A benchmark report for the terminal: per setting and workload a table with a row for each
// variant. A table that would be too wide goes on in a further block of columns below.

import { formatTable, namesAndNumbers } from "../text-table.js";
import type { MetricInfo } from "./metrics.js";
import type { BenchReport } from "./report-model.js";
import {
  type Glance,
  glanceTitle,
  type RowView,
  ratioSpreadText,
  ratioText,
  type SettingView,
  spreadText,
  valueText,
  viewOf,
  type WorkloadView,
} from "./report-view.js";
import type { Figure } from "./statistics.js";

const widest_columns = 118;
/** Heads are broken into lines of about the width of their cells. */
const head_columns = 12;

/** A column of text: the lines of its head, and one cell for each row. */
interface Column {
  readonly head: readonly string[];
  readonly cells: readonly string[];
}

/** The whole report as text; ends in a newline. */
export function renderTable(report: BenchReport): string {
  const view = viewOf(report);
  const parts = [
    formatTable(
      view.environment.map(([name, value]) => [name, value]),
      ["left", "left"],
    ),
    ...view.settings.map((setting) => settingText(setting, view.reference)),
    listText(
      "Not measured",
      view.missing.map(({ title, reason }) => `${title}: ${reason}`),
    ),
    listText("Failed", view.failures),
    `${view.method.join("\n")}\n`,
  ];
  return parts.filter((part) => part !== "").join("\n");
}

function listText(title: string, lines: readonly string[]): string {
  return lines.length === 0 ? "" : `${title}:\n${lines.map((line) => `  ${line}\n`).join("")}`;
}

function settingText({ title, workloads, glance }: SettingView, reference: string): string {
  const tables = workloads.map(workloadText).join("");
  return `${title}\n${"=".repeat(title.length)}\n${tables}${glanceText(glance, reference)}`;
}

/** Stands last, where the eye is when the command has ended. */
function glanceText(glance: Glance, reference: string): string {
  const rows = glance.rows.filter(({ reason }) => reason === undefined);
  if (glance.columns.length === 0) return "";
  const columns = glance.columns.map(({ title, metric }, index) => ({
    head: [...broken(title), metric.title],
    cells: rows.map(({ ratios }) => {
      const ratio = ratios[index];
      return ratio === undefined ? "-" : ratioText(ratio.median);
    }),
  }));
  return `\n${glanceTitle(glance, reference)}\n${blocks(rows, columns).join("\n")}`;
}

function workloadText({ title, about, metrics, rows }: WorkloadView): string {
  const head = `\n${title}${about === "" ? "" : ` (${about})`}\n`;
  const measured = rows.filter(({ reason }) => reason === undefined);
  if (measured.length === 0) return `${head}  no figures\n`;
  const columns = metrics.flatMap((metric, index) => metricColumns(measured, metric, index));
  if (measured.some(({ rounds }) => rounds !== undefined)) {
    columns.push({ head: ["rounds"], cells: measured.map(({ rounds }) => rounds ?? "all") });
  }
  return head + blocks(measured, columns).join("\n");
}

/** The headline has spreads and a column for its ratio, the others a ratio in brackets. */
function metricColumns(rows: readonly RowView[], metric: MetricInfo, index: number): Column[] {
  const figures = rows.map((row) => row.figures[index]);
  const head = broken(metric.title);
  if (index > 0) return [{ head, cells: briefCells(metric, figures) }];
  const spreads = figures.map((figure) =>
    figure === undefined ? "-" : spreadText(metric, figure.value),
  );
  const ratios = figures.map((figure) =>
    figure?.ratio === undefined ? "-" : ratioSpreadText(figure.ratio),
  );
  const value = { head, cells: spreads };
  return ratios.every((ratio) => ratio === "-")
    ? [value]
    : [value, { head: ["ratio"], cells: ratios }];
}

/** `0.79 (1.00x)`, medians below medians. */
function briefCells(metric: MetricInfo, figures: readonly (Figure | undefined)[]): string[] {
  const ratios = figures.map((figure) =>
    figure?.ratio === undefined ? "" : `(${ratioText(figure.ratio.median)}x)`,
  );
  const width = Math.max(...ratios.map((ratio) => ratio.length));
  return figures.map((figure, row) => {
    const value = figure === undefined ? "-" : valueText(metric, figure.value.median);
    return width === 0 ? value : `${value} ${ratios[row].padStart(width)}`;
  });
}

/** Words on as many lines as it takes to stay narrow. */
function broken(title: string): string[] {
  const lines: string[] = [];
  for (const word of title.split(" ")) {
    const longer = lines.length === 0 ? word : `${lines[lines.length - 1]} ${word}`;
    if (lines.length > 0 && longer.length <= head_columns) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

/** As many columns side by side as there is room for, each block with the names in front. */
function blocks(rows: readonly { readonly title: string }[], columns: readonly Column[]): string[] {
  const names: Column = { head: [], cells: rows.map(({ title }) => title) };
  const tables: string[] = [];
  let block = [names];
  for (const column of columns) {
    const together = [...block, column];
    const width = together.reduce((sum, one) => sum + widthOf(one) + 2, 0);
    if (width > widest_columns && block.length > 1) {
      tables.push(blockText(block));
      block = [names, column];
    } else block = together;
  }
  return [...tables, blockText(block)];
}

function widthOf({ head, cells }: Column): number {
  return Math.max(...[...head, ...cells].map((text) => text.length));
}

function blockText(columns: readonly Column[]): string {
  const heads = Math.max(...columns.map(({ head }) => head.length));
  const lines = columns.map(({ head, cells }) => [
    ...Array.from({ length: heads - head.length }, () => ""),
    ...head,
    ...cells,
  ]);
  const rows = lines[0].map((_, row) => lines.map((column) => column[row]));
  return formatTable(rows, namesAndNumbers(columns.length), { heads });
}
