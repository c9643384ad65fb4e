#!/usr/bin/env node
// The entry point: argv -> command -> exit status. The only file that exits the process.

import { runCli } from "./cli/run-cli.js";
import { ExitStatus } from "./errors.js";

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  // `culvert fdb show | head` is no error: the reader has what it wants.
  if (error.code === "EPIPE") process.exit(ExitStatus.done);
  process.stderr.write(`culvert: cannot write the output: ${error.message}\n`);
  process.exit(ExitStatus.failed);
});

// A daemon outlives whoever read its log: lines that nobody takes are lost, tunnels are not.
process.stderr.on("error", () => undefined);

const status = await runCli(process.argv.slice(2), {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  isTerminal: process.stdout.isTTY === true,
  errIsTerminal: process.stderr.isTTY === true,
  input: () => process.stdin,
  env: process.env,
  interrupted: () => {
    const controller = new AbortController();
    process.once("SIGINT", () => controller.abort());
    return controller.signal;
  },
});
// What could not be written is known only when the stream has taken all of it.
await new Promise((resolve) => process.stdout.write("", resolve));
process.exit(status);
