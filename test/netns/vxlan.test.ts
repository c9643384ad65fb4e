// VXLAN between two hosts, a daemon on each: traffic of every kind pod to pod, over IPv4 and IPv6,
// with every way to configure the outer packet, several tunnels, several workers, offloads on and
// off.

import { describe, expect, it } from "vitest";
import { ping } from "../../src/testbed/ping.js";
import {
  createTwoHosts,
  forgetPathMtus,
  type HostSide,
  type TwoHosts,
} from "../../src/testbed/two-hosts.js";
import {
  Capture,
  countersOf,
  culvertJson,
  dropsOf,
  useBed,
  vxlanConfig,
  withoutDrops,
} from "./support.js";
import {
  type Ends,
  expectPings,
  expectReachable,
  expectTcp,
  expectTraffic,
  expectUdp,
  pods,
} from "./traffic.js";

const bed = useBed(["iperf3", "tcpdump", "tshark"], (cleanup) => ({
  ethernet: createTwoHosts(cleanup),
  jumbo: createTwoHosts(cleanup, { underlayMtu_bytes: 9000 }),
}));

interface Status {
  workers: number;
  offloads: Record<string, { enabled: boolean }>;
  tunnels: { name: string; mtu_bytes: number; mac: string; up: boolean; addresses: string[] }[];
}

/** Sides are told apart by the last number of their underlay address: 20 and 21. */
const numberOf = (side: { underlayIp: string }): string => side.underlayIp.split(".").pop()!;
const ipv6Overlay = (side: HostSide): string => `fd99::${numberOf(side)}`;
const ipv6Underlay = (side: HostSide): string => `fd57::${numberOf(side)}`;

/** Host to host over addresses of the tunnel's own devices. */
function overlayEnds({ left, right }: TwoHosts, address: (side: HostSide) => string): Ends {
  return { from: left.host, to: right.host, address: address(right), back: address(left) };
}

function addIpv6Underlay({ left, right }: TwoHosts): void {
  for (const side of [left, right]) {
    side.host.ip("addr", "replace", `${ipv6Underlay(side)}/64`, "dev", "eth0", "nodad");
  }
}

describe("vxlan, pod to pod", () => {
  it("carries ping, TCP and UDP both ways and drops nothing", async () => {
    const hosts = bed.hosts.ethernet;
    const daemons = await bed.pair(hosts, (side, peer) => vxlanConfig(side, peer));
    await expectTraffic(daemons, pods(hosts));
    await withoutDrops(daemons, async () => {
      await expectUdp(pods(hosts), 64, "4M");
      await expectPings(pods(hosts), 8000);
    });
    for (const daemon of daemons) {
      const [tunnel] = (await countersOf(daemon)).tunnels;
      expect(tunnel!.peers).toHaveLength(1);
      expect(tunnel!.peers[0]!.ingress).toEqual(tunnel!.ingress);
      expect(tunnel!.ingress.packets).toBeGreaterThan(1000);
      expect(tunnel!.egress.packets).toBeGreaterThan(1000);
    }
  });

  it("says by itself what it made", async () => {
    const hosts = bed.hosts.ethernet;
    const [daemon] = await bed.pair(hosts, (side, peer) => vxlanConfig(side, peer));
    const status = await culvertJson<Status>(daemon, "status");
    const { host } = hosts.left;
    const link = JSON.parse(host.ip("-j", "link", "show", "vxlan100"))[0];
    expect(status.tunnels[0]).toMatchObject({
      name: "vxlan100",
      mtu_bytes: 1450,
      mac: link.address,
      up: true,
    });
    expect(link.mtu).toBe(1450);
    expect(status.tunnels[0]!.addresses).toContain("192.168.10.1/24");
    const route = JSON.parse(host.ip("-j", "route", "show", "192.168.11.0/24"));
    expect(route).toMatchObject([{ gateway: "192.168.11.1", dev: "vxlan100", flags: ["onlink"] }]);
  });

  it("carries ping and TCP over two workers and their queues", async () => {
    const hosts = bed.hosts.ethernet;
    const top = "workers: 2\n";
    const daemons = await bed.pair(hosts, (side, peer) => vxlanConfig(side, peer, { top }));
    expect((await culvertJson<Status>(daemons[0], "status")).workers).toBe(2);
    await expectTraffic(daemons, pods(hosts));
  });

  it("carries everything with all offloads turned off", async () => {
    const hosts = bed.hosts.ethernet;
    const names = ["tso", "uso", "udp_segment", "udp_gro", "tun_checksum"];
    const top = `offloads: { ${names.map((name) => `${name}: false`).join(", ")} }\n`;
    const daemons = await bed.pair(hosts, (side, peer) => vxlanConfig(side, peer, { top }));
    const { offloads } = await culvertJson<Status>(daemons[0], "status");
    expect(names.map((name) => offloads[name]!.enabled)).toEqual(names.map(() => false));
    await expectTraffic(daemons, pods(hosts));
  });

  it.each(["tso", "uso", "udp_segment", "udp_gro", "tun_checksum"])(
    "carries TCP and UDP when only the left side lacks %s",
    async (name) => {
      const hosts = bed.hosts.ethernet;
      const daemons = await bed.pair(hosts, (side, peer) => {
        const top = side === hosts.left ? `offloads: { ${name}: false }\n` : "";
        return vxlanConfig(side, peer, { top });
      });
      await expectReachable(hosts.left.pod, hosts.right.podIp);
      await withoutDrops(daemons, async () => {
        await expectTcp(pods(hosts));
        await expectUdp(pods(hosts));
      });
    },
  );
});

describe("the outer packet", () => {
  it("has the TTL of the config and no UDP checksum when told so", async () => {
    const hosts = bed.hosts.ethernet;
    const tunnel = ["ttl: 33", "udp_csum: false"];
    const daemons = await bed.pair(hosts, (side, peer) => vxlanConfig(side, peer, { tunnel }));
    await expectReachable(hosts.left.pod, hosts.right.podIp);
    const filter = "udp port 4789";
    const capture = await Capture.start(bed.cleanup, hosts.left.host, "eth0", filter);
    await expectPings(pods(hosts));
    await capture.stop();
    await expectTraffic(daemons, pods(hosts));
    const rows = capture.rows("vxlan && icmp", ["ip.ttl", "udp.checksum", "vxlan.vni"]);
    expect(rows.length).toBeGreaterThan(10);
    for (const [ttl, checksum, vni] of rows) {
      expect([ttl!.split(",")[0], checksum, vni]).toEqual(["33", "0x0000", "100"]);
    }
  });

  it("has a right checksum, the route's TTL and a source port of the flow by default", async () => {
    const hosts = bed.hosts.ethernet;
    const daemons = await bed.pair(hosts, (side, peer) => vxlanConfig(side, peer));
    await expectReachable(hosts.left.pod, hosts.right.podIp);
    const filter = "udp port 4789 and src host 10.57.4.20";
    const capture = await Capture.start(bed.cleanup, hosts.left.host, "eth0", filter);
    await ping({ from: hosts.left.pod, to: hosts.right.podIp, count: 5 });
    await capture.stop();
    const fields = ["ip.ttl", "ip.dst", "udp.srcport", "udp.checksum", "vxlan.flags"];
    const rows = capture.rows("vxlan && icmp", fields);
    expect(rows.length).toBeGreaterThanOrEqual(5);
    expect(new Set(rows.map((row) => row[2])).size).toBe(1);
    for (const [ttl, dst, port, checksum, flags] of rows) {
      expect([ttl, dst, flags]).toEqual(["64,63", "10.57.4.21,192.168.11.10", "0x0800"]);
      expect(Number(port)).toBeGreaterThanOrEqual(49152);
      expect(checksum).not.toBe("0x0000");
    }
    await withoutDrops(daemons, () => expectPings(pods(hosts)));
  });
});

describe("a device MTU that the underlay cannot carry", () => {
  it("makes the outer packets fragments, or tells the sender where it set DF; TCP adapts", async () => {
    const hosts = bed.hosts.ethernet;
    const config = (side: HostSide, peer: HostSide) =>
      vxlanConfig(side, peer, { tunnel: ["mtu: 1500"] });
    const daemons = await bed.pair(hosts, config);
    await expectReachable(hosts.left.pod, hosts.right.podIp);
    forgetPathMtus(hosts);
    const path = { from: hosts.left.pod, to: hosts.right.podIp, size_bytes: 1472 };
    const refused = await ping({ ...path, extra: ["-M", "do"] });
    expect(refused.received).toBe(0);
    forgetPathMtus(hosts);
    const echo = await ping({ ...path, extra: ["-M", "dont"] });
    expect(echo.received).toBeGreaterThan(15);
    await expectTcp(pods(hosts));
    forgetPathMtus(hosts);
    for (const daemon of daemons) {
      const drops = Object.keys(dropsOf(await countersOf(daemon)));
      expect(drops.filter((name) => !name.endsWith("-busy") && name !== "egress too-big")).toEqual(
        [],
      );
    }
  });
});

describe("other networks", () => {
  it("carries IPv6 inside: ping, TCP and UDP", async () => {
    const hosts = bed.hosts.ethernet;
    const config = (side: HostSide, peer: HostSide) =>
      vxlanConfig(side, peer).replace(
        /addresses: .*/,
        `addresses: [${side.overlayIp}/24, "${ipv6Overlay(side)}/64"]`,
      );
    const daemons = await bed.pair(hosts, config);
    await expectTraffic(daemons, overlayEnds(hosts, ipv6Overlay));
  });

  it("runs over an IPv6 underlay, with an MTU of 70 bytes less", async () => {
    const hosts = bed.hosts.ethernet;
    addIpv6Underlay(hosts);
    const config = (side: HostSide, peer: HostSide) =>
      vxlanConfig(side, peer)
        .replace(`local: ${side.underlayIp}`, `local: "${ipv6Underlay(side)}"`)
        .replace(`remotes: [${peer.underlayIp}]`, `remotes: ["${ipv6Underlay(peer)}"]`);
    const daemons = await bed.pair(hosts, config);
    const status = await culvertJson<Status>(daemons[0], "status");
    expect(status.tunnels[0]!.mtu_bytes).toBe(1430);
    const { left } = hosts;
    const capture = await Capture.start(bed.cleanup, left.host, "eth0", "ip6 and udp port 4789");
    await expectPings(pods(hosts));
    await capture.stop();
    await expectTraffic(daemons, pods(hosts));
    const rows = capture.rows("vxlan && icmp", ["ipv6.src", "ipv6.dst"]);
    expect(rows).toContainEqual(["fd57::20", "fd57::21"]);
    expect(rows).toContainEqual(["fd57::21", "fd57::20"]);
  });

  it("uses the room of an underlay with jumbo frames", async () => {
    const hosts = bed.hosts.jumbo;
    const daemons = await bed.pair(hosts, (side, peer) => vxlanConfig(side, peer));
    const status = await culvertJson<Status>(daemons[0], "status");
    expect(status.tunnels[0]!.mtu_bytes).toBe(8950);
    const ends = overlayEnds(hosts, (side) => side.overlayIp);
    await expectTraffic(daemons, ends);
    await withoutDrops(daemons, async () => {
      const extra = ["-M", "do"];
      const echo = await ping({ from: ends.from, to: ends.address, size_bytes: 8922, extra });
      expect(echo.received).toBeGreaterThan(15);
      await expectUdp(ends, 8922, "40M");
    });
  });
});

describe("several tunnels of one daemon", () => {
  it("tells VNIs on one port apart, and ports", async () => {
    const hosts = bed.hosts.ethernet;
    const others = [
      { name: "vxlan200", vni: 200, port: 4789, net: "10.98.2" },
      { name: "vxlan201", vni: 201, port: 4789, net: "10.98.3" },
      { name: "vxlan300", vni: 100, port: 8472, net: "10.98.4" },
    ];
    const config = (side: HostSide, peer: HostSide) =>
      vxlanConfig(side, peer, {
        more: others
          .map(
            ({ name, vni, port, net }) => `  - name: ${name}
    type: vxlan
    vni: ${vni}
    port: ${port}
    local: ${side.underlayIp}
    addresses: [${net}.${numberOf(side)}/24]
    remotes: [${peer.underlayIp}]
`,
          )
          .join(""),
      });
    const daemons = await bed.pair(hosts, config);
    await expectTraffic(daemons, pods(hosts));
    for (const { net } of others) {
      const ends = overlayEnds(hosts, (side) => `${net}.${numberOf(side)}`);
      await expectReachable(ends.from, ends.address);
      await withoutDrops(daemons, async () => {
        await expectPings(ends);
        await expectTcp(ends);
      });
    }
    const { tunnels } = await countersOf(daemons[0]);
    expect(tunnels.map(({ name }) => name)).toEqual(["vxlan100", ...others.map((o) => o.name)]);
    for (const { ingress } of tunnels) expect(ingress.bytes).toBeGreaterThan(1e6);
  });
});
