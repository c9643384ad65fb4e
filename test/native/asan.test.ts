// The other native tests once more, with the addon built with AddressSanitizer and
// UndefinedBehaviorSanitizer. The arenas are ArrayBuffers, which Node.js takes from calloc: the
// sanitizer sees an access one byte beyond them.

import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { basename, isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";
import { Cleanup } from "../../src/testbed/cleanup.js";
import { Child, runSync } from "../../src/testbed/process.js";
import { projectRoot } from "../../src/testbed/project.js";

const build_ms = 60_000;
const run_ms = 120_000;

const cleanup = new Cleanup();
afterAll(() => cleanup.run());

const script = (...path: string[]): string => join(projectRoot, ...path);

function otherTests(): string[] {
  const folder = fileURLToPath(new URL(".", import.meta.url));
  const own = basename(fileURLToPath(import.meta.url));
  const names = readdirSync(folder).filter((name) => name.endsWith(".test.ts") && name !== own);
  return names.map((name) => `test/native/${name}`);
}

it("reports nothing in the native tests", { timeout: build_ms + run_ms }, async (context) => {
  context.skip(process.env.CULVERT_NATIVE !== undefined, "this run has another addon already");
  const library = runSync(["g++", "-print-file-name=libasan.so"]).trim();
  context.skip(!isAbsolute(library), "g++ here comes without AddressSanitizer");
  const built = execFileSync(process.execPath, [script("scripts", "build-asan.mjs")], {
    encoding: "utf8",
    timeout: build_ms,
  });
  const addon = built.trim().split("\n").at(-1)!;
  const files = otherTests();
  const child = new Child(cleanup, [
    ...["env", `LD_PRELOAD=${library}`, `CULVERT_NATIVE=${addon}`],
    ...["ASAN_OPTIONS=detect_leaks=0", "UBSAN_OPTIONS=print_stacktrace=1", "NO_COLOR=1"],
    ...[process.execPath, script("node_modules", "vitest", "vitest.mjs"), "run"],
    ...["--project", "native", "--root", projectRoot, ...files],
  ]);
  const { status, signal, stdout, stderr } = await child.wait(run_ms);
  const output = stdout + stderr;
  expect(output).not.toMatch(/AddressSanitizer|runtime error:/);
  expect({ status, signal }, output).toEqual({ status: 0, signal: null });
  expect(output).toMatch(new RegExp(`Test Files +${files.length} passed`));
});
