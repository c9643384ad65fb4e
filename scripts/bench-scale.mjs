// `npm run bench:scale -- NAME [OPTIONS]`: compiles bench/scale and what it measures into build/
// when they changed, then runs bench/scale/main.ts, which describes the options.

import { join } from "node:path";
import { build } from "./build.mjs";
import { contentHash, makeStamped, projectRoot, runScript, step } from "./steps.mjs";

const config = "tsconfig.scale.json";
const program = join(projectRoot, "build", "bench", "scale", "main.js");
const compiler = join(projectRoot, "node_modules", "typescript", "bin", "tsc");

async function compile() {
  await step("bench/scale (tsc)", process.execPath, [compiler, "-p", config], {
    hint: "the compiler's messages stand above",
  });
}

await runScript("bench:scale", async () => {
  await build();
  const sources = ["src", "bench/scale", "test/property/soak", "test/unit/forwarding"];
  const inputs = [config, "tsconfig.base.json", "package-lock.json", ...sources];
  await makeStamped("scale", contentHash(inputs), compile, program);
  await import(program);
});
