// What the build makes again, and what it leaves: the stamps of scripts/steps.mjs, in a process of
// its own as the scripts use them.

import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";

const root = join(import.meta.dirname, "..", "..");
const steps = join(root, "scripts", "steps.mjs");
const NAME = `test-${process.pid}`;

/** Asks for a making with each hash, one after the other; says what was made, in the same order. */
function made(hashes: readonly string[], output = steps): boolean[] {
  const script = `
    import { makeStamped } from ${JSON.stringify(steps)};
    const made = [];
    for (const hash of ${JSON.stringify(hashes)}) {
      let ran = false;
      const make = async () => {
        ran = true;
        if (hash === "broken") throw new Error("as a compiler would");
      };
      await makeStamped(${JSON.stringify(NAME)}, hash, make, ${JSON.stringify(output)}).catch(() => {});
      made.push(ran);
    }
    process.stdout.write(JSON.stringify(made));`;
  const args = ["--input-type=module", "--eval", script];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" }));
}

describe("a part of the build", () => {
  afterEach(() => rmSync(join(root, "build", "stamps", NAME), { force: true }));

  it("is made once for the same sources", () => {
    expect(made(["one", "one", "two", "two", "one"])).toEqual([true, false, true, false, true]);
  });

  it("is made again after a failure, also for the sources that it was last made from", () => {
    expect(made(["one", "broken", "one"])).toEqual([true, true, true]);
  });

  it("is made again when its output is gone", () => {
    expect(made(["one", "one"], join(root, "no-such-file"))).toEqual([true, true]);
  });
});
