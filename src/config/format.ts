// Configuration for people: problems with the source line and a caret, and the effective
// configuration as YAML. Machines get the same data as JSON.

import { stringify } from "yaml";
import { CulvertError, ExitStatus } from "../errors.js";
import type { Config } from "./effective.js";
import type { ConfigProblem } from "./problems.js";

/** Source lines are shown up to this many characters, as a window around the caret. */
const SOURCE_WINDOW = 120;
/** Only so many problems are shown to people; JSON has all. */
const SHOWN_PROBLEMS = 1000;

/**
 * One character for one: tabs and control characters must not move the caret or reach the terminal.
 */
function printable(text: string): string {
  return text.replace(/\s/gu, " ").replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, "?");
}

function sourceLines({ column }: ConfigProblem, line: string): string[] {
  if (line.trim() === "") return [];
  const start = line.length <= SOURCE_WINDOW ? 0 : Math.max(0, column - SOURCE_WINDOW / 2);
  const before = printable(line.slice(start, column - 1));
  const shown = printable(line.slice(start, start + SOURCE_WINDOW));
  return [`  ${shown.trimEnd()}`, `  ${" ".repeat([...before].length)}^`];
}

/** `key: expected X, got Y`; without the key for the document as a whole. */
function formatProblem({ key, expected, got }: ConfigProblem): string {
  return `${key === "" ? "" : `${key}: `}expected ${expected}, got ${got}`;
}

/**
 * Lists problems as `file:line:column: key: expected X, got Y`, each followed by its source line
 * and a caret. The form is the one of compilers, so that editors can jump to the place.
 */
export function formatProblems(
  problems: readonly ConfigProblem[],
  text: string,
  fileName: string,
): string {
  const lines = text.split("\n");
  const output: string[] = [];
  for (const problem of problems.slice(0, SHOWN_PROBLEMS)) {
    const { line, column } = problem;
    output.push(`${fileName}:${line}:${column}: ${formatProblem(problem)}`);
    output.push(...sourceLines(problem, lines[line - 1] ?? ""));
  }
  const hidden = problems.length - SHOWN_PROBLEMS;
  if (hidden > 0) output.push(`... and ${hidden} more`);
  return `${output.join("\n")}\n`;
}

/**
 * The problems as one operating error, for commands that need a valid configuration; exit status 2.
 */
export function invalidConfigError(
  problems: readonly ConfigProblem[],
  text: string,
  fileName: string,
): CulvertError {
  const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
  const message = `${fileName} has ${count}\n${formatProblems(problems, text, fileName).trimEnd()}`;
  return new CulvertError("CULVERT_CONFIG_INVALID", message, {
    exit: ExitStatus.usage,
    hint: "Correct the file; `culvert check --config FILE` checks it without starting a tunnel.",
  });
}

/** The effective configuration as YAML. Loading it gives the same configuration again. */
export function formatConfig(config: Config): string {
  // yaml-1.1 compatibility puts MAC addresses and `off` in quotes, which other YAML readers would
  // misread.
  return stringify(config, {
    schema: "core",
    compat: "yaml-1.1",
    lineWidth: 0,
    aliasDuplicateObjects: false,
  });
}
