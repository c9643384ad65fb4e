// The testbed itself, as root: the topology carries traffic by plain routes and by the kernel's
// vxlan, and nothing of it is left afterwards.

import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cleanup } from "../../src/testbed/cleanup.js";
import { iperfTcp, iperfUdp } from "../../src/testbed/iperf.js";
import { Namespace } from "../../src/testbed/namespace.js";
import { ping, pingUntilAnswered } from "../../src/testbed/ping.js";
import { isRunning, runSync } from "../../src/testbed/process.js";
import { withTunnel } from "../../src/testbed/tunnel.js";
import { createTunnel } from "../../src/testbed/tunnels.js";
import { createTwoHosts, type TwoHosts } from "../../src/testbed/two-hosts.js";

const cleanup = new Cleanup();
let hosts: TwoHosts;

beforeAll(() => {
  hosts = createTwoHosts(cleanup, { offloads: "nic", underlayMtu_bytes: 1600 });
});

afterAll(() => cleanup.run());

describe("two hosts", () => {
  it("have the underlay they were asked for, and no way from pod to pod", async () => {
    const { left, right } = hosts;
    const features = left.host.run("ethtool", "-k", "eth0");
    expect(features).toMatch(/^tx-checksumming: off/m);
    expect(features).toMatch(/^generic-receive-offload: on/m);
    expect(left.host.ip("link", "show", "eth0")).toContain("mtu 1600");
    expect((await ping({ from: left.host, to: right.underlayIp, count: 2 })).received).toBe(2);
    expect((await ping({ from: left.pod, to: right.podIp, count: 2 })).received).toBe(0);
  });

  it.each(["veth", "routes", "macvlan", "kernel-vxlan"] as const)(
    "are joined by %s, and apart afterwards",
    async (name) => {
      const tunnel = createTunnel(name, hosts, cleanup);
      const { client, server, address } = tunnel.ends;
      expect(tunnel.unsupported()).toBeUndefined();
      await withTunnel(tunnel, async () => {
        expect(await pingUntilAnswered(client, address)).toBe(true);
        expect((await ping({ from: client, to: address, count: 5 })).loss).toBe(0);
        const path = { client, server, address, seconds: 1 };
        expect((await iperfTcp(path)).bytes).toBeGreaterThan(1e6);
        const datagrams = await iperfUdp({ ...path, payload_bytes: 100, bitrate: "800k" });
        expect(datagrams.delivered_per_s).toBeGreaterThan(900);
        expect(datagrams.loss).toBeLessThan(0.05);
      });
      // The veth is the underlay itself: it stays.
      const answers = (await ping({ from: client, to: address, count: 2 })).received;
      expect(answers).toBe(name === "veth" ? 2 : 0);
    },
  );

  it("carry full packets of the MTU that each way leaves", async () => {
    const fits_bytes = { veth: 1600, routes: 1600, macvlan: 1600, "kernel-vxlan": 1550 };
    for (const [name, mtu_bytes] of Object.entries(fits_bytes)) {
      const tunnel = createTunnel(name as keyof typeof fits_bytes, hosts, cleanup);
      const { client: from, address: to } = tunnel.ends;
      await withTunnel(tunnel, async () => {
        expect(await pingUntilAnswered(from, to)).toBe(true);
        const whole = { from, to, count: 2, extra: ["-M", "do"] };
        // 28: IPv4 and ICMP header.
        const full = await ping({ ...whole, size_bytes: mtu_bytes - 28 });
        expect([name, full.received]).toEqual([name, 2]);
        const over = await ping({ ...whole, size_bytes: mtu_bytes - 27 });
        expect([name, over.received]).toEqual([name, 0]);
      });
    }
  });
});

describe("a namespace", () => {
  it("gets a name of its own, and disappears with the processes in it", () => {
    const own = new Cleanup();
    const first = Namespace.create(own, "same");
    const second = Namespace.create(own, "same");
    expect(second.name).not.toBe(first.name);
    const child = first.spawn(["sleep", "60"]);
    expect(isRunning(child.pid)).toBe(true);
    own.run();
    expect(isRunning(child.pid)).toBe(false);
    expect(existsSync(`/run/netns/${first.name}`)).toBe(false);
    expect(existsSync(`/run/netns/${second.name}`)).toBe(false);
  });

  it("says how to remove one that a killed run left behind", () => {
    const own = new Cleanup();
    const name = `cv${process.pid.toString(36)}-taken`;
    runSync(["ip", "netns", "add", name]);
    try {
      expect(() => Namespace.create(own, "taken")).toThrow(
        expect.objectContaining({ hint: expect.stringContaining(`ip netns del ${name}`) }),
      );
    } finally {
      runSync(["ip", "netns", "del", name]);
      own.run();
    }
  });
});
