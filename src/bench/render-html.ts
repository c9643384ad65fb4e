// A benchmark report as one page that needs nothing else: no network, no scripts, no fonts. Also
// well-formed XML, so that a test can tell when it breaks. Everything that is not a number passes
// through `escapeXml`.

import { pageStyle } from "./html-style.js";
import type { MetricInfo, WorkloadInfo } from "./metrics.js";
import type { BenchReport } from "./report-model.js";
import {
  type Glance,
  type RowView,
  rangeText,
  ratioSpreadText,
  ratioText,
  type SettingView,
  spreadText,
  unitText,
  valueText,
  viewOf,
  type WorkloadView,
} from "./report-view.js";
import { type Bar, barChart, escapeXml } from "./svg-chart.js";

/** The page of a report. */
export function renderHtml(report: BenchReport): string {
  const view = viewOf(report);
  return `<!DOCTYPE html>
<html lang="en" xmlns="http://www.w3.org/1999/xhtml">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"/>
<title>culvert bench, ${escapeXml(view.date)}</title>
<style>${pageStyle}</style>
</head>
<body>
<header>
<h1>What encapsulation costs</h1>
<p class="lead">Measured by <code>culvert bench</code> against the devices of the Linux kernel.</p>
${environment(view.environment)}
${contents(view.settings)}
</header>
<main>
${view.settings.map((setting, index) => section(setting, index, view.reference)).join("\n")}
${list(
  "Not measured",
  view.missing.map(({ title: name, reason }) => `${name}: ${reason}`),
)}
${list("Failed", view.failures)}
${method(view.method, view.workloads)}
</main>
</body>
</html>
`;
}

function environment(entries: readonly (readonly [string, string])[]): string {
  const items = entries.map(
    ([name, value]) => `<div><dt>${escapeXml(name)}</dt><dd>${escapeXml(value)}</dd></div>`,
  );
  return `<dl class="environment">${items.join("")}</dl>`;
}

function contents(settings: readonly SettingView[]): string {
  if (settings.length < 2) return "";
  const items = settings.map(
    ({ title }, index) => `<li><a href="#s${index}">${escapeXml(title)}</a></li>`,
  );
  return `<nav aria-label="Settings"><ul>${items.join("")}</ul></nav>`;
}

function section(setting: SettingView, index: number, reference: string): string {
  const { title, about, workloads, glance } = setting;
  const cards = workloads.map((one, place) => card(one, `s${index}w${place}`, reference));
  return `<section id="s${index}">
<h2>${escapeXml(title)}</h2>
${about === "" ? "" : `<p class="about">${escapeXml(about)}.</p>`}
${key(reference)}
<div class="cards">
${glanceCard(glance, reference)}
${cards.join("\n")}
</div>
</section>`;
}

function key(reference: string): string {
  const bar = (kind: string) =>
    `<svg aria-hidden="true"><rect class="bar ${kind}" y="1" width="100%" height="12" rx="2"/></svg>`;
  const error =
    '<svg aria-hidden="true"><path class="error" fill="none" d="M2 7H24M2 3V11M24 3V11"/></svg>';
  const line =
    '<svg aria-hidden="true"><path class="reference-line" fill="none" d="M13 0V14"/></svg>';
  return `<ul class="key about">
<li>${bar("culvert")}culvert</li>
<li>${bar("reference")}${escapeXml(reference)}, the reference</li>
<li>${bar("other")}others</li>
<li>${error}smallest to largest of the rounds</li>
<li>${line}median of the reference</li>
</ul>`;
}

function glanceCard({ columns, rows }: Glance, reference: string): string {
  if (columns.length === 0) return "";
  const head = columns.map(
    ({ title, metric }) =>
      `<th scope="col">${escapeXml(title)}<small>${escapeXml(metric.title)}, ${metric.better} is better</small></th>`,
  );
  const body = rows.map(({ title, kind, reason, ratios }) => {
    const cells =
      reason === undefined
        ? ratios.map((ratio) => `<td>${ratio === undefined ? "–" : ratioText(ratio.median)}</td>`)
        : [reasonCell(reason, columns.length)];
    return `<tr class="${kind}"><th scope="row">${escapeXml(title)}</th>${cells.join("")}</tr>`;
  });
  return `<section class="card wide">
<h3>At a glance: ratio to ${escapeXml(reference)}</h3>
${table("ratios", head, body)}
</section>`;
}

function card(
  { title, about, metrics, rows }: WorkloadView,
  id: string,
  reference: string,
): string {
  const headline = metrics[0];
  const words = about === "" ? "" : `${escapeXml(about)}. `;
  if (headline === undefined) {
    const reasons = rows.map((row) => `${row.title}: ${row.reason}`);
    return `<section class="card">
<h3>${escapeXml(title)}</h3>
<p class="about">${words}No figures.</p>
${items(reasons)}
</section>`;
  }
  const chart = barChart({
    id,
    title: `${title}: ${headline.title}, ${headline.better} is better`,
    bars: rows.map((row) => barOf(row, headline, reference)),
    reference: rows.find(({ kind }) => kind === "reference")?.figures[0]?.value.median,
    axisLabel: axisLabels(headline),
  });
  return `<section class="card">
<h3>${escapeXml(title)}</h3>
<p class="about">${words}${escapeXml(headline.title)}, ${headline.better} is better.</p>
${chart}
<details><summary>All figures</summary>
${figuresTable(metrics, rows)}
</details>
</section>`;
}

/** As many digits as round steps need. */
function axisLabels({ scale }: MetricInfo): (value: number) => string {
  return (value) => String(Number((value / scale).toPrecision(6)));
}

function barOf(row: RowView, metric: MetricInfo, reference: string): Bar {
  const { title, kind } = row;
  const figure = row.figures[0];
  if (figure === undefined) {
    const reason = row.reason ?? "no value of this metric";
    const description = `${title}: not measured, ${reason}`;
    return { title, kind, value: undefined, reason, valueLabel: "", ratioLabel: "", description };
  }
  const { value, ratio } = figure;
  const valueLabel = `${valueText(metric, value.median)} ${unitText(metric)}`;
  const own = `${title}: ${spreadText(metric, value, "–")} ${unitText(metric)}`;
  const compared =
    ratio === undefined ? "" : `, ${ratioSpreadText(ratio, "", "–")} times ${reference}`;
  return {
    title,
    kind,
    value,
    reason: undefined,
    valueLabel,
    ratioLabel: ratio === undefined ? "" : `${ratioText(ratio.median)}×`,
    description: own + compared,
  };
}

function figuresTable(metrics: readonly MetricInfo[], rows: readonly RowView[]): string {
  const heads = metrics.map(({ title }) => `<th scope="col">${escapeXml(title)}</th>`);
  const body = rows.map((row) => {
    const rounds = row.rounds === undefined ? "" : `<small>${row.rounds} rounds</small>`;
    const cells =
      row.reason === undefined
        ? metrics.map((metric, index) => figureCell(row, metric, index)).join("")
        : reasonCell(row.reason, metrics.length);
    return `<tr class="${row.kind}"><th scope="row">${escapeXml(row.title)}${rounds}</th>${cells}</tr>`;
  });
  return table("all figures", heads, body);
}

/** May be wider than the page: it then scrolls by itself, by keyboard as well. */
function table(label: string, heads: readonly string[], rows: readonly string[]): string {
  return `<div class="scroll" role="region" aria-label="${label}" tabindex="0"><table>
<thead><tr><th scope="col"></th>${heads.join("")}</tr></thead>
<tbody>${rows.join("\n")}</tbody>
</table></div>`;
}

function reasonCell(reason: string, columns: number): string {
  return `<td class="reason" colspan="${columns}">not measured: ${escapeXml(reason)}</td>`;
}

function figureCell(row: RowView, metric: MetricInfo, index: number): string {
  const figure = row.figures[index];
  if (figure === undefined) return "<td>–</td>";
  const { value, ratio } = figure;
  const range = rangeText(metric, value, "–");
  const spread = range === "" ? "" : `<small>${range}</small>`;
  const compared = ratio === undefined ? "" : `<small>${ratioSpreadText(ratio, "×", "–")}</small>`;
  return `<td>${valueText(metric, value.median)}${spread}${compared}</td>`;
}

function method(sentences: readonly string[], workloads: readonly WorkloadInfo[]): string {
  const measured = workloads.map(({ title, about }) =>
    about === "" ? title : `${title}: ${about}`,
  );
  return `<section>
<h2>How it was measured</h2>
${sentences.map((sentence) => `<p>${escapeXml(sentence)}</p>`).join("\n")}
${items(measured)}
</section>`;
}

function list(title: string, lines: readonly string[]): string {
  if (lines.length === 0) return "";
  return `<section>\n<h2>${escapeXml(title)}</h2>\n${items(lines)}\n</section>`;
}

function items(lines: readonly string[]): string {
  return lines.length === 0
    ? ""
    : `<ul>${lines.map((line) => `<li>${escapeXml(line)}</li>`).join("")}</ul>`;
}
