// ARP and neighbour-discovery proxy: questions of the host are answered from the neigh table and
// never cross the underlay.

import { beforeAll, describe, expect, it } from "vitest";
import type { Daemon } from "../../src/testbed/daemon.js";
import { ping } from "../../src/testbed/ping.js";
import {
  Capture,
  countersOf,
  createStations,
  culvert,
  dropsOf,
  eventOf,
  eventually,
  macOf,
  type Station,
  stationConfig,
  useBed,
} from "./support.js";
import { expectReachable } from "./traffic.js";

const bed = useBed(["tcpdump", "tshark"], (cleanup) => {
  const stations = createStations(cleanup, 2);
  // Overlay devices have IPv6, but nothing beside the addresses of the config: no address, so no
  // solicitation of it.
  for (const { host } of stations) {
    host.sysctl("net.ipv6.conf.default.disable_ipv6", 0);
    host.sysctl("net.ipv6.conf.default.addr_gen_mode", 1);
  }
  return stations;
});

let stations: Station[];
beforeAll(() => {
  if (process.getuid?.() === 0) stations = bed.hosts;
});

const ipv6Of = (index: number): string => `fd99::${index + 1}`;
const questions = "vxlan && (arp || icmpv6.type == 135)";

function startStation(index: number, ...lines: string[]): Promise<Daemon> {
  const station = stations[index]!;
  const remote = `remotes: [${stations[1 - index]!.underlayIp}]`;
  const config = stationConfig(station, macOf(index), [remote, "proxy: true", ...lines]).replace(
    "/24]",
    `/24, "${ipv6Of(index)}/64"]`,
  );
  return bed.start(station.host, config);
}

/** The neighbours of station `index`: the other station. */
function neighborsOf(index: number): string {
  const other = 1 - index;
  const ips = [stations[other]!.overlayIp, ipv6Of(other)];
  return `neighbors: [${ips.map((ip) => `{ ip: "${ip}", mac: "${macOf(other)}" }`).join(", ")}]`;
}

/** The kernel knows configured neighbours by itself: without that it has to ask. */
function forgetNeighbours(host: Station["host"]): void {
  for (const family of ["-4", "-6"]) {
    host.ip(family, "neigh", "flush", "dev", "vxlan100", "nud", "all");
  }
}

/** MAC by IP of what the kernel found out. */
function resolved(host: Station["host"]): Record<string, string | undefined> {
  const lines = ["-4", "-6"].flatMap(
    (family) =>
      JSON.parse(host.ip("-j", family, "neigh", "show", "dev", "vxlan100")) as {
        dst: string;
        lladdr?: string;
      }[],
  );
  return Object.fromEntries(lines.map(({ dst, lladdr }) => [dst, lladdr]));
}

describe("the proxy", () => {
  it("answers ARP and neighbour solicitations of known neighbours, without a frame on the underlay", async () => {
    const [a, b] = stations as [Station, Station];
    const first = await startStation(0, neighborsOf(0));
    await startStation(1, neighborsOf(1));
    const capture = await Capture.start(bed.cleanup, a.host, "eth0", "udp port 4789");
    forgetNeighbours(a.host);
    await expectReachable(a.host, b.overlayIp);
    await expectReachable(a.host, ipv6Of(1));
    expect(resolved(a.host)).toMatchObject({
      [b.overlayIp]: macOf(1),
      [ipv6Of(1)]: macOf(1),
    });
    const counters = await countersOf(first);
    expect(eventOf(counters, "arp-replies")).toBeGreaterThanOrEqual(1);
    expect(eventOf(counters, "nd-replies")).toBeGreaterThanOrEqual(1);
    expect(dropsOf(counters)).toEqual({});
    await eventually(() => {
      expect(capture.rows("vxlan && icmp", ["ip.src"]).length).toBeGreaterThanOrEqual(2);
      expect(capture.rows("vxlan && icmpv6", ["ipv6.src"]).length).toBeGreaterThanOrEqual(2);
    });
    await capture.stop();
    expect(capture.rows(questions, ["frame.number"])).toEqual([]);
  });

  it("counts an l3miss for a neighbour it does not know, and does not flood", async () => {
    const [a] = stations as [Station, Station];
    const first = await startStation(0);
    const second = await startStation(1);
    const capture = await Capture.start(bed.cleanup, a.host, "eth0", "udp port 4789");
    for (const to of ["10.99.0.77", "fd99::77"]) {
      const before = dropsOf(await countersOf(first))["egress l3miss"] ?? 0;
      expect((await ping({ from: a.host, to, count: 1 })).received).toBe(0);
      expect(dropsOf(await countersOf(first))["egress l3miss"]).toBeGreaterThan(before);
    }
    await capture.stop();
    expect(capture.rows(questions, ["frame.number"])).toEqual([]);
    const counters = await countersOf(first);
    expect([eventOf(counters, "arp-replies"), eventOf(counters, "nd-replies")]).toEqual([0, 0]);
    expect(dropsOf(await countersOf(second))).toEqual({});
  });

  it("follows culvert neigh at once", async () => {
    const [a, b] = stations as [Station, Station];
    const first = await startStation(0);
    await startStation(1, neighborsOf(1));
    expect((await ping({ from: a.host, to: b.overlayIp, count: 1 })).received).toBe(0);
    await culvert(first, `neigh add ${b.overlayIp} lladdr ${macOf(1)} dev vxlan100`);
    const shown = await culvert(first, "neigh show dev vxlan100");
    expect(shown).toBe(`${b.overlayIp} lladdr ${macOf(1)} PERMANENT \n`);
    forgetNeighbours(a.host);
    await expectReachable(a.host, b.overlayIp);
    expect(eventOf(await countersOf(first), "arp-replies")).toBeGreaterThanOrEqual(1);

    await culvert(first, `neigh del ${b.overlayIp} dev vxlan100`);
    forgetNeighbours(a.host);
    expect((await ping({ from: a.host, to: b.overlayIp, count: 1 })).received).toBe(0);
    expect(dropsOf(await countersOf(first))["egress l3miss"]).toBeGreaterThan(0);
  });
});
