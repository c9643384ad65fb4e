// Aligned columns of text for terminals.

/** How a column is aligned: words to the left, numbers to the right. */
export type Align = "left" | "right";

/**
 * Lines of `rows` in columns two spaces apart, each line indented by `indent` spaces and without
 * trailing blanks. Every row has `align.length` cells.
 */
export function formatTable(
  rows: readonly (readonly string[])[],
  align: readonly Align[],
  indent = 0,
): string {
  const widths = align.map((_, column) =>
    rows.reduce((widest, row) => Math.max(widest, row[column].length), 0),
  );
  return rows
    .map((row) => {
      const cells = row.map((cell, column) =>
        align[column] === "left" ? cell.padEnd(widths[column]) : cell.padStart(widths[column]),
      );
      return `${`${" ".repeat(indent)}${cells.join("  ")}`.trimEnd()}\n`;
    })
    .join("");
}
