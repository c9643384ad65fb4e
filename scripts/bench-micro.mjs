// `npm run bench:micro -- [NAME...] [--json FILE]`: compiles bench/micro and what it measures into
// build/ when they changed, then runs bench/micro/main.ts, which describes the options. Compiled
// by tsc alone: what vite makes of imports costs nanoseconds.

import { join } from "node:path";
import { build } from "./build.mjs";
import { contentHash, makeStamped, projectRoot, runScript, step } from "./steps.mjs";

const config = "tsconfig.micro.json";
const program = join(projectRoot, "build", "bench", "micro", "main.js");
const compiler = join(projectRoot, "node_modules", "typescript", "bin", "tsc");

async function compile() {
  await step("bench/micro (tsc)", process.execPath, [compiler, "-p", config], {
    hint: "the compiler's messages stand above",
  });
}

await runScript("bench:micro", async () => {
  await build();
  const inputs = [config, "tsconfig.base.json", "package-lock.json", "src", "bench/micro"];
  await makeStamped("micro", contentHash(inputs), compile, program);
  await import(program);
});
