// `npm run demo`: sets up what is missing, then runs the main job (src/testbed/demo.ts).

import { setup } from "./setup.mjs";
import { requireRoot, runScript } from "./steps.mjs";

await runScript("demo", async () => {
  requireRoot("the demo", "npm run demo");
  await setup("demo");
  // In this process, so that Ctrl-C and signals reach the clean-up without a detour.
  await import("../dist/testbed/demo.js");
});
