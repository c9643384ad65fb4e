// `culvert doctor` on this machine, whatever it is like: whom it asks, what it prints, its exit
// status. What it finds is test/unit/doctor and test/netns/doctor.test.ts.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { formatExamination } from "../../../src/cli/doctor.js";
import type { Finding } from "../../../src/doctor/finding.js";
import { type CliResult, culvert, type Daemon, startDaemon } from "./harness.js";

let daemon: Daemon;

beforeEach(async () => {
  daemon = await startDaemon();
});
afterEach(() => daemon.close());

const run = (...words: string[]): Promise<CliResult> =>
  culvert(["doctor", "--socket", daemon.socketPath, ...words]);

const findingsOf = ({ out }: CliResult): Finding[] => JSON.parse(out) as Finding[];

describe("doctor", () => {
  it("asks the daemon for its tunnels; without their devices there is a problem", async () => {
    const result = await run("-j");
    expect(daemon.target.last).toEqual(["status"]);
    expect(result).toMatchObject({ status: 1, err: "" });
    const missing = findingsOf(result).filter(({ check }) => check === "tunnel-device");
    expect(missing.map(({ dev }) => dev)).toEqual(["vxlan100", "ipip0"]);
    for (const { level, what, consequence, cure } of missing) {
      expect(level).toBe("problem");
      for (const text of [what, consequence, cure]) expect(text).not.toBe("");
    }
  });

  it("prints the same for people", async () => {
    const { status, out } = await run();
    expect(status).toBe(1);
    expect(out).toContain("problem: this network namespace has no device vxlan100\n  somebody");
    expect(out).toMatch(/\n\n\d+ problems?, \d+ warnings?, \d+ checks? ok\n$/);
  });

  it("looks at the host alone without a daemon", async () => {
    const result = await culvert(["doctor", "-j", "--socket", join(daemon.directory, "none")]);
    expect(result.err).toBe("");
    const findings = findingsOf(result);
    const problems = findings.filter(({ level }) => level === "problem");
    expect(result.status).toBe(problems.length === 0 ? 0 : 1);
    expect(findings.find(({ check }) => check === "daemon")).toMatchObject({ level: "ok" });
  });

  it("says when a daemon is there and does not answer well", async () => {
    daemon.target.failure = new Error("boom");
    const result = await run("-j");
    expect(result.status).toBe(1);
    expect(findingsOf(result)[0]).toMatchObject({ level: "problem", check: "daemon" });
  });

  it("takes the tunnels of a file instead", async () => {
    const file = join(daemon.directory, "config.yaml");
    writeFileSync(file, "tunnels: [{ name: ipip0, type: ipip, local: 192.0.2.77 }]\n");
    const result = await run("-j", "--config", file);
    expect(daemon.target.last).toBeUndefined();
    expect(result.status).toBe(1);
    expect(findingsOf(result)).toContainEqual(
      expect.objectContaining({
        ...{ check: "underlay", level: "problem", dev: "ipip0" },
        what: "ipip0: no device has the local address 192.0.2.77",
      }),
    );
  });

  it("refuses a wrong file and wrong words with status 2", async () => {
    const file = join(daemon.directory, "config.yaml");
    writeFileSync(file, "tunnels: [{ name: ipip0, type: ipop }]\n");
    const wrong = await run("--config", file);
    expect(wrong).toMatchObject({ status: 2, out: "" });
    expect(wrong.err).toContain(`${file}:1:`);
    expect((await run("--config", join(daemon.directory, "none.yaml"))).status).toBe(2);
    expect((await run("now")).status).toBe(2);
    expect((await run("--cure")).status).toBe(2);
  });
});

describe("the text", () => {
  it("has a paragraph per finding and the sum, and moves no cursor", () => {
    const finding: Finding = {
      ...{ check: "mtu", level: "warning", what: "it \u001b[2J is" },
      ...{ consequence: "so", cure: "do that" },
    };
    expect(formatExamination({ findings: [finding], passed: 1 })).toBe(
      "warning: it ?[2J is\n  so\n  cure: do that\n\n0 problems, 1 warning, 1 check ok\n",
    );
    expect(formatExamination({ findings: [], passed: 13 })).toBe(
      "0 problems, 0 warnings, 13 checks ok\n",
    );
  });
});
