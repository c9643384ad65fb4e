// `npm run demo`: sets up what is missing, then runs the main job (testbed/demo.ts).

import { setup } from "./setup.mjs";
import { runScript } from "./steps.mjs";

await runScript("demo", async () => {
  await setup("demo");
  // In this process, so that Ctrl-C and signals reach the clean-up without a detour.
  await import("../build/testbed/demo.js");
});
