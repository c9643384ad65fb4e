// What may stand next on a half-typed command line: read from the commander program and the
// grammars of its operations. Knows no command by name, so that a new one is completed without a
// word here. Must not run a command.

import type { Command, Option } from "commander";
import { DEFAULT_SOCKET_PATH } from "../control/paths.js";
import { grammarOf } from "./command.js";
import { describeValue, type Grammar } from "./keyword-args.js";
import { listWordsOf } from "./option-values.js";

export interface Candidate {
  readonly word: string;
  /** A few words for shells that show them; may be empty. */
  readonly meaning: string;
}

/** "files": a path goes here; the shell knows them best. */
export type Completion = "files" | readonly Candidate[];

export interface CompletionSources {
  readonly program: (argv: readonly string[]) => Promise<Command>;
  /** The devices of the daemon at this socket; may throw. */
  readonly devices: (socketPath: string) => Promise<readonly Candidate[]>;
}

/** Where on the command line the cursor stands. */
interface Place {
  readonly command: Command;
  /** The commands that may stand where `command` stands. */
  readonly siblings: readonly Command[];
  /** The words since `command` that are no options. */
  readonly words: readonly string[];
  readonly given: ReadonlySet<Option>;
  /** The option whose value comes next. */
  readonly awaiting: Option | undefined;
  readonly socketPath: string;
}

/** Option values that are paths, by their name in the help: `--socket <path>`, `--json [file]`. */
const PATH_VALUE = /[<[](path|file)[>\]]/;

/**
 * Completes the last of `line`, the words after `culvert` up to the cursor (the last one may be
 * empty). Candidates are not filtered by what is typed of that word, apart from options: shells
 * differ in how they match.
 */
export async function complete(
  line: readonly string[],
  sources: CompletionSources,
): Promise<Completion> {
  const earlier = line.slice(0, -1);
  const current = line.at(-1) ?? "";
  const place = findPlace(await sources.program(earlier), earlier);
  if (place.awaiting !== undefined && takesValue(place.awaiting, current)) {
    return valueCandidates(place.awaiting, current);
  }
  const inOption = current.startsWith("--") ? current.indexOf("=") : -1;
  if (inOption >= 0) {
    const option = findOption(place.command, current.slice(0, inOption));
    return option === undefined ? [] : valueCandidates(option, current.slice(inOption + 1));
  }
  if (current.startsWith("-")) return optionCandidates(place, true);
  const grammar = grammarOf(place.command);
  if (grammar !== undefined) return grammarCandidates(place, grammar, sources);
  const words = wordCandidates(place);
  return words.length > 0 ? words : optionCandidates(place, false);
}

function findPlace(program: Command, earlier: readonly string[]): Place {
  let command = program;
  let siblings: readonly Command[] = [];
  let words: string[] = [];
  let awaiting: Option | undefined;
  let socketPath = DEFAULT_SOCKET_PATH;
  const given = new Set<Option>();
  const setValue = (option: Option, value: string) => {
    if (option.long === "--socket") socketPath = value;
  };
  for (const word of earlier) {
    if (awaiting !== undefined && takesValue(awaiting, word)) {
      setValue(awaiting, word);
      awaiting = undefined;
    } else if (word.startsWith("-")) {
      const [name, ...value] = word.split("=");
      const option = findOption(command, name);
      awaiting = undefined;
      if (option === undefined) continue;
      given.add(option);
      if (value.length > 0) setValue(option, value.join("="));
      else if (option.required || option.optional) awaiting = option;
    } else {
      const visible = visibleCommands(command);
      const child = visible.find((one) => one.name() === word || one.aliases().includes(word));
      if (child === undefined || words.length > 0) {
        words.push(word);
      } else {
        siblings = visible;
        command = child;
        words = [];
      }
    }
  }
  return { command, siblings, words, given, awaiting, socketPath };
}

/** With commander's own `help`, without hidden commands. */
function visibleCommands(command: Command): Command[] {
  return command.createHelp().visibleCommands(command);
}

function findOption(command: Command, name: string): Option | undefined {
  return command.options.find(({ long, short }) => name === long || name === short);
}

/** Whether `word` after `option` is its value: one that may be left out is no option. */
function takesValue(option: Option, word: string): boolean {
  return option.required || !word.startsWith("-");
}

function valueCandidates(option: Option, typed: string): Completion {
  if (PATH_VALUE.test(option.flags)) return "files";
  const listed = listWordsOf(option);
  if (listed !== undefined) {
    const before = typed.slice(0, typed.lastIndexOf(",") + 1);
    const left = listed.filter((word) => !before.split(",").includes(word));
    return left.map((word) => ({ word: before + word, meaning: "" }));
  }
  return (option.argChoices ?? []).map((word) => ({ word, meaning: "" }));
}

/** The options not given yet; without `short`, only one form of each. */
function optionCandidates({ command, given }: Place, short: boolean): Candidate[] {
  const options = command.createHelp().visibleOptions(command);
  return options
    .filter((option) => !given.has(option))
    .flatMap((option) => {
      const forms = short ? [option.short, option.long] : [option.long ?? option.short];
      return forms.flatMap((word) =>
        word === undefined ? [] : { word, meaning: option.description },
      );
    });
}

/** Sub-commands, or the choices of the argument that comes next. */
function wordCandidates({ command, siblings, words }: Place): Candidate[] {
  if (words.length === 0) {
    const isHelp = command.name() === "help";
    const commands = isHelp ? siblings.filter((one) => one !== command) : visibleCommands(command);
    const named = commands.map((one) => ({
      word: one.name(),
      meaning: one.summary() || one.description(),
    }));
    if (named.length > 0) return named;
  }
  const choices = command.registeredArguments[words.length]?.argChoices ?? [];
  return choices.map((word) => ({ word, meaning: "" }));
}

/** iproute2's words: the value of the word before the cursor, or the words not given yet. */
async function grammarCandidates(
  { words, socketPath }: Place,
  grammar: Grammar,
  sources: CompletionSources,
): Promise<readonly Candidate[]> {
  const left = new Set([...Object.keys(grammar.values), ...(grammar.flags ?? [])]);
  for (let i = 0; i < words.length; i++) {
    const kind = Object.hasOwn(grammar.values, words[i]) ? grammar.values[words[i]] : undefined;
    const known = left.delete(words[i]);
    if (kind !== undefined) {
      i++;
      if (i < words.length) continue;
      if (kind === "device") return sources.devices(socketPath);
      return describeValue(kind).choices.map((word) => ({ word, meaning: "" }));
    }
    if (!known && grammar.bare !== undefined) left.delete(grammar.bare);
  }
  return Array.from(left, (word) => {
    const isValue = Object.hasOwn(grammar.values, word);
    return { word, meaning: isValue ? describeValue(grammar.values[word]).expected : "" };
  });
}
