// A daemon's beginning and end: wrong configs, things that are taken or missing, signals under
// load, what is left behind (nothing), and commands without a daemon.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import type { Daemon } from "../../src/testbed/daemon.js";
import { ping } from "../../src/testbed/ping.js";
import type { Child } from "../../src/testbed/process.js";
import { culvertEntry } from "../../src/testbed/project.js";
import { createTwoHosts, type HostSide, type TwoHosts } from "../../src/testbed/two-hosts.js";
import {
  countersOf,
  culvertEnds,
  culvertJson,
  devicesOf,
  dropsOf,
  eventually,
  ipipConfig,
  python,
  useBed,
  vxlanConfig,
} from "./support.js";
import { expectReachable } from "./traffic.js";

const bed = useBed(["iperf3", "python3", "setpriv"], (cleanup) => createTwoHosts(cleanup));

let hosts: TwoHosts;
let left: HostSide;
let right: HostSide;
let devicesBefore: string[];
beforeAll(() => {
  if (process.getuid?.() !== 0) return;
  hosts = bed.hosts;
  ({ left, right } = hosts);
  devicesBefore = devicesOf(left.host);
});

const vxlan = (tunnel: string[] = []): string => vxlanConfig(left, right, { tunnel });

/**
 * Expects that `culvert run` refuses with this exit status, and leaves no device. @returns what it
 * said
 */
async function expectRefused(
  config: string,
  status: number,
  options: Parameters<typeof culvertEnds>[3] = {},
): Promise<string> {
  const devices = devicesOf(left.host);
  const end = await culvertEnds(bed, left.host, config, options);
  expect({ status: end.status, stdout: end.stdout }, end.stderr).toEqual({ status, stdout: "" });
  expect(devicesOf(left.host)).toEqual(devices);
  return end.stderr;
}

/** The code of a refusal, which stands in the JSON form of errors: `culvert -j run ...`. */
async function codeOf(config: string): Promise<string> {
  const script = 'node=$1; main=$2; shift 2; exec "$node" "$main" -j "$@"';
  const prefix = ["sh", "-c", script, "sh"];
  const { stderr } = await culvertEnds(bed, left.host, config, { prefix });
  return (JSON.parse(stderr) as { error: { code: string } }).error.code;
}

describe("a wrong config", () => {
  const wrong = `workers: many
tunnels:
  - name: vxlan100
    type: vxlan
    vni: 16777216
    local: 10.57.4.20
    dstport: 4789
  - name: ipip0
    type: ipip
    local: fe80::20
`;
  // The first line of the file is `control:`.
  const places = [
    ":2:10: workers: ",
    ":6:10: tunnels[0].vni: expected a whole number from 0 to 16777215, got the number 16777216",
    ":8:5: tunnels[0].dstport: expected a known key (did you mean port?)",
    ":11:12: tunnels[1].local: ",
  ];

  it.each(["check", "run"])("gets every error with line and column from %s", async (command) => {
    const { status, stdout, stderr } = await culvertEnds(bed, left.host, wrong, {}, command);
    expect({ status, stdout }, stderr).toEqual({ status: 2, stdout: "" });
    for (const place of places) expect(stderr).toContain(`config.yaml${place}`);
    expect(devicesOf(left.host)).toEqual(devicesBefore);
  });

  it("is told apart from a right one, which check prints with every default", async () => {
    const { status, stdout } = await culvertEnds(bed, left.host, vxlan(), {}, "check");
    expect(status).toBe(0);
    expect(stdout).toContain("ageing_s: 300");
    expect(devicesOf(left.host)).toEqual(devicesBefore);
  });
});

describe("a port that is taken", () => {
  it("by a kernel vxlan device is an error that names the device", async () => {
    const ends = ["local", left.underlayIp, "dev", "eth0", "dstport", "4789"];
    left.host.ip("link", "add", "kernel0", "type", "vxlan", "id", "7", ...ends);
    left.host.ip("link", "set", "kernel0", "up");
    try {
      const said = await expectRefused(vxlan(), 1);
      expect(said).toContain("kernel vxlan device 'kernel0' (VNI 7)");
      expect(said).toMatch(/hint: .*`port`/);
      expect(await codeOf(vxlan())).toBe("CULVERT_PORT_IN_USE");
    } finally {
      left.host.ip("link", "del", "kernel0");
    }
  });

  it("by a process is an error that names the process", async () => {
    const hold = `import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 4789))
print("bound", flush=True)
time.sleep(60)`;
    const holder = left.host.spawn([python, "-c", hold]);
    await eventually(() => expect(holder.stdout).toContain("bound"));
    const said = await expectRefused(vxlan(), 1);
    await holder.stop();
    expect(said).toMatch(new RegExp(`process 'python3[^']*' \\(pid ${holder.pid}\\)`));
  });

  it("by another tunnel that is bound to a device is an error that says so", async () => {
    const other = "  - { name: other0, type: vxlan, vni: 8, dev: eth0 }\n";
    const said = await expectRefused(`${vxlan().trimEnd()}\n${other}`, 1);
    expect(said).toContain(`tunnels on ${left.underlayIp} port 4789 with and without \`dev\``);
    expect(said).toMatch(/hint: .*the same `dev`/);
  });

  it.each([1, 2])("by another culvert is an error that names it (workers: %i)", async (count) => {
    const workers = `workers: ${count}\n`;
    const first = await bed.start(left.host, workers + vxlan());
    const second = workers + vxlan().replace("name: vxlan100", "name: other0");
    const said = await expectRefused(second, 1);
    expect(said).toContain(`(pid ${first.pid})`);
    expect(said).toContain("port 4789");
    expect((await first.culvert("status")).status).toBe(0);
  });
});

describe("what is missing or in the way", () => {
  it.each([
    ["a bridge", ["link", "add", "vxlan100", "type", "bridge"]],
    ["a persistent TAP", ["tuntap", "add", "dev", "vxlan100", "mode", "tap"]],
  ])("is named: %s with the device's name", async (_what, words) => {
    left.host.ip(...words);
    try {
      const said = await expectRefused(vxlan(), 1);
      expect(said).toContain("cannot create tap device vxlan100");
      expect(said).toContain("the name is taken");
      expect(await codeOf(vxlan())).toBe("CULVERT_DEVICE_EXISTS");
    } finally {
      left.host.ip("link", "del", "vxlan100");
    }
  });

  it.each([
    ["CAP_NET_ADMIN", "-net_admin"],
    ["CAP_NET_RAW", "-net_raw"],
  ])("is named: %s, and how to grant it", async (capability, word) => {
    const prefix = ["setpriv", "--bounding-set", word, "--inh-caps", word, "--"];
    const said = await expectRefused(ipipConfig(left, right), 1, { prefix });
    expect(said).toContain(`${capability} is missing`);
    expect(said).toMatch(/hint: .*AmbientCapabilities=/);
  });

  it("is named: /dev/net/tun", async () => {
    const hidden = 'mount -t tmpfs none /dev/net && exec "$@"';
    const prefix = ["unshare", "-m", "sh", "-c", hidden, "sh"];
    const said = await expectRefused(vxlan(), 1, { prefix });
    expect(said).toContain("/dev/net/tun");
    expect(said).toMatch(/hint: .*modprobe tun/);
  });

  it("is named: a local address that this host does not have", async () => {
    const config = vxlan().replace(left.underlayIp, "10.57.4.99");
    const said = await expectRefused(config, 1);
    expect(said).toContain("10.57.4.99");
    expect(said).toMatch(/hint: ./);
  });

  it("is named: an underlay device that does not exist", async () => {
    const said = await expectRefused(vxlan(["dev: eth7"]), 1);
    expect(said).toContain("eth7");
    expect(said).toMatch(/hint: ./);
  });

  it("is named: a route that another device has already", async () => {
    left.host.ip("route", "add", "192.168.11.0/24", "dev", "eth0");
    try {
      const said = await expectRefused(vxlan(), 1);
      expect(said).toContain("192.168.11.0/24");
      expect(devicesOf(left.host)).toEqual(devicesBefore);
    } finally {
      left.host.ip("route", "del", "192.168.11.0/24", "dev", "eth0");
    }
  });

  it("is refused: a second daemon with the same control socket", async () => {
    const first = await bed.start(left.host, vxlan());
    // All else is its own: another device and port, no address or route.
    const config = `tunnels:
  - { name: other0, type: vxlan, vni: 100, port: 4790, local: ${left.underlayIp} }
`;
    const said = await expectRefused(config, 1, { socket: first.socket });
    expect(said).toContain(first.socket);
    expect((await first.culvert("status")).status).toBe(0);
  });
});

/** TCP from the left pod to the right one that goes on until it is stopped. */
async function startLoad(): Promise<Child[]> {
  const server = right.pod.spawn(["iperf3", "-s", "--forceflush", "-p", "5210"]);
  await eventually(() => expect(server.stdout).toContain("listening"));
  const client = left.pod.spawn(["iperf3", "-c", right.podIp, "-p", "5210", "-t", "60"]);
  return [client, server];
}

function expectNothingLeft(daemon: Daemon): void {
  expect(devicesOf(left.host)).toEqual(devicesBefore);
  expect(left.host.ip("addr", "show", "to", left.overlayIp)).toBe("");
  expect(left.host.ip("route", "show", right.podNetwork)).toBe("");
  expect(existsSync(daemon.socket)).toBe(false);
}

describe("the end of a daemon", () => {
  it.each([
    ["SIGTERM", "vxlan"],
    ["SIGINT", "vxlan"],
    ["SIGTERM", "ipip"],
  ] as const)("by %s under load leaves nothing behind (%s)", async (signal, type) => {
    const make = type === "vxlan" ? vxlanConfig : ipipConfig;
    const [daemon] = await bed.pair(hosts, (side, peer) => make(side, peer));
    await expectReachable(left.pod, right.podIp);
    const load = await startLoad();
    await eventually(async () => {
      const [tunnel] = (await countersOf(daemon)).tunnels;
      expect(tunnel!.egress.bytes).toBeGreaterThan(1e7);
    });
    const end = await daemon.child.stop(signal, 10_000);
    for (const child of load) await child.stop("SIGKILL");
    expect({ status: end.status, signal: end.signal }, daemon.log).toEqual({
      status: 0,
      signal: null,
    });
    expectNothingLeft(daemon);
  });

  it("by SIGKILL takes the device with it, and the next one starts over its socket", async () => {
    const daemon = await bed.start(left.host, vxlan());
    await daemon.child.stop("SIGKILL");
    await eventually(() => expect(devicesOf(left.host)).toEqual(devicesBefore));
    expect(left.host.ip("route", "show", right.podNetwork)).toBe("");
    expect(existsSync(daemon.socket)).toBe(true);
    const { status } = await daemon.culvert("status");
    expect(status).toBe(3);
    const again = left.host.spawn([
      ...[process.execPath, culvertEntry(), "run", "--config", daemon.configFile],
    ]);
    await eventually(async () => expect((await daemon.culvert("status")).status).toBe(0));
    expect((await again.stop()).status).toBe(0);
    expectNothingLeft(daemon);
  });

  it.each([1, 2])(
    "comes by itself, with status 1 and a reason, when its device is deleted (workers: %i)",
    async (workers) => {
      const daemon = await bed.start(left.host, `workers: ${workers}\n${vxlan()}`);
      left.host.ip("link", "del", "vxlan100");
      const { status } = await daemon.child.wait(20_000);
      expect(status, daemon.log).toBe(1);
      expect(daemon.log).toMatch(/device vxlan100 is gone .*was it deleted/);
      expect(daemon.log.split("\n").length).toBeLessThan(20);
      expectNothingLeft(daemon);
    },
  );
});

describe("one of two devices", () => {
  it("that is deleted ends its tunnel, and the other goes on", async () => {
    const both = `${vxlan()}${ipipConfig(left, right).replace(/^tunnels:\n/, "")}`;
    const daemon = await bed.start(left.host, both.replaceAll(/^ +routes:.*\n/gm, ""));
    left.host.ip("link", "del", "ipip0");
    await eventually(() => expect(daemon.log).toMatch(/device ipip0 is gone/));
    const { tunnels } = await culvertJson<{ tunnels: { name: string; up: boolean }[] }>(
      daemon,
      "status",
    );
    const state = Object.fromEntries(tunnels.map(({ name, up }) => [name, up]));
    expect(state).toEqual({ vxlan100: true, ipip0: false });
    left.host.ip("link", "del", "vxlan100");
    expect((await daemon.child.wait(20_000)).status).toBe(1);
  });
});

describe("a worker", () => {
  it("asks the scheduler for a long time slice", async (context) => {
    const { pid } = await bed.start(left.host, vxlan());
    const slices = readdirSync(`/proc/${pid}/task`).map((thread) => {
      const shown = readFileSync(`/proc/${pid}/task/${thread}/sched`, "utf8");
      return /^se\.slice\s*:\s*(\d+)$/m.exec(shown)?.[1];
    });
    if (slices.includes(undefined)) return context.skip("this kernel shows no slice");
    expect(slices.filter((slice) => slice === "10000000")).toHaveLength(1);
  });
});

describe("a log that nobody takes any more", () => {
  it("does not end the daemon", async () => {
    const daemon = await bed.start(left.host, vxlan());
    daemon.child.closeOutput();
    process.kill(daemon.pid, "SIGHUP");
    expect((await daemon.culvert("status")).status).toBe(0);
    expect((await daemon.stop()).status).toBe(0);
    expectNothingLeft(daemon);
  });
});

describe("a network that goes away and comes back", () => {
  it("costs packets only: the underlay's device", async () => {
    const [daemon] = await bed.pair(hosts, (side, peer) => vxlanConfig(side, peer));
    await expectReachable(left.pod, right.podIp);
    left.host.ip("link", "set", "eth0", "down");
    try {
      await ping({ from: left.pod, to: right.podIp, count: 100, interval_ms: 2 });
    } finally {
      left.host.ip("link", "set", "eth0", "up");
      left.host.ip("route", "replace", "default", "via", "10.57.4.1", "dev", "eth0");
    }
    expect(dropsOf(await countersOf(daemon))["egress underlay-error"]).toBeGreaterThan(10);
    expect(daemon.log.split("\n").length).toBeLessThan(20);
    await expectReachable(left.pod, right.podIp);
  });

  it("costs packets only: the overlay's device, set down by hand", async () => {
    const [daemon] = await bed.pair(hosts, (side, peer) => vxlanConfig(side, peer));
    await expectReachable(right.pod, left.podIp);
    left.host.ip("link", "set", "vxlan100", "down");
    await ping({ from: right.pod, to: left.podIp, count: 100, interval_ms: 2 });
    expect(dropsOf(await countersOf(daemon))["ingress device-error"]).toBeGreaterThan(10);
    expect(daemon.log.split("\n").length).toBeLessThan(20);
    left.host.ip("link", "set", "vxlan100", "up");
    // The kernel forgets a device's routes when it goes down; addresses and their own networks
    // stay.
    const gateway = ["via", right.overlayIp, "dev", "vxlan100", "onlink"];
    left.host.ip("route", "add", right.podNetwork, ...gateway);
    await expectReachable(right.pod, left.podIp);
  });

  it("does not end it by SIGHUP", async () => {
    const daemon = await bed.start(left.host, vxlan());
    process.kill(daemon.pid, "SIGHUP");
    await eventually(() => expect(daemon.log).toContain("SIGHUP"));
    expect((await daemon.culvert("status")).status).toBe(0);
  });
});

describe("a daemon's identity", () => {
  it("is a MAC that stays the same after a restart and differs between hosts", async () => {
    const macOf = async (daemon: Daemon): Promise<string> => {
      const { tunnels } = await culvertJson<{ tunnels: { mac: string }[] }>(daemon, "status");
      return tunnels[0]!.mac;
    };
    const [first, second] = await bed.pair(hosts, (side, peer) => vxlanConfig(side, peer));
    const macs = [await macOf(first), await macOf(second)];
    expect(macs[0]).not.toBe(macs[1]);
    expect(Number.parseInt(macs[0]!.slice(0, 2), 16) & 3, "local, unicast").toBe(2);
    expect((await first.stop()).status).toBe(0);
    const restarted = await bed.start(left.host, vxlan());
    expect(await macOf(restarted)).toBe(macs[0]);
    await expectReachable(left.pod, right.podIp);
  });
});

describe("commands without a daemon", () => {
  it.each(["status", "fdb show", "neigh show", "route show", "counters"])(
    "%s exits with 3 and says which socket",
    async (command) => {
      const argv = [process.execPath, culvertEntry(), ...command.split(" ")];
      const child = left.host.spawn([...argv, "--socket", "/nonexistent/culvert.sock"]);
      const { status, stdout, stderr } = await child.wait(20_000);
      expect({ status, stdout }).toEqual({ status: 3, stdout: "" });
      expect(stderr).toContain("/nonexistent/culvert.sock");
    },
  );
});
