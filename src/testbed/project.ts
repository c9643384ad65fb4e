// Where the project lies, seen from src/testbed/ (tests load it from source) as well as from
// dist/testbed/.

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { TestbedError } from "./error.js";

function findRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json"))) {
    const parent = dirname(folder);
    if (parent === folder) throw new TestbedError("no package.json above the testbed");
    folder = parent;
  }
  return folder;
}

/** The folder with package.json. */
export const projectRoot = findRoot();

/** The built `culvert` program. Throws TestbedError when it was not built. */
export function culvertEntry(): string {
  return builtProgram("main.js");
}

/** A built program by its path in dist/. Throws TestbedError when it was not built. */
export function builtProgram(path: string): string {
  const entry = join(projectRoot, "dist", path);
  if (!existsSync(entry)) throw new TestbedError(`${entry} is missing`, "build it: npm run build");
  return entry;
}
