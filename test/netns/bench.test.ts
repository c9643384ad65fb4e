// `culvert bench` as people start it: short real runs with plausible reports, and every way in
// which it ends early. After each, no process, namespace or file of it is left.

import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseReport } from "../../src/bench/report-file.js";
import type { BenchReport } from "../../src/bench/report-model.js";
import type { Cleanup } from "../../src/testbed/cleanup.js";
import { temporaryFolder } from "../../src/testbed/daemon.js";
import { Namespace } from "../../src/testbed/namespace.js";
import { Child, type ExitResult, runSync } from "../../src/testbed/process.js";
import { culvertEntry } from "../../src/testbed/project.js";
import { createTwoHosts } from "../../src/testbed/two-hosts.js";
import { eventually, python, useBed } from "./support.js";

const limit_ms = 90_000;

/** What a run that is to be refused would do if it were not: end by itself. */
const shortest = "--rounds 1 --seconds 1 --variants veth --workloads tcp-1";

/** Marks every process that a run starts, by its environment. */
const mark = `CULVERT_BENCH_TEST=${process.pid}`;

const bed = useBed(["iperf3", "setpriv", "python3"], (cleanup: Cleanup) => ({
  folder: temporaryFolder(cleanup, "bench-test"),
  cleanup,
}));

interface Started {
  child: Child;
  /** Where it makes its temporary files. */
  temporary: string;
}

/** `prefix` runs the rest of its arguments. */
function start(line: string, prefix: readonly string[] = []): Started {
  const temporary = join(bed.hosts.folder, "tmp");
  mkdirSync(temporary, { recursive: true });
  const words = line.split(" ").filter((word) => word !== "");
  const child = new Child(bed.cleanup, [
    ...["env", mark, `TMPDIR=${temporary}`, ...prefix],
    ...[process.execPath, culvertEntry(), "bench", ...words],
  ]);
  return { child, temporary };
}

/** Pids of processes with the mark that are still there. */
function markedProcesses(): number[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/environ`, "latin1").split("\0").includes(mark);
    } catch {
      return false;
    }
  });
}

function expectNothingLeft({ child, temporary }: Started): void {
  const ours = `cv${child.pid.toString(36)}-`;
  const namespaces = existsSync("/run/netns") ? readdirSync("/run/netns") : [];
  expect(namespaces.filter((name) => name.startsWith(ours))).toEqual([]);
  expect(markedProcesses()).toEqual([]);
  expect(readdirSync(temporary)).toEqual([]);
}

async function finish(started: Started): Promise<ExitResult> {
  const result = await started.child.wait(limit_ms);
  expectNothingLeft(started);
  return result;
}

/** Values of one metric, by variant. */
function valuesOf({ samples }: BenchReport, workload: string, metric: string) {
  const found = samples.filter((one) => one.workload === workload && one.metric === metric);
  return Object.fromEntries(found.map(({ variant, value }) => [variant, value]));
}

function hasIpip(): boolean {
  const namespace = Namespace.create(bed.cleanup, "probe");
  try {
    namespace.ip("link", "add", "probe0", "type", "ipip", "local", "10.0.0.1");
    return true;
  } catch {
    return false;
  }
}

describe("culvert bench", () => {
  it("reports what it measured and what is missing, as JSON, and as table and page", async () => {
    const page = join(bed.hosts.folder, "report.html");
    const variants = "kernel-vxlan,culvert-vxlan,kernel-ipip";
    const { status, signal, stdout, stderr } = await finish(
      start(
        `--rounds 1 --seconds 1 --variants ${variants} --workloads tcp-1,latency,daemon -j --html ${page}`,
      ),
    );
    expect({ status, signal, stderr }).toMatchObject({ status: 0, signal: null });
    const report = parseReport(stdout);
    expect(report.failures).toEqual([]);
    expect(report.variants.map(({ name }) => name)).toEqual(variants.split(","));
    const missing = report.variants.filter((variant) => variant.missing !== undefined);
    expect(missing.map(({ name }) => name)).toEqual(hasIpip() ? [] : ["kernel-ipip"]);
    for (const { missing: reason } of missing) {
      expect(reason).toContain("this kernel has no ipip device");
      expect(stderr).toContain(`kernel ipip: missing, ${reason}`);
    }
    expect(report.settings).toMatchObject([{ mtu_bytes: 1500, offloads: "default" }]);
    const rates = valuesOf(report, "tcp-1", "throughput_bits_per_s");
    const pings = valuesOf(report, "latency", "rtt_p50_us");
    for (const name of ["kernel-vxlan", "culvert-vxlan"]) {
      expect(rates[name]).toBeGreaterThan(50e6);
      expect(rates[name]).toBeLessThan(1e12);
      expect(pings[name]).toBeGreaterThan(2);
      expect(pings[name]).toBeLessThan(100_000);
    }
    expect(Object.keys(valuesOf(report, "daemon", "ready_ms"))).toEqual(["culvert-vxlan"]);
    expect(stderr).toMatch(/^\d variants, 3 workloads, 1 round, transfers of 1 s: about \d+ s;/m);
    expect(stderr).toMatch(/^\[\d+:\d\d\] round 1\/1 culvert vxlan: tcp-1 [\d.]+ Gb\/s, latency /m);
    expect(readFileSync(page, "utf8")).toMatch(/^<!doctype html>/i);
  });

  it("gives tunnels the MTU of their underlay, and compares with an earlier report", async () => {
    const file = join(bed.hosts.folder, "report.json");
    const line = `--rounds 1 --seconds 1 --variants kernel-vxlan,culvert-vxlan --workloads tcp-1`;
    const run = `${line} --mtu 9000 --offloads nic`;
    const first = await finish(start(`${run} -j ${file}`));
    expect({ status: first.status, err: first.stderr }).toMatchObject({ status: 0 });
    expect(first.stdout).toContain("culvert vxlan");
    const report = parseReport(readFileSync(file, "utf8"));
    expect(report.settings).toEqual([
      {
        ...{ mtu_bytes: 9000, offloads: "nic" },
        offloadsInForce: { tx: false, tso: false, gso: false, gro: true },
      },
    ]);
    // Headers of 126 bytes on each packet: 8 % with 1450 bytes, 1.4 % with 8950.
    const overhead = valuesOf(report, "tcp-1", "wire_overhead_ratio");
    for (const name of ["kernel-vxlan", "culvert-vxlan"]) {
      expect(overhead[name]).toBeGreaterThan(0.012);
      expect(overhead[name]).toBeLessThan(0.04);
    }
    const second = await finish(start(`${run} --variants culvert-vxlan --compare ${file}`));
    expect(second.status).toBe(0);
    expect(second.stdout).toMatch(/^\d+ figures compared: /m);
    expect(second.stdout).toMatch(/^Only in old:\n {2}kernel vxlan$/m);
  });
});

describe("culvert bench between two hosts", () => {
  it("measures the ways named by hand, without any daemon", async () => {
    const hosts = createTwoHosts(bed.cleanup);
    const spawn = (at: Namespace, line: string): Child =>
      at.spawn([process.execPath, culvertEntry(), "bench", ...line.split(" ")]);
    const common = "--port 9600 --socket /nonexistent/culvert.sock";
    const { underlayIp } = hosts.right;
    const listener = spawn(hosts.right.host, `--listen --bind ${underlayIp} ${common}`);
    await eventually(() => expect(listener.stderr).toContain("waiting on"));
    const measured = "--rounds 1 --seconds 1 --workloads latency --json";
    const line = `--remote ${underlayIp} --via again=${underlayIp} ${measured} ${common}`;
    const { status, stdout, stderr } = await spawn(hosts.left.host, line).wait(limit_ms);
    expect({ status, stderr }).toMatchObject({ status: 0 });
    const report = parseReport(stdout);
    expect(report.reference).toBe("underlay");
    expect(Object.keys(valuesOf(report, "latency", "rtt_p50_us"))).toEqual(["underlay", "again"]);
    const ended = await listener.stop("SIGINT", 10_000);
    expect(ended).toMatchObject({ status: 0, signal: null, stdout: "" });
  });
});

describe("culvert bench ends early", () => {
  it("at Ctrl-C, and removes everything", async () => {
    const page = join(bed.hosts.folder, "never.html");
    const line = `--rounds 9 --seconds 5 --variants culvert-vxlan --workloads tcp-1 --html ${page}`;
    const started = start(line);
    await eventually(() => {
      const running = markedProcesses().map((pid) => readFileSync(`/proc/${pid}/comm`, "latin1"));
      expect(running.filter((name) => name === "iperf3\n").length).toBeGreaterThanOrEqual(2);
    });
    const { signal, stdout, stderr } = await started.child.stop("SIGINT", 20_000);
    expect({ signal, stdout }).toEqual({ signal: "SIGINT", stdout: "" });
    expect(stderr).toMatch(/(?<!everything\n)\nSIGINT: removed everything\n$/);
    expectNothingLeft(started);
    expect(existsSync(page)).toBe(false);
  });

  it("without iperf3, and names the package", async () => {
    const folder = join(bed.hosts.folder, "bin");
    mkdirSync(folder);
    for (const name of ["ip", "ethtool", "ping", "setpriv", "sysctl", "env"]) {
      const path = runSync(["sh", "-c", `command -v ${name}`]).trim();
      symlinkSync(path, join(folder, name));
    }
    const { status, stdout, stderr } = await finish(start(shortest, ["env", `PATH=${folder}`]));
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toContain("not on the PATH: iperf3\n");
    expect(stderr).toMatch(/^hint: .*apt-get install iperf3/m);
  });

  it("without root", async (context) => {
    const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    try {
      runSync([...nobody, "test", "-r", culvertEntry()]);
    } catch {
      return context.skip("nobody may not read the project's folder");
    }
    const { status, stdout, stderr } = await finish(start(shortest, nobody));
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toContain("culvert bench needs root");
    expect(stderr).toMatch(/^hint: .*sudo culvert bench/m);
  });

  it("without the TUN driver", async () => {
    const hidden = 'mount -t tmpfs none /dev/net && exec "$@"';
    const prefix = ["unshare", "-m", "sh", "-c", hidden, "sh"];
    const { status, stderr } = await finish(start(shortest, prefix));
    expect(status).toBe(1);
    expect(stderr).toContain("/dev/net/tun");
    expect(stderr).toMatch(/^hint: .*modprobe tun/m);
  });

  it("when the name of a namespace is taken, and leaves that one", async () => {
    // Takes the name that its own pid will lead to, and goes on as the benchmark.
    const script = `
import os, subprocess, sys
digits, n, text = "0123456789abcdefghijklmnopqrstuvwxyz", os.getpid(), ""
while n: n, text = n // 36, digits[n % 36] + text
subprocess.run(["ip", "netns", "add", f"cv{text}-host2"], check=True)
os.execvp(sys.argv[1], sys.argv[1:])`;
    const started = start(shortest, [python, "-c", script]);
    const { status, stdout, stderr } = await started.child.wait(limit_ms);
    const name = `cv${started.child.pid.toString(36)}-host2`;
    expect(existsSync(`/run/netns/${name}`)).toBe(true);
    runSync(["ip", "netns", "del", name]);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toContain(`the network namespace ${name} exists already`);
    expect(stderr).toMatch(new RegExp(`^hint: .*ip netns del ${name}`, "m"));
    expectNothingLeft(started);
  });
});
