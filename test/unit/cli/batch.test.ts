// `-b FILE`: what a batch may say, how it is sent, and what is told of lines that fail.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MAX_BATCH_CHANGES } from "../../../src/control/paths.js";
import { type CliSetting, culvert, type Daemon, startDaemon } from "./harness.js";

const MAC = "02:00:00:00:00:0b";
let daemon: Daemon;

beforeEach(async () => {
  daemon = await startDaemon();
});
afterEach(() => daemon.close());

const run = (line: string, setting: CliSetting = {}) =>
  culvert(["--socket", daemon.socketPath, ...line.split(" ")], setting);

async function output(line: string, setting: CliSetting = {}): Promise<string> {
  const { status, out, err } = await run(line, setting);
  expect({ status, err }).toEqual({ status: 0, err: "" });
  return out;
}

describe("fdb batch", () => {
  const entry = (n: number) => `02:00:00:00:01:0${n} dev vxlan100 dst 10.57.4.21`;

  it("takes a file with comments, empty and continued lines, with and without fdb", async () => {
    const file = join(daemon.directory, "batch");
    const text = `# entries\n\nfdb add ${entry(1)} # one\nadd \\\n  ${entry(2)} static\nflush dev ipip0\n`;
    writeFileSync(file, text);
    for (const option of ["-b", "-batch", "--batch"]) {
      daemon.target.fdb = [];
      daemon.target.batches = [];
      expect(await output(`fdb ${option} ${file}`)).toBe("");
      expect(daemon.target.fdb.map(({ mac, state }) => `${mac} ${state}`)).toEqual([
        ...["02:00:00:00:01:01 permanent", "02:00:00:00:01:02 static"],
      ]);
      expect(daemon.target.batches).toHaveLength(1);
      expect(daemon.target.last).toEqual(["fdbFlush", { dev: "ipip0" }]);
    }
  });

  it("does not gather what is no line without end", async () => {
    let blocks = 0;
    async function* endless() {
      yield `add ${entry(1)}\n`;
      for (; blocks < 1000; blocks++) yield "x".repeat(10_000);
    }
    const result = await run("fdb -b -", { input: endless() });
    expect(result).toMatchObject({ status: 2, out: "" });
    expect(result.err).toContain("line 2 is longer than 65536 characters");
    expect(blocks).toBeLessThan(20);
  });

  it("takes words in quotes and lines that end as on Windows", async () => {
    const lines = `fdb add "02:00:00:00:01:05" dev 'vxlan100' dst 10.57.4.21\r\nadd ${entry(6)}\r\n`;
    expect(await output("fdb -b -", { input: [lines] })).toBe("");
    const macs = daemon.target.fdb.map(({ mac }) => mac);
    expect(macs).toEqual(expect.arrayContaining(["02:00:00:00:01:05", "02:00:00:00:01:06"]));
    const open = await run("fdb -b -", { input: ['add "02:00:00:00:01:07 dev vxlan100\n'] });
    expect(open.err).toContain("is not a MAC address");
  });

  it("ends at the first refusal and says on which line, as bridge -batch", async () => {
    const lines = [`add ${entry(1)}`, "", `add ${entry(1)}`, `add ${entry(2)}`];
    const result = await run("fdb -b -", {
      input: [lines.join("\n").slice(0, 20), lines.join("\n").slice(20)],
    });
    expect(result).toMatchObject({ status: 1, out: "" });
    expect(result.err).toMatch(/^culvert: .*has an entry.*\nhint: .*\nCommand failed -:3\n$/);
    expect(daemon.target.fdb.map(({ mac }) => mac)).not.toContain("02:00:00:00:01:02");
  });

  it("goes on with -force and tells every line that failed, in order", async () => {
    const lines = [`add ${entry(1)}`, "frob", `add ${entry(1)}`, `fdb add ${entry(2)}`, "show"];
    const result = await run("fdb -force -b -", { input: [`${lines.join("\n")}\n`] });
    expect(result.status).toBe(1);
    expect(result.err.match(/^Command failed.*$/gm)).toEqual([
      ...["Command failed -:2", "Command failed -:3", "Command failed -:5"],
    ]);
    expect(result.err).toContain('"frob" is nothing that a batch can do');
    expect(daemon.target.fdb.map(({ mac }) => mac)).toContain("02:00:00:00:01:02");
  });

  it("tells programs the line as a number", async () => {
    const { err } = await run("fdb -j -b -", { input: ["add nonsense\n"] });
    expect(JSON.parse(err)).toMatchObject({
      error: { code: "CULVERT_USAGE", file: "-", line: 1 },
    });
  });

  it("sends many changes in few requests", async () => {
    const count = MAX_BATCH_CHANGES + 10;
    const lines = Array.from({ length: count }, () => `replace ${entry(1)}\n`);
    expect(await output("fdb -b -", { input: lines })).toBe("");
    expect(daemon.target.batches.map(({ changes }) => changes.length)).toEqual([
      ...[MAX_BATCH_CHANGES, 10],
    ]);
  });

  it("refuses a file that is not there", async () => {
    const result = await run("fdb -b /nonexistent/batch");
    expect(result).toMatchObject({ status: 2, out: "" });
    expect(result.err).toContain(
      'Cannot open file "/nonexistent/batch" for reading: No such file or directory',
    );
  });
});

describe("neigh batch", () => {
  it("is taken, from standard input", async () => {
    const input = [
      `neigh replace 192.168.11.7 lladdr ${MAC} dev vxlan100 router\ndel 192.168.11.1 dev vxlan100`,
    ];
    expect(await output("neigh -b -", { input })).toBe("");
    expect(await output("neigh show to 192.168.11.7")).toBe(
      `192.168.11.7 dev vxlan100 lladdr ${MAC} router PERMANENT \n`,
    );
  });
});
