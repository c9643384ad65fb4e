// What the command files share: the options of every command that talks to a daemon, and how one is
// built.

import { Command } from "commander";
import { suggest } from "../config/suggest.js";
import { type ControlClient, createControlClient } from "../control/client.js";
import { DEFAULT_SOCKET_PATH } from "../control/paths.js";
import type { Grammar } from "./keyword-args.js";
import { usageError } from "./usage-error.js";

export interface DaemonOptions {
  socket: string;
  json?: true;
}

/** Adds --socket and --json; they may also stand before the command's name. */
export function withDaemonOptions(command: Command): Command {
  return command
    .option("--socket <path>", `control socket of the daemon (default: ${DEFAULT_SOCKET_PATH})`)
    .option("-j, --json", "print JSON");
}

/** The options of `command`, wherever on the line they stood. */
export function daemonOptions<Extra extends object = object>(
  command: Command,
): DaemonOptions & Extra {
  const options = { socket: DEFAULT_SOCKET_PATH, ...command.optsWithGlobals<Extra>() };
  if (options.socket !== "") return options;
  throw usageError("--socket is empty", `say --socket PATH, such as ${DEFAULT_SOCKET_PATH}`);
}

/** A client for the daemon that the command line names. */
export function daemonClient(options: DaemonOptions): ControlClient {
  return createControlClient({ socketPath: options.socket });
}

/** Operations of bridge(8) and ip-neighbour(8) that culvert has under another name. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  get: "`show` with an address prints its entry",
  change: "`replace` changes an entry, or adds it",
};

export interface OperationSpec {
  readonly name: string;
  readonly alias?: string;
  readonly summary: string;
  /** iproute2-style words, as the help shows them. */
  readonly words: string;
  /** What `run` parses its words by; shell completion reads it. */
  readonly grammar: Grammar;
  readonly run: (words: string[], command: Command) => Promise<void>;
  /** Adds options of its own. */
  readonly extend?: (command: Command) => void;
}

/** Beside the commands, because commander has no place for it. */
const GRAMMARS = new WeakMap<Command, Grammar>();

/** The grammar of an operation's words; undefined for a command without such words. */
export function grammarOf(command: Command): Grammar | undefined {
  return GRAMMARS.get(command);
}

/** Notes the grammar of a command's words, for shell completion. @returns the command */
export function withGrammar(command: Command, grammar: Grammar): Command {
  GRAMMARS.set(command, grammar);
  return command;
}

/**
 * A command with operations in iproute2's manner (`culvert fdb show dev vxlan100`); without an
 * operation it does the first one, as `bridge fdb` does.
 * @param onBare asked before that whether the options alone say what to do; true: it is done
 */
export function operationsCommand(
  name: string,
  summary: string,
  operations: readonly OperationSpec[],
  examples: string,
  onBare: (command: Command) => Promise<boolean> = async () => false,
): Command {
  const command = withDaemonOptions(new Command(name).description(summary))
    .usage("[operation] [words...] [options]")
    .configureHelp({ subcommandTerm: (child) => child.name() })
    .addHelpText("after", examples)
    .allowExcessArguments()
    .action(async (_options, self: Command) => {
      const [typed] = self.args;
      if (typed === undefined) {
        if (!(await onBare(self))) await operations[0].run([], self);
        return;
      }
      const names = operations.flatMap((operation) =>
        [operation.name, operation.alias ?? []].flat(),
      );
      const meant = suggest(typed, names);
      throw usageError(
        `${name}: unknown operation "${typed}"${meant === undefined ? "" : `; did you mean "${meant}"?`}`,
        operationHint(typed, operations),
      );
    });
  for (const operation of operations) {
    const child = withDaemonOptions(new Command(operation.name))
      .description(operation.summary)
      .usage(`${operation.words} [options]`)
      .argument("[words...]", operation.words === "" ? "none" : operation.words)
      .action((words: string[], _options, self: Command) => operation.run(words, self))
      .addHelpText("after", examples);
    if (operation.alias !== undefined) child.alias(operation.alias);
    withGrammar(child, operation.grammar);
    operation.extend?.(child);
    command.addCommand(child);
  }
  return command;
}

function operationHint(typed: string, operations: readonly OperationSpec[]): string {
  const names = operations.map(({ name }) => name);
  const refused: Grammar["refused"] = operations[0].grammar.refused;
  if (refused !== undefined && Object.hasOwn(refused, typed)) return refused[typed];
  const other = Object.hasOwn(ELSEWHERE, typed) && !names.includes("get") ? ELSEWHERE[typed] : "";
  return `${other === "" ? "" : `${other}; `}operations: ${names.join(", ")}`;
}
