// Keepalives between daemons and towards a kernel peer: round-trip time, loss as a firewall makes
// it, peers that come and go; and that whoever is no culvert neither answers nor minds.

import { expect, it } from "vitest";
import { createTwoHosts, type TwoHosts } from "../../src/testbed/two-hosts.js";
import {
  Capture,
  countersOf,
  culvertJson,
  dropsOf,
  eventOf,
  eventually,
  silenceIpv6,
  useBed,
  vxlanConfig,
} from "./support.js";
import { expectPings, expectReachable, pods } from "./traffic.js";

const bed = useBed(["tcpdump", "tshark", "nft"], (cleanup) => {
  const hosts = createTwoHosts(cleanup);
  for (const { host } of [hosts.left, hosts.right]) silenceIpv6(host);
  return hosts;
});

interface Remote {
  address: string;
  state: string;
  last_seen_s_ago: number | null;
  rtt_us: number | null;
  loss: { egress: number | null; ingress: number | null };
  macs: number;
  pmtu_bytes: number;
}

interface Status {
  tunnels: { remotes: Remote[] }[];
}

type Daemon = Awaited<ReturnType<typeof bed.start>>;

async function remoteOf(daemon: Daemon): Promise<Remote> {
  const { tunnels } = await culvertJson<Status>(daemon, "status");
  expect(tunnels[0]!.remotes).toHaveLength(1);
  return tunnels[0]!.remotes[0]!;
}

const eventuallyIs = (daemon: Daemon, state: string) =>
  eventually(async () => {
    const remote = await remoteOf(daemon);
    expect(remote).toMatchObject({ state });
    return remote;
  });

const everySecond = { tunnel: ["keepalive_s: 1"] };

function pair(hosts: TwoHosts): Promise<[Daemon, Daemon]> {
  return bed.pair(hosts, (side, peer) => vxlanConfig(side, peer, everySecond));
}

it("tells that a peer is up, how far it is, and when it is gone", async () => {
  const [left, right] = await pair(bed.hosts);
  for (const daemon of [left, right]) {
    const remote = await eventuallyIs(daemon, "up");
    expect(remote.rtt_us).toBeGreaterThan(0);
    expect(remote.rtt_us).toBeLessThan(1e6);
    expect(remote.pmtu_bytes).toBe(1500);
    expect(remote.last_seen_s_ago).toBeLessThan(30);
  }
  const report = await countersOf(left);
  expect(eventOf(report, "keepalives-received")).toBeGreaterThan(0);
  // No packet of the tunnel, nothing learned, nothing dropped.
  expect(report.tunnels[0]).toMatchObject({ ingress: { packets: 0 }, egress: { packets: 0 } });
  expect(dropsOf(report)).toEqual({});
  await right.stop();
  expect(await eventuallyIs(left, "down")).toMatchObject({ rtt_us: null });
  expect((await left.culvert("status")).stdout).toMatch(/10\.57\.4\.21 +down /);
});

it("tells what gets lost on the way, each way", async () => {
  const hosts = bed.hosts;
  const [left] = await pair(hosts);
  await expectPings(pods(hosts));
  await eventuallyIs(left, "up");
  const { host } = hosts.right;
  host.run("nft", "add table ip lossy");
  host.run("nft", "add chain ip lossy input { type filter hook input priority 0 ; }");
  // Longer ones only: the keepalives get through.
  const tenth = "udp dport 4789 udp length > 150 numgen inc mod 10 == 0 counter drop";
  host.run("nft", `add rule ip lossy input ${tenth}`);
  try {
    await eventually(async () => {
      const many = ["-n", "-q", "-f", "-c", "200", "-s", "200", "-W", "1"];
      await hosts.left.pod.spawn(["ping", ...many, hosts.right.podIp]).wait(20_000);
      const { loss } = await remoteOf(left);
      expect(loss.egress).toBeGreaterThan(0.03);
      expect(loss.egress).toBeLessThan(0.2);
      expect(loss.ingress).toBeLessThan(0.02);
    });
  } finally {
    host.run("nft", "delete table ip lossy");
  }
  expect((await left.culvert("status")).stdout).toMatch(/ \d[\d.]*\/0[\d.]*% /);
});

it("goes unnoticed by a kernel peer, which passes traffic and stays unknown", async () => {
  const hosts = bed.hosts;
  const { left, right } = hosts;
  const link = (...words: string[]) => right.host.ip(...words);
  link(
    ...["link", "add", "vxlan100", "type", "vxlan", "id", "100", "local", right.underlayIp],
    ...["remote", left.underlayIp, "dstport", "4789", "dev", "eth0"],
  );
  try {
    link("addr", "add", `${right.overlayIp}/24`, "dev", "vxlan100");
    link("link", "set", "vxlan100", "up");
    link("route", "add", left.podNetwork, "via", left.overlayIp, "dev", "vxlan100", "onlink");
    const capture = await Capture.start(bed.cleanup, right.host, "eth0", "udp port 4789");
    const daemon = await bed.start(left.host, vxlanConfig(left, right, everySecond));
    await expectReachable(left.pod, right.podIp);
    await eventually(async () => {
      expect(eventOf(await countersOf(daemon), "keepalives-sent")).toBeGreaterThan(3);
    });
    // tshark sees VXLAN without the I flag; the kernel counts nothing at the device.
    const flagless = capture.rows("vxlan.flag_i == 0", ["ip.src", "vxlan.vni", "udp.length"]);
    expect(flagless.length).toBeGreaterThan(3);
    expect(new Set(flagless.map((row) => row.join(" ")))).toEqual(
      new Set([`${left.underlayIp} 100 64`]),
    );
    await capture.stop();
    const [stats] = JSON.parse(link("-s", "-j", "link", "show", "vxlan100")) as [
      { stats64: { rx: { errors: number; dropped: number } } },
    ];
    expect(stats.stats64.rx).toMatchObject({ errors: 0, dropped: 0 });
    expect(await remoteOf(daemon)).toMatchObject({
      ...{ state: "unknown", rtt_us: null, loss: { egress: null, ingress: null } },
    });
    expect(dropsOf(await countersOf(daemon))).toEqual({});
  } finally {
    link("link", "del", "vxlan100");
  }
});
