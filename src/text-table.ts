// Aligned columns of text for terminals: the one place that pads. Knows nothing of what it shows.

/** How a column is aligned: words to the left, numbers to the right. */
export type Align = "left" | "right";

export interface TableOptions {
  /** Blanks in front of each line; 0 unless given. */
  readonly indent?: number;
  /** Draws a rule below so many rows of heads; none unless given. */
  readonly heads?: number;
}

/**
 * Lines of `rows` in columns two spaces apart, without trailing blanks, each ending in a newline.
 * Every row has `align.length` cells.
 */
export function formatTable(
  rows: readonly (readonly string[])[],
  align: readonly Align[],
  { indent = 0, heads = 0 }: TableOptions = {},
): string {
  const widths = align.map((_, column) =>
    rows.reduce((widest, row) => Math.max(widest, row[column].length), 0),
  );
  const line = (cells: readonly string[]): string =>
    `${`${" ".repeat(indent)}${cells.join("  ")}`.trimEnd()}\n`;
  const lines = rows.map((row) =>
    line(
      row.map((cell, column) =>
        align[column] === "left" ? cell.padEnd(widths[column]) : cell.padStart(widths[column]),
      ),
    ),
  );
  if (heads > 0) lines.splice(heads, 0, line(widths.map((width) => "-".repeat(width))));
  return lines.join("");
}

/** Names to the left, every further column a number to the right. */
export function namesAndNumbers(columns: number): Align[] {
  return Array.from({ length: columns }, (_, column) => (column === 0 ? "left" : "right"));
}
