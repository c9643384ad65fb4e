// `npm run bench:scale -- NAME [OPTIONS] [--json FILE]`: one measurement of how far culvert
// scales. A program: it runs when loaded. Fails when something does not work, not when it is slow.

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { describeError } from "../../src/testbed/error.js";
import { rowsText, type Scale } from "./harness.js";

const SCALES: Readonly<Record<string, () => Promise<Scale>>> = {
  fuzz: async () => (await import("./fuzz.js")).scale,
  wire: async () => (await import("./wire.js")).scale,
  fdb: async () => (await import("./fdb.js")).scale,
  batch: async () => (await import("./fdb.js")).batch,
  vnis: async () => (await import("./vnis.js")).scale,
  flood: async () => (await import("./flood.js")).scale,
  routes: async () => (await import("./routes.js")).scale,
};

async function usage(): Promise<string> {
  const lines = await Promise.all(Object.values(SCALES).map(async (load) => (await load()).usage));
  return `npm run bench:scale -- NAME [OPTIONS] [--json FILE]\n\n  ${lines.join("\n  ")}\n`;
}

/** Takes `--json FILE` out of the arguments. */
function splitJson(args: readonly string[]): { rest: string[]; json: string | undefined } {
  const at = args.indexOf("--json");
  if (at < 0) return { rest: [...args], json: undefined };
  return { rest: [...args.slice(0, at), ...args.slice(at + 2)], json: args[at + 1] };
}

async function main(argv: readonly string[]): Promise<void> {
  const { rest, json } = splitJson(argv);
  const [name = "", ...args] = rest;
  if (!Object.hasOwn(SCALES, name)) {
    process.stderr.write(await usage());
    process.exitCode = 2;
    return;
  }
  const rows = await (await SCALES[name]()).run(args);
  process.stdout.write(rowsText(rows));
  if (json === undefined) return;
  mkdirSync(dirname(json), { recursive: true });
  writeFileSync(json, `${JSON.stringify({ scale: name, rows }, undefined, 2)}\n`);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`bench:scale: ${describeError(error)}\n`);
  process.exitCode = 1;
}
