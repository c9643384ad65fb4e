// A comparison of two benchmark reports for the terminal: what moved, and what could not be said.

import { type Align, formatTable } from "../text-table.js";
import type { Change, Comparison, Verdict } from "./compare.js";
import type { Environment } from "./environment.js";
import {
  dateText,
  printable,
  ratioSpreadText,
  settingTitle,
  spreadText,
  workloadTitle,
} from "./report-view.js";
import type { Summary } from "./statistics.js";

const legend = `With x: ratios to the reference in the same round. Without: values, where there is no such ratio.
Moved: the ranges over the rounds, each widened by its length / (rounds - 1), do not touch, and the medians differ by
more than 3 %. With 3 rounds about 1 figure in 50 does so by chance, with 5 about 1 in 1000; that counts the noise
within a run, not what differs from one run to the next.
`;

/** The whole comparison; ends in a newline. */
export function renderComparison(comparison: Comparison): string {
  const { old, now, differences, onlyOld, onlyNow, unknownMetrics } = comparison;
  const parts = [
    formatTable(
      [
        ["old", ...origin(old)],
        ["now", ...origin(now)],
      ],
      ["left", "left", "left"],
    ),
    differencesText(differences),
    ...movedTexts(comparison.changes),
    countsText(comparison.changes),
    listText("Only in old", onlyOld),
    listText("Only in now", onlyNow),
    listText("Not compared, this culvert does not know the metric", unknownMetrics),
    legend,
  ];
  return parts.filter((part) => part !== "").join("\n");
}

function origin({ date, commit }: Environment): [string, string] {
  return [dateText(date), `commit ${printable(commit)}`];
}

function differencesText(differences: Comparison["differences"]): string {
  if (differences.length === 0) return "";
  const rows = differences.map(({ name, old, now }) => [
    name,
    `${printable(old)} -> ${printable(now)}`,
  ]);
  return `Not measured alike:\n${formatTable(rows, ["left", "left"], { indent: 2 })}`;
}

/** One table for each setting in which something moved. */
function movedTexts(changes: readonly Change[]): string[] {
  const moved = changes.filter(({ verdict }) => verdict === "better" || verdict === "worse");
  const settings = [...new Set(moved.map(({ setting }) => settingTitle(setting)))];
  return settings.map((title) => {
    const rows = moved.filter(({ setting }) => settingTitle(setting) === title).map(changeRow);
    const head = ["", "", "", "old", "now", "change", ""];
    const align: Align[] = ["left", "left", "left", "right", "right", "right", "left"];
    return `${title}\n${formatTable([head, ...rows], align, { indent: 2, heads: 1 })}`;
  });
}

function changeRow(change: Change): string[] {
  const { variantTitle, workload, metric, basis, old, now, verdict } = change;
  const text = (summary: Summary): string =>
    basis === "ratio" ? ratioSpreadText(summary, "x") : spreadText(metric, summary);
  const percent = change.change === undefined ? "from 0" : percentText(change.change);
  const words = [variantTitle, workloadTitle(workload), metric.title];
  return [...words, text(old), text(now), percent, verdict];
}

function percentText(change: number): string {
  return `${change > 0 ? "+" : ""}${(change * 100).toFixed(1)} %`;
}

function countsText(changes: readonly Change[]): string {
  const count = (wanted: Verdict): number =>
    changes.filter(({ verdict }) => verdict === wanted).length;
  const figures = changes.length === 1 ? "1 figure" : `${changes.length} figures`;
  const undecided = count("undecided");
  return (
    `${figures} compared: ${count("better")} better, ${count("worse")} worse, ` +
    `${count("same")} within the noise` +
    `${undecided === 0 ? "" : `, ${undecided} with too few rounds to tell (3 on each side)`}.\n`
  );
}

function listText(title: string, items: readonly string[]): string {
  if (items.length === 0) return "";
  return `${title}:\n${items.map((item) => `  ${printable(item)}\n`).join("")}`;
}
