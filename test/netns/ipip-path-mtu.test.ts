// IPIP behind a router whose far link carries less than the hosts' own: what does not fit is
// learned from ICMP and told from inside; what may be fragmented gets there all the same; and what
// was learned is forgotten.

import { describe, expect, it } from "vitest";
import type { Cleanup } from "../../src/testbed/cleanup.js";
import type { Daemon } from "../../src/testbed/daemon.js";
import { addVeth, Namespace } from "../../src/testbed/namespace.js";
import { countersOf, dropsOf, eventOf, eventually, useBed } from "./support.js";
import { type Ends, expectReachable, expectTcp } from "./traffic.js";

const SMALL_MTU_BYTES = 1400;
const IPV4_OUTER_BYTES = 20;
const IPV6_OUTER_BYTES = 40;
const IP_ICMP_BYTES = 28;
const IPV6_ICMP_BYTES = 48;
/** Inner packets that fit the hosts' own links behind either outer header, and not the router's. */
const BIG_BYTES = 1450;

interface Side {
  host: Namespace;
  /** Of its network, and the last one of its overlay addresses. */
  number: number;
}

interface Routed {
  left: Side;
  right: Side;
  router: Namespace;
}

const underlay4 = ({ number }: Side): string => `10.57.${number}.2`;
const underlay6 = ({ number }: Side): string => `fd57:${number}::2`;
const overlay4 = ({ number }: Side): string => `10.99.0.${number}`;
const overlay6 = ({ number }: Side): string => `fd99::${number}`;

function addSide(cleanup: Cleanup, router: Namespace, number: number, mtu_bytes: number): Side {
  const host = Namespace.create(cleanup, `host${number}`);
  const port = `eth${number}`;
  addVeth({ namespace: host, device: "eth0" }, { namespace: router, device: port }, mtu_bytes);
  for (const [namespace, device, last] of [
    [host, "eth0", 2],
    [router, port, 1],
  ] as const) {
    namespace.ip("addr", "add", `10.57.${number}.${last}/24`, "dev", device);
    namespace.ip("addr", "add", `fd57:${number}::${last}/64`, "dev", device, "nodad");
  }
  host.ip("route", "add", "default", "via", `10.57.${number}.1`);
  host.ip("-6", "route", "add", "default", "via", `fd57:${number}::1`);
  host.sysctl("net.ipv4.conf.all.rp_filter", 2);
  return { host, number };
}

const bed = useBed(["iperf3", "tcpdump"], (cleanup): Routed => {
  const router = Namespace.create(cleanup, "router");
  router.sysctl("net.ipv4.ip_forward", 1);
  router.sysctl("net.ipv6.conf.all.forwarding", 1);
  const left = addSide(cleanup, router, 2, 1500);
  const right = addSide(cleanup, router, 3, SMALL_MTU_BYTES);
  return { left, right, router };
});

function forget(): void {
  for (const { host } of [bed.hosts.left, bed.hosts.right]) {
    host.ip("route", "flush", "cache");
    host.ip("-6", "route", "flush", "cache");
  }
}

/** A daemon on each host, the device as large as the own link; nobody remembers a path. */
async function join(
  address: (side: Side) => string,
  mode: string,
  lines: readonly string[] = [],
): Promise<[Daemon, Daemon]> {
  const { left, right } = bed.hosts;
  forget();
  const start = (side: Side, peer: Side): Promise<Daemon> => {
    const v6 = mode === "any" ? [`"${overlay6(side)}/64"`] : [];
    const addresses = [`${overlay4(side)}/24`, ...v6].join(", ");
    const more = lines.map((line) => `    ${line}\n`).join("");
    const outer_bytes = address === underlay4 ? IPV4_OUTER_BYTES : IPV6_OUTER_BYTES;
    return bed.start(
      side.host,
      `tunnels:
  - name: ipip0
    type: ipip
    mode: ${mode}
    local: "${address(side)}"
    remote: "${address(peer)}"
    mtu: ${1500 - outer_bytes}
    addresses: [${addresses}]
${more}`,
    );
  };
  return [await start(left, right), await start(right, left)];
}

/** What ping(8) of the left host says, which remembers no path MTU of its own. */
async function pingOutput(to: string, how: "do" | "dont", inner_bytes: number): Promise<string> {
  const { host } = bed.hosts.left;
  const headers_bytes = to.includes(":") ? IPV6_ICMP_BYTES : IP_ICMP_BYTES;
  const argv = ["ping", "-n", "-c", "2", "-i", "0.1", "-W", "1", "-M", how];
  const size = ["-s", String(inner_bytes - headers_bytes)];
  const { stdout, stderr } = await host.spawn([...argv, ...size, to]).wait(20_000);
  return stdout + stderr;
}

/** Expects that the host is told, sooner or later, that `mtu_bytes` fit. */
async function expectTold(to: string, mtu_bytes: number): Promise<void> {
  await eventually(async () => {
    forget();
    expect(await pingOutput(to, "do", BIG_BYTES)).toMatch(
      new RegExp(`mtu ?= ?${mtu_bytes}\\b`, "i"),
    );
  });
}

describe("a path that is smaller than the device", () => {
  it.each([
    ["pmtudisc: true", []],
    ["pmtudisc: false", ["pmtudisc: false", "ttl: inherit"]],
  ] as const)("is told to who sends IPv4 with DF, and TCP finds it: %s", async (_, lines) => {
    const { left, right } = bed.hosts;
    const [daemon] = await join(underlay4, "ipip", lines);
    await expectReachable(left.host, overlay4(right));
    const fits_bytes = SMALL_MTU_BYTES - IPV4_OUTER_BYTES;
    await expectTold(overlay4(right), fits_bytes);
    await eventually(async () => {
      expect(await pingOutput(overlay4(right), "do", fits_bytes)).toContain("2 received");
    });
    const counters = await countersOf(daemon);
    expect(eventOf(counters, "icmp-errors")).toBeGreaterThan(0);
    expect(Object.keys(dropsOf(counters))).toContain("egress too-big");
    const ends: Ends = {
      ...{ from: left.host, to: right.host },
      ...{ address: overlay4(right), back: overlay4(left) },
    };
    await expectTcp(ends);
  });

  it.each([
    ["pmtudisc: true", []],
    ["pmtudisc: false", ["pmtudisc: false", "ttl: inherit"]],
  ] as const)("takes IPv4 without DF in fragments: %s", async (_, lines) => {
    const { left, right } = bed.hosts;
    await join(underlay4, "ipip", lines);
    await expectReachable(left.host, overlay4(right));
    await eventually(async () => {
      expect(await pingOutput(overlay4(right), "dont", BIG_BYTES)).toContain("2 received");
    });
  });

  it("is told to who sends IPv6 through the same tunnel", async () => {
    const { left, right } = bed.hosts;
    await join(underlay4, "any");
    await expectReachable(left.host, overlay4(right));
    const fits_bytes = SMALL_MTU_BYTES - IPV4_OUTER_BYTES;
    await expectTold(overlay4(right), fits_bytes);
    await expectTold(overlay6(right), fits_bytes);
  });

  it("is told behind an outer IPv6 header", async () => {
    await join(underlay6, "ipip6");
    await expectTold(overlay4(bed.hosts.right), SMALL_MTU_BYTES - IPV6_OUTER_BYTES);
  });

  it("is forgotten when the kernel forgets it", async () => {
    const { left, right, router } = bed.hosts;
    left.host.sysctl("net.ipv4.route.mtu_expires", 2);
    const setLink = (mtu_bytes: number): void => {
      router.ip("link", "set", `eth${right.number}`, "mtu", String(mtu_bytes));
      right.host.ip("link", "set", "eth0", "mtu", String(mtu_bytes));
    };
    await join(underlay4, "ipip");
    await expectTold(overlay4(right), SMALL_MTU_BYTES - IPV4_OUTER_BYTES);
    try {
      setLink(1500);
      await eventually(async () => {
        forget();
        expect(await pingOutput(overlay4(right), "do", BIG_BYTES)).toContain("2 received");
      });
    } finally {
      setLink(SMALL_MTU_BYTES);
    }
  });
});
