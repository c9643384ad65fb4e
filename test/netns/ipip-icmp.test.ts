// ICMP errors from inside an IPIP tunnel, by a real router between two hosts: pods learn of them by
// their own ping, the tunnel's status by whom and why. Errors that quote too little, and forged
// ones, are scapy's.

import { describe, expect, it } from "vitest";
import type { StatusReport } from "../../src/control/target.js";
import type { Cleanup } from "../../src/testbed/cleanup.js";
import type { Daemon } from "../../src/testbed/daemon.js";
import { addVeth, Namespace } from "../../src/testbed/namespace.js";
import { countersOf, culvert, culvertJson, eventOf, eventually, scapy, useBed } from "./support.js";
import { expectReachable } from "./traffic.js";

const SMALL_MTU_BYTES = 1400;
const ICMP_BYTES = 8;
const LEFT = 2;
const RIGHT = 3;

interface Side {
  host: Namespace;
  pod: Namespace;
  /** Third and last number of its addresses. */
  number: number;
}

interface Routed {
  left: Side;
  right: Side;
  router: Namespace;
}

const underlayOf = (number: number): string => `10.57.${number}.${number}`;
const routerOf = (number: number): string => `10.57.${number}.1`;
const podOf = (number: number): string => `10.61.${number}.2`;
const underlay6 = (number: number): string => `fd57:${number}::${number}`;
const router6 = (number: number): string => `fd57:${number}::1`;
const pod6 = (number: number): string => `fd61:${number}::2`;

/** A host behind the router, and a pod behind the host. */
function addSide(cleanup: Cleanup, router: Namespace, number: number): Side {
  const host = Namespace.create(cleanup, `host${number}`);
  const pod = Namespace.create(cleanup, `pod${number}`);
  const port = `eth${number}`;
  addVeth({ namespace: host, device: "eth0" }, { namespace: router, device: port });
  addVeth({ namespace: host, device: "pod0" }, { namespace: pod, device: "eth0" });
  const give = (namespace: Namespace, address: string, device: string): void => {
    namespace.ip("addr", "add", `${address}/24`, "dev", device);
  };
  const give6 = (namespace: Namespace, address: string, device: string): void => {
    namespace.ip("addr", "add", `${address}/64`, "dev", device, "nodad");
  };
  give(host, underlayOf(number), "eth0");
  give(router, routerOf(number), port);
  give(host, `10.61.${number}.1`, "pod0");
  give(pod, podOf(number), "eth0");
  host.ip("route", "add", "default", "via", routerOf(number));
  pod.ip("route", "add", "default", "via", `10.61.${number}.1`);
  host.sysctl("net.ipv4.ip_forward", 1);
  host.sysctl("net.ipv6.conf.all.forwarding", 1);
  give6(host, underlay6(number), "eth0");
  give6(router, router6(number), port);
  give6(host, `fd61:${number}::1`, "pod0");
  give6(pod, pod6(number), "eth0");
  host.ip("route", "add", "default", "via", router6(number));
  pod.ip("route", "add", "default", "via", `fd61:${number}::1`);
  return { host, pod, number };
}

const bed = useBed(["scapy"], (cleanup): Routed => {
  const router = Namespace.create(cleanup, "router");
  router.sysctl("net.ipv4.ip_forward", 1);
  router.sysctl("net.ipv6.conf.all.forwarding", 1);
  router.sysctl("net.ipv6.icmp.ratelimit", 0);
  const left = addSide(cleanup, router, LEFT);
  const right = addSide(cleanup, router, RIGHT);
  // One error per second and destination is too few for tests that do not wait.
  for (const { host } of [left, right]) host.sysctl("net.ipv4.icmp_ratelimit", 0);
  router.sysctl("net.ipv4.icmp_ratelimit", 0);
  router.ip("route", "add", "unreachable", "10.77.1.0/24");
  router.ip("route", "add", "prohibit", "10.77.2.0/24");
  return { left, right, router };
});

/** A daemon of one side, whose tunnel leads to the other's pods, or elsewhere. */
function startSide(side: Side, lines: readonly string[] = [], via?: string): Promise<Daemon> {
  const peer = side.number === LEFT ? RIGHT : LEFT;
  side.host.ip("route", "flush", "cache");
  side.pod.ip("route", "flush", "cache");
  return bed.start(
    side.host,
    `tunnels:
  - name: ipip0
    type: ipip
    local: ${underlayOf(side.number)}
    routes: [{ to: 10.61.${peer}.0/24, via: ${via ?? underlayOf(peer)} }]
${lines.map((line) => `    ${line}\n`).join("")}`,
  );
}

/** What ping(8) of the left pod to the right one says, which remembers no path MTU of its own. */
async function pingOutput(...words: string[]): Promise<string> {
  const { left } = bed.hosts;
  left.pod.ip("route", "flush", "cache");
  const argv = ["ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", ...words, podOf(RIGHT)];
  const { stdout, stderr } = await left.pod.spawn(argv).wait(20_000);
  return stdout + stderr;
}

const withDf = (bytes: number): string[] => ["-M", "do", "-s", String(bytes - 20 - ICMP_BYTES)];

async function unreachableOf(daemon: Daemon) {
  const [tunnel] = (await culvertJson<StatusReport>(daemon, "status")).tunnels;
  return tunnel!.remotes[0]!.unreachable;
}

/** An ICMP error that the router sends to the left host about an outer packet of these words. */
function sendError(icmp: string, outer: string, payload = "b'\\x45\\0\\0\\x54' + bytes(4)"): void {
  const quote = `IP(${outer})/Raw(${payload})`;
  const addresses = `src="${routerOf(LEFT)}", dst="${underlayOf(LEFT)}"`;
  scapy(bed.hosts.router, [`send(IP(${addresses})/ICMP(${icmp})/${quote})`]);
}

const ourPacket = (more = ""): string =>
  `src="${underlayOf(LEFT)}", dst="${underlayOf(RIGHT)}", proto=4, len=104, flags="DF"${more}`;

describe("a pod is told", () => {
  it.each([
    ["the outer TTL is too small", ["ttl: 1"], undefined, "Host", "ttl-exceeded"],
    ["a router has no route", [], "10.78.0.9", "Net", "net-unreachable"],
    ["a router says unreachable", [], "10.77.1.9", "Host", "host-unreachable"],
    ["a router prohibits it", [], "10.77.2.9", "Host", "prohibited"],
  ] as const)("when %s", async (_, lines, via, word, error) => {
    const daemon = await startSide(bed.hosts.left, lines, via);
    // A router may be slow to say it (net.ipv4.route.error_cost), so it is asked until it does.
    const told = `From ${podOf(RIGHT)} icmp_seq=`;
    await eventually(async () => {
      const said = (await pingOutput()).split("\n").filter((line) => line.startsWith(told));
      expect(said.length).toBeGreaterThan(0);
      for (const line of said) expect(line).toContain(` Destination ${word} Unreachable`);
    });
    const from = routerOf(LEFT);
    const count = eventOf(await countersOf(daemon), "peer-unreachable");
    expect(eventOf(await countersOf(daemon), "icmp-errors")).toBe(count);
    expect(await unreachableOf(daemon)).toMatchObject({ error, from, count });
    const remote = via ?? underlayOf(RIGHT);
    const times = count === 1 ? "" : `, ${count} times`;
    expect(await culvert(daemon, "status")).toMatch(
      new RegExp(`  ${remote}: ${error} from ${from}, \\d+s ago${times}\n`),
    );
  });

  it("when no tunnel is there, and what was remembered ends when the peer is heard", async () => {
    const { left, right } = bed.hosts;
    const daemon = await startSide(left);
    expect(await pingOutput()).toContain("Destination Host Unreachable");
    const from = underlayOf(RIGHT);
    expect(await unreachableOf(daemon)).toMatchObject({ error: "protocol-unreachable", from });
    await startSide(right);
    await eventually(async () => {
      await expectReachable(left.pod, podOf(RIGHT));
      expect(await unreachableOf(daemon)).toBeUndefined();
    });
  });

  it("when nobody answers ARP for the remote", async () => {
    const daemon = await startSide(bed.hosts.left, [], "10.57.2.99");
    expect(await pingOutput("-W", "5")).toContain("Destination Host Unreachable");
    expect(await unreachableOf(daemon)).toMatchObject({
      ...{ error: "host-unreachable", from: underlayOf(LEFT) },
    });
  });

  it("that the hop limit ended in the tunnel, where it is its own", async () => {
    const { left } = bed.hosts;
    const daemon = await startSide(left, ["ttl: inherit", "pmtudisc: true"]);
    // 2: the host takes one.
    expect(await pingOutput("-t", "2")).toContain("Time to live exceeded");
    expect(await unreachableOf(daemon)).toBeUndefined();
  });
});

describe("a packet that is too big", () => {
  it("is answered at once where the router quotes it", async () => {
    const { left, right, router } = bed.hosts;
    const daemon = await startSide(left);
    await startSide(right);
    await expectReachable(left.pod, podOf(RIGHT));
    router.ip("link", "set", `eth${RIGHT}`, "mtu", String(SMALL_MTU_BYTES));
    try {
      const fits_bytes = SMALL_MTU_BYTES - 20;
      const output = await pingOutput("-c", "1", ...withDf(fits_bytes + 1));
      expect(output).toMatch(new RegExp(`mtu ?= ?${fits_bytes}\\b`));
      const [tunnel] = (await culvertJson<StatusReport>(daemon, "status")).tunnels;
      expect(tunnel!.remotes[0]!.pmtu_bytes).toBe(SMALL_MTU_BYTES);
      expect(await pingOutput(...withDf(fits_bytes))).toContain("2 received");
    } finally {
      router.ip("link", "set", `eth${RIGHT}`, "mtu", "1500");
    }
  });

  it("is answered by the next one where the router quotes 8 bytes", async () => {
    const { left, right } = bed.hosts;
    await startSide(left);
    await startSide(right);
    await expectReachable(left.pod, podOf(RIGHT));
    sendError("type=3, code=4, nexthopmtu=1300", ourPacket());
    await eventually(async () => {
      expect(await pingOutput("-c", "1", ...withDf(1281))).toMatch(/mtu ?= ?1280\b/);
    });
    expect(await pingOutput(...withDf(1280))).toContain("2 received");
  });
});

describe("an error that quotes 8 bytes", () => {
  it("is told to the next packet's sender, once, and that packet goes its way", async () => {
    const { left, right } = bed.hosts;
    const daemon = await startSide(left);
    await startSide(right);
    await expectReachable(left.pod, podOf(RIGHT));
    sendError("type=3, code=1", ourPacket());
    await eventually(async () => {
      expect(await unreachableOf(daemon)).toMatchObject({ error: "host-unreachable" });
    });
    const output = await pingOutput("-c", "4");
    expect(output.match(/Destination Host Unreachable/g)).toHaveLength(1);
    expect(output).toMatch(/[34] received, \+1 errors/);
  });

  it.each([
    ["a port", "type=3, code=3", "port-unreachable"],
    ["a source route", "type=3, code=5", undefined],
  ])("is kept to ourselves when it is about %s", async (_, icmp, error) => {
    const { left, right } = bed.hosts;
    const daemon = await startSide(left);
    await startSide(right);
    await expectReachable(left.pod, podOf(RIGHT));
    sendError(icmp, ourPacket(), `bytes.fromhex("${innerEcho()}")`);
    const event = error === undefined ? "icmp-ignored" : "peer-unreachable";
    await eventually(async () => expect(eventOf(await countersOf(daemon), event)).toBe(1));
    expect((await unreachableOf(daemon))?.error).toBe(error);
    expect(await pingOutput()).toMatch(/2 received, 0%/);
    expect(eventOf(await countersOf(daemon), "icmp-errors")).toBe(0);
  });
});

/** The start of an echo request of the left pod to the right one, as hexadecimal digits. */
function innerEcho(): string {
  const addresses = [10, 61, LEFT, 2, 10, 61, RIGHT, 2];
  const header = [0x45, 0, 0, 84, 0, 0, 0x40, 0, 63, 1, 0, 0, ...addresses];
  return Buffer.from([...header, 8, 0, 0, 0, 1, 2, 3, 4]).toString("hex");
}

/** A tunnel of each mode that has IPv6 in it or around it, from the left host to `via`. */
describe.each([
  ["sit", 4, 6],
  ["ipip6", 6, 4],
  ["ip6ip6", 6, 6],
] as const)("mode %s", (mode, outer, inner) => {
  const us = outer === 4 ? underlayOf(LEFT) : underlay6(LEFT);
  const peer = outer === 4 ? underlayOf(RIGHT) : underlay6(RIGHT);
  const router = outer === 4 ? routerOf(LEFT) : router6(LEFT);
  const to = inner === 4 ? podOf(RIGHT) : pod6(RIGHT);
  const told = inner === 4 ? "Destination Host Unreachable" : "unreachable: Address unreachable";
  const start = (lines: readonly string[] = []): Promise<Daemon> =>
    bed.start(
      bed.hosts.left.host,
      `tunnels:
  - name: ipip0
    type: ipip
    mode: ${mode}
    local: "${us}"
    routes: [{ to: "${inner === 4 ? `10.61.${RIGHT}.0/24` : `fd61:${RIGHT}::/64`}", via: "${peer}" }]
${lines.map((line) => `    ${line}\n`).join("")}`,
    );
  const pings = async (...words: string[]): Promise<string> => {
    const { pod } = bed.hosts.left;
    for (const family of ["-4", "-6"]) pod.ip(family, "route", "flush", "cache");
    const argv = ["ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", ...words, to];
    const { stdout, stderr } = await pod.spawn(argv).wait(20_000);
    return stdout + stderr;
  };

  it("tells a pod that the outer TTL is too small, and that no tunnel is there", async () => {
    let daemon = await start(["ttl: 1"]);
    expect(await pings()).toContain(told);
    expect(await unreachableOf(daemon)).toMatchObject({ error: "ttl-exceeded", from: router });
    expect(await bed.stopDaemons(false)).toEqual([]);
    daemon = await start();
    expect(await pings()).toContain(told);
    expect(await unreachableOf(daemon)).toMatchObject({
      ...{ error: "protocol-unreachable", from: peer },
    });
  });

  it("tells a pod at once of a path that is too small", async () => {
    const { left, router: middle } = bed.hosts;
    for (const family of ["-4", "-6"]) left.host.ip(family, "route", "flush", "cache");
    const daemon = await start();
    middle.ip("link", "set", `eth${RIGHT}`, "mtu", String(SMALL_MTU_BYTES));
    try {
      const fits_bytes = SMALL_MTU_BYTES - (outer === 4 ? 20 : 40);
      const header_bytes = (inner === 4 ? 20 : 40) + ICMP_BYTES;
      const words = ["-c", "1", "-M", "do", "-s", String(fits_bytes + 1 - header_bytes)];
      expect(await pings(...words)).toMatch(new RegExp(`mtu ?= ?${fits_bytes}\\b`));
      const [tunnel] = (await culvertJson<StatusReport>(daemon, "status")).tunnels;
      expect(tunnel!.remotes[0]!.pmtu_bytes).toBe(SMALL_MTU_BYTES);
    } finally {
      middle.ip("link", "set", `eth${RIGHT}`, "mtu", "1500");
    }
  });
});

describe("a forged error", () => {
  it("is not believed, and counted where it reaches us", async () => {
    const { left, right } = bed.hosts;
    const daemon = await startSide(left);
    await startSide(right);
    await expectReachable(left.pod, podOf(RIGHT));
    const [us, peer] = [underlayOf(LEFT), underlayOf(RIGHT)];
    const payload = `bytes.fromhex("${innerEcho()}")`;
    for (const icmp of ["type=3, code=1", "type=3, code=4, nexthopmtu=600"]) {
      sendError(icmp, `src="${us}", dst="10.57.3.99", proto=4, len=104`, payload);
      // The kernel shows these to nobody: no socket has that address, or that protocol.
      sendError(icmp, `src="10.57.2.99", dst="${peer}", proto=4, len=104`, payload);
      sendError(icmp, `src="${us}", dst="${peer}", proto=99, len=104`, payload);
    }
    await eventually(async () => expect(eventOf(await countersOf(daemon), "icmp-ignored")).toBe(2));
    expect(await pingOutput()).toMatch(/2 received, 0%/);
    expect(await unreachableOf(daemon)).toBeUndefined();
    expect(eventOf(await countersOf(daemon), "icmp-errors")).toBe(0);
    const [tunnel] = (await culvertJson<StatusReport>(daemon, "status")).tunnels;
    expect(tunnel!.remotes[0]!.pmtu_bytes).toBe(1500);
  });
});
