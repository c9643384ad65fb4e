// A router in the underlay whose far link carries less than the hosts' own: what does not fit is
// learned from ICMP, and whoever sent it is told from inside, here pods on a bridge that the TAP is
// a port of. Nothing arrives in fragments that nobody asked for, and what was learned is forgotten.

import { describe, expect, it } from "vitest";
import type { Cleanup } from "../../src/testbed/cleanup.js";
import type { Daemon } from "../../src/testbed/daemon.js";
import { addVeth, Namespace } from "../../src/testbed/namespace.js";
import { Capture, countersOf, dropsOf, eventOf, eventually, useBed } from "./support.js";
import { type Ends, expectReachable, expectTcp } from "./traffic.js";

const SMALL_MTU_BYTES = 1400;
const IP_ICMP_BYTES = 28;
/** A ping that fits the hosts' own links behind VXLAN over IPv4 and IPv6, and not the router's. */
const BIG_BYTES = 1372;

interface Side {
  host: Namespace;
  pod: Namespace;
  /** Last number of its addresses. */
  number: number;
  network: number;
}

interface Routed {
  left: Side;
  right: Side;
  router: Namespace;
}

const underlay4 = ({ network, number }: Side): string => `10.57.${network}.${number}`;
const underlay6 = ({ network, number }: Side): string => `fd57:${network}::${number}`;
const podIp = ({ number }: Side): string => `10.60.0.${number}`;

/** A host behind the router, with a pod on a bridge that a tunnel's TAP will join. */
function addSide(cleanup: Cleanup, router: Namespace, number: number, mtu_bytes: number): Side {
  const side = {
    host: Namespace.create(cleanup, `host${number}`),
    pod: Namespace.create(cleanup, `pod${number}`),
    ...{ number, network: number },
  };
  const { host, pod } = side;
  const port = `eth${number}`;
  addVeth({ namespace: host, device: "eth0" }, { namespace: router, device: port }, mtu_bytes);
  for (const [namespace, device, last] of [
    [host, "eth0", number],
    [router, port, 1],
  ] as const) {
    namespace.ip("addr", "add", `10.57.${number}.${last}/24`, "dev", device);
    namespace.ip("addr", "add", `fd57:${number}::${last}/64`, "dev", device, "nodad");
  }
  host.ip("route", "add", "default", "via", `10.57.${number}.1`);
  host.ip("-6", "route", "add", "default", "via", `fd57:${number}::1`);
  host.ip("link", "add", "br0", "type", "bridge", "forward_delay", "0");
  host.ip("link", "set", "br0", "up");
  addVeth({ namespace: host, device: "pod0" }, { namespace: pod, device: "eth0" });
  host.ip("link", "set", "pod0", "master", "br0");
  pod.ip("addr", "add", `${podIp(side)}/24`, "dev", "eth0");
  return side;
}

const bed = useBed(["iperf3", "tcpdump", "tshark"], (cleanup): Routed => {
  const router = Namespace.create(cleanup, "router");
  router.sysctl("net.ipv4.ip_forward", 1);
  router.sysctl("net.ipv6.conf.all.forwarding", 1);
  const left = addSide(cleanup, router, 2, 1500);
  const right = addSide(cleanup, router, 3, SMALL_MTU_BYTES);
  return { left, right, router };
});

/** A daemon on each host, its TAP a port of the bridge; nobody remembers a path from before. */
async function join(address: (side: Side) => string, lines: readonly string[]): Promise<Daemon[]> {
  const { left, right } = bed.hosts;
  const daemons: Daemon[] = [];
  for (const [side, peer] of [
    [left, right],
    [right, left],
  ] as const) {
    for (const namespace of [side.host, side.pod]) {
      namespace.ip("route", "flush", "cache");
      namespace.ip("-6", "route", "flush", "cache");
    }
    const more = lines.map((line) => `    ${line}\n`).join("");
    const config = `tunnels:
  - name: vxlan100
    type: vxlan
    vni: 100
    local: "${address(side)}"
    remotes: ["${address(peer)}"]
${more}`;
    daemons.push(await bed.start(side.host, config));
    side.host.ip("link", "set", "vxlan100", "master", "br0");
  }
  await expectReachable(left.pod, podIp(right));
  return daemons;
}

const pods = ({ left, right }: Routed): Ends => ({
  ...{ from: left.pod, to: right.pod },
  ...{ address: podIp(right), back: podIp(left) },
});

/** What ping(8) of the left pod says, which remembers no path MTU of its own. */
async function pingOutput(...words: string[]): Promise<string> {
  const { left, right } = bed.hosts;
  left.pod.ip("route", "flush", "cache");
  const argv = ["ping", "-n", "-c", "2", "-i", "0.1", "-W", "1", ...words, podIp(right)];
  const { stdout, stderr } = await left.pod.spawn(argv).wait(20_000);
  return stdout + stderr;
}

const withDf = (bytes: number): string[] => ["-M", "do", "-s", String(bytes)];
const withoutDf = (bytes: number): string[] => ["-M", "dont", "-s", String(bytes)];

/** Expects that the pod is told, sooner or later, that `mtu_bytes` fit, and can use all of it. */
async function expectTold(mtu_bytes: number): Promise<void> {
  await eventually(async () => {
    expect(await pingOutput(...withDf(BIG_BYTES))).toMatch(
      new RegExp(`mtu ?= ?${mtu_bytes}\\b`, "i"),
    );
  });
  await eventually(async () => {
    expect(await pingOutput(...withDf(mtu_bytes - IP_ICMP_BYTES))).toContain("2 received");
  });
}

describe.each([
  ["IPv4, df: set", underlay4, ["df: set"], SMALL_MTU_BYTES - 50],
  ["IPv4, df: inherit", underlay4, ["df: inherit"], SMALL_MTU_BYTES - 50],
  ["IPv6", underlay6, [], SMALL_MTU_BYTES - 70],
] as const)("behind a smaller link, %s", (_, address, lines, fits_bytes) => {
  it("tells pods on the bridge what fits, carries TCP, and sends no fragments of it", async () => {
    const [daemon] = await join(address, lines);
    await expectTold(fits_bytes);
    expect(eventOf(await countersOf(daemon!), "icmp-errors")).toBeGreaterThan(0);
    expect(Object.keys(dropsOf(await countersOf(daemon!)))).toContain("egress too-big");
    const filter = "(ip[6:2] & 0x3fff != 0) or (ip6 and ip6[6] == 44)";
    const { right } = bed.hosts;
    const capture = await Capture.start(bed.cleanup, right.host, "eth0", filter);
    await expectTcp(pods(bed.hosts));
    expect(capture.rows("frame", ["frame.number"])).toEqual([]);
    await capture.stop();
  });
});

describe("what may be fragmented", () => {
  it.each([
    ["IPv4, df: inherit", underlay4, ["df: inherit"]],
    ["IPv4, df: unset", underlay4, []],
    ["IPv6, df: unset", underlay6, []],
  ] as const)("is: %s", async (_, address, lines) => {
    await join(address, lines);
    await eventually(async () => {
      expect(await pingOutput(...withoutDf(BIG_BYTES))).toContain("2 received");
    });
  });

  it.each([
    ["IPv4", underlay4],
    ["IPv6", underlay6],
  ] as const)("is not with df: set over %s, and is counted", async (_, address) => {
    const [daemon] = await join(address, ["df: set"]);
    await eventually(async () => {
      expect(await pingOutput(...withoutDf(BIG_BYTES))).toContain("0 received");
      expect(Object.keys(dropsOf(await countersOf(daemon!)))).toContain("egress too-big");
    });
  });
});

describe("a path MTU that was learned", () => {
  it("is forgotten when the kernel forgets it", async () => {
    const { left, right, router } = bed.hosts;
    left.host.sysctl("net.ipv4.route.mtu_expires", 2);
    const setLink = (mtu_bytes: number): void => {
      router.ip("link", "set", `eth${right.number}`, "mtu", String(mtu_bytes));
      right.host.ip("link", "set", "eth0", "mtu", String(mtu_bytes));
    };
    await join(underlay4, ["df: set"]);
    await expectTold(SMALL_MTU_BYTES - 50);
    try {
      setLink(1500);
      await eventually(async () => {
        expect(await pingOutput(...withDf(BIG_BYTES))).toContain("2 received");
      });
    } finally {
      setLink(SMALL_MTU_BYTES);
    }
  });
});
