// `npm run bench -- [OPTIONS]`: sets up what is missing, then runs bench/throughput.ts, which
// describes the options.

import { setup } from "./setup.mjs";
import { runScript } from "./steps.mjs";

await runScript("bench", async () => {
  await setup("demo");
  // In this process, so that Ctrl-C and signals reach the clean-up without a detour.
  await import("../build/bench/throughput.js");
});
