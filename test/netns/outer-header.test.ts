// What the outer headers of a VXLAN tunnel say, read off the wire by tshark: TTL, TOS, DF, flow
// label, source ports. One daemon sends frames made by scapy; a host that runs no tunnel captures
// them (and answers "port unreachable", which must cost no packet).

import { describe, expect, it } from "vitest";
import type { Daemon } from "../../src/testbed/daemon.js";
import { createTwoHosts, type TwoHosts } from "../../src/testbed/two-hosts.js";
import {
  Capture,
  countersOf,
  culvert,
  dropsOf,
  eventOf,
  eventually,
  scapy,
  useBed,
  vxlanConfig,
} from "./support.js";
import { expectPings, expectTcp, pods } from "./traffic.js";

const bed = useBed(["iperf3", "tcpdump", "tshark", "scapy"], (cleanup) => {
  // Without offloads: what is one send with UDP_SEGMENT crosses the wire as datagrams.
  const hosts = createTwoHosts(cleanup, { offloads: "off" });
  for (const [side, last] of [
    [hosts.left, 20],
    [hosts.right, 21],
  ] as const) {
    side.host.ip("addr", "add", `fd57::${last}/64`, "dev", "eth0", "nodad");
  }
  return hosts;
});

const ETHER = 'Ether(dst="02:00:00:00:00:99", src="02:00:00:00:00:98")';
/** What scapy sends into the tunnel, one line of Python each. */
const v4 = (ip: string): string => `${ETHER}/IP(dst="192.168.11.9", ${ip})/UDP(dport=7)/b"x"`;
const v6 = (ip: string): string => `${ETHER}/IPv6(dst="fd99::9", ${ip})/UDP(dport=7)/b"x"`;
const arp = `${ETHER}/ARP(pdst="192.168.11.9")`;

interface Outer {
  ttl: string;
  tos: number;
  df: boolean;
  label: number;
  sourcePort: number;
}

const FIELDS4 = ["ip.ttl", "ip.dsfield", "ip.flags.df", "udp.srcport"];
const FIELDS6 = ["ipv6.hlim", "ipv6.tclass", "ipv6.flow", "udp.srcport"];
const outermost = (values: string | undefined): string => values?.split(",")[0] ?? "";

const hex = (byte: number): string => byte.toString(16).padStart(2, "0");

/** Starts a daemon with `lines` in its tunnel, sends the frames, gives their outer headers in order. */
async function outerOf(
  hosts: TwoHosts,
  lines: readonly string[],
  frames: readonly string[],
  family: 4 | 6 = 4,
): Promise<{ outer: Outer[]; daemon: Daemon }> {
  const { left, right } = hosts;
  let config = vxlanConfig(left, right, { tunnel: [...lines] });
  if (family === 6) {
    config = config.replace(left.underlayIp, '"fd57::20"').replace(right.underlayIp, '"fd57::21"');
  }
  const daemon = await bed.start(left.host, config);
  left.host.sysctl("net.ipv6.conf.vxlan100.disable_ipv6", 1);
  const capture = await Capture.start(bed.cleanup, right.host, "eth0", "udp port 4789");
  // Frames of different flows may overtake each other: the source MAC tells which one it is.
  const numbered = frames.map((frame, i) => frame.replace(":98", `:${hex(i)}`));
  scapy(left.host, [`sendp([${numbered.join(", ")}], iface="vxlan100")`]);
  const mac = "eth.dst == 02:00:00:00:00:99";
  const fields = ["eth.src", ...(family === 4 ? FIELDS4 : FIELDS6)];
  const rows = await eventually(() => {
    const found = capture.rows(mac, fields);
    expect(found).toHaveLength(frames.length);
    return found;
  });
  await capture.stop();
  const source = (row: string[]): string => row[0]!.split(",")[1]!;
  rows.sort((a, b) => source(a).localeCompare(source(b)));
  const outer = rows.map((row) => {
    const [, ttl, tos, third, port] = row.map(outermost);
    // Newer versions of tshark say True, older ones 1.
    const df = family === 4 && (third === "1" || third === "True");
    const label = family === 6 ? Number(third) : 0;
    return { ttl: ttl!, tos: Number(tos), df, label, sourcePort: Number(port) };
  });
  return { outer, daemon };
}

const SET = true;
const UNSET = false;
const ROUTE_TTL = "64";

describe("the outer IPv4 header", () => {
  it("has the route's TTL, no DSCP and no DF unless asked, and always the inner ECN", async () => {
    const frames = [v4('tos=0xb9, ttl=9, flags="DF"'), v6("tc=0xbb, hlim=8"), arp];
    const { outer } = await outerOf(bed.hosts, [], frames);
    expect(outer).toMatchObject([
      { ttl: ROUTE_TTL, tos: 1, df: UNSET },
      { ttl: ROUTE_TTL, tos: 3, df: UNSET },
      { ttl: ROUTE_TTL, tos: 0, df: UNSET },
    ]);
  });

  it("inherits TTL, TOS and DF; what is not IP has the route's, 0 and none", async () => {
    const lines = ["ttl: inherit", "tos: inherit", "df: inherit"];
    const frames = [
      v4('tos=0xb9, ttl=9, flags="DF"'),
      v4("tos=0x48, ttl=200"),
      v6("tc=0xbb, hlim=8"),
      arp,
    ];
    const { outer, daemon } = await outerOf(bed.hosts, lines, frames);
    expect(outer).toMatchObject([
      { ttl: "9", tos: 0xb9, df: SET },
      { ttl: "200", tos: 0x48, df: UNSET },
      { ttl: "8", tos: 0xbb, df: SET },
      { ttl: ROUTE_TTL, tos: 0, df: UNSET },
    ]);
    // The other host has no socket there, says so, and no frame is lost by it.
    await eventually(async () => {
      expect(eventOf(await countersOf(daemon), "peer-unreachable")).toBeGreaterThan(0);
    });
    expect(dropsOf(await countersOf(daemon))).toEqual({});
    expect(await culvert(daemon, "status")).toMatch(
      /\n {2}10\.57\.4\.21: port-unreachable from 10\./,
    );
  });

  it("has the TTL, DSCP and DF that are asked for", async () => {
    const lines = ["ttl: 5", "tos: 0x4b", "df: set"];
    const { outer } = await outerOf(bed.hosts, lines, [v4("tos=0xb9, ttl=9"), arp]);
    expect(outer).toMatchObject([
      { ttl: "5", tos: 0x49, df: SET },
      { ttl: "5", tos: 0x48, df: SET },
    ]);
  });

  it("leaves from the ports of srcport, as many as a power of two of them", async () => {
    const flows = Array.from({ length: 60 }, (_, i) =>
      v4("").replace("dport=7", `sport=${1000 + i}, dport=7`),
    );
    const { outer } = await outerOf(bed.hosts, ["srcport: 50001-50006"], flows);
    const ports = new Set(outer.map(({ sourcePort }) => sourcePort));
    expect(ports.size).toBe(4);
    expect(Math.min(...ports)).toBeGreaterThanOrEqual(50001);
    expect(Math.max(...ports)).toBeLessThanOrEqual(50006);
  });

  it("leaves from one port though DF is set in some packets only", async () => {
    const lines = ["srcport: 50001", "df: inherit"];
    const { outer } = await outerOf(bed.hosts, lines, [v4('flags="DF"'), v4("id=9")]);
    expect(outer).toMatchObject([
      { sourcePort: 50001, df: SET },
      { sourcePort: 50001, df: UNSET },
    ]);
  });
});

describe("the outer IPv6 header", () => {
  const frames = [v4("tos=0xb9, ttl=9"), v4("tos=0, ttl=9").replace("dport=7", "sport=5, dport=7")];

  it("inherits hop limit and traffic class and has the kernel's flow labels", async () => {
    const lines = ["ttl: inherit", "tos: inherit"];
    const { outer } = await outerOf(bed.hosts, lines, frames, 6);
    expect(outer).toMatchObject([
      { ttl: "9", tos: 0xb9 },
      { ttl: "9", tos: 0 },
    ]);
    expect(outer.every(({ label }) => label !== 0)).toBe(true);
  });

  it.each([0, 1, 0xfffff])("has flow label %i", async (label) => {
    const { outer } = await outerOf(bed.hosts, [`flowlabel: ${label}`], frames, 6);
    expect(outer.map((packet) => packet.label)).toEqual([label, label]);
  });
});

describe("srcport fixed to port", () => {
  it.each([1, 2])("has 4789 at both ends, both ways, with %i workers", async (workers) => {
    const hosts = bed.hosts;
    const lines = ["srcport: 4789", "ttl: inherit", "df: set"];
    const top = `workers: ${workers}\n`;
    const daemons = await bed.pair(hosts, (side, peer) =>
      vxlanConfig(side, peer, { top, tunnel: lines }),
    );
    const capture = await Capture.start(bed.cleanup, hosts.right.host, "eth0", "udp");
    await expectPings(pods(hosts));
    await eventually(() => {
      const pairs = capture.rows("vxlan", ["ip.src", "udp.srcport", "udp.dstport"]);
      const first = pairs.map((row) => row.map(outermost).join(" "));
      const { left, right } = hosts;
      expect(new Set(first)).toEqual(
        new Set([left, right].map(({ underlayIp }) => `${underlayIp} 4789 4789`)),
      );
    });
    await capture.stop();
    await expectTcp(pods(hosts));
    for (const daemon of daemons) expect(dropsOf(await countersOf(daemon))).toEqual({});
  });
});
