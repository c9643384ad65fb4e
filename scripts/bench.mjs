// `npm run bench -- [OPTIONS]`: sets up what is missing, then runs `culvert bench` with the same
// options.

import { setup } from "./setup.mjs";
import { runScript } from "./steps.mjs";

await runScript("bench", async () => {
  await setup("demo");
  process.argv.splice(2, 0, "bench");
  // In this process, so that Ctrl-C and signals reach the clean-up without a detour.
  await import("../dist/main.js");
});
