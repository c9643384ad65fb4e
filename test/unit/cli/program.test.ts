// The program as a whole: help, version, and what a command loads before it does anything.

import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { COMMANDS } from "../../../src/cli/commands.js";
import { culvert } from "./harness.js";

const SOURCE = resolve(import.meta.dirname, "../../../src");

/** Packages that the file and everything it imports statically load; type imports load nothing. */
function loadedPackages(file: string, seen = new Set<string>()): Set<string> {
  const packages = new Set<string>();
  if (seen.has(file)) return packages;
  seen.add(file);
  const imports = readFileSync(file, "utf8").matchAll(
    /^(?:import|export)\s(?!type\b)[^;]*?from\s+"([^"]+)"|^import\s+"([^"]+)"/gm,
  );
  for (const match of imports) {
    const name = match[1] ?? match[2];
    if (name.startsWith(".")) {
      const next = join(dirname(file), name.replace(/\.js$/, ".ts"));
      for (const found of loadedPackages(next, seen)) packages.add(found);
    } else if (!name.startsWith("node:")) {
      packages.add(name);
    }
  }
  return packages;
}

describe("help", () => {
  it("prints version and help on stdout with status 0", async () => {
    const { version } = JSON.parse(readFileSync(join(SOURCE, "../package.json"), "utf8"));
    expect(await culvert(["--version"])).toEqual({ status: 0, out: `${version}\n`, err: "" });
    const help = await culvert(["--help"]);
    expect(help).toMatchObject({ status: 0, err: "" });
    for (const { name, summary } of COMMANDS) {
      expect(help.out).toMatch(new RegExp(`^ {2}${name} +${summary.slice(0, 20)}`, "m"));
    }
    expect(await culvert(["help"])).toEqual(help);
  });

  it("of help is help, and of what does not exist a word about that", async () => {
    const help = await culvert(["--help"]);
    for (const words of [
      ["help", "help"],
      ["help", "--help"],
    ]) {
      expect(await culvert(words)).toMatchObject({ status: 0, err: "", out: help.out });
    }
    const unknown = await culvert(["help", "cuonters"]);
    expect(unknown).toMatchObject({ status: 2, out: "" });
    expect(unknown.err).toContain('unknown command "cuonters"; did you mean "counters"?');
  });

  it("never takes an empty socket path, which would mean another protocol", async () => {
    const empty = await culvert(["status", "--socket", ""]);
    expect(empty).toMatchObject({ status: 2, out: "" });
    expect(empty.err).toContain("--socket is empty");
  });

  it.each(COMMANDS.map(({ name }) => name))("%s has examples", async (name) => {
    const help = await culvert([name, "--help"]);
    expect(help).toMatchObject({ status: 0, err: "" });
    expect(help.out).toMatch(new RegExp(`^Usage: culvert ${name} `));
    expect(help.out).toMatch(new RegExp(`Examples:\n {2}culvert ${name}`));
    expect(await culvert(["help", name])).toEqual(help);
  });

  it.each([
    [
      "fdb add",
      "Usage: culvert fdb add MAC dev NAME dst IP [vni N] [port P] [permanent|static|dynamic]",
    ],
    ["fdb show", "-s, --statistics"],
    ["neigh del", "Usage: culvert neigh del|delete IP dev NAME [options]"],
    ["route get", "Usage: culvert route get IP [dev NAME] [options]"],
  ])("%s shows its words", async (line, text) => {
    const help = await culvert([...line.split(" "), "--help"]);
    expect(help).toMatchObject({ status: 0, err: "" });
    expect(help.out).toContain(text);
  });
});

describe("start", () => {
  it.each([
    "main",
    "cli/status",
    "cli/fdb",
    "cli/neigh",
    "cli/route",
    "cli/counters",
    "cli/check",
    "cli/bench",
    "cli/run",
  ])("%s loads no package but commander", (name) => {
    const file = join(SOURCE, `${name}.ts`);
    expect(existsSync(file)).toBe(true);
    expect([...loadedPackages(file)].filter((found) => found !== "commander")).toEqual([]);
  });

  it("sees packages at all", () => {
    expect(loadedPackages(join(SOURCE, "control/server.ts"))).toContain("zod");
  });
});
