// `culvert run`: the daemon in the foreground. What it does lives in src/daemon; this only starts
// it.

import { Command } from "commander";
import type { ExitStatus } from "../errors.js";

const EXAMPLES = `
Examples:
  culvert run --config /etc/culvert/culvert.yaml

Stops at SIGTERM and SIGINT and removes the devices, addresses and routes that it made.`;

/** The `run` command; `finish` gets the exit status that the daemon ended with. */
export function runCommand(finish: (status: ExitStatus) => void): Command {
  return new Command("run")
    .description("run the daemon in the foreground")
    .requiredOption("-c, --config <file>", "configuration file (YAML)")
    .addHelpText("after", EXAMPLES)
    .action(async (options: { config: string }) => {
      const { runDaemon } = await import("../daemon/run.js");
      finish(await runDaemon({ configPath: options.config }));
    });
}
