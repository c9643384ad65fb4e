// `culvert check`: whether a configuration file is right, and what it means with every default
// filled in. Opens nothing but that file.

import { Command } from "commander";
import { ExitStatus } from "../errors.js";
import { type CliIo, writeJson } from "./io.js";

const EXAMPLES = `
Examples:
  culvert check --config /etc/culvert/culvert.yaml
  culvert check --config culvert.yaml -j | jq .tunnels

Prints the effective configuration, or every problem with line and column and exit status 2. With -j the problems
are a JSON object on stderr.`;

/** The `check` command; `finish` gets exit status 2 when the problems were printed as JSON. */
export function checkCommand(io: CliIo, finish: (status: ExitStatus) => void): Command {
  return new Command("check")
    .description("validate a configuration file; print the effective configuration")
    .requiredOption("-c, --config <file>", "configuration file (YAML)")
    .option("-j, --json", "print JSON")
    .addHelpText("after", EXAMPLES)
    .action(async (_options, command: Command) => {
      const { config: path, json } = command.optsWithGlobals<{ config: string; json?: true }>();
      const [{ loadConfigFile }, { formatConfig, invalidConfigError }] = await Promise.all([
        import("../config/load.js"),
        import("../config/format.js"),
      ]);
      const loaded = loadConfigFile(path);
      if (loaded.problems === undefined) {
        if (json) writeJson(io, loaded.config);
        else io.out(formatConfig(loaded.config));
        return;
      }
      const error = invalidConfigError(loaded.problems, loaded.text, path);
      if (!json) throw error;
      const { code, message, hint } = error;
      io.err(`${JSON.stringify({ error: { code, message, hint, problems: loaded.problems } })}\n`);
      finish(ExitStatus.usage);
    });
}
