// One `culvert run` inside a namespace: writes its config, starts it, waits until its control
// socket answers, talks to it by the CLI, stops it by SIGTERM. Knows the interface contract only,
// nothing of the sources.

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Cleanup } from "./cleanup.js";
import { TestbedError } from "./error.js";
import type { Namespace } from "./namespace.js";
import { type Child, type ExitResult, waitUntil } from "./process.js";
import { culvertEntry } from "./project.js";

const readyTimeout_ms = 10_000;
const commandTimeout_ms = 15_000;
const shownOutput_chars = 4_000;

export interface DaemonOptions {
  namespace: Namespace;
  cleanup: Cleanup;
  /** YAML after `control:`, usually `tunnels: ...`. */
  config: string;
}

/** True when something accepts connections on that unix socket. */
export function socketAnswers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const settle = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", () => settle(true));
    socket.once("error", () => settle(false));
  });
}

/** A temporary folder that disappears with `cleanup`. */
export function temporaryFolder(cleanup: Cleanup, label: string): string {
  const folder = mkdtempSync(join(tmpdir(), `culvert-${label}-`));
  cleanup.defer(folder, () => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o700);
  return folder;
}

/** A running daemon. */
export class Daemon {
  readonly child: Child;
  readonly socket: string;
  readonly configFile: string;
  /** Time from the start of the process until its control socket accepted a connection. */
  readonly ready_ms: number;
  readonly #namespace: Namespace;

  private constructor(
    child: Child,
    namespace: Namespace,
    files: { socket: string; configFile: string },
    ready_ms: number,
  ) {
    this.child = child;
    this.#namespace = namespace;
    this.socket = files.socket;
    this.configFile = files.configFile;
    this.ready_ms = ready_ms;
  }

  /**
   * Starts a daemon and waits until it is ready. Throws TestbedError with its output when it does
   * not get there.
   */
  static async start(options: DaemonOptions): Promise<Daemon> {
    const { namespace, cleanup } = options;
    const folder = temporaryFolder(cleanup, "daemon");
    const files = { socket: join(folder, "culvert.sock"), configFile: join(folder, "config.yaml") };
    writeFileSync(files.configFile, `control: { socket: "${files.socket}" }\n${options.config}`);
    const started_ms = performance.now();
    const argv = [process.execPath, culvertEntry(), "run", "--config", files.configFile];
    const child = namespace.spawn(argv);
    let answered = false;
    await waitUntil(async () => {
      answered = await socketAnswers(files.socket);
      return answered || child.result !== undefined;
    }, readyTimeout_ms);
    const ready_ms = performance.now() - started_ms;
    if (!answered) {
      const end = child.result;
      if (end === undefined) await child.stop("SIGKILL");
      const how = end === undefined ? "is not ready after 10 s" : `ended with status ${end.status}`;
      const output = (child.stderr + child.stdout).slice(-shownOutput_chars);
      throw new TestbedError(`the daemon in ${namespace.name} ${how}; its output:\n${output}`);
    }
    return new Daemon(child, namespace, files, ready_ms);
  }

  get pid(): number {
    return this.child.pid;
  }

  /** Everything the daemon wrote so far. */
  get log(): string {
    return this.child.stderr + this.child.stdout;
  }

  /** Runs `culvert ARGS --socket ...` against this daemon; never throws for an exit status. */
  async culvert(...args: string[]): Promise<ExitResult> {
    const argv = [process.execPath, culvertEntry(), ...args, "--socket", this.socket];
    return this.#namespace.spawn(argv).wait(commandTimeout_ms);
  }

  /** SIGTERM and wait; SIGKILL after 3 s (then `signal` of the result says so). */
  stop(): Promise<ExitResult> {
    return this.child.stop("SIGTERM");
  }
}
