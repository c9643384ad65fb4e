// `npm run bench -- [OPTIONS]`: sets up what is missing, then runs src/bench/throughput.ts, which
// describes the options.

import { setup } from "./setup.mjs";
import { requireRoot, runScript } from "./steps.mjs";

await runScript("bench", async () => {
  requireRoot("the benchmark", "npm run bench");
  await setup("demo");
  // In this process, so that Ctrl-C and signals reach the clean-up without a detour.
  await import("../dist/bench/throughput.js");
});
