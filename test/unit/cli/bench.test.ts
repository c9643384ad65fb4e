// `culvert bench` up to where it would measure: what its options mean, and what is refused before
// anything is made. Measuring is test/netns/bench.test.ts.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WORKLOADS } from "../../../src/bench/metrics.js";
import { workloadIds } from "../../../src/bench/workloads/all-workloads.js";
import { addBenchOptions, localOptions, readBenchOptions } from "../../../src/cli/bench-options.js";
import { OutputFile } from "../../../src/cli/output-file.js";
import { Cleanup } from "../../../src/testbed/cleanup.js";
import { variantNames } from "../../../src/testbed/tunnels.js";
import { culvert } from "./harness.js";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "culvert-bench-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function optionsOf(line: string) {
  const command = addBenchOptions(new Command("bench")).exitOverride();
  return readBenchOptions(command.parse(line.split(" ").filter(Boolean), { from: "user" }));
}

const locally = (line: string) => localOptions(optionsOf(line));

describe("bench options", () => {
  it("mean, when there are none, every variant in one setting and a few workloads", () => {
    expect(locally("")).toEqual({
      settings: [{ mtu_bytes: 1500, offloads: "default" }],
      variants: variantNames,
      workloads: ["tcp-1", "udp-64", "udp-1400", "latency"],
      rounds: 5,
      seconds: 2,
    });
  });

  it("combine MTUs and offloads, also those of --full, which has every workload", () => {
    const pairs = (line: string) =>
      locally(line).settings.map(({ mtu_bytes, offloads }) => `${mtu_bytes} ${offloads}`);
    expect(pairs("--mtu 1500,9000 --offloads nic")).toEqual(["1500 nic", "9000 nic"]);
    expect(pairs("--full")).toEqual(["1500 default", "1500 nic", "9000 default", "9000 nic"]);
    expect(pairs("--full --mtu 1400")).toEqual(["1400 default", "1400 nic"]);
    expect(locally("--full").workloads).toEqual(WORKLOADS.map(({ id }) => id));
    expect(locally("--full --workloads udp-64").workloads).toEqual(["udp-64"]);
  });

  it("keep the order of the tables, and each word once", () => {
    const given = "--variants culvert-vxlan,kernel-vxlan,culvert-vxlan --workloads latency,tcp-1";
    expect(locally(given)).toMatchObject({
      variants: ["kernel-vxlan", "culvert-vxlan"],
      workloads: ["tcp-1", "latency"],
    });
    expect(locally("--mtu 9000,1500,9000").settings).toHaveLength(2);
  });

  it("send JSON and Markdown to standard output or into a file", () => {
    expect(optionsOf("-j --markdown r.md")).toMatchObject({ json: true, markdown: "r.md" });
    expect(optionsOf("--json r.json")).toMatchObject({ json: "r.json" });
    expect(optionsOf("--via a=10.0.0.1 --via b=fd00::1 --remote h").via).toEqual([
      { name: "a", address: "10.0.0.1" },
      { name: "b", address: "fd00::1" },
    ]);
  });

  it("name every workload that there is", () => {
    expect(WORKLOADS.map(({ id }) => id)).toEqual([...workloadIds, "daemon"]);
  });

  it.each<[line: string, message: string]>([
    ["--rounds 0", '--rounds: "0" is not a whole number from 1 to 1000'],
    ["--rounds 1.5", '--rounds: "1.5" is not'],
    ["--seconds 4000", "from 1 to 3600"],
    ["--seconds", "argument missing"],
    ["--mtu 1500,90000", '--mtu: "90000" is not a whole number from 576 to 65535'],
    ["--mtu=", '--mtu: "" is not'],
    ["--variants kernel-vxlna", 'unknown "kernel-vxlna"; did you mean "kernel-vxlan"?'],
    ["--variants kernel-vxlan,", '--variants: unknown ""'],
    ["--workloads udp64", 'did you mean "udp-64"?'],
    ["--workloads ping", "any of, separated by commas: tcp-1, tcp-4"],
    ["--offloads none", '--offloads: unknown "none"'],
    ["--port 0 --listen", '--port: "0" is not'],
    ["--port 9000", "--port goes with --listen or --remote only"],
    ["--bind 10.0.0.1 --remote h", "--bind goes with --listen only"],
    ["--via a=10.0.0.1", "--via goes with --remote only"],
    ["--via a --remote h", '--via: "a" is not NAME=ADDRESS'],
    ["--via a=b --via a=c --remote h", '"a" is given twice'],
    ["--listen --remote h", "cannot be used with"],
    ["--listen --html x", "cannot be used with"],
    ["--remote h --variants veth", "cannot be used with"],
    ["--json --markdown", "cannot both be written to standard output"],
    ["--varints veth", "unknown option '--varints'"],
    ["veth", "too many arguments"],
  ])("%s is refused", async (line, message) => {
    const { status, out, err } = await culvert(["bench", ...line.split(" ")]);
    expect({ status, out }).toEqual({ status: 2, out: "" });
    // With --json the text stands in a JSON string.
    expect(err.replaceAll('\\"', '"')).toContain(message);
  });
});

describe("files of the result", () => {
  it("are found out to be wrong before anything is measured", async () => {
    for (const option of ["--json", "--markdown", "--html"]) {
      const path = join(folder, "missing", "out");
      const { status, out, err } = await culvert(["bench", option, path]);
      expect({ status, out }).toEqual({ status: 1, out: "" });
      expect(err).toContain(`cannot write ${path}: ENOENT`);
    }
    const directory = await culvert(["bench", "--html", folder]);
    expect(directory).toMatchObject({ status: 1, out: "" });
    expect(directory.err).toContain("EISDIR");
  });

  it("leave no new file behind when something else is wrong", async () => {
    const good = join(folder, "never");
    const wrong = join(folder, "missing", "out");
    for (const [first, second] of [
      [good, wrong],
      [wrong, good],
    ]) {
      const { status } = await culvert(["bench", "--json", first!, "--html", second!]);
      expect(status).toBe(1);
      expect(existsSync(good)).toBe(false);
    }
  });

  it("to compare with must be reports", async () => {
    const absent = await culvert(["bench", "--compare", join(folder, "absent.json")]);
    expect(absent).toMatchObject({ status: 2, out: "" });
    expect(absent.err).toContain("absent.json: ENOENT");
    const path = join(folder, "other.json");
    writeFileSync(path, "{}");
    const other = await culvert(["bench", "--compare", path]);
    expect(other).toMatchObject({ status: 2, out: "" });
    expect(other.err).toContain(`${path} is not a report of culvert bench`);
  });

  it("replace what was there only when they are written", () => {
    const path = join(folder, "old");
    writeFileSync(path, "a long old text");
    const unwritten = new Cleanup();
    new OutputFile(path, unwritten);
    unwritten.run();
    expect(readFileSync(path, "utf8")).toBe("a long old text");
    const written = new Cleanup();
    new OutputFile(path, written).write("new");
    written.run();
    expect(readFileSync(path, "utf8")).toBe("new");
    const made = new Cleanup();
    const fresh = join(folder, "fresh");
    new OutputFile(fresh, made).write("text");
    made.run();
    expect(readFileSync(fresh, "utf8")).toBe("text");
  });
});
