// `direct: true`: of three hosts two share a subnet and the third is behind a router. What the wire
// shows between each pair, with IPIP and with VXLAN, and what happens while traffic flows when a
// peer leaves the subnet and comes back.

import { describe, expect, it } from "vitest";
import type { StatusReport } from "../../src/control/target.js";
import type { Cleanup } from "../../src/testbed/cleanup.js";
import type { Daemon } from "../../src/testbed/daemon.js";
import { addVeth, Namespace } from "../../src/testbed/namespace.js";
import { ping } from "../../src/testbed/ping.js";
import { culvertEntry } from "../../src/testbed/project.js";
import { Capture, culvert, culvertJson, eventually, silenceIpv6, useBed } from "./support.js";
import { expectReachable, expectTcp } from "./traffic.js";

interface Host {
  host: Namespace;
  pod: Namespace;
  underlayIp: string;
  podIp: string;
  podNetwork: string;
  /** On the VXLAN device. */
  overlayIp: string;
  mac: string;
}

const ROUTER = "10.57.4.254";

/** A host with a pod behind it; its underlay device is one end of a veth into `router`. */
function createHost(cleanup: Cleanup, router: Namespace, number: number, underlayIp: string): Host {
  const host = Namespace.create(cleanup, `host${number}`);
  const pod = Namespace.create(cleanup, `pod${number}`);
  silenceIpv6(host);
  silenceIpv6(pod);
  addVeth({ namespace: host, device: "eth0" }, { namespace: router, device: `port${number}` });
  host.ip("addr", "add", `${underlayIp}/24`, "dev", "eth0");
  host.ip("route", "add", "default", "via", underlayIp.replace(/\d+$/, "254"), "dev", "eth0");
  host.sysctl("net.ipv4.ip_forward", 1);
  host.sysctl("net.ipv4.conf.all.rp_filter", 2);
  addVeth({ namespace: host, device: "pod0" }, { namespace: pod, device: "eth0" });
  const net = `192.168.${10 + number}`;
  host.ip("addr", "add", `${net}.254/24`, "dev", "pod0");
  pod.ip("addr", "add", `${net}.10/24`, "dev", "eth0");
  pod.ip("route", "add", "default", "via", `${net}.254`);
  return {
    ...{ host, pod, underlayIp, podIp: `${net}.10`, podNetwork: `${net}.0/24` },
    ...{ overlayIp: `10.99.0.${number}`, mac: `02:00:00:00:00:0${number}` },
  };
}

/** Hosts 1 and 2 on the router's bridge, 10.57.4.0/24; host 3 on a link of its own. */
const bed = useBed(["iperf3", "tcpdump", "tshark"], (cleanup) => {
  const router = Namespace.create(cleanup, "router");
  silenceIpv6(router);
  router.sysctl("net.ipv4.ip_forward", 1);
  router.sysctl("net.ipv4.conf.all.send_redirects", 0);
  router.sysctl("net.ipv4.conf.default.send_redirects", 0);
  router.ip("link", "add", "br0", "type", "bridge", "forward_delay", "0");
  router.ip("link", "set", "br0", "up");
  router.ip("addr", "add", `${ROUTER}/24`, "dev", "br0");
  const near = [1, 2].map((number) => {
    const created = createHost(cleanup, router, number, `10.57.4.${20 + number}`);
    router.ip("link", "set", `port${number}`, "master", "br0");
    return created;
  });
  const far = createHost(cleanup, router, 3, "10.58.7.23");
  router.ip("addr", "add", "10.58.7.254/24", "dev", "port3");
  return { one: near[0]!, two: near[1]!, far };
});

const allHosts = (): Host[] => [bed.hosts.one, bed.hosts.two, bed.hosts.far];

/** With an address: without one rp_filter drops what came through the tunnel of a direct peer. */
function ipip(side: Host): string {
  const routes = allHosts()
    .filter((other) => other !== side)
    .map(({ podNetwork, underlayIp }) => `      - { to: ${podNetwork}, via: ${underlayIp} }\n`);
  return `tunnels:
  - name: tun0
    type: ipip
    local: ${side.underlayIp}
    direct: true
    addresses: [${side.overlayIp}/32]
    routes:
${routes.join("")}`;
}

/**
 * The neighbours and FDB entries of every other host, as flannel has them. Keepalives would be seen
 * on the wire.
 */
function vxlan(side: Host, { without = "" } = {}): string {
  const others = allHosts().filter((other) => other !== side);
  const listOf = (line: (host: Host) => string, skip = ""): string =>
    others
      .filter(({ podNetwork }) => podNetwork !== skip)
      .map((other) => `      - { ${line(other)} }\n`)
      .join("");
  return `tunnels:
  - name: tun0
    type: vxlan
    vni: 100
    local: ${side.underlayIp}
    direct: true
    keepalive_s: 0
    mac: "${side.mac}"
    addresses: [${side.overlayIp}/32]
    remotes: [${others.map(({ underlayIp }) => underlayIp).join(", ")}]
    routes:
${listOf(({ podNetwork, overlayIp }) => `to: ${podNetwork}, via: ${overlayIp}, onlink: true`)}    neighbors:
${listOf(({ overlayIp, mac }) => `ip: ${overlayIp}, mac: "${mac}"`)}    fdb:
${listOf(({ underlayIp, mac }) => `mac: "${mac}", dst: ${underlayIp}`, without)}`;
}

/** How the wire of `from` shows packets between its pod and that of `to`, while ping and TCP run. */
async function carried(from: Host, to: Host): Promise<{ plain: number; tunnelled: number }> {
  await expectReachable(from.pod, to.podIp);
  const capture = await Capture.start(
    bed.cleanup,
    from.host,
    "eth0",
    `host ${to.underlayIp} or host ${to.podIp}`,
  );
  await expectReachable(from.pod, to.podIp);
  await expectTcp({ from: from.pod, to: to.pod, address: to.podIp, back: from.podIp });
  await capture.stop();
  const rows = capture.rows("frame.number < 2000", ["ip.src", "ip.proto", "udp.dstport"]);
  const tunnelled = rows.filter(([, proto, port]) => proto!.startsWith("4,") || port === "4789");
  const pods = [from.podIp, to.podIp];
  const plain = rows.filter(([source]) => pods.includes(source!));
  return { plain: plain.length, tunnelled: tunnelled.length };
}

const PLAIN = { plain: expect.any(Number), tunnelled: 0 };

async function expectPlain(from: Host, to: Host): Promise<void> {
  const seen = await carried(from, to);
  expect(seen).toEqual(PLAIN);
  expect(seen.plain).toBeGreaterThan(20);
}

async function expectTunnelled(from: Host, to: Host): Promise<void> {
  const seen = await carried(from, to);
  expect(seen.plain).toBe(0);
  expect(seen.tunnelled).toBeGreaterThan(20);
}

const directOf = async (daemon: Daemon) =>
  (await culvertJson<StatusReport>(daemon, "status")).tunnels[0]!.direct_routes;

const routeTo = ({ host }: Host, { podNetwork }: Host): string =>
  host.ip("route", "show", podNetwork).trim();

/** Keeps its address and loses its subnet: whoever is there is behind the router from now on. */
function leaveSubnet({ host, underlayIp }: Host): void {
  host.ip("route", "add", ROUTER, "dev", "eth0");
  host.ip("addr", "add", `${underlayIp}/32`, "dev", "eth0");
  host.ip("addr", "del", `${underlayIp}/24`, "dev", "eth0");
}

function joinSubnet({ host, underlayIp }: Host): void {
  host.ip("addr", "add", `${underlayIp}/24`, "dev", "eth0");
  host.ip("addr", "del", `${underlayIp}/32`, "dev", "eth0");
  host.ip("route", "del", ROUTER, "dev", "eth0");
}

describe.each([
  ["ipip", ipip],
  ["vxlan", vxlan],
] as const)("direct: true on %s", (type, config) => {
  it("leaves the tunnel out on one subnet, and only there", async () => {
    const { one, two, far } = bed.hosts;
    const [daemon] = [
      await bed.start(one.host, config(one)),
      await bed.start(two.host, config(two)),
      await bed.start(far.host, config(far)),
    ];
    await expectPlain(one, two);
    await expectTunnelled(one, far);
    await expectTunnelled(far, two);
    expect(routeTo(one, two)).toBe(`${two.podNetwork} via ${two.underlayIp} dev eth0 proto 94`);
    expect(routeTo(one, far)).toContain("dev tun0");
    expect(await directOf(daemon)).toEqual([
      { to: two.podNetwork, via: two.underlayIp, dev: "eth0", metric: 0, state: "ok" },
    ]);
    const shown = `${two.podNetwork} via ${two.underlayIp} dev eth0 source direct\n`;
    if (type === "ipip") expect(await culvert(daemon, "route show")).toContain(shown);
    expect((await daemon.stop()).status).toBe(0);
    expect(routeTo(one, two)).toBe("");
    expect(routeTo(one, far)).toBe("");
  });

  it("follows a host that leaves the subnet and comes back, while traffic flows", async () => {
    const { one, two } = bed.hosts;
    const daemon = await bed.start(one.host, config(one));
    await bed.start(two.host, config(two));
    await expectReachable(one.pod, two.podIp);
    const flow = ping({ from: one.pod, to: two.podIp, count: 800, interval_ms: 20 });
    leaveSubnet(one);
    try {
      await eventually(() => expect(routeTo(one, two)).toContain("dev tun0"));
      expect(daemon.log).toContain("not on the link any more");
      await expectTunnelledOut(one, two);
    } finally {
      joinSubnet(one);
    }
    await eventually(() => expect(routeTo(one, two)).toContain("dev eth0 proto 94"));
    expect((await flow).loss).toBeLessThan(0.02);
    await expectPlain(one, two);
  });

  it("has its route set again, and moves back by SIGKILL to nothing stale", async () => {
    const { one, two } = bed.hosts;
    const daemon = await bed.start(one.host, config(one));
    one.host.ip("route", "del", two.podNetwork);
    await eventually(() => expect(routeTo(one, two)).toContain("dev eth0 proto 94"));
    await daemon.child.stop("SIGKILL");
    expect(routeTo(one, two)).toContain("dev eth0 proto 94");
    // Meanwhile the peer has gone behind the router: the route is the tunnel's now.
    one.host.ip("route", "add", two.underlayIp, "via", ROUTER);
    try {
      const argv = [process.execPath, culvertEntry(), "run", "--config", daemon.configFile];
      const again = one.host.spawn(argv);
      await eventually(() => expect(routeTo(one, two)).toContain("dev tun0"));
      expect(one.host.ip("route", "show", "proto", "94")).toBe("");
      expect((await again.stop()).status).toBe(0);
    } finally {
      one.host.ip("route", "del", two.underlayIp, "via", ROUTER);
    }
    expect(routeTo(one, two)).toBe("");
  });

  it("does not overwrite somebody else's route", async () => {
    const { one, two } = bed.hosts;
    one.host.ip("route", "add", two.underlayIp, "via", ROUTER);
    const daemon = await bed.start(one.host, config(one));
    expect(routeTo(one, two)).toContain("dev tun0");
    one.host.ip("route", "replace", two.podNetwork, "dev", "lo");
    one.host.ip("route", "del", two.underlayIp, "via", ROUTER);
    try {
      await eventually(() => expect(daemon.log).toContain("a route cannot be set"));
      expect(routeTo(one, two)).toContain("dev lo");
      expect(await directOf(daemon)).toMatchObject([{ state: "missing" }]);
    } finally {
      one.host.ip("route", "del", two.podNetwork, "dev", "lo");
    }
    await eventually(async () => expect(await directOf(daemon)).toMatchObject([{ state: "ok" }]));
  });
});

/** The packets of one direction: the other host still answers directly. */
async function expectTunnelledOut(from: Host, to: Host): Promise<void> {
  const capture = await Capture.start(bed.cleanup, from.host, "eth0", `src ${from.underlayIp}`);
  await eventually(() =>
    expect(capture.rows(`ip.dst == ${to.podIp}`, ["ip.proto"]).length).toBeGreaterThan(3),
  );
  await capture.stop();
}

describe("direct: true", () => {
  it("leaves a VXLAN route in the tunnel when nothing tells its peer, and says why", async () => {
    const { one, two } = bed.hosts;
    const daemon = await bed.start(one.host, vxlan(one, { without: two.podNetwork }));
    expect(routeTo(one, two)).toContain("dev tun0");
    expect(daemon.log).toContain(`\`fdb\` does not have ${two.mac}`);
    expect(await directOf(daemon)).toEqual([]);
  });

  it("takes the remote of a point-to-point tunnel for the peer", async () => {
    const { one, two } = bed.hosts;
    const config = `tunnels:
  - { name: tun0, type: ipip, dev: eth0, remote: ${two.underlayIp}, direct: true, routes: [{ to: ${two.podNetwork} }] }
`;
    await bed.start(one.host, config);
    expect(routeTo(one, two)).toBe(`${two.podNetwork} via ${two.underlayIp} dev eth0 proto 94`);
  });
});
