// What the tests of the source tree itself need: the project's own files and what each imports.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { projectRoot } from "../../src/testbed/project.js";

const notOurs = new Set(["node_modules", "dist", "build", "coverage", "results"]);

/**
 * Files below `folder` (relative to the project's root, as are the results) whose name ends in one
 * of `endings`.
 */
export function sourceFiles(folder: string, endings: readonly string[]): string[] {
  const entries = readdirSync(join(projectRoot, folder), { withFileTypes: true });
  return entries.flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      return notOurs.has(entry.name) || entry.name.startsWith(".")
        ? []
        : sourceFiles(path, endings);
    }
    return endings.some((ending) => entry.name.endsWith(ending)) ? [path] : [];
  });
}

export function readSource(path: string): string {
  return readFileSync(join(projectRoot, path), "utf8");
}

/**
 * What a TypeScript file refers to: import and export sources, dynamic imports and `new
 * URL("./x.js", ...)`. Relative ones come as the path of the source file from the project's root
 * (`src/wire/arp.ts`), others as written.
 */
export function references(path: string): string[] {
  const pattern = /(?:\bfrom\s*|\bimport\s*\(?\s*|new URL\(\s*)"([^"]+)"/g;
  return Array.from(readSource(path).matchAll(pattern), (match) => {
    const target = match[1]!;
    if (!target.startsWith(".")) return target;
    const absolute = normalize(join(projectRoot, dirname(path), target));
    return relative(projectRoot, absolute).replace(/\.js$/, ".ts");
  });
}
