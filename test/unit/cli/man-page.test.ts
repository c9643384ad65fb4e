// Holds docs/culvert.8 to the program: every command, operation, word and option stands in it, and
// no option that the program does not have; its example is a valid configuration; groff and man
// render it without a warning.

import { execFile } from "node:child_process";
import { Readable } from "node:stream";
import { promisify } from "node:util";
import { Command } from "commander";
import { describe, expect, it } from "vitest";
import { grammarOf } from "../../../src/cli/command.js";
import { COMMANDS } from "../../../src/cli/commands.js";
import { loadConfig } from "../../../src/config/load.js";
import { DEFAULT_SOCKET_PATH } from "../../../src/control/paths.js";
import { ExitStatus } from "../../../src/errors.js";
import { projectRoot } from "../../../src/testbed/project.js";
import { readSource } from "../source-tree.js";
import { culvert } from "./harness.js";
import { isInstalled } from "./shell-harness.js";

const PAGE = "docs/culvert.8";
const source = readSource(PAGE);
const run = promisify(execFile);
const groff = await isInstalled("groff", "groff on the man page");
const man = await isInstalled("man", "man on the man page");

/** The lines of a section with roff's fonts, escapes and macro names taken out. */
function section(title: string): string {
  const parts = source.split(/^\.SH /m);
  const found = parts.find((part) => part.replace(/^"/, "").startsWith(title));
  if (found === undefined) throw new Error(`no section ${title}`);
  return found
    .slice(found.indexOf("\n") + 1)
    .replace(/\\f[BIR]/g, "")
    .replaceAll("\\-", "-")
    .replace(/^\.(B|I|BR|RB|SS) (.*)$/gm, (_line, _macro, words: string) =>
      words.replaceAll('"', " ").replace(/ +/g, " ").trim(),
    );
}

const commands = section("COMMANDS");
const options = section("OPTIONS");

/** Commands and operations by what is typed: `fdb`, `fdb add`. */
const program: [path: string, command: Command][] = [];
for (const { load } of COMMANDS) {
  const io = {
    out: () => undefined,
    err: () => undefined,
    isTerminal: false,
    errIsTerminal: false,
    input: () => Readable.from([]),
    env: {},
    interrupted: () => new AbortController().signal,
  };
  const command = await load({ io, finish: () => undefined, program: async () => new Command() });
  program.push([command.name(), command]);
  for (const child of command.createHelp().visibleCommands(command)) {
    program.push([`${command.name()} ${child.name()}`, child]);
  }
}

/** Options of the program itself, as completion offers them, and those of every command. */
async function everyOption(): Promise<Set<string>> {
  const { out } = await culvert(["completion", "candidates", "--", "-"]);
  const names = new Set(out.split("\n").flatMap((line) => line.split("\t")[0] || []));
  for (const [, command] of program) {
    for (const { short, long } of command.createHelp().visibleOptions(command)) {
      for (const name of [short, long]) if (name !== undefined) names.add(name);
    }
  }
  return names;
}

const asWord = (text: string) => new RegExp(`(?<![\\w-])${text}(?![\\w-])`);

describe("the man page", () => {
  it.each(program)("has %s with its words", (path, command) => {
    // A command with operations is the title of a sub-section, others open a paragraph.
    const start = new RegExp(`^${path}(?![\\w-])`, "m");
    expect(commands).toMatch(start);
    for (const alias of command.aliases()) expect(commands).toMatch(asWord(alias));
    for (const { argChoices } of command.registeredArguments) {
      for (const choice of argChoices ?? []) expect(commands).toMatch(asWord(choice));
    }
    const grammar = grammarOf(command);
    if (grammar === undefined) return;
    for (const word of [...Object.keys(grammar.values), ...(grammar.flags ?? [])]) {
      expect(commands).toMatch(asWord(word));
    }
    for (const word of grammar.required ?? []) {
      const line = commands.slice(commands.search(start)).split("\n")[0];
      const shown = word === grammar.bare ? "(MAC|IP)" : word;
      expect(line).toMatch(asWord(shown));
    }
  });

  it("has every option of the program, and no other", async () => {
    const names = await everyOption();
    expect(names).toContain("--statistics");
    for (const name of names) expect(options).toMatch(asWord(name));
    const shown = options.match(/(?<![\w-])--?[a-zA-Z][\w-]*/g);
    expect(shown!.filter((name) => !names.has(name))).toEqual([]);
  });

  it("shows every command in the synopsis", () => {
    const synopsis = section("SYNOPSIS");
    for (const { name } of COMMANDS)
      expect(synopsis).toMatch(new RegExp(`^culvert ${name}\\b`, "m"));
  });

  it("has every exit status and the default socket", () => {
    const shown = section("EXIT STATUS").match(/^\d+$/gm);
    expect(shown!.map(Number)).toEqual(Object.values(ExitStatus));
    expect(options).toContain(DEFAULT_SOCKET_PATH);
    expect(section("FILES")).toContain(DEFAULT_SOCKET_PATH);
  });

  it("shows a configuration that is valid", () => {
    const [, yaml] = section("CONFIGURATION").match(/^\.EX\n(.*?)^\.EE$/ms)!;
    expect(loadConfig(yaml!, "example").problems).toBeUndefined();
  });

  it.runIf(groff)("is rendered by groff without a warning", async () => {
    const { stdout, stderr } = await run("groff", ["-man", "-ww", "-Tutf8", PAGE], {
      cwd: projectRoot,
    });
    expect(stderr).toBe("");
    expect(stdout).toContain("userspace VXLAN and IPIP tunnels");
  });

  it.runIf(man)("is rendered by man without a warning", async () => {
    const env = { ...process.env, MANWIDTH: "80", LC_ALL: "C.UTF-8" };
    const { stdout, stderr } = await run("man", ["--warnings", "-l", PAGE], {
      cwd: projectRoot,
      env,
    });
    expect(stderr).toBe("");
    expect(stdout).toContain("SEE ALSO");
  });
});
