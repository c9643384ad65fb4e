// `npm run bench:micro -- [NAME...] [--json FILE]`: runs the files of bench/micro, each in a
// process of its own, so that what V8 learned of one file's types does not slow down the next. A
// program: it runs when loaded. Numbers depend on the machine and its load: this prints them and
// judges only what has a limit.

import { fork } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { readEnvironment } from "../../src/bench/environment.js";
import { describeError, TestbedError } from "../../src/testbed/error.js";
import { type Family, keptResults, type Row } from "./harness.js";

const NAMES = [
  "wire",
  "fdb",
  "lpm",
  "checksum",
  "segment",
  "coalesce",
  "forwarding",
  "allocation",
] as const;
type Name = (typeof NAMES)[number];

const usage = `npm run bench:micro -- [NAME...] [--json FILE]

  NAME         of ${NAMES.join(", ")} (all of them)
  --json FILE  every row, for machines

Example: npm run bench:micro -- fdb lpm --json build/micro.json`;

/** Argument of the process that measures one family. */
const MEASURE = "--measure";

async function load(name: Name): Promise<Family> {
  const { family } = (await import(`./${name}.js`)) as { family: Family };
  return family;
}

function format(row: Row): string {
  const digits = row.unit === "bytes" ? 2 : 1;
  const cells = [row.median, row.min, row.max].map((value) => value.toFixed(digits).padStart(10));
  const rate = row.unit === "ns" ? (1e3 / row.median).toFixed(2).padStart(10) : "";
  return `  ${row.name.padEnd(54)}${cells.join("")}${rate}`;
}

function exceeds({ median, atMost }: Row): boolean {
  return atMost !== undefined && median > atMost;
}

function printRow(row: Row): void {
  process.stdout.write(`${format(row)}${exceeds(row) ? `  above ${row.atMost}` : ""}\n`);
  for (const note of row.notes ?? []) process.stdout.write(`      ${note}\n`);
}

/** Measures a family in a new process and prints each row as it comes. */
async function runFamily(name: Name): Promise<Row[]> {
  const { about, nodeArguments = [] } = await load(name);
  const head = ["median", "min", "max", "M/s"].map((title) => title.padStart(10)).join("");
  process.stdout.write(`${name}: ${about}\n  ${"".padEnd(54)}${head}\n`);
  const rows: Row[] = [];
  const program = fileURLToPath(import.meta.url);
  const child = fork(program, [MEASURE, name], { execArgv: [...nodeArguments] });
  child.on("message", (row) => {
    rows.push(row as Row);
    printRow(row as Row);
  });
  const status = await new Promise<number | null>((resolve) => child.on("exit", resolve));
  if (status !== 0) throw new TestbedError(`${name} ended with status ${status}`, "see above");
  process.stdout.write("\n");
  return rows;
}

async function measure(name: Name): Promise<void> {
  const { measure } = await load(name);
  await measure((row) => process.send?.(row));
  if (!Number.isFinite(keptResults())) throw new TestbedError(`${name}: a result is no number`);
  process.disconnect?.();
}

function nameOf(text: string): Name {
  const name = NAMES.find((known) => known === text);
  if (name !== undefined) return name;
  throw new TestbedError(`${text}: no such benchmark`, `use one of ${NAMES.join(", ")}`);
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        json: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
        measure: { type: "boolean", default: false },
      },
    });
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new TestbedError(text, "see npm run bench:micro -- --help");
  }
}

async function runAll(names: readonly Name[], json: string | undefined): Promise<void> {
  const families: { name: Name; rows: Row[] }[] = [];
  for (const name of names) families.push({ name, rows: await runFamily(name) });
  if (json !== undefined) {
    mkdirSync(dirname(json), { recursive: true });
    const report = { environment: readEnvironment(), families };
    writeFileSync(json, `${JSON.stringify(report, null, 2)}\n`);
  }
  if (families.some(({ rows }) => rows.some(exceeds))) {
    throw new TestbedError("a value is above its limit", "bench/README.md says what to look at");
  }
}

async function main(): Promise<void> {
  const { values, positionals } = readArguments();
  const names = positionals.map(nameOf);
  if (values.help) process.stdout.write(`${usage}\n`);
  else if (values.measure) await measure(names[0]!);
  else await runAll(names.length > 0 ? names : NAMES, values.json);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`bench:micro: ${describeError(error)}\n`);
  process.exitCode = 1;
}
