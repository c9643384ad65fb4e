// IPIP (RFC 2003): one-to-many by the routes of the config and point-to-point, packets that are too
// big, two and three hosts, and packets from strangers. Outer headers are ipip-outer.test.ts.

import { describe, expect, it } from "vitest";
import type { Daemon } from "../../src/testbed/daemon.js";
import type { Namespace } from "../../src/testbed/namespace.js";
import { createTwoHosts, forgetPathMtus, type HostSide } from "../../src/testbed/two-hosts.js";
import {
  countersOf,
  createStations,
  culvert,
  culvertJson,
  devicePackets,
  dropsOf,
  eventOf,
  eventually,
  ipipConfig,
  type Station,
  scapy,
  silenceIpv6,
  useBed,
} from "./support.js";
import { expectReachable, expectTcp, expectTraffic, pods } from "./traffic.js";

const bed = useBed(["iperf3", "scapy"], (cleanup) => {
  const two = createTwoHosts(cleanup);
  // Router solicitations on the device would be counted as drops: an IPIP tunnel carries IPv4.
  for (const { host } of [two.left, two.right]) silenceIpv6(host);
  return { two, stations: createStations(cleanup, 3) };
});

describe("one-to-many", () => {
  it("carries ping, TCP and UDP both ways, pod to pod", async () => {
    const hosts = bed.hosts.two;
    const daemons = await bed.pair(hosts, (side, peer) => ipipConfig(side, peer));
    await expectTraffic(daemons, pods(hosts));
    const link = JSON.parse(hosts.left.host.ip("-j", "link", "show", "ipip0"))[0];
    expect(link.mtu).toBe(1480);
  });

  it("carries everything with two workers, and with offloads turned off", async () => {
    const hosts = bed.hosts.two;
    const off = "offloads: { tso: false, uso: false, udp_gro: false, tun_checksum: false }\n";
    for (const top of ["workers: 2\n", off]) {
      const config = (side: HostSide, peer: HostSide) => top + ipipConfig(side, peer);
      await expectTraffic(await bed.pair(hosts, config), pods(hosts));
      expect(await bed.stopDaemons(false)).toEqual([]);
    }
  });

  it("joins three hosts by one route each", async () => {
    const { stations } = bed.hosts;
    const daemons: Daemon[] = [];
    for (const station of stations) {
      const routes = stations
        .filter((other) => other !== station)
        .map((other) => `{ to: ${other.overlayIp}/32, via: ${other.underlayIp} }`);
      daemons.push(await bed.start(station.host, stationIpip(station, routes)));
    }
    for (const from of stations) {
      for (const to of stations) await expectReachable(from.host, to.overlayIp);
    }
    for (const daemon of daemons) {
      const counters = await countersOf(daemon);
      expect(dropsOf(counters)).toEqual({});
      expect(counters.tunnels[0]!.peers.map(({ ingress }) => ingress.packets > 0)).toEqual([
        true,
        true,
      ]);
    }
  });

  it("shows its routes and the decision for an address", async () => {
    const hosts = bed.hosts.two;
    const [daemon] = await bed.pair(hosts, (side, peer) =>
      ipipConfig(side, peer, [
        `routes: [{ to: ${peer.podNetwork}, via: ${peer.underlayIp} }, { to: 10.1.0.0/16 }]`,
      ]),
    );
    expect(await culvert(daemon, "route show dev ipip0")).toBe(
      "10.1.0.0/16 dev ipip0 proto static scope link\n" +
        "192.168.11.0/24 via 10.57.4.21 dev ipip0 proto static onlink\n",
    );
    const get = (to: string) => culvertJson<object>(daemon, "route", "get", to);
    expect(await get("192.168.11.10")).toMatchObject({
      dev: "ipip0",
      match: "192.168.11.0/24",
      outer: "10.57.4.21",
    });
    expect(await get("10.1.2.3")).toMatchObject({ match: "10.1.0.0/16", outer: "10.1.2.3" });
    const { status, stderr } = await daemon.culvert("route", "get", "10.2.0.1");
    expect(status).toBe(1);
    expect(stderr).toContain("no ipip tunnel has a route to 10.2.0.1");
  });
});

describe("point-to-point", () => {
  it("sends everything to its remote", async () => {
    const hosts = bed.hosts.two;
    const daemons = await bed.pair(hosts, (side, peer) =>
      ipipConfig(side, peer, [
        `remote: ${peer.underlayIp}`,
        `routes: [{ to: ${peer.podNetwork} }]`,
      ]),
    );
    await expectTraffic(daemons, pods(hosts));
  });
});

describe("a packet that is too big", () => {
  /** Words of one big ping that may not be fragmented; its output. */
  async function bigPing(from: Namespace, to: string, size_bytes: number): Promise<string> {
    forgetPathMtus(bed.hosts.two);
    const options = ["-n", "-c", "1", "-W", "2", "-M", "do", "-s", String(size_bytes)];
    const { stdout, stderr } = await from.spawn(["ping", ...options, to]).wait(10_000);
    return stdout + stderr;
  }

  it("is answered with the right MTU, to the host itself and to a pod", async () => {
    const { left, right } = bed.hosts.two;
    const [daemon] = await bed.pair(bed.hosts.two, (side, peer) =>
      ipipConfig(side, peer, ["mtu: 1500"]),
    );
    for (const from of [left.host, left.pod]) {
      await expectReachable(from, right.podIp);
      const before = await countersOf(daemon);
      // 1472 + 8 + 20 = 1500 fits the device; 1480 is what the underlay takes.
      expect(await bigPing(from, right.podIp, 1472)).toMatch(/Frag needed.*\(mtu = 1480\)/);
      const after = await countersOf(daemon);
      expect(eventOf(after, "icmp-errors")).toBeGreaterThan(eventOf(before, "icmp-errors"));
      expect(dropsOf(after)["egress too-big"]).toBeGreaterThan(
        dropsOf(before)["egress too-big"] ?? 0,
      );
      expect(await bigPing(from, right.podIp, 1452)).toContain("1 received");
    }
  });

  it("still lets TCP through, which learns from the answer", async () => {
    forgetPathMtus(bed.hosts.two);
    const [first, second] = await bed.pair(bed.hosts.two, (side, peer) =>
      ipipConfig(side, peer, ["mtu: 1500"]),
    );
    await expectReachable(bed.hosts.two.left.pod, bed.hosts.two.right.podIp);
    await expectTcp(pods(bed.hosts.two));
    for (const daemon of [first, second]) {
      const drops = Object.keys(dropsOf(await countersOf(daemon)));
      expect(drops.filter((name) => name.startsWith("ingress"))).toEqual([]);
    }
    forgetPathMtus(bed.hosts.two);
  });
});

describe("packets from strangers", () => {
  it("never enter the overlay, and are counted", async () => {
    const [a, b, c] = bed.hosts.stations as [Station, Station, Station];
    const routes = [`{ to: ${b.overlayIp}/32, via: ${b.underlayIp} }`];
    const daemon = await bed.start(a.host, stationIpip(a, routes));
    const inner = `IP(src="${b.overlayIp}", dst="${a.overlayIp}")/ICMP()`;
    scapy(c.host, [`send(IP(dst="${a.underlayIp}")/${inner}, count=3)`]);
    await eventually(async () =>
      expect(dropsOf(await countersOf(daemon))).toEqual({ "ingress foreign-source": 3 }),
    );
    expect(devicePackets(a.host, "ipip0").rx).toBe(0);
    scapy(b.host, [`send(IP(dst="${a.underlayIp}")/${inner}, count=3)`]);
    // Not what the device received: station b runs no tunnel, so its kernel refuses the answers,
    // and our host is told so in ICMP errors from inside the tunnel.
    await eventually(async () => {
      const counters = await countersOf(daemon);
      expect(counters.tunnels[0]!.ingress.packets).toBe(3);
      expect(eventOf(counters, "icmp-errors")).toBe(3);
      expect(devicePackets(a.host, "ipip0").rx).toBe(6);
    });
  });

  it("are counted by reason when they make no sense", async () => {
    const [a, b] = bed.hosts.stations as [Station, Station];
    const routes = [`{ to: ${b.overlayIp}/32, via: ${b.underlayIp} }`];
    const daemon = await bed.start(a.host, stationIpip(a, routes));
    const outer = `IP(dst="${a.underlayIp}", proto=4)`;
    const addresses = `src="${b.overlayIp}", dst="${a.overlayIp}"`;
    scapy(b.host, [
      `send(${outer}/IP(${addresses}, ttl=0)/ICMP(), count=2)`,
      `send(${outer}/IPv6(dst="fd99::1")/ICMPv6EchoRequest(), count=3)`,
      `send(${outer}/Raw(bytes(IP(${addresses})/ICMP())[:12]), count=4)`,
      `send(IP(dst="${a.underlayIp}", tos=3)/IP(${addresses})/ICMP(), count=5)`,
    ]);
    await eventually(async () =>
      expect(dropsOf(await countersOf(daemon))).toEqual({
        "ingress ttl-zero": 2,
        "ingress inner-not-ip": 3,
        "ingress inner-malformed": 4,
        "ingress ecn": 5,
      }),
    );
    expect(devicePackets(a.host, "ipip0").rx).toBe(0);
  });
});

function stationIpip(station: Station, routes: readonly string[]): string {
  return `tunnels:
  - name: ipip0
    type: ipip
    local: ${station.underlayIp}
    addresses: [${station.overlayIp}/32]
    routes: [${routes.join(", ")}]
`;
}
