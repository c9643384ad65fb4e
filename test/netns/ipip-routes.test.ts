// Routes over an ipip device as users, routing daemons and the kernel set and remove them, and what
// the daemon makes of them: the real kernel, iproute2, packets on the wire.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { RouteEntry } from "../../src/control/route-target.js";
import type { StatusReport } from "../../src/control/target.js";
import { type Daemon, temporaryFolder } from "../../src/testbed/daemon.js";
import {
  Capture,
  countersOf,
  createStations,
  culvert,
  culvertEnds,
  culvertJson,
  dropsOf,
  eventually,
  type Station,
  scapy,
  useBed,
} from "./support.js";
import { expectReachable } from "./traffic.js";

const bed = useBed(["tcpdump", "tshark", "scapy"], (cleanup) => createStations(cleanup, 3));

const config = (station: Station, lines: readonly string[] = []): string => `tunnels:
  - name: ipip0
    type: ipip
    local: ${station.underlayIp}
    addresses: [${station.overlayIp}/32]
${lines.map((line) => `    ${line}\n`).join("")}`;

const start = (station: Station, lines: readonly string[] = []): Promise<Daemon> =>
  bed.start(station.host, config(station, lines));

const stations = () => bed.hosts as [Station, Station, Station];

/** Words of `ip route` in a station's namespace. */
const route = ({ host }: Station, words: string): string => host.ip("route", ...words.split(" "));

/** `DST HOP*WEIGHT ...` of what is in use. */
async function used(daemon: Daemon): Promise<string[]> {
  const routes = await culvertJson<RouteEntry[]>(daemon, "route", "show");
  return routes.flatMap((entry) => {
    const hops = entry.nexthops ?? [{ ...entry, weight: 1 }];
    const usable = hops.filter(({ flags }) => flags.every((flag) => flag === "onlink"));
    if (usable.length === 0) return [];
    const texts = usable.map(({ gateway = "direct", weight }) => `${gateway}*${weight}`);
    return [`${entry.dst} ${texts.join(" ")}`];
  });
}

const expectUsed = (daemon: Daemon, expected: readonly string[]): Promise<void> =>
  eventually(async () => expect(await used(daemon)).toEqual(expected));

/** Routes as a file for `ip -batch`. */
function batch({ host }: Station, lines: readonly string[]): void {
  const file = join(temporaryFolder(bed.cleanup, "batch"), "routes");
  writeFileSync(file, lines.map((line) => `${line}\n`).join(""));
  host.ip("-batch", file);
}

const prefix = (n: number): string => `100.${64 + (n >> 14)}.${(n >> 6) & 255}.${(n & 63) * 4}/30`;

describe("routes set by ip route", () => {
  it("carry packets as soon as they are there, and none when they are gone", async () => {
    const [a, b, c] = stations();
    const daemon = await start(a);
    await start(b, [`routes: [{ to: ${a.overlayIp}/32, via: ${a.underlayIp} }]`]);
    await start(c, [`routes: [{ to: ${a.overlayIp}/32, via: ${a.underlayIp} }]`]);
    expect(await used(daemon)).toEqual([]);
    route(a, `add ${b.overlayIp}/32 via ${b.underlayIp} dev ipip0 onlink`);
    await expectReachable(a.host, b.overlayIp);
    route(a, `replace ${b.overlayIp}/32 via ${c.underlayIp} dev ipip0 onlink`);
    await expectUsed(daemon, [`${b.overlayIp} ${c.underlayIp}*1`]);
    const capture = await Capture.start(bed.cleanup, a.host, "eth0", "ip proto 4");
    scapy(a.host, [`send(IP(dst="${b.overlayIp}")/ICMP(), count=3)`]);
    await eventually(() =>
      expect(capture.rows("icmp.type == 8", ["ip.dst"])).toEqual(
        Array.from({ length: 3 }, () => [`${c.underlayIp},${b.overlayIp}`]),
      ),
    );
    await capture.stop();
    route(a, `del ${b.overlayIp}/32`);
    await expectUsed(daemon, []);
  });

  it("of several the main table's and then the lowest metric is used", async () => {
    const [a, b, c] = stations();
    const daemon = await start(a);
    const net = "192.168.11.0/24";
    route(a, `add ${net} via 10.57.4.99 dev ipip0 onlink table 100`);
    await expectUsed(daemon, [`${net} 10.57.4.99*1`]);
    route(a, `add ${net} via ${b.underlayIp} dev ipip0 onlink metric 10`);
    await expectUsed(daemon, [`${net} ${b.underlayIp}*1`]);
    route(a, `add ${net} via ${c.underlayIp} dev ipip0 onlink metric 5`);
    await expectUsed(daemon, [`${net} ${c.underlayIp}*1`]);
    route(a, `del ${net} metric 5`);
    route(a, `del ${net} metric 10`);
    await expectUsed(daemon, [`${net} 10.57.4.99*1`]);
    // In place of it one over another device: the kernel tells of the new one alone.
    route(a, `add ${net} via ${b.underlayIp} dev ipip0 onlink`);
    route(a, `replace ${net} via ${b.underlayIp} dev eth0`);
    await expectUsed(daemon, [`${net} 10.57.4.99*1`]);
    route(a, `del ${net}`);
  });

  it("of several next hops the flow decides, and a lost one is no longer used", async () => {
    const [a, b, c] = stations();
    const daemon = await start(a);
    const net = "192.168.11.0/24";
    const hops = [b, c].map(({ underlayIp }) => `nexthop via ${underlayIp} dev ipip0 onlink`);
    route(a, `add ${net} ${hops.join(" ")}`);
    await expectUsed(daemon, [`${net} ${b.underlayIp}*1 ${c.underlayIp}*1`]);
    const capture = await Capture.start(bed.cleanup, a.host, "eth0", "ip proto 4");
    const flows = `[send(IP(dst="192.168.11.7")/UDP(sport=1000+n, dport=9)) for n in range(64)]`;
    const outer = (): string[] =>
      capture.rows("udp", ["ip.dst"]).map(([text]) => text!.split(",")[0]!);
    scapy(a.host, [flows]);
    await eventually(() => expect(outer()).toHaveLength(64));
    for (const { underlayIp } of [b, c]) {
      expect(outer().filter((dst) => dst === underlayIp).length).toBeGreaterThan(8);
    }
    route(a, `replace ${net} via ${c.underlayIp} dev ipip0 onlink`);
    await expectUsed(daemon, [`${net} ${c.underlayIp}*1`]);
    scapy(a.host, [flows]);
    await eventually(() => expect(outer()).toHaveLength(128));
    expect(new Set(outer().slice(64))).toEqual(new Set([c.underlayIp]));
    await capture.stop();
  });

  it("of nexthop objects follow these, also when one is deleted, which nobody tells", async () => {
    const [a, b, c] = stations();
    const daemon = await start(a);
    const nexthop = (words: string) => a.host.ip("nexthop", ...words.split(" "));
    nexthop(`add id 1 via ${b.underlayIp} dev ipip0 onlink`);
    route(a, "add 192.168.17.0/24 nhid 1");
    await expectUsed(daemon, [`192.168.17.0/24 ${b.underlayIp}*1`]);
    nexthop(`replace id 1 via ${c.underlayIp} dev ipip0 onlink`);
    await expectUsed(daemon, [`192.168.17.0/24 ${c.underlayIp}*1`]);
    nexthop("del id 1");
    await expectUsed(daemon, []);
  });

  it("without next hop lead to the inner destination itself", async () => {
    const [a] = stations();
    const daemon = await start(a);
    route(a, "add 10.57.9.0/24 dev ipip0");
    await expectUsed(daemon, ["10.57.9.0/24 direct*1"]);
    const decision = await culvertJson<object>(daemon, "route", "get", "10.57.9.7");
    expect(decision).toMatchObject({ match: "10.57.9.0/24", outer: "10.57.9.7" });
  });

  it("of IPv6 have IPv4 next hops as ::a.b.c.d, several as one route", async () => {
    const [a, b, c] = stations();
    const daemon = await start(a, ["mode: any"]);
    a.host.sysctl("net.ipv6.conf.ipip0.disable_ipv6", 0);
    const route6 = (words: string) => a.host.ip("-6", "route", ...words.split(" "));
    const net = "fd11::/48";
    route6(`add ${net} via ::${b.underlayIp} dev ipip0 onlink`);
    await eventually(async () =>
      expect(await used(daemon)).toContain(`${net} ::${b.underlayIp}*1`),
    );
    route6(`append ${net} via ::ffff:${c.underlayIp} dev ipip0 onlink`);
    await eventually(async () => {
      const decision = await culvertJson<object>(daemon, "route", "get", "fd11::7");
      const hops = [b, c].map(({ underlayIp }) => ({ outer: underlayIp, weight: 1 }));
      expect(decision).toMatchObject({ match: net, nexthops: expect.arrayContaining(hops) });
    });
    route6(`del ${net} via ::${b.underlayIp} dev ipip0`);
    await eventually(async () =>
      expect(await used(daemon)).toContain(`${net} ::ffff:${c.underlayIp}*1`),
    );
  });

  it("over an IPv6 underlay reach hosts on the link: encap ip6 where a gateway is refused", async () => {
    const [a, b] = stations();
    const underlay6 = (last: number) => `fd57::${last}`;
    const sides = [
      { ...a, own: underlay6(1), peer: underlay6(2), overlay: "192.168.61.1" },
      { ...b, own: underlay6(2), peer: underlay6(1), overlay: "192.168.61.2" },
    ];
    const daemons: Daemon[] = [];
    for (const { host, own, peer, overlay } of sides) {
      for (const dev of ["default", "eth0"]) host.sysctl(`net.ipv6.conf.${dev}.disable_ipv6`, 0);
      host.ip("addr", "add", `${own}/64`, "dev", "eth0", "nodad");
      const other = overlay === "192.168.61.1" ? "192.168.61.2" : "192.168.61.1";
      const lines = [
        "mode: any",
        `local: "${own}"`,
        `addresses: [${overlay}/32, "fd61::${own.at(-1)}/128"]`,
      ];
      const routes = `routes: [{ to: ${other}/32, via: "${peer}" }, { to: "fd61::${peer.at(-1)}/128", via: "${peer}" }]`;
      const text = [...lines, routes].map((line) => `    ${line}\n`).join("");
      daemons.push(await bed.start(host, `tunnels:\n  - name: ipip0\n    type: ipip\n${text}`));
    }
    const [first] = daemons as [Daemon, Daemon];
    expect(a.host.ip("route", "show", "dev", "ipip0")).toContain("encap ip6");
    await expectReachable(a.host, "192.168.61.2");
    await expectReachable(a.host, "fd61::2");
    // And so does anybody's route.
    a.host.ip("route", "add", "10.99.0.0/16", "encap", "ip6", "dst", "fd57::2", "dev", "ipip0");
    await eventually(async () => {
      expect(await culvert(first, "route get 10.99.1.1")).toContain("outer fd57::2");
    });
    for (const { host } of sides) {
      for (const dev of ["default", "eth0"]) host.sysctl(`net.ipv6.conf.${dev}.disable_ipv6`, 1);
    }
  });

  it("to an address that packets cannot be sent to are refused with reason", async () => {
    const [a] = stations();
    const daemon = await start(a);
    route(a, "add 192.168.14.0/24 via 0.0.0.9 dev ipip0 onlink");
    await eventually(async () => {
      const [tunnel] = (await culvertJson<StatusReport>(daemon, "status")).tunnels;
      expect(tunnel).toMatchObject({ route_entries: 0, route_problems: { unreachable: 1 } });
    });
    expect(daemon.log).toContain("unreachable next hop");
  });
});

describe("what the kernel does not tell", () => {
  const net = "192.168.11.0/24";
  const add = (a: Station, b: Station) =>
    route(a, `add ${net} via ${b.underlayIp} dev ipip0 onlink`);

  it("routes go with the link, and come again", async () => {
    const [a, b] = stations();
    const daemon = await start(a);
    add(a, b);
    await expectUsed(daemon, [`${net} ${b.underlayIp}*1`]);
    a.host.ip("link", "set", "ipip0", "down");
    await expectUsed(daemon, []);
    a.host.ip("link", "set", "ipip0", "up");
    add(a, b);
    await expectUsed(daemon, [`${net} ${b.underlayIp}*1`]);
  });

  it("routes go with the device's last address", async () => {
    const [a, b] = stations();
    const daemon = await start(a);
    add(a, b);
    await expectUsed(daemon, [`${net} ${b.underlayIp}*1`]);
    a.host.ip("addr", "del", `${a.overlayIp}/32`, "dev", "ipip0");
    await expectUsed(daemon, []);
  });
});

describe("very many routes", () => {
  const count = 20_000;
  const lines = (word: string, via: (n: number) => string): string[] =>
    Array.from({ length: count }, (_, n) => `route ${word} ${prefix(n)} ${via(n)}`);
  const over = (n: number): string => `via 10.57.4.${21 + (n % 2)} dev ipip0 onlink`;
  const entries = async (daemon: Daemon): Promise<number> =>
    (await culvertJson<StatusReport>(daemon, "status")).tunnels[0]!.route_entries;

  it("are mirrored, shown and removed", async () => {
    const [a] = stations();
    const daemon = await start(a);
    batch(a, lines("add", over));
    await eventually(async () => expect(await entries(daemon)).toBe(count));
    const shown = await culvertJson<RouteEntry[]>(daemon, "route", "show");
    expect(new Set(shown.map(({ dst }) => dst)).size).toBe(count);
    expect(shown[2]).toMatchObject({ dst: prefix(2), gateway: "10.57.4.21" });
    batch(
      a,
      lines("del", () => "dev ipip0"),
    );
    await eventually(async () => expect(await entries(daemon)).toBe(0));
    expect(await used(daemon)).toEqual([]);
  });

  it("are right again after changes that nobody could take", async () => {
    const [a] = stations();
    const daemon = await start(a);
    batch(a, lines("add", over));
    await eventually(async () => expect(await entries(daemon)).toBe(count));
    process.kill(daemon.pid, "SIGSTOP");
    try {
      // Twice as many as fit the socket's 32 MiB, about 1 KiB each.
      for (let round = 0; round < 2; round++) {
        batch(
          a,
          lines("replace", () => "via 10.57.4.31 dev ipip0 onlink"),
        );
        batch(a, lines("replace", over));
      }
      batch(
        a,
        lines("replace", () => "via 10.57.4.32 dev ipip0 onlink"),
      );
      route(a, `del ${prefix(7)}`);
    } finally {
      process.kill(daemon.pid, "SIGCONT");
    }
    await eventually(async () => expect(await entries(daemon)).toBe(count - 1));
    await eventually(() => expect(daemon.log).toContain("reading all again"));
    await eventually(async () => {
      const shown = await culvertJson<RouteEntry[]>(daemon, "route", "show");
      expect(shown.every(({ gateway }) => gateway === "10.57.4.32")).toBe(true);
      expect(shown).toHaveLength(count - 1);
    });
  });
});

describe("recursion", () => {
  it("in the configuration is refused, with route, gateway and cure", async () => {
    const [a, b] = stations();
    const routes = `routes: [{ to: 10.57.4.0/25, via: ${b.underlayIp} }]`;
    for (const [lines, what] of [
      [[routes], `route 10.57.4.0/25 via ${b.underlayIp}`],
      [[`remote: ${b.underlayIp}`, "routes: [{ to: 10.57.4.0/25 }]"], `its remote ${b.underlayIp}`],
    ] as const) {
      const { status, stderr, stdout } = await culvertEnds(bed, a.host, config(a, lines));
      expect(status).toBe(1);
      const output = stderr + stdout;
      expect(output).toContain(`tunnel ipip0: ${what} is reached through the tunnel itself`);
      expect(output).toContain(`ip route add ${b.underlayIp}/32`);
    }
  });

  it("that comes later is told, not used, and used again when it is cured", async () => {
    const [a, b, c] = stations();
    const daemon = await start(a, [`routes: [{ to: 192.168.11.0/24, via: ${b.underlayIp} }]`]);
    await expectUsed(daemon, [`192.168.11.0/24 ${b.underlayIp}*1`]);
    route(a, `add 10.57.4.0/25 via ${b.underlayIp} dev ipip0 onlink`);
    await expectUsed(daemon, []);
    await eventually(async () => {
      const [tunnel] = (await culvertJson<StatusReport>(daemon, "status")).tunnels;
      expect(tunnel).toMatchObject({ route_problems: { recursive: [b.underlayIp] } });
    });
    expect(daemon.log).toContain("next hops are reached through the tunnel itself");
    // What the kernel routes by the longer prefix is not for the shorter one's next hop.
    route(a, `add ${c.underlayIp}/32 dev eth0`);
    route(a, `add 192.168.0.0/16 via ${c.underlayIp} dev ipip0 onlink`);
    await expectUsed(daemon, [`192.168.0.0/16 ${c.underlayIp}*1`]);
    const dropped = async () => dropsOf(await countersOf(daemon))["egress no-route"] ?? 0;
    const before = await dropped();
    scapy(a.host, [`send(IP(dst="192.168.11.9")/ICMP(), count=3)`]);
    await eventually(async () => expect(await dropped()).toBe(before + 3));
    route(a, "del 192.168.0.0/16");
    route(a, `add ${b.underlayIp}/32 dev eth0`);
    await expectUsed(daemon, [
      `10.57.4.0/25 ${b.underlayIp}*1`,
      `192.168.11.0/24 ${b.underlayIp}*1`,
    ]);
    route(a, `del ${b.underlayIp}/32 dev eth0`);
    await expectUsed(daemon, []);
    route(a, "del 10.57.4.0/25");
    await expectUsed(daemon, [`192.168.11.0/24 ${b.underlayIp}*1`]);
  });
});

describe("who may send", () => {
  it("is whom a route leads to, as long as it does", async () => {
    const [a, b] = stations();
    const daemon = await start(a);
    const packet = `IP(dst="${a.underlayIp}")/IP(src="${b.overlayIp}", dst="${a.overlayIp}")/ICMP()`;
    const foreign = async () => dropsOf(await countersOf(daemon))["ingress foreign-source"] ?? 0;
    const send = () => scapy(b.host, [`send(${packet}, count=3)`]);
    send();
    await eventually(async () => expect(await foreign()).toBe(3));
    route(a, `add ${b.overlayIp}/32 via ${b.underlayIp} dev ipip0 onlink`);
    await expectUsed(daemon, [`${b.overlayIp} ${b.underlayIp}*1`]);
    await expectReachesDevice(daemon, send);
    expect(await foreign()).toBe(3);
    route(a, `del ${b.overlayIp}/32`);
    await expectUsed(daemon, []);
    send();
    await eventually(async () => expect(await foreign()).toBe(6));
  });
});

async function expectReachesDevice(daemon: Daemon, send: () => void): Promise<void> {
  const packets = async () => (await countersOf(daemon)).tunnels[0]!.ingress.packets;
  const before = await packets();
  send();
  await eventually(async () => expect(await packets()).toBe(before + 3));
}
