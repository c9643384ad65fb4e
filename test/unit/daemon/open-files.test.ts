// The limit on open files: read from /proc, compared with what a config needs.

import { describe, expect, it } from "vitest";
import { loadConfig } from "../../../src/config/load.js";
import { openFilesLimit, requireOpenFiles } from "../../../src/daemon/open-files.js";

const LIMITS = `Limit                     Soft Limit           Hard Limit           Units
Max open files            1024                 524288               files
`;

function tunnels(count: number) {
  const lines = Array.from(
    { length: count },
    (_, i) => `  - { name: vx${i}, type: vxlan, vni: ${i}, local: 10.57.4.20 }\n`,
  );
  const { config } = loadConfig(`tunnels:\n${lines.join("")}`, "test.yaml");
  return config!;
}

describe("the limit on open files", () => {
  it("is the soft one, and none where there is no such line", () => {
    expect(openFilesLimit(LIMITS)).toBe(1024);
    expect(openFilesLimit("Max open files unlimited")).toBe(Number.POSITIVE_INFINITY);
    expect(openFilesLimit("")).toBe(Number.POSITIVE_INFINITY);
  });

  it("is named when the devices need more, with the numbers", () => {
    const config = tunnels(600);
    expect(() => requireOpenFiles(config, 1, 1112)).not.toThrow();
    expect(() => requireOpenFiles(config, 1, 1111)).toThrow(
      "600 tunnels with 1 workers need 1112 open files: the limit on open files, RLIMIT_NOFILE, is 1111",
    );
    expect(() => requireOpenFiles(config, 4, 2911)).toThrow("need 2912 open files");
  });

  it("does not keep a small daemon from trying", () => {
    expect(() => requireOpenFiles(tunnels(2), 4, 256)).not.toThrow();
  });
});
