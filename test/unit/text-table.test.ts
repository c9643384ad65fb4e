// The columns of text that commands, demo and bench print.

import { describe, expect, it } from "vitest";
import { formatTable, namesAndNumbers } from "../../src/text-table.js";

describe("formatTable", () => {
  it("aligns columns and leaves no blanks at line ends", () => {
    const rows = [
      ["a", "1", "x"],
      ["bbb", "22", ""],
    ];
    expect(formatTable(rows, ["left", "right", "left"], { indent: 1 })).toBe(
      " a     1  x\n bbb  22\n",
    );
    expect(formatTable([], ["left"])).toBe("");
  });

  it("draws a rule under the heads", () => {
    const rows = [
      ["", "TCP"],
      ["name", "Gb/s"],
      ["plain", "17.77"],
      ["vxlan", "8.1"],
    ];
    expect(formatTable(rows, namesAndNumbers(2), { heads: 2 })).toBe(
      "         TCP\nname    Gb/s\n-----  -----\nplain  17.77\nvxlan    8.1\n",
    );
  });
});
