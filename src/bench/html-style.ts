// The style sheet of the benchmark page: light, dark and on paper. Stands inside the page, which
// loads nothing; no character in it needs escaping in XML.

const light = `
  color-scheme: light;
  --page: #f4f5f7; --card: #ffffff; --ink: #1c2230; --soft: #586174; --rule: #dfe3e9;
  --culvert: #0a63d1; --base: #3f4858; --other: #8b95a4; --error: #0d1119; --shade: #eef4fd;
`;

const dark = `
  color-scheme: dark;
  --page: #0f131a; --card: #171d27; --ink: #e7ebf2; --soft: #a0abbd; --rule: #2c3544;
  --culvert: #4d9bff; --base: #aab4c4; --other: #667185; --error: #ffffff; --shade: #182a44;
`;

const page = `
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
main, header, footer { max-width: 1240px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 36px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 4px; letter-spacing: -0.01em; }
h2 { font-size: 20px; margin: 44px 0 2px; padding-top: 20px; border-top: 2px solid var(--rule); }
h3 { font-size: 16px; margin: 0; }
p { margin: 0 0 10px; max-width: 76ch; }
.lead, .about { color: var(--soft); }
.about { max-width: none; font-size: 13.5px; margin: 0 0 12px; }
a { color: var(--culvert); }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 20px; padding: 0; }
.environment {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 158px), 1fr));
  gap: 12px 24px; margin: 20px 0; padding: 16px 18px;
}
.environment dt { color: var(--soft); font-size: 12.5px; }
.environment dd { margin: 0; overflow-wrap: anywhere; }
.card, .environment { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; }
.card { padding: 16px 18px 12px; min-width: 0; }
.cards {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 460px), 1fr));
  gap: 18px; margin-top: 18px; align-items: start;
}
.card:has(details[open]), .wide { grid-column: 1 / -1; }
.key { display: flex; flex-wrap: wrap; gap: 4px 20px; list-style: none; padding: 0; margin: 0 0 10px; }
.key svg { width: 26px; height: 14px; vertical-align: -2px; margin-right: 7px; }
`;

const charts = `
.chart { display: block; overflow: visible; }
.chart text { fill: var(--ink); font-size: 13px; paint-order: stroke; stroke: var(--card);
  stroke-width: 4px; stroke-linejoin: round; }
.chart .name.culvert { font-weight: 650; }
.chart .value, .chart .ratio, .chart .absent { text-anchor: end;
  font-variant-numeric: tabular-nums; }
.chart .value { font-weight: 600; }
.chart .ratio, .chart .tick, .chart .absent, .chart .reason { fill: var(--soft); }
.chart .tick, .chart .reason { font-size: 11.5px; }
.bar.culvert { fill: var(--culvert); }
.bar.reference { fill: var(--base); }
.bar.other { fill: var(--other); }
.empty { fill: none; stroke: var(--other); stroke-dasharray: 3 3; }
.grid { stroke: var(--rule); }
.reference-line { stroke: var(--base); stroke-width: 1.5px; stroke-dasharray: 5 3; }
.error { stroke: var(--error); stroke-width: 1.5px; }
.error-halo { stroke: var(--card); stroke-width: 4px; stroke-linecap: square; opacity: 0.8; }
`;

const tables = `
details { margin-top: 8px; border-top: 1px solid var(--rule); padding-top: 8px; }
summary { cursor: pointer; color: var(--soft); font-size: 13.5px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13.5px; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: 6px 8px 6px 12px; text-align: right; vertical-align: top; white-space: nowrap;
  border-bottom: 1px solid var(--rule); }
th { font-weight: 600; }
thead th { vertical-align: bottom; white-space: normal; color: var(--soft); }
th:first-child { text-align: left; padding-left: 0; white-space: normal; min-width: 118px;
  position: sticky; left: 0; background: var(--card); }
tr.culvert th, tr.culvert td { background: var(--shade); }
tr.culvert th:first-child { box-shadow: inset 3px 0 0 var(--culvert); padding-left: 8px; }
td.reason { text-align: left; white-space: normal; color: var(--soft); }
td small, th small { display: block; color: var(--soft); font-size: 12px; font-weight: 400; }
tbody tr:last-child th, tbody tr:last-child td { border-bottom: 0; }
footer { padding-bottom: 48px; color: var(--soft); font-size: 13.5px; }
`;

const small = `
@media (max-width: 600px) {
  main, header, footer { padding-left: 10px; padding-right: 10px; }
  header { padding-top: 20px; }
  .card { padding: 14px 12px 10px; }
}
`;

const paper = `
@media print {
  body { font-size: 11px; }
  :root { --page: #ffffff; }
  main, header, footer { max-width: none; padding: 0 2px; }
  .cards { grid-template-columns: 1fr 1fr; gap: 10px; }
  .card { break-inside: avoid; }
  h2 { break-after: avoid; }
  nav, summary, details:not([open]) { display: none; }
  .scroll { overflow: visible; }
  th:first-child { position: static; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
`;

export const pageStyle = `
:root {${light}}
@media screen and (prefers-color-scheme: dark) { :root {${dark}} }
${page}${charts}${tables}${small}${paper}`;
