// `npm test [-- SUITE...]`: sets up what is missing, then runs lint, the type check and every test
// suite one after the other, prints why tests were skipped, checks that nothing was left behind,
// and ends with one line that counts all: "N passed, N failed[, N skipped]". Exit status 0 only
// when something ran and nothing failed.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { setup } from "./setup.mjs";
import { projectRoot, run, runQuietly, runScript, ScriptError } from "./steps.mjs";

const vitestSuites = ["unit", "native", "netns", "interop", "conformance"];
const suitesForRoot = new Set(["netns", "interop", "conformance"]);
const allSuites = ["lint", "typecheck", ...vitestSuites];
const suiteTimeout_ms = 20 * 60_000;
const resultsFolder = join(projectRoot, "build", "test-results");
const namespaceFolder = "/run/netns";

const programs = {
  biome: join(projectRoot, "node_modules", "@biomejs", "biome", "bin", "biome"),
  tsc: join(projectRoot, "node_modules", "typescript", "bin", "tsc"),
  vitest: join(projectRoot, "node_modules", "vitest", "vitest.mjs"),
};

/** A signal that came while a suite ran, and that suite's process. */
const interruption = { signal: null, child: null };

function watchSignals() {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.on(signal, () => {
      interruption.signal = signal;
      // Ctrl-C reaches the suite from the terminal itself; the others come to us alone.
      if (signal !== "SIGINT") interruption.child?.kill(signal);
    });
  }
}

/** A check that is one test: passed or failed, its output shown when it failed. */
async function runCheck(name, program, args) {
  const { status, output } = await runQuietly(process.execPath, [programs[program], ...args]);
  process.stdout.write(status === 0 ? `${name}: passed\n` : `${name}: FAILED\n${output}\n`);
  return status === 0
    ? { passed: 1, failures: [], skipped: [] }
    : { passed: 0, failures: [name], skipped: [] };
}

/** The tests of a suite that cannot run here, all counted as skipped. */
async function skipSuite(name, reason) {
  const args = [programs.vitest, "list", "--project", name, "--json"];
  const { status, output } = await runQuietly(process.execPath, args);
  const failure = { passed: 0, failures: [`${name}: its tests cannot be listed`], skipped: [] };
  if (status !== 0 || !output.includes("[")) return failure;
  const tests = JSON.parse(output.slice(output.indexOf("["), output.lastIndexOf("]") + 1));
  const skipped = tests.map((test) => ({ name: `${name}: ${test.name}`, reason }));
  return { passed: 0, failures: [], skipped };
}

async function runVitest(name) {
  const file = join(resultsFolder, `${name}.json`);
  rmSync(file, { force: true });
  const args = [
    ...[programs.vitest, "run", "--project", name],
    ...["--reporter=default", `--reporter=${join(projectRoot, "scripts", "vitest-results.mjs")}`],
  ];
  const { status, signal } = await run(process.execPath, args, {
    env: { CULVERT_TEST_RESULTS: file },
    timeout_ms: suiteTimeout_ms,
    onStart: (child) => {
      interruption.child = child;
    },
  });
  interruption.child = null;
  const results = existsSync(file)
    ? JSON.parse(readFileSync(file, "utf8"))
    : { passed: 0, failures: [], skipped: [] };
  if (status !== 0 && results.failures.length === 0) {
    results.failures.push(`${name}: vitest ended with ${signal ?? `status ${status}`}`);
  }
  return results;
}

function runSuite(name) {
  if (name === "lint") return runCheck("lint", "biome", ["check", "."]);
  if (name === "typecheck") {
    return runCheck("typecheck", "tsc", ["-p", "tsconfig.json", "--noEmit"]);
  }
  if (suitesForRoot.has(name) && process.getuid() !== 0) {
    return skipSuite(name, "needs root for network namespaces and tunnel devices");
  }
  return runVitest(name);
}

/** Namespaces named like those of the testbed (cv<pid in base 36>-...) whose process is gone. */
function orphanedNamespaces() {
  if (!existsSync(namespaceFolder)) return [];
  return readdirSync(namespaceFolder).filter((name) => {
    const owner = /^cv([0-9a-z]+)-/.exec(name)?.[1];
    return owner !== undefined && !existsSync(`/proc/${Number.parseInt(owner, 36)}`);
  });
}

/** Devices of the machine's own network named like those of the testbed. */
async function strayDevices() {
  const { status, output } = await runQuietly("ip", ["-j", "link", "show"]);
  if (status !== 0) return [];
  const names = JSON.parse(output).map((link) => link.ifname);
  return names.filter((name) => /^cv[0-9a-z]+-/.test(name));
}

async function leftovers() {
  return [...orphanedNamespaces(), ...(await strayDevices())];
}

/** What was skipped and why, one line per reason and file. */
function printSkipped(skipped) {
  const groups = new Map();
  for (const { name, reason } of skipped) {
    groups.set(reason, [...(groups.get(reason) ?? []), name]);
  }
  for (const [reason, names] of groups) {
    process.stdout.write(`skipped (${reason}):\n${names.map((name) => `  ${name}\n`).join("")}`);
  }
}

function report({ passed, failures, skipped }) {
  process.stdout.write("\n");
  printSkipped(skipped);
  if (failures.length > 0) {
    process.stdout.write(`failed:\n${failures.map((name) => `  ${name}\n`).join("")}`);
  }
  const rest = skipped.length > 0 ? `, ${skipped.length} skipped` : "";
  process.stdout.write(`${passed} passed, ${failures.length} failed${rest}\n`);
}

async function main() {
  const { positionals } = parseArgs({ allowPositionals: true });
  const unknown = positionals.filter((name) => !allSuites.includes(name));
  if (unknown.length > 0) {
    throw new ScriptError(`unknown suite ${unknown.join(", ")}: expected ${allSuites.join(", ")}`);
  }
  await setup("test");
  mkdirSync(resultsFolder, { recursive: true });
  watchSignals();
  const before = new Set(await leftovers());
  const total = { passed: 0, failures: [], skipped: [] };
  for (const name of allSuites) {
    if (positionals.length > 0 && !positionals.includes(name)) continue;
    const results = await runSuite(name);
    total.passed += results.passed;
    total.failures.push(...results.failures);
    total.skipped.push(...results.skipped);
    if (interruption.signal !== null) break;
  }
  const left = (await leftovers()).filter((name) => !before.has(name));
  if (left.length > 0) total.failures.push(`left behind by the tests: ${left.join(", ")}`);
  if (interruption.signal !== null) total.failures.push(`interrupted by ${interruption.signal}`);
  report(total);
  process.exitCode = total.failures.length > 0 || total.passed === 0 ? 1 : 0;
}

await runScript("test", main);
