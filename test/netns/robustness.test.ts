// Broken packets from both sides of a daemon: it lives, counts every one of them, logs next to
// nothing, does not grow, and carries traffic afterwards. The packets are random but the same in
// every run (fixtures/hostile.py).

import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { residentMemory_bytes } from "../../src/testbed/cpu.js";
import type { Daemon } from "../../src/testbed/daemon.js";
import type { Namespace } from "../../src/testbed/namespace.js";
import { createTwoHosts, type TwoHosts } from "../../src/testbed/two-hosts.js";
import {
  type CountersJson,
  countersOf,
  devicePackets,
  dropsOf,
  eventually,
  ipipConfig,
  python,
  silenceIpv6,
  useBed,
  vxlanConfig,
  withoutDrops,
} from "./support.js";
import { expectReachable, expectTcp, expectUdp, pods } from "./traffic.js";

const count = 5000;
const grownLimit_bytes = 20 * 1024 * 1024;
const logLimit_lines = 50;
const hostilePath = fileURLToPath(new URL("./fixtures/hostile.py", import.meta.url));

const bed = useBed(["iperf3", "python3"], (cleanup) => {
  const hosts = createTwoHosts(cleanup);
  for (const { host } of [hosts.left, hosts.right]) silenceIpv6(host);
  return hosts;
});

/** Runs hostile.py. @returns how many packets the kernel took */
async function hostile(from: Namespace, ...args: (string | number)[]): Promise<number> {
  const child = from.spawn([python, hostilePath, ...args.map(String)]);
  const { status, stdout, stderr } = await child.wait(60_000);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return Number(stdout);
}

/** Packets that came to an end in one direction: delivered or dropped for a reason. */
function accounted(counters: CountersJson, direction: "egress" | "ingress"): number {
  const delivered = counters.tunnels.reduce((sum, tunnel) => sum + tunnel[direction].packets, 0);
  const dropped = Object.entries(dropsOf(counters))
    .filter(([name]) => name.startsWith(direction))
    .reduce((sum, [, n]) => sum + n, 0);
  return delivered + dropped;
}

/**
 * Both sides up, warm, and the right daemon stopped again: what comes from there now is ours alone.
 */
async function leftAlone(
  hosts: TwoHosts,
  make: typeof vxlanConfig | typeof ipipConfig,
): Promise<Daemon> {
  const [daemon, other] = await bed.pair(hosts, (side, peer) => make(side, peer));
  await expectReachable(hosts.left.pod, hosts.right.podIp);
  await expectTcp(pods(hosts));
  await expectUdp(pods(hosts));
  expect((await other.stop()).status).toBe(0);
  return daemon;
}

/**
 * Expects that the daemon is well after what it went through, and that a new peer can talk to it.
 */
async function expectWell(
  daemon: Daemon,
  before_bytes: number,
  make: typeof vxlanConfig | typeof ipipConfig,
): Promise<void> {
  const { left, right } = bed.hosts;
  expect(daemon.child.result, daemon.log).toBeUndefined();
  expect(daemon.log.split("\n").length, daemon.log.slice(0, 4000)).toBeLessThan(logLimit_lines);
  expect(residentMemory_bytes(daemon.pid) - before_bytes).toBeLessThan(grownLimit_bytes);
  const peer = await bed.start(right.host, make(right, left));
  await expectReachable(left.pod, right.podIp);
  await withoutDrops([daemon, peer], () => expectTcp(pods(bed.hosts)));
  expect((await daemon.stop()).status).toBe(0);
}

describe("broken packets from the underlay", () => {
  it("are dropped and counted by a vxlan tunnel", async () => {
    const hosts = bed.hosts;
    const daemon = await leftAlone(hosts, vxlanConfig);
    const memory_bytes = residentMemory_bytes(daemon.pid);
    const before = await countersOf(daemon);
    const to = hosts.left.underlayIp;
    const sent = await hostile(hosts.right.host, "vxlan", to, 4789, count, 1);
    expect(sent).toBe(count);
    await eventually(async () => {
      const after = await countersOf(daemon);
      expect(accounted(after, "ingress") - accounted(before, "ingress")).toBe(sent);
    });
    const drops = dropsOf(await countersOf(daemon));
    for (const reason of ["truncated", "bad-flags", "unknown-vni", "invalid-source-mac"]) {
      expect(drops[`ingress ${reason}`], reason).toBeGreaterThan(10);
    }
    await expectWell(daemon, memory_bytes, vxlanConfig);
  });

  it("are dropped and counted by an ipip tunnel", async () => {
    const hosts = bed.hosts;
    const daemon = await leftAlone(hosts, ipipConfig);
    const memory_bytes = residentMemory_bytes(daemon.pid);
    const before = await countersOf(daemon);
    const sent = await hostile(hosts.right.host, "ipip", hosts.left.underlayIp, count, 1);
    expect(sent).toBe(count);
    await eventually(async () => {
      const after = await countersOf(daemon);
      expect(accounted(after, "ingress") - accounted(before, "ingress")).toBe(sent);
    });
    const drops = dropsOf(await countersOf(daemon));
    for (const reason of ["inner-not-ip", "inner-malformed"]) {
      expect(drops[`ingress ${reason}`], reason).toBeGreaterThan(10);
    }
    await expectWell(daemon, memory_bytes, ipipConfig);
  });
});

describe("broken frames from the device", () => {
  it.each([
    ["tap", "vxlan100", vxlanConfig],
    ["tun", "ipip0", ipipConfig],
  ] as const)("are sent on or counted: %s", async (mode, device, make) => {
    const hosts = bed.hosts;
    const { host } = hosts.left;
    const daemon = await leftAlone(hosts, make);
    const memory_bytes = residentMemory_bytes(daemon.pid);
    const before = await countersOf(daemon);
    const read = devicePackets(host, device).tx;
    expect(await hostile(host, mode, device, count, 3)).toBeGreaterThan(count / 2);
    await eventually(async () => {
      // What the daemon read from the device, as the kernel counts it, has been sent or dropped.
      const after = await countersOf(daemon);
      const frames = devicePackets(host, device).tx - read;
      expect(frames).toBeGreaterThan(count / 2);
      expect(accounted(after, "egress") - accounted(before, "egress")).toBe(frames);
    });
    expect(dropsOf(await countersOf(daemon))["egress malformed"]).toBeGreaterThan(10);
    await expectWell(daemon, memory_bytes, make);
  });

  it.each([
    ["gso-tap", "vxlan100", vxlanConfig],
    ["gso-tun", "ipip0", ipipConfig],
  ] as const)("are cut into segments of any size, or counted: %s", async (mode, device, make) => {
    const { host } = bed.hosts.left;
    const daemon = await leftAlone(bed.hosts, make);
    const memory_bytes = residentMemory_bytes(daemon.pid);
    const before = await countersOf(daemon);
    const read = devicePackets(host, device).tx;
    const taken = await hostile(host, mode, device, 200, 4);
    expect(taken).toBeGreaterThan(20);
    await eventually(async () => {
      const after = await countersOf(daemon);
      const frames = devicePackets(host, device).tx - read;
      expect(frames).toBeGreaterThan(20);
      const ended = accounted(after, "egress") - accounted(before, "egress");
      expect(ended).toBeGreaterThanOrEqual(frames);
    });
    await expectWell(daemon, memory_bytes, make);
  });
});
