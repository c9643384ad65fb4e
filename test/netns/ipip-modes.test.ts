// IPIP in every mode between two daemons, both outer families, and tunnels that share a protocol:
// the one that the kernel would choose gets the packet, once. One-to-many with IPv4 in IPv4 is
// ipip.test.ts.

import { describe, expect, it } from "vitest";
import type { Daemon } from "../../src/testbed/daemon.js";
import { createTwoHosts, type HostSide } from "../../src/testbed/two-hosts.js";
import {
  Capture,
  countersOf,
  createStations,
  devicePackets,
  dropsOf,
  eventually,
  type Station,
  scapy,
  useBed,
} from "./support.js";
import { type Ends, expectPings, expectReachable, expectTcp } from "./traffic.js";

const bed = useBed(["iperf3", "scapy", "tshark", "tcpdump"], (cleanup) => {
  const two = createTwoHosts(cleanup);
  for (const side of [two.left, two.right]) {
    // Not a prefix of the link: the kernel takes no next hop over the tunnel (onlink) that a route
    // over another device covers, the default route aside [ip6_route_check_nh_onlink].
    side.host.ip("addr", "add", `${underlay6(side)}/128`, "dev", "eth0", "nodad");
    side.host.ip("-6", "route", "add", "default", "dev", "eth0");
  }
  const [us, peer] = createStations(cleanup, 2) as [Station, Station];
  for (const [host, last] of [
    [us.host, 20],
    [peer.host, 21],
  ] as const) {
    host.sysctl("net.ipv6.conf.eth0.disable_ipv6", 0);
    for (const number of [last, last + 100]) {
      host.ip("addr", "add", `fd57::${number}/64`, "dev", "eth0", "nodad");
    }
    host.ip("addr", "add", `10.57.4.${last + 100}/24`, "dev", "eth0");
  }
  return { two, us, peer };
});

const underlay6 = ({ underlayIp }: HostSide): string => underlayIp.replace("10.57.4.", "fd57::");
const overlay6 = ({ overlayIp }: HostSide): string =>
  overlayIp.replace(/192\.168\.(\d+)\.1/, "fd$1::1");

type Version = 4 | 6;

function config(mode: string, outer: Version, inner: readonly Version[]) {
  return (side: HostSide, peer: HostSide): string => {
    const own = inner.map((version) =>
      version === 4 ? `${side.overlayIp}/32` : `${overlay6(side)}/128`,
    );
    const via = outer === 4 ? peer.underlayIp : underlay6(peer);
    const routes = inner.map((version) => {
      const to = version === 4 ? `${peer.overlayIp}/32` : `${overlay6(peer)}/128`;
      return `{ to: "${to}", via: "${via}" }`;
    });
    return `tunnels:
  - name: ipip0
    type: ipip
    mode: ${mode}
    local: "${outer === 4 ? side.underlayIp : underlay6(side)}"
    addresses: [${own.map((address) => `"${address}"`).join(", ")}]
    routes: [${routes.join(", ")}]
`;
  };
}

/** From the left host's overlay address to the right one's. */
function ends(version: Version): Ends {
  const { left, right } = bed.hosts.two;
  const addressOf = version === 4 ? (side: HostSide) => side.overlayIp : overlay6;
  return { from: left.host, to: right.host, address: addressOf(right), back: addressOf(left) };
}

describe.each([
  ["ipip", 4, [4]],
  ["sit", 4, [6]],
  ["ipip6", 6, [4]],
  ["ip6ip6", 6, [6]],
  ["any", 4, [4, 6]],
  ["any", 6, [4, 6]],
] as const)("mode %s over IPv%i", (mode, outer, inner) => {
  it("carries ping and TCP both ways, under the right protocol number", async () => {
    const { two } = bed.hosts;
    const filter = "ip proto 4 or ip proto 41 or ip6 proto 4 or ip6 proto 41";
    const capture = await Capture.start(bed.cleanup, two.right.host, "eth0", filter);
    const daemons = await bed.pair(two, config(mode, outer, inner));
    for (const version of inner) {
      const path = ends(version);
      await expectReachable(path.to, path.back);
      await expectPings(path);
    }
    const layer = outer === 4 ? ["ip.proto", "ip.src"] : ["ipv6.nxt", "ipv6.src"];
    const seen = new Set(
      capture
        .rows("icmp or icmpv6.type == 128 or icmpv6.type == 129", layer)
        .map((row) => row.map(first).join(" from ")),
    );
    await capture.stop();
    const sources = outer === 4 ? ["10.57.4.20", "10.57.4.21"] : ["fd57::20", "fd57::21"];
    const protocols = inner.map((version) => (version === 4 ? 4 : 41));
    const expected = protocols.flatMap((one) => sources.map((source) => `${one} from ${source}`));
    expect([...seen].sort()).toEqual(expected);
    for (const version of inner) await expectTcp(ends(version));
    for (const daemon of daemons) {
      const drops = Object.keys(dropsOf(await countersOf(daemon)));
      expect(drops.filter((name) => name.startsWith("ingress"))).toEqual([]);
    }
  });
});

/** Of a field that each IP header of a packet has, the outermost one's. */
const first = (values: string | undefined): string => values?.split(",")[0] ?? "";

interface SharedTunnel {
  name: string;
  local: string;
  remote: string;
}

const sharing = (tunnels: readonly SharedTunnel[], mode = "ipip"): string =>
  `tunnels:\n${tunnels
    .map(
      ({ name, local, remote }) =>
        `  - { name: ${name}, type: ipip, mode: ${mode}, local: "${local}", remote: "${remote}", ` +
        "allow: any }\n",
    )
    .join("")}`;

describe("tunnels that share a protocol", () => {
  let daemon: Daemon;
  /** How many packets each tunnel got, and each device. */
  async function received(names: readonly string[]): Promise<Record<string, number>> {
    const { tunnels } = await countersOf(daemon);
    const counts = Object.fromEntries(tunnels.map((one) => [one.name, one.ingress.packets]));
    const { us } = bed.hosts;
    const devices = names.map((name) => [name, devicePackets(us.host, name).rx]);
    expect(Object.fromEntries(devices)).toEqual(counts);
    return counts;
  }
  /** Sends so many packets with these outer addresses. */
  const send = (from: string, to: string, count: number, header = "IP"): void => {
    const inner = 'IP(src="192.168.98.9", dst="198.18.0.1")/UDP(dport=7777)';
    const outer = `${header}(src="${from}", dst="${to}")`;
    scapy(bed.hosts.peer.host, [`send(${outer}/${inner}, count=${count})`]);
  };

  it("get packets in the kernel's order, each once: both addresses, remote, local, none", async () => {
    const names = ["wild", "bylocal", "byremote", "byboth"];
    daemon = await bed.start(
      bed.hosts.us.host,
      sharing([
        { name: "wild", local: "any", remote: "any" },
        { name: "bylocal", local: "10.57.4.20", remote: "any" },
        { name: "byremote", local: "any", remote: "10.57.4.21" },
        { name: "byboth", local: "10.57.4.20", remote: "10.57.4.21" },
      ]),
    );
    send("10.57.4.21", "10.57.4.20", 1);
    send("10.57.4.21", "10.57.4.120", 2);
    send("10.57.4.121", "10.57.4.20", 3);
    send("10.57.4.121", "10.57.4.120", 4);
    const expected = { byboth: 1, byremote: 2, bylocal: 3, wild: 4 };
    await eventually(async () => expect(await received(names)).toEqual(expected));
    expect(dropsOf(await countersOf(daemon))).toEqual({});
  });

  it("count a packet that none of them takes once", async () => {
    daemon = await bed.start(
      bed.hosts.us.host,
      sharing([
        { name: "byremote", local: "any", remote: "10.57.4.21" },
        { name: "byboth", local: "10.57.4.20", remote: "10.57.4.21" },
      ]),
    );
    send("10.57.4.121", "10.57.4.20", 3);
    send("10.57.4.21", "10.57.4.20", 2);
    await eventually(async () =>
      expect(await received(["byremote", "byboth"])).toEqual({ byremote: 0, byboth: 2 }),
    );
    expect(dropsOf(await countersOf(daemon))).toEqual({ "ingress no-tunnel": 3 });
  });

  it("have an order over IPv6 too, and take what bears destination options", async () => {
    daemon = await bed.start(
      bed.hosts.us.host,
      sharing(
        [
          { name: "bylocal", local: "fd57::20", remote: "any" },
          { name: "byboth", local: "fd57::20", remote: "fd57::21" },
          { name: "other", local: "fd57::120", remote: "any" },
        ],
        "ipip6",
      ),
    );
    send("fd57::21", "fd57::20", 1, "IPv6");
    send("fd57::121", "fd57::20", 2, "IPv6");
    send("fd57::21", "fd57::120", 3, "IPv6");
    // The kernel's ip6tnl puts such an option in front unless it has `encaplimit none`.
    const options = "IPv6ExtHdrDestOpt(nh=4, options=[HBHOptUnknown(otype=4, optdata=b'\\x04')])";
    const inner = 'IP(src="192.168.98.9", dst="198.18.0.1")/UDP(dport=7777)';
    const outer = 'IPv6(src="fd57::21", dst="fd57::20", nh=60)';
    scapy(bed.hosts.peer.host, [`send(${outer}/${options}/${inner}, count=4)`]);
    const expected = { bylocal: 2, byboth: 5, other: 3 };
    await eventually(async () =>
      expect(await received(["bylocal", "byboth", "other"])).toEqual(expected),
    );
    expect(dropsOf(await countersOf(daemon))).toEqual({});
  });

  it("on one host reach each other", async () => {
    const { us } = bed.hosts;
    daemon = await bed.start(
      us.host,
      sharing([
        { name: "here", local: "10.57.4.20", remote: "10.57.4.120" },
        { name: "there", local: "10.57.4.120", remote: "10.57.4.20" },
      ]),
    );
    us.host.ip("route", "add", "198.18.7.0/24", "dev", "here");
    scapy(us.host, [
      "import socket",
      "s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)",
      'p = IP(src="192.168.98.9", dst="198.18.7.1")/UDP(dport=7777)',
      'for _ in range(3): s.sendto(bytes(p), ("198.18.7.1", 0))',
    ]);
    await eventually(async () =>
      expect(await received(["here", "there"])).toEqual({ here: 0, there: 3 }),
    );
    expect(dropsOf(await countersOf(daemon))).toEqual({});
  });
});
