// What leaves an IPIP tunnel, read off the wire by tshark: outer headers by mode and option,
// packets in fragments, a way to the remote through the tunnel itself. One daemon sends packets
// made by scapy; a host that runs no tunnel captures them, but where pings have to come back.

import { describe, expect, it } from "vitest";
import type { Daemon } from "../../src/testbed/daemon.js";
import { createTwoHosts } from "../../src/testbed/two-hosts.js";
import {
  Capture,
  countersOf,
  dropsOf,
  eventOf,
  eventually,
  ipipConfig,
  scapy,
  useBed,
} from "./support.js";
import { expectReachable, pods } from "./traffic.js";

const bed = useBed(["tcpdump", "tshark", "scapy"], (cleanup) => {
  const hosts = createTwoHosts(cleanup, { offloads: "off" });
  for (const [side, last] of [
    [hosts.left, 20],
    [hosts.right, 21],
  ] as const) {
    side.host.ip("addr", "add", `fd57::${last}/64`, "dev", "eth0", "nodad");
  }
  return hosts;
});

const OUTER =
  "ip proto 4 or ip proto 41 or ip6 proto 4 or ip6 proto 41 or ip6 proto 44 or ip6 proto 60";
const FIRST = "udp.dstport == 7777";

/** Packets as scapy makes them; `ip` are fields of the IP header. */
const v4 = (ip = "", size = 1): string =>
  `IP(src="192.168.99.1", dst="192.168.98.9"${ip && `, ${ip}`})/UDP(dport=7777)/(b"x"*${size})`;
const v6 = (ip = "", size = 1): string =>
  `IPv6(src="fd99::1", dst="fd98::9"${ip && `, ${ip}`})/UDP(dport=7777)/(b"x"*${size})`;

interface TunnelOptions {
  mode?: string;
  local?: string;
  remote?: string;
  lines?: readonly string[];
  routes?: readonly string[];
}

/** A tunnel whose device gets what `v4` and `v6` are for, as far as it carries it. */
function startTunnel(options: TunnelOptions): Promise<Daemon> {
  const { mode = "any", local = "10.57.4.20", remote = "10.57.4.21", lines = [] } = options;
  const routes = options.routes ?? [
    ...(mode === "sit" || mode === "ip6ip6" ? [] : ["192.168.98.0/24"]),
    ...(mode === "ipip" || mode === "ipip6" ? [] : ["fd98::/64"]),
  ];
  const more = lines.map((line) => `    ${line}\n`).join("");
  return bed.start(
    bed.hosts.left.host,
    `tunnels:
  - name: ipip0
    type: ipip
    mode: ${mode}
    local: "${local}"
    remote: "${remote}"
    routes: [${routes.map((to) => `{ to: "${to}" }`).join(", ")}]
${more}`,
  );
}

/** Puts packets into the host's own routing, with the headers that they have. */
function send(packets: readonly string[]): void {
  scapy(bed.hosts.left.host, [
    "import socket",
    "s4 = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)",
    "s6 = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)",
    `for p in [${packets.join(", ")}]:`,
    "    (s6 if p.version == 6 else s4).sendto(bytes(p), (p.dst, 0))",
  ]);
}

const outermost = (values: string | undefined): string => values?.split(",")[0] ?? "";

/** Rows of outermost fields of what leaves for these packets, in their order. */
async function outerRows(
  packets: readonly string[],
  fields: readonly string[],
  filter = FIRST,
  count = packets.length,
): Promise<string[][]> {
  const capture = await Capture.start(bed.cleanup, bed.hosts.right.host, "eth0", OUTER);
  send(packets);
  const rows = await eventually(() => {
    const found = capture.rows(filter, fields);
    expect(found).toHaveLength(count);
    return found;
  });
  await capture.stop();
  return rows.map((row) => row.map(outermost));
}

// Newer versions of tshark say True, older ones 1.
const flag = (text: string): boolean => text === "1" || text === "True";

const FIELDS4 = ["ip.src", "ip.dst", "ip.proto", "ip.ttl", "ip.dsfield", "ip.flags.df"];

/** Outer IPv4 headers: "source destination protocol ttl tos df". */
async function outer4(packets: readonly string[]): Promise<string[]> {
  const rows = await outerRows(packets, FIELDS4);
  return rows.map(([src, dst, proto, ttl, tos, df]) =>
    [src, dst, proto, ttl, Number(tos).toString(16), flag(df!) ? "DF" : "-"].join(" "),
  );
}

const ENDS = "10.57.4.20 10.57.4.21";

describe("the outer IPv4 header", () => {
  it("has TTL 64, no DSCP, the inner ECN and DF unless asked otherwise", async () => {
    await startTunnel({});
    const packets = [v4("ttl=9, tos=0xb9"), v4('ttl=9, flags="DF"'), v6("hlim=9, tc=0xbb")];
    expect(await outer4(packets)).toEqual([
      `${ENDS} 4 64 1 DF`,
      `${ENDS} 4 64 0 DF`,
      `${ENDS} 41 64 3 DF`,
    ]);
  });

  it("inherits TTL, TOS and DF", async () => {
    await startTunnel({ lines: ["ttl: inherit", "tos: inherit", "pmtudisc: false"] });
    const packets = [v4("ttl=9, tos=0xb9"), v4('ttl=8, flags="DF"'), v6("hlim=7, tc=0xbb")];
    expect(await outer4(packets)).toEqual([
      `${ENDS} 4 9 b9 -`,
      `${ENDS} 4 8 0 DF`,
      `${ENDS} 41 7 bb -`,
    ]);
  });

  it("has the TTL and DSCP that are asked for", async () => {
    await startTunnel({ mode: "sit", lines: ["ttl: 5", "tos: 0x4b"] });
    expect(await outer4([v6("tc=0xb9"), v6("tc=0xbb")])).toEqual([
      `${ENDS} 41 5 49 DF`,
      `${ENDS} 41 5 4b DF`,
    ]);
  });

  it("has the source that the route has with local: any", async () => {
    await startTunnel({ mode: "ipip", local: "any" });
    expect(await outer4([v4()])).toEqual([`${ENDS} 4 64 0 DF`]);
  });

  it("has the destination that stands in a 6to4 address", async () => {
    await startTunnel({ mode: "sit", remote: "any", routes: ["2002::/16"] });
    const to = v6().replace("fd98::9", "2002:0a39:0415::1");
    expect(await outer4([to])).toEqual([`${ENDS} 41 64 0 DF`]);
  });
});

describe("the outer IPv6 header", () => {
  const FIELDS6 = ["ipv6.src", "ipv6.dst", "ipv6.nxt", "ipv6.hlim", "ipv6.tclass", "ipv6.flow"];
  const OVER6 = { local: "fd57::20", remote: "fd57::21" };

  it.each([
    ["ipip6", v4, 4],
    ["ip6ip6", v6, 41],
  ] as const)(
    "of %s has the fields of the options, and a label by flow",
    async (mode, packet, next) => {
      await startTunnel({ ...OVER6, mode, lines: ["ttl: inherit", "tos: inherit"] });
      const [ttl, tos] = packet === v4 ? ["ttl", "tos"] : ["hlim", "tc"];
      const one = packet(`${ttl}=9, ${tos}=0xb9`);
      const packets = [one, one, one.replace("dport=7777", "sport=999, dport=7777")];
      const rows = await outerRows(packets, FIELDS6);
      const fixed = rows.map((row) => [...row.slice(0, 4), Number(row[4])]);
      const expected = ["fd57::20", "fd57::21", String(next), "9", 0xb9];
      expect(fixed).toEqual([expected, expected, expected]);
      const [a, b, c] = rows.map((row) => Number(row[5]));
      expect(a).not.toBe(0);
      expect(b).toBe(a);
      expect(c).not.toBe(a);
    },
  );

  it("stands in front of whole packets of the device's MTU", async () => {
    await startTunnel({ ...OVER6, mode: "any" });
    const link = JSON.parse(bed.hosts.left.host.ip("-j", "link", "show", "ipip0"))[0];
    expect(link.mtu).toBe(1460);
    const rows = await outerRows([v4("", 1432), v6("", 1412)], ["ipv6.plen"]);
    expect(rows).toEqual([["1460"], ["1460"]]);
  });
});

describe("packets that are too long for the underlay", () => {
  it.each([
    ["true", ["pmtudisc: true"]],
    ["false", ["pmtudisc: false", "ttl: inherit"]],
  ])("leave in fragments without DF, pmtudisc: %s", async (_, lines) => {
    const daemon = await startTunnel({ lines: ["mtu: 1500", ...lines] });
    const fields = ["ip.src", "ip.dst", "ip.proto", "ip.flags.df", "ip.flags.mf", "ip.frag_offset"];
    const isFragment = "ip.flags.mf == 1 or ip.frag_offset > 0";
    const rows = await outerRows([v4("", 1472)], fields, isFragment, 2);
    const where = ["10.57.4.20", "10.57.4.21", "4"];
    expect(rows.map((row) => row.slice(0, 3))).toEqual([where, where]);
    const fragment = ([, , , df, mf, offset]: string[]) => [flag(df!), flag(mf!), offset !== "0"];
    expect(rows.map(fragment)).toEqual([
      [false, true, false],
      [false, false, true],
    ]);
    expect(eventOf(await countersOf(daemon), "fragmented")).toBe(1);
    // IPv4 with DF and IPv6 never do.
    send([v4('flags="DF"', 1472), v6("", 1452)]);
    await eventually(async () => {
      expect(dropsOf(await countersOf(daemon))).toEqual({ "egress too-big": 2 });
    });
    expect(eventOf(await countersOf(daemon), "icmp-errors")).toBe(2);
  });

  it("leave in fragments over IPv6", async () => {
    const OVER6 = { local: "fd57::20", remote: "fd57::21" };
    const daemon = await startTunnel({ ...OVER6, mode: "ipip6", lines: ["mtu: 1500"] });
    const fields = ["ipv6.src", "ipv6.dst", "ipv6.nxt", "ipv6.fraghdr.nxt"];
    const rows = await outerRows([v4("", 1472)], fields, "ipv6.fraghdr", 2);
    const where = ["fd57::20", "fd57::21", "44", "4"];
    expect(rows).toEqual([where, where]);
    expect(eventOf(await countersOf(daemon), "fragmented")).toBe(1);
  });

  it("arrive whole, as the pings of a pod show", async () => {
    const { left, right } = bed.hosts;
    const daemons = await bed.pair(bed.hosts, (side, peer) =>
      ipipConfig(side, peer, ["mtu: 1500"]),
    );
    await expectReachable(left.pod, right.podIp);
    const { from, address } = pods(bed.hosts);
    const argv = ["ping", "-n", "-c", "3", "-i", "0.1", "-W", "2", "-M", "dont", "-s", "1472"];
    const { stdout } = await from.spawn([...argv, address]).wait(20_000);
    expect(stdout).toContain("3 received");
    for (const daemon of daemons) {
      expect(eventOf(await countersOf(daemon), "fragmented")).toBeGreaterThanOrEqual(3);
    }
  });
});

describe("the way to the remote through the tunnel itself", () => {
  const through = ["192.168.98.0/24", "10.57.4.21/32"];

  it("is a routing loop, which each packet enters once", async () => {
    const daemon = await startTunnel({ mode: "ipip", routes: through });
    send([v4(), v4()]);
    await eventually(async () => {
      expect(dropsOf(await countersOf(daemon))).toEqual({ "egress routing-loop": 2 });
    });
  });

  it("is not taken by a tunnel with dev", async () => {
    const daemon = await startTunnel({ mode: "ipip", lines: ["dev: eth0"], routes: through });
    expect(await outer4([v4()])).toEqual([`${ENDS} 4 64 0 DF`]);
    expect(dropsOf(await countersOf(daemon))).toEqual({});
  });
});

describe("the device", () => {
  const linkLocals = (): string =>
    bed.hosts.left.host.ip("-6", "-o", "addr", "show", "dev", "ipip0", "scope", "link");

  it("has no IPv6 link-local address where the tunnel carries IPv4 only", async () => {
    await startTunnel({ mode: "ipip" });
    expect(linkLocals()).toBe("");
  });

  it("has the kernel's where it carries IPv6", async () => {
    await startTunnel({ mode: "sit" });
    await eventually(() => expect(linkLocals()).toContain("fe80::"));
  });
});
