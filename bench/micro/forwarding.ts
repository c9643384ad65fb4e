// Forwarding: what TypeScript spends on one frame or run, decision, send list and counters
// included, behind a device and a network that cost next to nothing (standing-host.ts).

import { type Case, type Family, measureCases } from "./harness.js";
import { type Path, paths } from "./paths.js";

function caseOf({ name, batch, move }: Path): Case {
  const run = (count: number): number => {
    let moved = 0;
    while (moved < count) moved += move(1000);
    return moved;
  };
  return { name, batch, run };
}

function* cases(): Generator<Case> {
  for (const path of paths()) yield caseOf(path);
}

export const family: Family = {
  about: "one frame or run through a forwarder, ns",
  measure: (report) => measureCases(cases(), report),
};
