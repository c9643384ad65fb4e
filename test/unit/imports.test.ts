// Holds the tree to the table of docs/architecture.md: which folder may import which. The table is
// read from the document, so that the document stays true.

import { describe, expect, it } from "vitest";
import { readSource, references, sourceFiles } from "./source-tree.js";

/**
 * Packages are for the control plane; the data path and its tables stand on their own
 * (docs/architecture.md).
 */
const withoutPackages = [
  "wire",
  "packet",
  "shared-memory",
  "fdb",
  "neigh",
  "routes",
  "remotes",
  "events",
  "device",
  "underlay",
  "forwarding",
];

const forEverybody = ["errors", "#abi"];

/** Assertions and what moves bytes between threads; nothing that does I/O. */
const builtinsOfTheDataPath = new Set(["node:assert", "node:assert/strict", "node:worker_threads"]);

/** The units of src/ from the table's first column, in its order, with the names in its third. */
function readTable(): Map<string, Set<string>> {
  const table = new Map<string, Set<string>>();
  for (const line of readSource("docs/architecture.md").split("\n")) {
    const [, first, , third] = line.split("|").map((cell) => cell.trim());
    if (first === undefined || third === undefined || !first.startsWith("`src/")) continue;
    const allowed = new Set(Array.from(third.matchAll(/`([^`]+)`/g), (match) => match[1]!));
    // Error type and generated constants are for everybody but those that may import nothing at
    // all.
    if (third !== "nothing") addAll(allowed, forEverybody);
    if (third === "all above") for (const name of [...table.keys(), "#native"]) allowed.add(name);
    const units = Array.from(first.matchAll(/`src\/([^`]+)`/g), (match) => unitName(match[1]!));
    for (const unit of units) table.set(unit, new Set([...allowed, unit]));
    if (third === "all above") for (const unit of units) addAll(table.get(unit)!, units);
  }
  return table;
}

function addAll(set: Set<string>, names: readonly string[]): void {
  for (const name of names) set.add(name);
}

/** `wire/` and `wire/arp.ts` are the unit `wire`; `errors.ts` is `errors`. */
function unitName(pathInSrc: string): string {
  return pathInSrc.split("/")[0]!.replace(/\.ts$/, "");
}

const table = readTable();
const files = sourceFiles("src", [".ts"]);

describe("imports", () => {
  it("finds every unit of src/ in the table", () => {
    const units = new Set(files.map((path) => unitName(path.slice("src/".length))));
    expect([...units].filter((unit) => !table.has(unit))).toEqual([]);
    expect(table.get("wire")).toEqual(new Set(["wire"]));
    expect(table.get("fdb")).toEqual(new Set([...forEverybody, "wire", "shared-memory", "fdb"]));
    expect(table.get("daemon")).toContain("netlink");
    expect(table.get("daemon")).not.toContain("cli");
  });

  it("follow the table within src/", () => {
    const offences = files.flatMap((path) => {
      const unit = unitName(path.slice("src/".length));
      return references(path)
        .filter((target) => target.startsWith("src/") || target.startsWith("#"))
        .filter((target) => {
          const name = target.startsWith("#") ? target : unitName(target.slice("src/".length));
          return table.get(unit)?.has(name) !== true;
        })
        .map((target) => `${path} imports ${target}`);
    });
    expect(offences).toEqual([]);
  });

  it("never reach from src/ into another top folder except through # names", () => {
    const offences = files.flatMap((path) =>
      references(path)
        .filter((target) => /^(\.\.|native-bindings|bench|test|scripts)\//.test(target))
        .map((target) => `${path} imports ${target}`),
    );
    expect(offences).toEqual([]);
  });

  it("bring no package and no I/O into the data path and its tables", () => {
    const offences = withoutPackages.flatMap((unit) =>
      files
        .filter((path) => path.startsWith(`src/${unit}/`))
        .flatMap((path) =>
          references(path)
            .filter((target) => !/^(src\/|#)/.test(target))
            .filter((target) => !builtinsOfTheDataPath.has(target))
            .map((target) => `${path} imports ${target}`),
        ),
    );
    expect(offences).toEqual([]);
  });

  it("keep native-bindings apart from src/", () => {
    const native = sourceFiles("native-bindings", [".ts"]).flatMap((path) =>
      references(path)
        .filter((target) => target.startsWith("src/"))
        .map((target) => `${path} imports ${target}`),
    );
    expect(native).toEqual([]);
  });
});
