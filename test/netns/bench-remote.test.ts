// The benchmark between two hosts with a daemon each: a listener on one, the measuring end on the
// other, over the underlay, a vxlan and an ipip tunnel. Both run as processes of their own, as the
// command does.

import { join } from "node:path";
import { expect, it } from "vitest";
import type { BenchReport } from "../../src/bench/report-model.js";
import { culvertVxlanConfig } from "../../src/testbed/culvert-tunnel.js";
import type { Daemon } from "../../src/testbed/daemon.js";
import type { Namespace } from "../../src/testbed/namespace.js";
import { type Child, type ExitResult, waitUntil } from "../../src/testbed/process.js";
import { projectRoot } from "../../src/testbed/project.js";
import { createTwoHosts, type HostAddresses } from "../../src/testbed/two-hosts.js";
import { eventually, useBed } from "./support.js";
import { expectReachable } from "./traffic.js";

const bed = useBed(["iperf3", "setpriv"], (cleanup) => createTwoHosts(cleanup));

/** Vxlan as in the other tests, an ipip tunnel, and a vxlan that the other side does not have. */
function config(side: HostAddresses, peer: HostAddresses): string {
  const number = side.underlayIp.endsWith("20") ? 1 : 2;
  return `${culvertVxlanConfig(side, peer)}  - name: ipip0
    type: ipip
    local: ${side.underlayIp}
    remote: ${peer.underlayIp}
    addresses: [10.60.${number}.1/32]
    routes: [{ to: 10.60.${3 - number}.1/32 }]
  - name: lonely
    type: vxlan
    vni: ${200 + number}
    local: ${side.underlayIp}
    port: 4790
    addresses: [10.61.${number}.1/24]
`;
}

function runScript(at: Namespace, script: string): Child {
  return at.spawn([process.execPath, "--input-type=module", "-e", script]);
}

function built(module: string): string {
  return JSON.stringify(join(projectRoot, "dist", module));
}

function startListener(at: Namespace, daemon: Daemon, bind: string): Child {
  return runScript(
    at,
    `import { runListener } from ${built("bench/listen.js")};
    const stop = new AbortController();
    process.on("SIGTERM", () => stop.abort());
    await runListener({ bind: "${bind}", port: 9480, socketPath: "${daemon.socket}",
      signal: stop.signal, log: (line) => console.log(line) });`,
  );
}

function measure(at: Namespace, daemon: Daemon, options: object): Promise<ExitResult> {
  const all = {
    ...{ port: 9480, socketPath: daemon.socket, via: [], rounds: 1, seconds: 1 },
    ...options,
  };
  return runScript(
    at,
    `import { measureRemote } from ${built("bench/remote.js")};
    import { Cleanup } from ${built("testbed/cleanup.js")};
    const cleanup = new Cleanup();
    try {
      const say = (line) => console.error(line);
      const options = { ...${JSON.stringify(all)}, cleanup };
      console.log(JSON.stringify(await measureRemote(options, say)));
    } catch (error) {
      console.error(error.code, error.message, error.hint);
      process.exitCode = 1;
    }
    cleanup.run();`,
  ).wait(90_000);
}

it("measures underlay and common tunnels, and says what was left out", async () => {
  const { left, right } = bed.hosts;
  const [first, second] = await bed.pair(bed.hosts, config);
  await expectReachable(left.host, right.overlayIp);
  await expectReachable(left.host, "10.60.2.1");
  const listener = startListener(right.host, second, right.underlayIp);
  expect(await waitUntil(() => listener.stdout.includes("waiting on"), 10_000)).toBe(true);
  const workloads = ["tcp-1", "udp-1400", "latency", "connections", "daemon"];
  const { status, stdout, stderr } = await measure(left.host, first, {
    host: right.underlayIp,
    workloads,
    via: [{ name: "by-hand", address: right.underlayIp }],
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringContaining("lonely") });
  const report = JSON.parse(stdout) as BenchReport;
  expect(report.failures).toEqual([]);
  expect(report.reference).toBe("underlay");
  expect(report.variants).toEqual([
    { name: "underlay", title: "underlay" },
    { name: "vxlan100", title: "vxlan100 (culvert vxlan)" },
    { name: "ipip0", title: "ipip0 (culvert ipip)" },
    {
      name: "lonely",
      title: "lonely (culvert vxlan)",
      missing: "the other host runs no vxlan with VNI 201",
    },
    { name: "by-hand", title: "by-hand" },
  ]);
  const values = (variant: string, metric: string): number[] =>
    report.samples
      .filter((one) => one.variant === variant && one.metric === metric)
      .map(({ value }) => value);
  for (const variant of ["underlay", "vxlan100", "ipip0", "by-hand"]) {
    expect(values(variant, "throughput_bits_per_s")).toHaveLength(2);
    expect(Math.min(...values(variant, "throughput_bits_per_s"))).toBeGreaterThan(1e6);
    expect(values(variant, "rtt_p50_us")[0]).toBeGreaterThan(0);
    expect(values(variant, "connections_per_s")[0]).toBeGreaterThan(10);
    expect(values(variant, "machine_cpu_s_per_gib")[0]).toBeGreaterThan(0);
  }
  // Both daemons of a tunnel are seen to work, and are not charged for the underlay.
  for (const variant of ["vxlan100", "ipip0"]) {
    expect(values(variant, "daemon_cpu_s_per_gib")[0]).toBeGreaterThan(0.01);
    expect(values(variant, "rss_idle_bytes")[0]).toBeGreaterThan(2 ** 20);
  }
  expect(values("underlay", "daemon_cpu_s_per_gib")).toEqual([]);
  expect(values("underlay", "rss_idle_bytes")).toEqual([]);
  await listener.stop();
  expect(listener.result?.status).toBe(0);
});

it("stops what runs for a client that is killed, and takes the next one", async () => {
  const { left, right } = bed.hosts;
  const [first, second] = await bed.pair(bed.hosts, config);
  await expectReachable(left.host, right.overlayIp);
  const listener = startListener(right.host, second, "::");
  expect(await waitUntil(() => listener.stdout.includes("waiting on"), 10_000)).toBe(true);
  const client = runScript(
    left.host,
    `import { connect } from "node:net";
    const socket = connect(9480, "${right.underlayIp}");
    const say = (value) => socket.write(JSON.stringify(value) + "\\n");
    say({ type: "hello", version: 1 });
    say({ type: "serve", workload: "tcp-1", seconds: 60, latency: "culvert" });
    socket.on("data", (data) => process.stdout.write(data));`,
  );
  expect(await waitUntil(() => client.stdout.includes('"serve"'), 10_000)).toBe(true);
  const listening = (): string => right.host.run("ss", "-Hltn", "sport", "=", ":9481");
  expect(listening()).toContain(":9481");
  const busy = await measure(left.host, first, { host: right.underlayIp, workloads: ["tcp-1"] });
  expect(busy.stderr).toContain("busy with another client");
  await client.stop();
  await eventually(() => expect(listening()).toBe(""));
  const next = await measure(left.host, first, { host: right.overlayIp, workloads: ["tcp-1"] });
  expect(next.stderr).toContain("cannot be the underlay");
  await listener.stop();
  expect(listener.result?.status).toBe(0);
  const gone = await measure(left.host, first, { host: right.underlayIp, workloads: ["tcp-1"] });
  expect(gone.stderr).toContain("no listener at");
  expect(gone.stderr).toContain("culvert bench --listen");
});
