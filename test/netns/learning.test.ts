// Who is behind which VTEP: learned, aged, set by config and by `culvert fdb`; where frames go that
// nobody is known for; whose frames are taken. Two or three daemons on one bridge, all in one
// overlay subnet.

import { beforeAll, describe, expect, it } from "vitest";
import type { Daemon } from "../../src/testbed/daemon.js";
import { ping } from "../../src/testbed/ping.js";
import {
  countersOf,
  createStations,
  culvert,
  culvertJson,
  devicePackets,
  dropsOf,
  eventOf,
  eventually,
  macOf,
  type Station,
  scapy,
  stationConfig,
  useBed,
} from "./support.js";
import { expectPings, expectReachable, expectUnreachable } from "./traffic.js";

const bed = useBed(["scapy", "iperf3"], (cleanup) => createStations(cleanup, 3));

interface FdbLine {
  mac: string;
  dst: string;
  flags: string[];
  state: string;
}

const zeroMac = "00:00:00:00:00:00";
const permanent = (mac: string, dst: string): FdbLine => ({
  mac,
  dst,
  flags: ["self"],
  state: "permanent",
});
const learned = (mac: string, dst: string): FdbLine => ({ mac, dst, flags: ["self"], state: "" });

/** The FDB as `culvert fdb show -j` prints it, sorted by MAC and destination. */
async function fdbOf(daemon: Daemon): Promise<FdbLine[]> {
  const lines = await culvertJson<FdbLine[]>(daemon, "fdb", "show", "dev", "vxlan100");
  const key = ({ mac, dst }: FdbLine): string => `${mac} ${dst}`;
  return lines.sort((a, b) => key(a).localeCompare(key(b)));
}

let stations: Station[];
beforeAll(() => {
  if (process.getuid?.() === 0) stations = bed.hosts;
});

/** Starts the daemon of station `index` with more lines in its tunnel. */
function startStation(index: number, ...lines: string[]): Promise<Daemon> {
  const station = stations[index]!;
  return bed.start(station.host, stationConfig(station, macOf(index), lines));
}

/** The neighbours of station `index`, so that nothing asks by ARP. */
function neighborsOf(index: number): string {
  const others = stations.filter((_, i) => i !== index);
  const lines = others.map(
    (other) => `{ ip: ${other.overlayIp}, mac: "${macOf(stations.indexOf(other))}" }`,
  );
  return `neighbors: [${lines.join(", ")}]`;
}

const remotes = (...indices: number[]): string =>
  `remotes: [${indices.map((i) => stations[i]!.underlayIp).join(", ")}]`;

describe("learning", () => {
  it("enters who sent, beside what the config says", async () => {
    const [a, b] = stations as [Station, Station];
    const first = await startStation(0, remotes(1));
    const second = await startStation(1, remotes(0));
    await expectReachable(a.host, b.overlayIp);
    expect(await fdbOf(first)).toEqual([
      permanent(zeroMac, b.underlayIp),
      learned(macOf(1), b.underlayIp),
    ]);
    expect(await fdbOf(second)).toEqual([
      permanent(zeroMac, a.underlayIp),
      learned(macOf(0), a.underlayIp),
    ]);
    expect(eventOf(await countersOf(first), "learned")).toBe(1);
  });

  it("forgets after ageing_s what was not heard of again, static entries never", async () => {
    const [a, b, c] = stations as [Station, Station, Station];
    const fixed = "02:00:00:00:00:0f";
    const entry = `fdb: [{ mac: "${fixed}", dst: ${c.underlayIp} }]`;
    const first = await startStation(0, remotes(1), "ageing_s: 2", entry, neighborsOf(0));
    await startStation(1, remotes(0), neighborsOf(1));
    await expectReachable(a.host, b.overlayIp);
    const kept = [permanent(zeroMac, b.underlayIp), permanent(fixed, c.underlayIp)];
    await eventually(async () => expect(await fdbOf(first)).toEqual(kept));
    await expectReachable(a.host, b.overlayIp);
    expect(await fdbOf(first)).toContainEqual(learned(macOf(1), b.underlayIp));
  });

  it("follows a MAC that moves, but not away from a static entry", async () => {
    const [a, b, c] = stations as [Station, Station, Station];
    const fixed = "02:00:00:00:00:0f";
    const entry = `fdb: [{ mac: "${fixed}", dst: ${b.underlayIp} }]`;
    const daemon = await startStation(0, remotes(1, 2), entry);
    const frame = (mac: string) =>
      `send(IP(dst="${a.underlayIp}")/UDP(sport=50000,dport=4789)/VXLAN(flags=8,vni=100)` +
      `/Ether(src="${mac}",dst="${macOf(0)}")/IP(src="10.99.0.9",dst="10.99.0.1")/ICMP())`;
    const roaming = "02:00:00:00:00:0e";
    scapy(b.host, [frame(roaming)]);
    await eventually(async () =>
      expect(await fdbOf(daemon)).toContainEqual(learned(roaming, b.underlayIp)),
    );
    scapy(c.host, [frame(roaming), frame(fixed)]);
    await eventually(async () =>
      expect(await fdbOf(daemon)).toContainEqual(learned(roaming, c.underlayIp)),
    );
    await eventually(async () =>
      expect(dropsOf(await countersOf(daemon))).toEqual({ "ingress static-mac-moved": 1 }),
    );
    expect(await fdbOf(daemon)).toContainEqual(permanent(fixed, b.underlayIp));
    expect(eventOf(await countersOf(daemon), "moved")).toBe(1);
  });
});

describe("a static FDB", () => {
  it("of the config carries traffic without learning or flooding", async () => {
    const [a, b] = stations as [Station, Station];
    const entry = (index: number) =>
      `fdb: [{ mac: "${macOf(index)}", dst: ${stations[index]!.underlayIp} }]`;
    const first = await startStation(0, "learning: false", entry(1), neighborsOf(0));
    await startStation(1, "learning: false", entry(0), neighborsOf(1));
    const ends = { from: a.host, to: b.host, address: b.overlayIp, back: a.overlayIp };
    await expectPings(ends);
    expect(await fdbOf(first)).toEqual([permanent(macOf(1), b.underlayIp)]);
    const counters = await countersOf(first);
    expect([eventOf(counters, "learned"), eventOf(counters, "floods")]).toEqual([0, 0]);
  });

  it("changed by culvert fdb is in force at once", async () => {
    const [a, b, c] = stations as [Station, Station, Station];
    const first = await startStation(0, "learning: false", neighborsOf(0));
    await startStation(1, "learning: false", remotes(0), neighborsOf(1));
    const mac = macOf(1);
    const fdb = (words: string): Promise<string> => culvert(first, `fdb ${words}`);
    const passes = (): Promise<void> => expectReachable(a.host, b.overlayIp);
    const fails = (): Promise<void> => expectUnreachable(a.host, b.overlayIp);

    await fails();
    expect(dropsOf(await countersOf(first))).toEqual({ "egress l2miss": 2 });
    await fdb(`add ${mac} dev vxlan100 dst ${b.underlayIp}`);
    await passes();
    const again = await first.culvert(
      ..."fdb add".split(" "),
      mac,
      "dev",
      "vxlan100",
      "dst",
      "::1",
    );
    expect(again.status).not.toBe(0);
    await fdb(`replace ${mac} dev vxlan100 dst ${c.underlayIp}`);
    await fails();
    await fdb(`replace ${mac} dev vxlan100 dst ${b.underlayIp}`);
    await passes();
    await fdb(`del ${mac} dev vxlan100`);
    await fails();
    await fdb(`append ${zeroMac} dev vxlan100 dst ${b.underlayIp}`);
    await passes();
    await fdb(`append ${zeroMac} dev vxlan100 dst ${c.underlayIp}`);
    await passes();
    await fdb(`del ${zeroMac} dev vxlan100`);
    await fails();
    await fdb(`add ${mac} dev vxlan100 dst ${b.underlayIp}`);
    await passes();
    expect(await fdb("flush dev vxlan100")).toBe("1 entry removed\n");
    expect(await fdbOf(first)).toEqual([]);
    await fails();
  });

  it("can name another port and VNI for one remote", async () => {
    const [a, b] = stations as [Station, Station];
    const first = await startStation(0, neighborsOf(0));
    const config = stationConfig(b, macOf(1), [
      "port: 8472",
      // Learned remotes have the tunnel's own port and VNI, as the kernel's: here the flood list
      // knows better.
      "learning: false",
      neighborsOf(1),
      `remotes: [{ dst: ${a.underlayIp}, port: 4789, vni: 100 }]`,
    ]).replace("vni: 100", "vni: 7");
    await bed.start(b.host, config);
    await expectUnreachable(a.host, b.overlayIp);
    await culvert(first, `fdb add ${macOf(1)} dev vxlan100 dst ${b.underlayIp} port 8472 vni 7`);
    await expectReachable(a.host, b.overlayIp);
    const shown = await culvert(first, "fdb show dev vxlan100");
    expect(shown).toContain(`${macOf(1)} dst ${b.underlayIp} port 8472 vni 7 self permanent`);
  });
});

describe("head-end replication", () => {
  it("takes a broadcast to every member of the flood list, once", async () => {
    const [a, b, c] = stations as [Station, Station, Station];
    const first = await startStation(0, remotes(1, 2), neighborsOf(0));
    const others = [
      await startStation(1, remotes(0, 2), neighborsOf(1)),
      await startStation(2, remotes(0, 1), neighborsOf(2)),
    ];
    await expectReachable(a.host, b.overlayIp);
    await expectReachable(a.host, c.overlayIp);
    const before = await countersOf(first);
    const child = a.host.spawn(["ping", "-n", "-b", "-c", "3", "-i", "0.2", "10.99.0.255"]);
    const { stdout } = await child.wait(10_000);
    for (const { overlayIp } of [b, c]) {
      // ping ends with the first reply to its last request.
      const replies = stdout.split(`bytes from ${overlayIp}:`).length - 1;
      expect(replies, `${overlayIp} in\n${stdout}`).toBeGreaterThanOrEqual(2);
    }
    const after = await countersOf(first);
    expect(eventOf(after, "floods") - eventOf(before, "floods")).toBe(3);
    const sent = after.tunnels[0]!.egress.packets - before.tunnels[0]!.egress.packets;
    expect(sent).toBe(6);
    for (const daemon of [first, ...others]) expect(dropsOf(await countersOf(daemon))).toEqual({});
  });

  it("resolves a neighbour by ARP to all, and asks only once", async () => {
    const [a, , c] = stations as [Station, Station, Station];
    await startStation(0, remotes(1, 2));
    const second = await startStation(1, remotes(0, 2));
    await startStation(2, remotes(0, 1));
    await expectReachable(a.host, c.overlayIp);
    await eventually(async () =>
      expect(await fdbOf(second)).toContainEqual(learned(macOf(0), a.underlayIp)),
    );
    expect(devicePackets(stations[1]!.host, "vxlan100").rx).toBeGreaterThan(0);
  });
});

describe("frames that are not for us", () => {
  it("never enter the overlay when their outer source is no remote", async () => {
    const [a, b, c] = stations as [Station, Station, Station];
    const daemon = await startStation(0, remotes(1));
    c.host.ip(
      ...["link", "add", "kernel0", "type", "vxlan", "id", "100", "dstport", "4789"],
      ...["local", c.underlayIp, "remote", a.underlayIp, "dev", "eth0"],
    );
    try {
      c.host.ip("addr", "add", `${c.overlayIp}/24`, "dev", "kernel0");
      c.host.ip("link", "set", "kernel0", "up");
      expect((await ping({ from: c.host, to: a.overlayIp, count: 3 })).received).toBe(0);
    } finally {
      c.host.ip("link", "del", "kernel0");
    }
    const drops = dropsOf(await countersOf(daemon));
    expect(Object.keys(drops)).toEqual(["ingress foreign-source"]);
    expect(devicePackets(a.host, "vxlan100").rx).toBe(0);
    expect(await fdbOf(daemon)).toEqual([permanent(zeroMac, b.underlayIp)]);
  });

  it("are taken from anyone, or from a prefix, when the config allows it", async () => {
    const [a, , c] = stations as [Station, Station, Station];
    for (const allow of ["any", "[10.57.4.22/31]"]) {
      const daemon = await startStation(0, remotes(1), `allow: ${allow}`);
      await startStation(2, remotes(0));
      await expectReachable(c.host, a.overlayIp);
      expect(dropsOf(await countersOf(daemon))["ingress foreign-source"]).toBeUndefined();
      expect(await bed.stopDaemons(false)).toEqual([]);
    }
  });

  it("are counted by reason and reach no device", async () => {
    const [a, b] = stations as [Station, Station];
    const daemon = await startStation(0, remotes(1));
    scapy(b.host, [
      `outer = IP(dst="${a.underlayIp}")/UDP(sport=50000, dport=4789)`,
      `packet = IP(src="10.99.0.2", dst="10.99.0.1")/ICMP()`,
      `inner = Ether(src="${macOf(1)}", dst="${macOf(0)}")/packet`,
      "send(outer/VXLAN(flags=8, vni=101)/inner, count=2)",
      "send(outer/VXLAN(flags=0, vni=100)/inner, count=3)",
      `send(outer/VXLAN(flags=8, vni=100)/Ether(src="${macOf(0)}", dst="${macOf(0)}")/packet, count=4)`,
      `send(outer/VXLAN(flags=8, vni=100)/Ether(src="01:00:00:00:00:01", dst="${macOf(0)}")/packet, count=5)`,
      `send(outer/Raw(bytes(VXLAN(flags=8, vni=100)/inner)[:21]), count=6)`,
      `head = outer/VXLAN(flags=8, vni=100)/Ether(src="${macOf(1)}", dst="${macOf(0)}")`,
      `send(head/IP(src="10.99.0.2", dst="10.99.0.1")/UDP(chksum=1)/("x" * 50), count=8)`,
      `send(head/IP(src="10.99.0.2", dst="10.99.0.1")/TCP(chksum=1)/("x" * 50), count=9)`,
      `send(head/IPv6(src="fd99::2", dst="fd99::1")/UDP(chksum=1)/("x" * 50), count=10)`,
      "outer_ce = outer.copy()",
      "outer_ce[IP].tos = 3",
      "send(outer_ce/VXLAN(flags=8, vni=100)/inner, count=7)",
    ]);
    await eventually(async () =>
      expect(dropsOf(await countersOf(daemon))).toEqual({
        "ingress unknown-vni": 2,
        "ingress bad-flags": 3,
        "ingress own-source": 4,
        "ingress invalid-source-mac": 5,
        "ingress truncated": 6,
        "ingress ecn": 7,
        "ingress inner-checksum": 8 + 9 + 10,
      }),
    );
    expect(devicePackets(a.host, "vxlan100").rx).toBe(0);
  });

  it("pass with reserved bits set, unless the tunnel is strict", async () => {
    const [a, b] = stations as [Station, Station];
    const lines = [
      `send(IP(dst="${a.underlayIp}")/UDP(sport=50000, dport=4789)` +
        `/Raw(bytes.fromhex("880000000000640f"))/Ether(src="${macOf(1)}", dst="${macOf(0)}")` +
        `/IP(src="10.99.0.2", dst="10.99.0.1")/ICMP(), count=3)`,
    ];
    const lenient = await startStation(0, remotes(1));
    scapy(b.host, lines);
    await eventually(() => expect(devicePackets(a.host, "vxlan100").rx).toBe(3));
    expect(dropsOf(await countersOf(lenient))).toEqual({});
    expect(await bed.stopDaemons(false)).toEqual([]);

    const strict = await startStation(0, remotes(1), "strict_reserved: true");
    scapy(b.host, lines);
    await eventually(async () =>
      expect(dropsOf(await countersOf(strict))).toEqual({ "ingress bad-flags": 3 }),
    );
    expect(devicePackets(a.host, "vxlan100").rx).toBe(0);
  });
});
