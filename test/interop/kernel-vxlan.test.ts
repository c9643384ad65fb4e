// culvert against the kernel's own vxlan device, pods behind both: whatever the underlay's offloads
// leave undone, every byte arrives as it was sent, both ways, and nothing is dropped on the way.
// Rates are not judged.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Cleanup } from "../../src/testbed/cleanup.js";
import type { Daemon } from "../../src/testbed/daemon.js";
import { iperfTcp, iperfUdp, type UdpResult } from "../../src/testbed/iperf.js";
import { ping, pingUntilAnswered } from "../../src/testbed/ping.js";
import type { TwoHosts } from "../../src/testbed/two-hosts.js";
import {
  addKernelVxlan,
  createDualStackHosts,
  culvertMac,
  type Family,
  kernelMac,
  left6,
  right6,
  startCulvertVxlan,
} from "./kernel-vxlan-peer.js";
import {
  dropsOf,
  type Path,
  settled,
  transferDatagrams,
  transferTcp,
  unmetNeeds,
} from "./support.js";

const unmet = unmetNeeds({
  commands: [
    ["iperf3", "--version"],
    ["bridge", "-V"],
    ["ethtool", "--version"],
  ],
});
const transfer_bytes = 50_000_000;
const small_bytes = 5_000_000;
/** MTU of the overlay and an Ethernet header. */
const largestFrame_bytes = 1464;

/** Paths between the pods, named by who sends. */
function pathsOf({ left, right }: TwoHosts): Record<string, Path> {
  return {
    "culvert to kernel": { from: left.pod, to: right.pod, address: right.podIp },
    "kernel to culvert": { from: right.pod, to: left.pod, address: left.podIp },
    "culvert to kernel, IPv6": { from: left.pod, to: right.pod, address: right6.podIp },
    "kernel to culvert, IPv6": { from: right.pod, to: left.pod, address: left6.podIp },
  };
}

const ipv4Paths = ["culvert to kernel", "kernel to culvert"];
const allPaths = [...ipv4Paths, "culvert to kernel, IPv6", "kernel to culvert, IPv6"];

/**
 * One second of UDP at a rate that any machine carries; repeated when a busy one lost a part of it.
 */
async function gentleUdp(path: Path, payload_bytes: number): Promise<UdpResult> {
  const ends = { client: path.from, server: path.to, address: path.address, seconds: 1 };
  for (let attempt = 1; ; attempt++) {
    const result = await iperfUdp({ ...ends, payload_bytes, bitrate: `${payload_bytes * 8}k` });
    if (result.loss < 0.01 || attempt === 3) return result;
  }
}

async function ingressOf(daemon: Daemon): Promise<{ packets: number; bytes: number }> {
  const { stdout } = await daemon.culvert("counters", "-j");
  const report = JSON.parse(stdout) as {
    tunnels: { ingress: { packets: number; bytes: number } }[];
  };
  return report.tunnels[0]!.ingress;
}

interface Scenario {
  hosts: TwoHosts;
  daemon: Daemon;
  /**
   * What was dropped while the tunnel came up: the peer's multicast may reach a device that is not
   * yet up.
   */
  early: Record<string, number>;
}

/** Registers set-up and tear-down of one scenario and the check that nothing was dropped. */
function scenario(make: (cleanup: Cleanup) => Promise<Scenario>): () => Scenario {
  const cleanup = new Cleanup();
  let current: Scenario | undefined;
  beforeAll(async () => {
    if (unmet !== undefined) return;
    try {
      current = await make(cleanup);
      const { left, right } = current.hosts;
      await pingUntilAnswered(left.pod, right.podIp);
    } catch (error) {
      cleanup.run();
      throw error;
    }
  });
  beforeEach((context) => {
    if (unmet !== undefined) context.skip(unmet);
  });
  afterAll(() => cleanup.run());
  return () => current!;
}

function joined(
  offloads: "default" | "nic" | "off",
  family: Family,
  extra = "",
): (cleanup: Cleanup) => Promise<Scenario> {
  return async (cleanup) => {
    const hosts = createDualStackHosts(cleanup, offloads);
    addKernelVxlan(hosts, family);
    const daemon = await startCulvertVxlan(hosts, cleanup, family, extra);
    return { hosts, daemon, early: await dropsOf(daemon) };
  };
}

async function expectPings(
  { hosts, daemon, early }: Scenario,
  names: readonly string[],
): Promise<void> {
  for (const name of names) {
    const { from, address } = pathsOf(hosts)[name]!;
    for (const size_bytes of [56, 1400, 4000]) {
      // The first ones may be lost to resolving the neighbour and to learning the path MTU.
      const burst = async (): Promise<number> =>
        (await ping({ from, to: address, count: 5, size_bytes })).received;
      const received = await settled(burst, 5);
      expect({ name, size_bytes, received }).toEqual({ name, size_bytes, received: 5 });
    }
  }
  expect(await dropsOf(daemon)).toEqual(early);
}

async function expectTransfer(current: Scenario, name: string, bytes: number): Promise<void> {
  const { sent, received } = await transferTcp(pathsOf(current.hosts)[name]!, bytes);
  expect(received).toEqual(sent);
  expect(sent.bytes).toBe(bytes);
  expect(await dropsOf(current.daemon)).toEqual(current.early);
}

async function expectDatagrams(
  current: Scenario,
  name: string,
  size_bytes: number,
  batch: number,
): Promise<void> {
  const plan = { size_bytes, batch, count: batch > 1 ? batch * 25 : 400 };
  const { sent, received } = await transferDatagrams(pathsOf(current.hosts)[name]!, plan);
  expect(received).toEqual({ ...sent, wrongSize: 0, damaged: 0 });
  expect(await dropsOf(current.daemon)).toEqual(current.early);
}

describe.each(["default", "nic", "off"] as const)("kernel vxlan, %s offloads", (offloads) => {
  const current = scenario(joined(offloads, 4));

  it("answers pings of all sizes both ways over both families", () =>
    expectPings(current(), allPaths));

  it("learns and is learned from", async () => {
    const { hosts, daemon } = current();
    const kernelFdb = (): boolean =>
      hosts.right.host
        .run("bridge", "fdb", "show", "dev", "vxlan100")
        .split("\n")
        .some((line) => line.startsWith(`${culvertMac} dst ${hosts.left.underlayIp}`));
    expect(await settled(kernelFdb, true)).toBe(true);
    const { stdout } = await daemon.culvert("fdb", "show", "dev", "vxlan100", "-j");
    const entries = JSON.parse(stdout) as { mac: string; dst: string; state: string }[];
    const learned = entries.filter(({ mac, state }) => mac === kernelMac && state !== "permanent");
    expect(learned.map(({ dst }) => dst)).toEqual([hosts.right.underlayIp]);
  });

  it.each(ipv4Paths)("carries iperf3 TCP: %s", async (name) => {
    const { hosts, daemon, early } = current();
    const { from, to, address } = pathsOf(hosts)[name]!;
    const result = await iperfTcp({ client: from, server: to, address, seconds: 1 });
    expect(result.bytes).toBeGreaterThan(1e6);
    // What reassembles wrongly or is cut wrongly shows as a retransmission of nearly every segment.
    expect(result.retransmits / (result.bytes / 1400)).toBeLessThan(0.05);
    expect(await dropsOf(daemon)).toEqual(early);
  });

  it.each(ipv4Paths)("carries iperf3 UDP, fragmented datagrams too: %s", async (name) => {
    const { hosts, daemon, early } = current();
    for (const payload_bytes of [64, 1400, 4000]) {
      const { delivered_per_s, loss } = await gentleUdp(pathsOf(hosts)[name]!, payload_bytes);
      expect(delivered_per_s).toBeGreaterThan(100);
      expect({ payload_bytes, lost: loss > 0.05 }).toEqual({ payload_bytes, lost: false });
    }
    expect(await dropsOf(daemon)).toEqual(early);
  });

  it.each(ipv4Paths)("transfers 50 MB unchanged: %s", (name) =>
    expectTransfer(current(), name, transfer_bytes),
  );

  const gets = offloads === "default" ? "gets" : "does not get";
  it(`${gets} frames that nobody segmented`, async () => {
    const { hosts, daemon } = current();
    const before = await ingressOf(daemon);
    await transferTcp(pathsOf(hosts)["kernel to culvert"]!, small_bytes);
    const after = await ingressOf(daemon);
    const mean_bytes = (after.bytes - before.bytes) / (after.packets - before.packets);
    expect(mean_bytes > largestFrame_bytes).toBe(offloads === "default");
  });

  it.each(allPaths.slice(2))("transfers 5 MB unchanged: %s", (name) =>
    expectTransfer(current(), name, small_bytes),
  );

  it.each(allPaths)("delivers every datagram of UDP_SEGMENT sends: %s", async (name) => {
    await expectDatagrams(current(), name, 1000, 40);
    await expectDatagrams(current(), name, 64, 60);
  });

  it.each(ipv4Paths)("delivers single datagrams up to fragmented ones: %s", async (name) => {
    await expectDatagrams(current(), name, 13, 1);
    await expectDatagrams(current(), name, 5000, 1);
  });
});

describe.each(["default", "off"] as const)(
  "kernel vxlan over an IPv6 underlay, %s offloads",
  (offloads) => {
    const current = scenario(joined(offloads, 6));

    it("answers pings of all sizes both ways over both families", () =>
      expectPings(current(), allPaths));

    it.each(ipv4Paths)("transfers 50 MB unchanged: %s", (name) =>
      expectTransfer(current(), name, transfer_bytes),
    );

    it.each(ipv4Paths)("delivers every datagram of UDP_SEGMENT sends: %s", (name) =>
      expectDatagrams(current(), name, 1000, 40),
    );
  },
);

// A kernel peer on the same machine leaves all work of its offloads to us, so each of ours that is
// off has to be made up for in software.
describe.each(["tso", "uso", "udp_gro", "udp_segment", "tun_checksum"])(
  "kernel vxlan, culvert without %s",
  (feature) => {
    const current = scenario(joined("default", 4, `offloads: { ${feature}: false }`));

    it.each(ipv4Paths)("transfers 5 MB unchanged: %s", (name) =>
      expectTransfer(current(), name, small_bytes),
    );

    it.each(ipv4Paths)("delivers every datagram of UDP_SEGMENT sends: %s", (name) =>
      expectDatagrams(current(), name, 1000, 40),
    );
  },
);
