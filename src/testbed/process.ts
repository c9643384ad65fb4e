// Child processes of the testbed: short commands that must succeed, and long-running ones (daemons,
// iperf3 servers) that are stopped by their pid. Every child has a process group of its own, so
// that Ctrl-C on the terminal reaches only us and things end in order, and gets SIGTERM from the
// kernel when we die without a chance to clean up.

import { type ChildProcessByStdio, spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import type { Readable } from "node:stream";
import type { Cleanup } from "./cleanup.js";
import { TestbedError } from "./error.js";

/** What is kept of each output stream of a child; the rest is dropped. */
const outputLimit_chars = 4 * 1024 * 1024;
const commandTimeout_ms = 15_000;
const killGrace_ms = 3_000;
const pollInterval_ms = 5;

export interface ExitResult {
  /** Exit status; null when a signal ended the process. */
  status: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/**
 * Runs a short command to its end and returns its standard output.
 * Throws TestbedError with the command line and what it said when it fails or takes longer than 15
 * s.
 */
export function runSync(argv: readonly string[], input = ""): string {
  const [command, ...args] = argv;
  const result = spawnSync(command!, args, {
    encoding: "utf8",
    timeout: commandTimeout_ms,
    killSignal: "SIGKILL",
    maxBuffer: outputLimit_chars,
    input,
  });
  if (result.error !== undefined) {
    const missing = (result.error as NodeJS.ErrnoException).code === "ENOENT";
    throw new TestbedError(
      `cannot run ${argv.join(" ")}: ${result.error.message}`,
      missing ? `install ${command}: \`npm run setup\` does` : undefined,
    );
  }
  if (result.status !== 0) {
    const said = (result.stderr + result.stdout).trim();
    throw new TestbedError(`${argv.join(" ")}: ${said || `exit status ${result.status}`}`);
  }
  return result.stdout;
}

/** Whether PATH has the program `name`; it is started with `--version`. */
export function hasCommand(name: string): boolean {
  const options = { stdio: "ignore", timeout: commandTimeout_ms } as const;
  return spawnSync(name, ["--version"], options).error === undefined;
}

/** Blocks the thread; for cleanup steps, which cannot await. */
function sleepSync(duration_ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, duration_ms);
}

export function sleep(duration_ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, duration_ms));
}

/** True while a process exists and is not a zombie. Works before Node.js has reaped its child. */
export function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat[stat.lastIndexOf(")") + 2] !== "Z";
  } catch {
    return false;
  }
}

function signalPid(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/**
 * SIGTERM, up to 3 s of patience, SIGKILL; returns when the process is gone. A negative target is a
 * group.
 */
export function endProcessSync(pid: number, target = pid): void {
  if (!isRunning(pid)) return;
  signalPid(target, "SIGTERM");
  for (
    let waited_ms = 0;
    isRunning(pid) && waited_ms < killGrace_ms;
    waited_ms += pollInterval_ms
  ) {
    sleepSync(pollInterval_ms);
  }
  if (!isRunning(pid)) return;
  signalPid(target, "SIGKILL");
  for (
    let waited_ms = 0;
    isRunning(pid) && waited_ms < killGrace_ms;
    waited_ms += pollInterval_ms
  ) {
    sleepSync(pollInterval_ms);
  }
}

/** A running command whose output is collected and which ends with its Cleanup at the latest. */
export class Child {
  readonly pid: number;
  readonly argv: readonly string[];
  readonly exited: Promise<ExitResult>;
  #stdout = "";
  #stderr = "";
  #result: ExitResult | undefined;
  readonly #closeOutput: () => void;

  constructor(cleanup: Cleanup, argv: readonly string[]) {
    this.argv = argv;
    const process_ = spawn("setpriv", ["--pdeathsig", "TERM", "--", ...argv], {
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const removeNow = cleanup.defer(argv.join(" "), () => {
      if (this.pid > 0) endProcessSync(this.pid, -this.pid);
    });
    this.exited = this.#watch(process_, removeNow);
    this.#closeOutput = () => {
      process_.stdout.destroy();
      process_.stderr.destroy();
    };
    if (process_.pid === undefined) {
      this.pid = 0;
      return;
    }
    this.pid = process_.pid;
  }

  /** Closes our end of its stdout and stderr, as a reader does that ends first. */
  closeOutput(): void {
    this.#closeOutput();
  }

  #watch(
    process_: ChildProcessByStdio<null, Readable, Readable>,
    finished: () => void,
  ): Promise<ExitResult> {
    process_.stdout.setEncoding("utf8").on("data", (text: string) => {
      if (this.#stdout.length < outputLimit_chars) this.#stdout += text;
    });
    process_.stderr.setEncoding("utf8").on("data", (text: string) => {
      if (this.#stderr.length < outputLimit_chars) this.#stderr += text;
    });
    return new Promise((resolve) => {
      const settle = (status: number | null, signal: NodeJS.Signals | null): void => {
        this.#result = { status, signal, stdout: this.#stdout, stderr: this.#stderr };
        finished();
        resolve(this.#result);
      };
      process_.once("error", (error) => {
        this.#stderr += `cannot start ${this.argv.join(" ")}: ${error.message}\n`;
        settle(127, null);
      });
      process_.once("close", settle);
    });
  }

  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** The result once the process has ended and its output is complete, else undefined. */
  get result(): ExitResult | undefined {
    return this.#result;
  }

  /** Asks the process to end and waits; SIGKILL to its group after `patience_ms`. */
  async stop(signal: NodeJS.Signals = "SIGTERM", patience_ms = killGrace_ms): Promise<ExitResult> {
    if (this.#result === undefined && this.pid > 0) signalPid(this.pid, signal);
    const timer = setTimeout(() => {
      if (this.#result === undefined && this.pid > 0) signalPid(-this.pid, "SIGKILL");
    }, patience_ms);
    const result = await this.exited;
    clearTimeout(timer);
    return result;
  }

  /**
   * Waits for the natural end, at most `timeout_ms`; then kills the process and throws
   * TestbedError.
   */
  async wait(timeout_ms: number): Promise<ExitResult> {
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      if (this.#result === undefined && this.pid > 0) signalPid(-this.pid, "SIGKILL");
    }, timeout_ms);
    const result = await this.exited;
    clearTimeout(timer);
    if (timedOut) {
      throw new TestbedError(`${this.argv.join(" ")}: no end after ${timeout_ms / 1000} s, killed`);
    }
    return result;
  }
}

/** Polls `condition` every 5 ms; false when it did not hold within `timeout_ms`. */
export async function waitUntil(
  condition: () => boolean | Promise<boolean>,
  timeout_ms: number,
): Promise<boolean> {
  const end_ms = performance.now() + timeout_ms;
  while (!(await condition())) {
    if (performance.now() >= end_ms) return false;
    await sleep(pollInterval_ms);
  }
  return true;
}
