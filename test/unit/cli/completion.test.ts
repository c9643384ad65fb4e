// `culvert completion`: what is offered at each place of the command line, and that bash (zsh and
// fish where they are installed) offers it when its own completion runs the script.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { COMMANDS } from "../../../src/cli/commands.js";
import { culvert, type Daemon, startDaemon } from "./harness.js";
import { isInstalled, type ShellBench, startShellBench } from "./shell-harness.js";

const MAC = "02:00:00:00:00:0b";
const bash = await isInstalled("bash", "completion in bash");
const zsh = await isInstalled("zsh", "completion in zsh");
const fish = await isInstalled("fish", "completion in fish");
let daemon: Daemon;
let bench: ShellBench;

beforeAll(async () => {
  daemon = await startDaemon();
  bench = await startShellBench();
  mkdirSync(join(bench.directory, "conf dir"));
  writeFileSync(join(bench.directory, "conf.yaml"), "");
  for (const shell of ["bash", "zsh", "fish"]) {
    const { out } = await culvert(["completion", shell]);
    writeFileSync(join(bench.directory, `script.${shell}`), out);
  }
});
afterAll(async () => {
  await daemon.close();
  await bench.close();
});

/** Candidates for the last word of `line`; SOCKET is the daemon's. */
async function candidates(line: string): Promise<string[]> {
  const words = line.replaceAll("SOCKET", daemon.socketPath).split(" ");
  const { status, out, err } = await culvert(["completion", "candidates", "--", ...words]);
  expect({ status, err }).toEqual({ status: 0, err: "" });
  return out.split("\n").flatMap((text) => text.split("\t")[0] || []);
}

const KINDS = "permanent local static dynamic router extern_learn use";

describe("candidates", () => {
  it("are every command at the start and after help", async () => {
    const names = COMMANDS.map(({ name }) => name);
    expect(await candidates("")).toEqual([...names, "help"]);
    expect(await candidates("--socket /tmp/x -j ")).toEqual([...names, "help"]);
    expect(await candidates("help ")).toEqual(names);
  });

  it.each<[line: string, words: string]>([
    ["fdb ", "show add append replace del flush"],
    ["fdb -j ", "show add append replace del flush"],
    ["neigh ", "show add replace del flush"],
    ["route ", "show get"],
    ["completion ", "bash zsh fish"],
    ["completion bash ", "--help"],
    ["monitor ", "dev fdb neigh miss peer all"],
    ["monitor fdb dev vxlan100 ", "neigh miss peer all"],
    ["fdb show ", "dev dst mac brport state self dynamic"],
    ["fdb list dev vxlan100 ", "dst mac brport state self dynamic"],
    ["fdb show state ", "permanent static dynamic reachable all"],
    [`fdb add ${MAC} `, `dev dst vni port self ${KINDS}`],
    [`fdb add ${MAC} dev vxlan100 dst 10.57.4.21 self `, `vni port ${KINDS}`],
    ["fdb add dst ", ""],
    [
      "fdb flush dev dev ",
      "mac dst vni port self permanent nopermanent static nostatic dynamic nodynamic " +
        "router norouter extern_learn noextern_learn",
    ],
    ["fdb -b ", ":files"],
    ["neigh --batch=", ":files"],
    ["neigh flush nud ", "permanent noarp all"],
    ["neigh add nud ", "permanent noarp"],
    ["route get 192.168.11.10 ", "dev"],
    ["status ", "--socket --json --help"],
    ["status -j ", "--socket --help"],
    ["counters -", "--socket -j --json -a --all -w --watch -h --help"],
    ["fdb show -", "--socket -j --json -s --statistics -h --help"],
    ["run ", "--config --help"],
    ["run --config ", ":files"],
    ["check -c ", ":files"],
    ["check --config=/etc/", ":files"],
    ["status --socket ", ":files"],
    ["--socket ", ":files"],
    ["bench --offloads ", "default nic coalesced off"],
    ["bench --offloads nic,", "nic,default nic,coalesced nic,off"],
    ["bench --offloads nic,default,o", "nic,default,coalesced nic,default,off"],
    ["bench --offloads=nic,", "nic,default nic,coalesced nic,off"],
    ["bench --json ", ":files"],
    ["bench --markdown=", ":files"],
    ["bench -j --offloads ", "default nic coalesced off"],
    ["bench -j out.json --offloads ", "default nic coalesced off"],
    ["bench --rounds ", ""],
    ["-", "-V --version --socket -j --json -h --help"],
    ["nonsense ", "--version --socket --json --help"],
  ])("%j: %s", async (line, words) => {
    expect(await candidates(line)).toEqual(words.split(" ").filter((word) => word !== ""));
  });

  it("are options where a value may be left out", async () => {
    expect(await candidates("bench --json -")).toContain("--markdown");
    expect(await candidates("bench --json -")).not.toContain("--json");
  });

  it.each([
    "fdb show --socket SOCKET dev ",
    "--socket SOCKET fdb show dev ",
    "neigh flush --socket=SOCKET dev v",
    `fdb -j add ${MAC} --socket SOCKET dev `,
  ])("%j: the daemon's devices", async (line) => {
    expect(await candidates(line)).toEqual(["vxlan100", "ipip0"]);
  });

  it("say what they mean", async () => {
    const line = ["fdb", "show", "--socket", daemon.socketPath, "dev", ""];
    const { out } = await culvert(["completion", "candidates", "--", ...line]);
    expect(out).toBe("vxlan100\tvxlan vni 100\nipip0\tipip\n");
    expect((await culvert(["completion", "candidates", "--", "route", ""])).out).toContain(
      "show\tprint the routes of ipip tunnels\n",
    );
  });

  it("are none, without an error, when no daemon answers", async () => {
    expect(await candidates("fdb show --socket /nonexistent dev ")).toEqual([]);
  });
});

describe("completion", () => {
  it("prints a script per shell, and refuses others with exit status 2", async () => {
    for (const shell of ["bash", "zsh", "fish"]) {
      const script = await culvert(["completion", shell]);
      expect(script).toMatchObject({ status: 0, err: "" });
      expect(script.out).toContain("culvert");
    }
    const refused = await culvert(["completion", "tcsh"]);
    expect(refused).toMatchObject({ status: 2, out: "" });
    expect(refused.err).toContain("bash, zsh, fish");
    expect((await culvert(["completion"])).status).toBe(2);
  });

  it("says where to install the script, and hides what the script asks", async () => {
    const { out } = await culvert(["completion", "--help"]);
    expect(out).toContain("/usr/share/bash-completion/completions/culvert");
    expect(out).not.toContain("candidates");
  });
});

/**
 * What each shell offers; `words` as one string, sorted. File names follow the working directory of
 * the bench.
 */
const shellCases: [line: string, words: string][] = [
  ["culvert co", "completion counters"],
  ["culvert fdb ", "add append del flush replace show"],
  [`culvert fdb add ${MAC} dev vxlan100 dst fd00:: p`, "permanent port"],
  ["culvert fdb show --socket SOCKET dev v", "vxlan100"],
  ["culvert neigh flush --socket=SOCKET dev i", "ipip0"],
  ["culvert fdb show --socket /nonexistent dev ", ""],
  ["culvert counters --w", "--watch"],
  ["culvert bench --offloads nic,o", "nic,off"],
];

describe.runIf(bash)("bash", () => {
  /** Splits as readline does: at blanks and at : and =, which are words of their own. */
  const complete = (line: string) => {
    const words: string[] = line.match(/[:=]+|[^\s:=]+/g) ?? [];
    if (/\s$/.test(line)) words.push("");
    const quoted = words.map((word) => `'${word}'`).join(" ");
    return `
      source ./script.bash
      [[ $(complete -p culvert) == 'complete -F _culvert culvert' ]] || exit 1
      COMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}
      COMP_LINE='${line}'; COMP_POINT=${line.length}
      _culvert culvert "\${COMP_WORDS[COMP_CWORD]}" ''
      printf '%s\\n' "\${COMPREPLY[@]}"`;
  };
  const offered = async (line: string) =>
    (await bench.lines("bash", ["--norc", "-c", complete(line)])).sort();

  it.each(shellCases)("%j", async (line, words) => {
    const found = await offered(line.replaceAll("SOCKET", daemon.socketPath));
    expect(found.join(" ")).toBe(words);
  });

  it("completes files, with blanks in their names, also after =", async () => {
    for (const line of ["culvert run --config conf", "culvert check --config=conf"]) {
      expect(await offered(line)).toEqual(["conf dir", "conf.yaml"]);
    }
    expect(await offered("culvert fdb add dst conf")).toEqual([]);
  });
});

describe.runIf(fish)("fish", () => {
  const offered = async (line: string) => {
    const script = `source ./script.fish; complete -C '${line}'`;
    const found = await bench.lines("fish", ["--no-config", "-c", script]);
    return found.map((text) => text.split("\t")[0]!).sort();
  };

  it.each(shellCases)("%j", async (line, words) => {
    const found = await offered(line.replaceAll("SOCKET", daemon.socketPath));
    expect(found.join(" ")).toBe(words);
  });
});

describe.runIf(zsh)("zsh", () => {
  /**
   * Outside the line editor `_describe`, which hands candidates to it, is replaced by one that
   * prints them.
   */
  const offered = async (line: string) => {
    const words = line.split(" ").map((word) => `'${word}'`);
    const script = `
      compdef() { : }
      _files() { print -r -- files }
      compset() { : }
      _describe() { print -rl -- "\${(@P)\${@[-1]}}" }
      source ./script.zsh
      words=(${words.join(" ")}); CURRENT=${words.length}; PREFIX=${words.at(-1)}
      _culvert`;
    const found = await bench.lines("zsh", ["-f", "-c", script]);
    const typed = line.slice(line.lastIndexOf(" ") + 1);
    return found
      .map((text) => text.split(":")[0]!)
      .filter((word) => word.startsWith(typed))
      .sort();
  };

  it.each(shellCases)("%j", async (line, words) => {
    const found = await offered(line.replaceAll("SOCKET", daemon.socketPath));
    expect(found.join(" ")).toBe(words);
  });
});
