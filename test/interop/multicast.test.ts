// Multicast underlay: `group` on culvert and on the kernel's vxlan device, on one bridge. BUM
// frames go to the group, whoever answers is learned and gets unicast; groups are joined by IGMP
// and MLD; one group serves several VNIs.

import { describe, expect, it } from "vitest";
import type { StatusReport } from "../../src/control/target.js";
import type { Cleanup } from "../../src/testbed/cleanup.js";
import type { Daemon } from "../../src/testbed/daemon.js";
import { addVeth, Namespace } from "../../src/testbed/namespace.js";
import {
  Capture,
  countersOf,
  culvertEnds,
  culvertJson,
  devicesOf,
  dropsOf,
  eventually,
  macOf,
  scapy,
  useBed,
} from "../netns/support.js";
import { expectReachable, expectUnreachable } from "../netns/traffic.js";

interface Host {
  ns: Namespace;
  ips: { 4: string; 6: string };
}

/** Three hosts on a bridge, IPv4 and IPv6 underlay, no IPv6 on devices made from then on. */
function createHosts(cleanup: Cleanup): Host[] {
  const hub = Namespace.create(cleanup, "mchub");
  hub.ip("link", "add", "br0", "type", "bridge", "forward_delay", "0");
  hub.ip("link", "set", "br0", "up");
  return [0, 1, 2].map((i) => {
    const ns = Namespace.create(cleanup, `mc${i}`);
    addVeth({ namespace: ns, device: "eth0" }, { namespace: hub, device: `port${i}` });
    hub.ip("link", "set", `port${i}`, "master", "br0");
    const ips = { 4: `10.57.4.${20 + i}`, 6: `fd57::2${i}` };
    ns.ip("addr", "add", `${ips[4]}/24`, "dev", "eth0");
    ns.ip("addr", "add", `${ips[6]}/64`, "dev", "eth0", "nodad");
    ns.sysctl("net.ipv6.conf.default.disable_ipv6", 1);
    return { ns, ips };
  });
}

const bed = useBed(["tcpdump", "tshark"], createHosts);
const groups = { 4: "239.57.0.1", 6: "ff05::57" } as const;
const vnis = [100, 200] as const;
const overlayIp = (vni: number, host: number): string => `10.99.${vni}.${host + 1}`;
const overlayMac = (vni: number, host: number): string =>
  macOf(host).replace(/^02/, vni === 100 ? "02" : "06");

function culvertConfig(family: 4 | 6, host: number, top = ""): string {
  const tunnels = vnis.map(
    (vni) => `
  - name: vxlan${vni}
    type: vxlan
    vni: ${vni}
    group: "${groups[family]}"
    dev: eth0
    mac: "${overlayMac(vni, host)}"
    addresses: [${overlayIp(vni, host)}/24]`,
  );
  return `${top}tunnels:${tunnels.join("")}\n`;
}

function addKernelDevices({ ns, ips }: Host, family: 4 | 6, host: number): void {
  for (const vni of vnis) {
    const dev = `vxlan${vni}`;
    ns.ip(
      ...["link", "add", dev, "address", overlayMac(vni, host), "type", "vxlan", "id", `${vni}`],
      ...["group", groups[family], "dev", "eth0", "local", ips[family], "dstport", "4789"],
    );
    ns.ip("addr", "add", `${overlayIp(vni, host)}/24`, "dev", dev);
    ns.ip("link", "set", dev, "up");
  }
}

interface FdbLine {
  mac: string;
  dst: string;
}

async function culvertFdb(daemon: Daemon, dev: string): Promise<Record<string, string>> {
  const lines = await culvertJson<FdbLine[]>(daemon, "fdb", "show", "dev", dev);
  return Object.fromEntries(lines.map(({ mac, dst }) => [mac, dst]));
}

describe.each([4, 6] as const)("a multicast group over IPv%i", (family) => {
  const group = groups[family];

  it.each([1, 2])(
    "joins culvert and the kernel, both ways, for two VNIs (workers: %i)",
    async (n) => {
      const [a, b, c] = bed.hosts as [Host, Host, Host];
      const filter = "igmp or udp port 4789 or (ip6 and not tcp)";
      const capture = await Capture.start(bed.cleanup, a.ns, "eth0", filter);
      addKernelDevices(b, family, 1);
      try {
        const top = `workers: ${n}\n`;
        const first = await bed.start(a.ns, culvertConfig(family, 0, top));
        const second = await bed.start(c.ns, culvertConfig(family, 2));
        for (const vni of vnis) {
          await expectReachable(a.ns, overlayIp(vni, 1)); // culvert -> kernel
          await expectReachable(b.ns, overlayIp(vni, 2)); // kernel -> the other culvert
          await expectReachable(c.ns, overlayIp(vni, 0)); // culvert -> culvert
          expect(await culvertFdb(first, `vxlan${vni}`)).toEqual({
            "00:00:00:00:00:00": group,
            [overlayMac(vni, 1)]: b.ips[family],
            [overlayMac(vni, 2)]: c.ips[family],
          });
          const kernel = b.ns.run("bridge", "fdb", "show", "dev", `vxlan${vni}`);
          expect(kernel).toContain(`${overlayMac(vni, 0)} dst ${a.ips[family]} self`);
          expect(kernel).toContain(`${overlayMac(vni, 2)} dst ${c.ips[family]} self`);
        }
        for (const daemon of [first, second]) expect(dropsOf(await countersOf(daemon))).toEqual({});
        await expectWire(capture, family, a, b);
      } finally {
        await capture.stop();
        for (const vni of vnis) b.ns.ip("link", "del", `vxlan${vni}`);
      }
    },
  );
});

describe("tunnels of one device with another ttl each", () => {
  it.each([4, 6] as const)("leave with it, over IPv%i, or with 1", async (family) => {
    const [a] = bed.hosts as [Host, Host, Host];
    const capture = await Capture.start(bed.cleanup, a.ns, "eth0", "udp port 4789 or ip6");
    try {
      await bed.start(a.ns, `${culvertConfig(family, 0)}\n    ttl: 9\n`);
      const field = family === 4 ? "ip.ttl" : "ipv6.hlim";
      for (const [vni, ttl] of [
        [100, "1"],
        [200, "9"],
      ] as const) {
        await expectUnreachable(a.ns, overlayIp(vni, 1));
        const asked = `vxlan.vni == ${vni} && arp.opcode == 1`;
        await eventually(() => expect(capture.rows(asked, [field])).toContainEqual([ttl]));
      }
    } finally {
      await capture.stop();
    }
  });
});

/** What tshark sees on the first host's wire: join, ARP to the group with TTL 1, ping to the host. */
async function expectWire(capture: Capture, family: 4 | 6, a: Host, b: Host): Promise<void> {
  const ip = family === 4 ? "ip" : "ipv6";
  const join =
    family === 4
      ? `igmp && ip.src == ${a.ips[4]} && igmp.maddr == ${groups[4]}`
      : `icmpv6.type == 143 && icmpv6.mldr.mar.multicast_address == ${groups[6]}`;
  await eventually(() => expect(capture.rows(join, ["frame.number"])).not.toEqual([]));
  const ttl = family === 4 ? "ip.ttl" : "ipv6.hlim";
  const asked = `vxlan && arp.opcode == 1 && ${ip}.src == ${a.ips[family]}`;
  const requests = capture.rows(asked, [`${ip}.dst`, ttl, "vxlan.vni"]);
  expect(requests).toContainEqual([groups[family], "1", "100"]);
  expect(requests).toContainEqual([groups[family], "1", "200"]);
  const pinged = `vxlan && icmp.type == 8 && ip.dst == ${overlayIp(100, 1)} && ${ip}.src == ${a.ips[family]}`;
  const pings = capture.rows(pinged, [`${ip}.dst`]);
  expect(pings.length).toBeGreaterThan(0);
  for (const [dst] of pings) expect(dst!.split(",")[0]).toBe(b.ips[family]);
}

describe("a group", () => {
  it("has its TTL from the config and its remotes beside it", async () => {
    const [a, b, c] = bed.hosts as [Host, Host, Host];
    const capture = await Capture.start(bed.cleanup, b.ns, "eth0", "udp port 4789");
    const config = culvertConfig(4, 0).replaceAll(
      "dev: eth0",
      `dev: eth0\n    ttl: 9\n    remotes: [${c.ips[4]}]`,
    );
    const daemon = await bed.start(a.ns, config);
    const [shown] = await culvertJson<FdbLine[]>(daemon, "fdb", "show", "dst", groups[4]);
    expect(shown).toMatchObject({ dst: groups[4], viaIf: "eth0" });
    const { tunnels } = await culvertJson<StatusReport>(daemon, "status");
    const flags = tunnels[0]!.remotes.map((remote) => [remote.address, remote.flags]);
    expect(Object.fromEntries(flags)).toEqual({
      [groups[4]]: ["flood", "group"],
      [c.ips[4]]: ["configured", "flood"],
    });
    a.ns.run("sh", "-c", `ping -c 1 -W 1 ${overlayIp(100, 1)} || true`);
    const seen = `vxlan && arp.opcode == 1 && ip.dst == ${groups[4]}`;
    await eventually(() => {
      const [row] = capture.rows(seen, ["ip.ttl", "udp.dstport"]);
      expect(row).toEqual(["9", "4789"]);
    });
    await capture.stop();
  });

  it("leaves each tunnel its own TTL, whoever shares its sockets", async () => {
    const [a, b] = bed.hosts as [Host, Host];
    const capture = await Capture.start(bed.cleanup, b.ns, "eth0", "udp port 4789");
    const config = culvertConfig(4, 0).replace(/(vni: 200)/, "$1\n    ttl: 7");
    await bed.start(a.ns, config);
    for (const vni of vnis) a.ns.run("sh", "-c", `ping -c 1 -W 1 ${overlayIp(vni, 1)} || true`);
    await eventually(() => {
      const rows = capture.rows("vxlan && arp.opcode == 1", ["vxlan.vni", "ip.ttl"]);
      expect(new Set(rows.map((row) => row.join(" ")))).toEqual(new Set(["100 1", "200 7"]));
    });
    await capture.stop();
  });

  it("takes frames without UDP checksum over IPv6 where a tunnel asks for it", async () => {
    const [a, b] = bed.hosts as [Host, Host];
    const asks = culvertConfig(6, 0).replaceAll(
      "dev: eth0",
      "dev: eth0\n    udp6_zero_csum_rx: true",
    );
    const daemon = await bed.start(a.ns, asks);
    scapy(b.ns, [
      'inner = Ether(src="02:00:00:00:00:77", dst="ff:ff:ff:ff:ff:ff", type=0x88b5) / b"x"',
      `ip = IPv6(src="${b.ips[6]}", dst="${groups[6]}", hlim=1)`,
      'ether = Ether(src="02:00:00:00:00:66", dst="33:33:00:00:00:57")',
      "packet = ether / ip / UDP(sport=5000, dport=4789, chksum=0) / VXLAN(vni=100) / inner",
      'sendp(packet, iface="eth0", verbose=0)',
    ]);
    await eventually(async () => {
      const counters = await countersOf(daemon);
      expect([counters.tunnels[0]!.ingress.packets, dropsOf(counters)]).toEqual([1, {}]);
    });
  });

  it("cannot be joined where there is no device, no address of its family, no other VNI", async () => {
    const { ns, ips } = bed.hosts[0]!;
    ns.ip("link", "add", "bare0", "type", "bridge");
    ns.ip("link", "set", "bare0", "up");
    ns.ip("addr", "add", "10.57.5.20/24", "dev", "eth0");
    try {
      const tunnel = (name: string, rest: string) =>
        `  - { name: ${name}, type: vxlan, vni: 100, group: 239.57.0.1, ${rest} }\n`;
      const cases = [
        [tunnel("vx0", "dev: eth9"), "there is no device 'eth9'"],
        [tunnel("vx0", "dev: bare0"), "device 'bare0' has no global IPv4 address"],
        [
          tunnel("vx0", `dev: bare0, local: ${ips[4]}`),
          `the local address ${ips[4]} is not on device 'bare0'`,
        ],
        [
          tunnel("vx0", `dev: eth0, local: ${ips[4]}`) +
            tunnel("vx1", "dev: eth0, local: 10.57.5.20"),
          "both have VNI 100 on the same multicast group and port 4789",
        ],
      ] as const;
      for (const [tunnels, text] of cases) {
        const { status, stderr } = await culvertEnds(bed, ns, `tunnels:\n${tunnels}`);
        expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringContaining(text) });
      }
      ns.sysctl("net.ipv4.igmp_max_memberships", 0);
      const { stderr } = await culvertEnds(bed, ns, `tunnels:\n${tunnel("vx0", "dev: eth0")}`);
      expect(stderr).toContain("cannot join the multicast group 239.57.0.1 on eth0: ENOBUFS");
      expect(stderr).toContain("igmp_max_memberships");
      expect(devicesOf(ns)).toEqual(["bare0", "eth0", "lo"]);
    } finally {
      ns.sysctl("net.ipv4.igmp_max_memberships", 20);
      ns.ip("link", "del", "bare0");
      ns.ip("addr", "del", "10.57.5.20/24", "dev", "eth0");
    }
  });
});
