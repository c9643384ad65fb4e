// Runs culvert's command line in this process against a real control server on a real unix socket.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { runCli } from "../../../src/cli/run-cli.js";
import { startControlServer } from "../../../src/control/server.js";
import { MemoryEvents } from "../control/memory-events.js";
import { MemoryTarget, memoryLog } from "../control/memory-target.js";

export interface CliResult {
  status: number;
  out: string;
  err: string;
}

export interface CliSetting {
  isTerminal?: boolean;
  env?: Record<string, string>;
  errIsTerminal?: boolean;
  /** Standard input, in pieces as they arrive. */
  input?: Iterable<string> | AsyncIterable<string>;
  interrupted?: AbortSignal;
  /** Sees the output as it comes. */
  onOut?: (text: string) => void;
}

/** Runs `culvert ...argv` and returns what it printed. */
export async function culvert(
  argv: readonly string[],
  setting: CliSetting = {},
): Promise<CliResult> {
  const result: CliResult = { status: -1, out: "", err: "" };
  result.status = await runCli(argv, {
    out: (text) => {
      result.out += text;
      setting.onOut?.(text);
    },
    err: (text) => {
      result.err += text;
    },
    isTerminal: setting.isTerminal ?? false,
    errIsTerminal: setting.errIsTerminal ?? false,
    input: () => Readable.from(setting.input ?? []),
    env: setting.env ?? {},
    interrupted: () => setting.interrupted ?? new AbortController().signal,
  });
  return result;
}

export interface Daemon {
  target: MemoryTarget;
  events: MemoryEvents;
  socketPath: string;
  directory: string;
  close(): Promise<void>;
}

/** A control server with a fresh MemoryTarget in a temporary directory. */
export async function startDaemon(): Promise<Daemon> {
  const directory = mkdtempSync(join(tmpdir(), "culvert-cli-"));
  const socketPath = join(directory, "c.sock");
  const target = new MemoryTarget();
  const events = new MemoryEvents();
  const server = await startControlServer({ socketPath, target, events, log: memoryLog() });
  return {
    target,
    events,
    socketPath,
    directory,
    close: async () => {
      await server.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
