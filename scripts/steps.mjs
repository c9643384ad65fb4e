// What the scripts share: where things lie, steps with a line of progress each, stamps that say
// what was built from which sources. Plain Node.js without packages, because it runs before any are
// installed.

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const projectRoot = dirname(dirname(fileURLToPath(import.meta.url)));
const buildFolder = join(projectRoot, "build");
const logFolder = join(buildFolder, "logs");
const stampFolder = join(buildFolder, "stamps");

// `ip`, `ethtool` and others live where the PATH of a plain user does not look.
process.env.PATH = [process.env.PATH, "/usr/local/sbin", "/usr/sbin", "/sbin"].join(delimiter);

/** An expected failure of a script: shown as message and cure, without a stack. */
export class ScriptError extends Error {
  /**
   * @param {string} message what failed
   * @param {string} [hint] what to do about it
   */
  constructor(message, hint) {
    super(message);
    this.hint = hint;
  }
}

/**
 * Runs a command to its end. With `onOutput` its output goes there, else to our own terminal;
 * `onStart` gets the child.
 * @returns {Promise<{ status: number, signal: string | null }>} status 127 when it could not be
 * started
 */
export function run(command, args, { onOutput, onStart, env = {}, timeout_ms } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: projectRoot,
      env: { ...process.env, ...env },
      stdio: onOutput === undefined ? "inherit" : ["ignore", "pipe", "pipe"],
      ...(timeout_ms === undefined ? {} : { timeout: timeout_ms }),
    });
    onStart?.(child);
    if (onOutput !== undefined) {
      child.stdout.on("data", onOutput);
      child.stderr.on("data", onOutput);
    }
    child.on("error", (error) => {
      onOutput?.(Buffer.from(`${error.message}\n`));
      resolve({ status: 127, signal: null });
    });
    child.on("close", (status, signal) => resolve({ status: status ?? 1, signal }));
  });
}

/** Like `run`, but collects the output. */
export async function runQuietly(command, args, env = {}, onStart = undefined) {
  const chunks = [];
  const onOutput = (chunk) => chunks.push(chunk);
  const result = await run(command, args, { env, onStart, onOutput });
  return { ...result, output: Buffer.concat(chunks).toString() };
}

/** File name of a step's log: `native addon (tsc)` is `native-addon-tsc`. */
function logName(name) {
  const words = name.toLowerCase().match(/[a-z0-9]+/g) ?? ["step"];
  return words.join("-").slice(0, 100);
}

/**
 * A command as a step: one line with the time it took. Its output goes to build/logs/ and, when it
 * fails, to the terminal in full; then ScriptError with `hint`.
 */
export async function step(name, command, args, { env = {}, hint } = {}) {
  const started_ms = performance.now();
  process.stdout.write(`  ${name} ... `);
  const { status, signal, output } = await runInterruptibly(command, args, env);
  const took = `${((performance.now() - started_ms) / 1000).toFixed(1)} s`;
  mkdirSync(logFolder, { recursive: true });
  const log = join(logFolder, `${logName(name)}.log`);
  writeFileSync(log, `${[command, ...args].join(" ")}\n${output}`);
  if (status === 0) {
    process.stdout.write(`${took}\n`);
    return;
  }
  process.stdout.write(`FAILED after ${took}\n${output}\n`);
  throw new ScriptError(`${name} failed (${signal ?? `exit status ${status}`}); log: ${log}`, hint);
}

/** `runQuietly`, with signals passed on to the command: it must not go on when we have ended. */
async function runInterruptibly(command, args, env) {
  let child;
  let interrupted;
  const pass = (signal) => {
    interrupted = signal;
    child?.kill(signal);
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) process.on(signal, pass);
  const result = await runQuietly(command, args, env, (started) => {
    child = started;
  });
  for (const signal of signals) process.off(signal, pass);
  if (interrupted !== undefined) {
    process.stdout.write("interrupted\n");
    process.kill(process.pid, interrupted);
  }
  return result;
}

/** Namespaces and devices need root: said before anything is set up for nothing. */
export function requireRoot(what, command) {
  if (process.getuid() === 0) return;
  throw new ScriptError(
    `${what} needs root for network namespaces and tunnel devices`,
    `run it with sudo: sudo ${command}`,
  );
}

/** True when an executable of that name is on the PATH. */
export function isOnPath(command) {
  return process.env.PATH.split(delimiter).some(
    (folder) => folder !== "" && existsSync(join(folder, command)),
  );
}

/** Paths of all files below (a file stands for itself), sorted; missing ones are left out. */
export function listFiles(path) {
  if (!existsSync(path)) return [];
  if (!statSync(path).isDirectory()) return [path];
  const entries = readdirSync(path, { withFileTypes: true });
  return entries.flatMap((entry) => listFiles(join(path, entry.name))).sort();
}

/**
 * Hash over the names and contents of files and folders (relative to the project) and further
 * words.
 */
export function contentHash(paths, words = []) {
  const hash = createHash("sha256").update(JSON.stringify(words));
  for (const file of paths.flatMap((path) => listFiles(join(projectRoot, path)))) {
    hash.update(`\0${file}\0`).update(readFileSync(file));
  }
  return hash.digest("hex");
}

/** True when the last making of `name` succeeded and was made from what has this hash. */
export function isStamped(name, hash) {
  const stamp = join(stampFolder, name);
  return existsSync(stamp) && readFileSync(stamp, "utf8") === hash;
}

/**
 * Makes what `name` stands for, unless it was made from what has this hash. The old stamp goes
 * first: a making that fails half way may have changed what that stood for.
 * @param {string} name of the stamp
 * @param {string} hash of everything that goes in
 * @param {() => Promise<void>} make throws when it fails
 * @param {string} output a file without which it counts as not made
 */
export async function makeStamped(name, hash, make, output) {
  if (isStamped(name, hash) && existsSync(output)) return;
  const stamp = join(stampFolder, name);
  rmSync(stamp, { force: true });
  await make();
  mkdirSync(stampFolder, { recursive: true });
  writeFileSync(stamp, hash);
}

/** Runs the body of a script; a ScriptError becomes its message, its cure and exit status 1. */
export async function runScript(name, body) {
  try {
    await body();
  } catch (error) {
    process.exitCode = 1;
    if (!(error instanceof ScriptError)) throw error;
    process.stderr.write(`${name}: ${error.message}\n`);
    if (error.hint !== undefined) process.stderr.write(`  -> ${error.hint}\n`);
  }
}

/** True when the module was started as a program, not imported. */
export function isMain(moduleUrl) {
  const started = process.argv[1];
  return started !== undefined && fileURLToPath(moduleUrl) === realpathSync(started);
}
