// The whole command line as a function: argv in, exit status out. Prints errors; must not exit the
// process, so that tests can call it.

import { Command, CommanderError, Option } from "commander";
import { suggest } from "../config/suggest.js";
import { culvertVersion } from "../control/version.js";
import { CulvertError, ExitStatus } from "../errors.js";
import { COMMANDS } from "./commands.js";
import type { CliIo } from "./io.js";
import { reportError } from "./report-error.js";
import { usageError } from "./usage-error.js";

const EXAMPLES = `
Examples:
  culvert run --config /etc/culvert/culvert.yaml
  culvert status
  culvert fdb add 02:00:00:00:00:0b dev vxlan100 dst 10.57.4.21
  culvert counters --watch

Exit status: 0 done, 1 failed, 2 wrong usage or configuration, 3 no daemon at that socket.`;

/**
 * Runs one command. `words` are the arguments without node and script. Never throws; errors are
 * printed to `io.err`.
 */
export async function runCli(words: readonly string[], io: CliIo): Promise<ExitStatus> {
  const argv = withoutSingleDashes(withoutDoubleHelp(words));
  let status: ExitStatus = ExitStatus.done;
  try {
    const program = await buildProgram(argv, io, (finished) => {
      status = finished;
    });
    await program.parseAsync(argv, { from: "user" });
    return status;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return ExitStatus.done;
    return failWith(error, argv, io);
  }
}

async function buildProgram(
  argv: readonly string[],
  io: CliIo,
  finish: (status: ExitStatus) => void,
): Promise<Command> {
  const program = new Command("culvert")
    .description("userspace VXLAN and IPIP tunnels for Linux")
    .usage("<command> [options]")
    .version(culvertVersion(), "-V, --version")
    .option("--socket <path>", "control socket of the daemon, for commands that talk to one")
    .option("-j, --json", "print JSON")
    // As in `bridge -s fdb show`; what has no statistics ignores it, as there.
    .addOption(new Option("-s, --statistics", "with more detail (fdb show)").hideHelp())
    .addHelpText("after", EXAMPLES)
    .enablePositionalOptions()
    .helpCommand(true)
    .allowExcessArguments()
    .action(() => refuseCommand(commandWords(argv)[0]));
  const words = commandWords(argv);
  const wanted = words[0] === "help" ? words[1] : words[0];
  const topic = words[0] === "help" ? wanted : undefined;
  if (topic !== undefined && !COMMANDS.some(({ name }) => name === topic)) refuseCommand(topic);
  const context = {
    io,
    finish,
    program: (line: readonly string[]) => buildProgram(line, io, finish),
  };
  for (const { name, summary, load } of COMMANDS) {
    const command = name === wanted ? await load(context) : new Command(name).description(summary);
    program.addCommand(command.summary(summary));
  }
  confine(program, io);
  return program;
}

/** `help help` and `help --help` mean the program's own help; commander knows neither. */
function withoutDoubleHelp(argv: readonly string[]): readonly string[] {
  const double = argv[0] === "help" && /^(help|--help|-h)$/.test(argv[1] ?? "");
  return double ? ["--help"] : argv;
}

/** iproute2 writes its long options with one dash. */
function withoutSingleDashes(argv: readonly string[]): readonly string[] {
  return argv.map((word) => (word === "-batch" || word === "-force" ? `-${word}` : word));
}

/** No command, or one that does not exist. */
function refuseCommand(typed: string | undefined): never {
  const names = COMMANDS.map(({ name }) => name);
  const hint = `commands: ${names.join(", ")}; \`culvert --help\` says more`;
  if (typed === undefined) throw usageError("no command is given", hint);
  const meant = suggest(typed, names);
  throw usageError(
    `unknown command "${typed}"${meant === undefined ? "" : `; did you mean "${meant}"?`}`,
    hint,
  );
}

/**
 * Keeps commander and its subcommands from exiting the process and from printing errors their own
 * way.
 */
function confine(command: Command, io: CliIo): void {
  command.exitOverride().configureOutput({
    writeOut: io.out,
    writeErr: io.err,
    outputError: () => undefined,
  });
  for (const child of command.commands) confine(child, io);
}

const OPTIONS_WITH_VALUE = new Set(["--socket", "-b", "--batch"]);

/** The words of `argv` that are neither options nor values of some that may stand early. */
function commandWords(argv: readonly string[]): string[] {
  const words: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    if (OPTIONS_WITH_VALUE.has(argv[i])) i++;
    else if (!argv[i].startsWith("-")) words.push(argv[i]);
  }
  return words;
}

function failWith(error: unknown, argv: readonly string[], io: CliIo): ExitStatus {
  const shown = asCulvertError(error, argv);
  reportError(io, shown, wantsJson(argv));
  if (io.env.CULVERT_DEBUG === "1" && error instanceof Error) io.err(`${error.stack}\n`);
  return shown.exit;
}

function asCulvertError(error: unknown, argv: readonly string[]): CulvertError {
  if (error instanceof CulvertError) return error;
  if (error instanceof CommanderError) {
    const known = COMMANDS.find(({ name }) => name === commandWords(argv)[0]);
    const help = known === undefined ? "culvert --help" : `culvert ${known.name} --help`;
    return usageError(error.message.replace(/^error: /, ""), `\`${help}\` shows what it takes`);
  }
  const message = error instanceof Error ? error.message : String(error);
  return new CulvertError("CULVERT_INTERNAL", `unexpected error: ${message}`, {
    hint: "CULVERT_DEBUG=1 prints where it happened; please report it",
  });
}

/** Looked up by hand: the error may be that the options could not be parsed. */
function wantsJson(argv: readonly string[]): boolean {
  return argv.some((word) => word === "--json" || /^-[a-z]*j[a-z]*$/.test(word));
}
