// A horizontal bar chart as inline SVG without scripts. Positions along the bars are percentages
// and text has a fixed size, so a chart fits any width and stays legible on a phone. Colours are
// classes, which the page's style sheet fills in.

export interface Bar {
  readonly title: string;
  readonly kind: "culvert" | "reference" | "other";
  /** Undefined where nothing was measured; `reason` then says why. */
  readonly value:
    | { readonly median: number; readonly min: number; readonly max: number }
    | undefined;
  readonly reason: string | undefined;
  /** The value and its unit, for people. */
  readonly valueLabel: string;
  /** The ratio to the reference; empty where there is none. */
  readonly ratioLabel: string;
  /** The whole row in words, for readers of the screen and for the pointer. */
  readonly description: string;
}

export interface Chart {
  /** Unique in the page. */
  readonly id: string;
  readonly title: string;
  readonly bars: readonly Bar[];
  /** Where the line of the reference stands; undefined for none. */
  readonly reference: number | undefined;
  /** Text of a place on the axis. */
  readonly axisLabel: (value: number) => string;
}

const row_px = 42;
const barTop_px = 20;
const bar_px = 13;
const axis_px = 22;
const cap_px = 7;
/** Room for the column of ratios at the right. */
const ratio_px = 58;
const longestTitle = 34;
const longestReason = 58;
/** Room to the right of the largest value, so that its error bar does not touch the edge. */
const headroom = 1.03;

/** Text for XML: element content and attributes in double quotes. */
export function escapeXml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}

export function barChart({ id, title, bars, reference, axisLabel }: Chart): string {
  const largest = Math.max(0, ...bars.map(({ value }) => value?.max ?? 0), reference ?? 0);
  const end = largest === 0 ? 1 : largest * headroom;
  const at = (value: number): string => `${((100 * Math.max(0, value)) / end).toFixed(2)}%`;
  const rows_px = bars.length * row_px;
  const withRatio = bars.some(({ ratioLabel }) => ratioLabel !== "");
  const description = bars.map((bar) => bar.description).join("; ");
  return [
    `<svg class="chart" role="img" aria-labelledby="${id}-title ${id}-desc" width="100%" ` +
      `height="${rows_px + axis_px}" xmlns="http://www.w3.org/2000/svg">`,
    `<title id="${id}-title">${escapeXml(title)}</title>`,
    `<desc id="${id}-desc">${escapeXml(description)}</desc>`,
    ...ticks(largest).map((tick) => axisTick(tick, at(tick), rows_px, axisLabel(tick))),
    reference === undefined ? "" : line("reference-line", at(reference), [0, rows_px]),
    ...bars.map((bar, index) => barRow(bar, index * row_px, at, withRatio)),
    "</svg>",
  ]
    .filter((part) => part !== "")
    .join("\n");
}

/** Round numbers from 0 on, at most six. */
export function ticks(largest: number): number[] {
  if (!(largest > 0)) return [0];
  const rough = largest / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough * 0.999)!;
  return Array.from({ length: Math.floor(largest / step) + 1 }, (_, index) => index * step);
}

function line(name: string, x: string, [from, to]: readonly [number, number]): string {
  return `<line class="${name}" x1="${x}" x2="${x}" y1="${from}" y2="${to}"/>`;
}

function axisTick(tick: number, x: string, rows_px: number, label: string): string {
  const anchor = tick === 0 ? "start" : Number.parseFloat(x) > 94 ? "end" : "middle";
  return (
    line("grid", x, [0, rows_px + 4]) +
    `<text class="tick" x="${x}" y="${rows_px + 17}" text-anchor="${anchor}">${escapeXml(label)}</text>`
  );
}

function barRow(bar: Bar, top_px: number, at: (value: number) => string, withRatio: boolean) {
  const { title, kind, value, description, valueLabel, ratioLabel } = bar;
  const baseline = top_px + barTop_px - 6;
  const name = `<text class="name ${kind}" x="0" y="${baseline}">${clipped(title, longestTitle)}</text>`;
  const parts = [`<g><title>${escapeXml(description)}</title>`, name];
  if (value === undefined) parts.push(emptyRow(bar.reason ?? "", top_px));
  else {
    const shift = withRatio ? ` dx="-${ratio_px}"` : "";
    parts.push(
      `<text class="value" x="100%"${shift} y="${baseline}">${escapeXml(valueLabel)}</text>`,
      `<text class="ratio" x="100%" y="${baseline}">${escapeXml(ratioLabel)}</text>`,
      `<rect class="bar ${kind}" x="0" y="${top_px + barTop_px}" width="${at(value.median)}" height="${bar_px}" rx="2"/>`,
      errorBar(value, top_px + barTop_px + bar_px / 2, at),
    );
  }
  return `${parts.join("")}</g>`;
}

function emptyRow(reason: string, top_px: number): string {
  const top = top_px + barTop_px;
  return (
    `<text class="absent" x="100%" y="${top - 6}">not measured</text>` +
    `<rect class="empty" x="0.5" y="${top - 0.5}" width="99.7%" height="${bar_px + 3}" rx="2"/>` +
    `<text class="reason" x="7" y="${top + bar_px - 1.5}">${clipped(reason, longestReason)}</text>`
  );
}

/** From the smallest to the largest value, with a cap at each end; nothing for a single value. */
function errorBar(
  { min, max }: { readonly min: number; readonly max: number },
  middle_px: number,
  at: (value: number) => string,
): string {
  if (min === max) return "";
  const cap: [number, number] = [middle_px - cap_px / 2, middle_px + cap_px / 2];
  const marks = (name: string): string =>
    `<line class="${name}" x1="${at(min)}" x2="${at(max)}" y1="${middle_px}" y2="${middle_px}"/>` +
    line(name, at(min), cap) +
    line(name, at(max), cap);
  // The same in the colour of the background below it: it must show on bars of any colour.
  return marks("error-halo") + marks("error");
}

function clipped(text: string, longest: number): string {
  const characters = Array.from(text);
  if (characters.length <= longest) return escapeXml(text);
  return escapeXml(
    `${characters
      .slice(0, longest - 1)
      .join("")
      .trimEnd()}…`,
  );
}
