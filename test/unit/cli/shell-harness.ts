// A program named `culvert` for real shells to run: it carries its arguments to this process, where
// the command line runs from source, and prints what comes back. Needs no build.

import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { culvert } from "./harness.js";

const run = promisify(execFile);
const SHELL_TIMEOUT_MS = 8000;

/** Sends its arguments as one JSON line; takes `{ status, out, err }`. */
const relay = (socketPath: string) => `#!${process.execPath}
const socket = require("node:net").connect(${JSON.stringify(socketPath)});
let answer = "";
socket.on("data", (chunk) => { answer += chunk; });
socket.on("end", () => {
  const { status, out, err } = JSON.parse(answer);
  process.stdout.write(out);
  process.stderr.write(err);
  process.exitCode = status;
});
socket.write(JSON.stringify(process.argv.slice(2)) + "\\n");
`;

export interface ShellBench {
  /** The working directory of the shells; empty but for \`bin\`. */
  readonly directory: string;
  /** What the shell printed to stdout, line by line; stderr must be empty. */
  lines(shell: string, args: readonly string[]): Promise<string[]>;
  close(): Promise<void>;
}

/** Whether `program` is on the PATH; if not, a line says which test is left out and why. */
export async function isInstalled(program: string, test: string): Promise<boolean> {
  try {
    await run("/bin/sh", ["-c", `command -v ${program}`]);
    return true;
  } catch {
    console.info(`skipped: ${test}, ${program} is not installed`);
    return false;
  }
}

export async function startShellBench(): Promise<ShellBench> {
  const directory = mkdtempSync(join(tmpdir(), "culvert-shell-"));
  const socketPath = join(directory, "relay.sock");
  const server = createServer((socket) => {
    let line = "";
    socket.setEncoding("utf8").on("data", async (chunk) => {
      line += chunk;
      if (line.endsWith("\n")) socket.end(JSON.stringify(await culvert(JSON.parse(line))));
    });
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  const bin = join(directory, "bin");
  mkdirSync(bin);
  writeFileSync(join(bin, "culvert"), relay(socketPath), { mode: 0o755 });
  const env = { ...process.env, HOME: directory, PATH: bin + delimiter + process.env.PATH };
  return {
    directory,
    lines: async (shell, args) => {
      const options = { cwd: directory, env, timeout: SHELL_TIMEOUT_MS };
      const { stdout, stderr } = await run(shell, args, options);
      if (stderr !== "") throw new Error(`${shell} complains: ${stderr}`);
      return stdout.split("\n").filter((line) => line !== "");
    },
    close: async () => {
      await new Promise((resolve) => server.close(resolve));
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
