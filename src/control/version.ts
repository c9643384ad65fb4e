// The version of this build, from package.json: what `culvert --version` prints and the daemon
// reports.

import { readFileSync } from "node:fs";

/**
 * Version from package.json, which lies at the same place relative to src/control/ and
 * dist/control/.
 */
export function culvertVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
