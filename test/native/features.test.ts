// Offload features as the addon reads them, against ethtool(8).

import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { native } from "#native";

const { status, stdout } = spawnSync("ethtool", ["-k", "lo"], { encoding: "utf8" });

describe("interfaceFeature", () => {
  it.skipIf(status !== 0)("says what ethtool says (skipped: needs ethtool)", () => {
    const states = Array.from(stdout.matchAll(/^\t?([\w-]+): (on|off)/gm), ([, name, state]) => ({
      name: name!,
      state: state === "on" ? 1 : 0,
    }));
    // Some lines of ethtool are groups of features, which the kernel has no name for.
    const known = states.filter(({ name }) => native.interfaceFeature("lo", name) >= 0);
    expect(known.length).toBeGreaterThan(20);
    expect(new Set(known.map(({ state }) => state)).size).toBe(2);
    for (const { name, state } of known) {
      expect([name, native.interfaceFeature("lo", name)]).toEqual([name, state]);
    }
  });
});
