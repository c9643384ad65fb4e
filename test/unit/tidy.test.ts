// House rules that neither the compiler nor the linter checks, over every file of the project. A
// rule is one test that lists all offenders.

import { basename } from "node:path";
import { describe, expect, it } from "vitest";
import { readSource, references, sourceFiles } from "./source-tree.js";

const longestFile_lines = 400;
const longestComment_columns = 100;
const code = sourceFiles(".", [".ts", ".mjs", ".cc", ".h"]);
const typescript = code.filter((path) => path.endsWith(".ts"));

describe("tidy", () => {
  it("finds the project's files", () => {
    expect(code).toContain("src/testbed/two-hosts.ts");
    expect(code).toContain("scripts/setup.mjs");
    expect(code).toContain("src/errors.ts");
  });

  it(`keeps files under ${longestFile_lines} lines`, () => {
    const long = code
      .map((path) => ({ path, lines: readSource(path).trimEnd().split("\n").length }))
      .filter(({ lines }) => lines >= longestFile_lines)
      .map(({ path, lines }) => `${path}: ${lines}`);
    expect(long).toEqual([]);
  });

  it("opens every file with a comment that says what it is for", () => {
    const silent = code.filter((path) => !/^(#!.*\n)?(\/\/ \S|\/\*)/.test(readSource(path)));
    // Configuration of a tool: its name says it all.
    expect(silent.filter((path) => path !== "vitest.config.ts")).toEqual([]);
  });

  it(`keeps comments within ${longestComment_columns} columns; the formatter keeps code`, () => {
    const scripts = code.filter((path) => /\.(ts|mjs)$/.test(path));
    const wide = scripts.flatMap((path) =>
      readSource(path)
        .split("\n")
        .map((line, index) => ({ line, at: `${path}:${index + 1}` }))
        .filter(({ line }) => /^\s*(\/\/|\*)/.test(line) && line.length > longestComment_columns)
        .map(({ at }) => at),
    );
    expect(wide).toEqual([]);
  });

  it("leaves no notes of unfinished work", () => {
    const words = new RegExp(
      `\\b(${["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"].join("|")})\\b`,
    );
    expect(code.filter((path) => words.test(readSource(path)))).toEqual([]);
  });

  it("names files in kebab-case", () => {
    const named = /^[a-z0-9]+(-[a-z0-9]+)*(\.test|\.config)?\.(ts|mjs|cc|h)$/;
    expect(code.filter((path) => !named.test(basename(path)))).toEqual([]);
  });

  it("has no enums and no default exports", () => {
    const pattern = /^\s*(export\s+)?(declare\s+)?(const\s+)?enum\s|^export default/m;
    const offenders = typescript.filter((path) => pattern.test(readSource(path)));
    expect(offenders.filter((path) => path !== "vitest.config.ts")).toEqual([]);
  });

  it("ends the process in main.ts only", () => {
    const offenders = typescript.filter(
      (path) => path.startsWith("src/") && /\bprocess\.exit\(/.test(readSource(path)),
    );
    expect(offenders.filter((path) => path !== "src/main.ts")).toEqual([]);
  });

  it("has no file in src/ that nothing refers to", () => {
    const used = new Set(typescript.flatMap(references));
    const dead = typescript.filter((path) => path.startsWith("src/") && !used.has(path));
    const programs = ["src/main.ts", "src/testbed/demo.ts", "src/bench/workloads/peer.ts"];
    expect(dead.filter((path) => !programs.includes(path))).toEqual([]);
  });
});
