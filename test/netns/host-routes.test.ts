// Tunnels of type route: plain routes of the host, what the wire shows of them, and what happens to
// them when somebody deletes them, when their place is taken, when the next hop cannot be reached
// and when the daemon is killed. Beside that: such a tunnel in status, counters and check.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { StatusReport } from "../../src/control/target.js";
import type { Daemon } from "../../src/testbed/daemon.js";
import type { Namespace } from "../../src/testbed/namespace.js";
import { culvertEntry } from "../../src/testbed/project.js";
import { createTwoHosts, type HostSide } from "../../src/testbed/two-hosts.js";
import {
  Capture,
  culvert,
  culvertEnds,
  culvertJson,
  devicesOf,
  eventually,
  useBed,
} from "./support.js";
import { expectPings, expectTcp, pods } from "./traffic.js";

const bed = useBed(["iperf3", "tcpdump", "tshark"], (cleanup) => createTwoHosts(cleanup));

/** A config with nothing but plain routes; `lines` go into the tunnel. */
const routeConfig = (peer: HostSide, lines: readonly string[] = []): string => `tunnels:
  - name: plain
    type: route
${lines.map((line) => `    ${line}\n`).join("")}    routes: [{ to: ${peer.podNetwork}, via: ${peer.underlayIp} }]
`;

/** What the kernel shows of the routes to a prefix, whoever set them. */
const routesTo = (host: Namespace, prefix: string): string =>
  host.ip("route", "show", prefix).trim();

const stateOf = async (daemon: Daemon): Promise<string> =>
  (await culvertJson<StatusReport>(daemon, "status")).route_tunnels[0]!.routes[0]!.state;

async function refused(host: Namespace, config: string): Promise<string> {
  const { status, stderr } = await culvertEnds(bed, host, config);
  expect(status, stderr).toBe(1);
  return stderr;
}

/** Starts the daemon of a killed one again, with the same files. */
async function startAgain(host: Namespace, { configFile, socket }: Daemon) {
  const argv = [process.execPath, culvertEntry(), "run", "--config", configFile];
  const child = host.spawn(argv);
  const asks = [process.execPath, culvertEntry(), "status", "--socket", socket];
  await eventually(async () => {
    expect((await host.spawn(asks).wait(15_000)).status, child.stderr).toBe(0);
  });
  return child;
}

describe("a tunnel of type route", () => {
  it("carries traffic without encapsulation and without a device", async () => {
    const { left, right } = bed.hosts;
    const devices = devicesOf(left.host);
    await bed.pair(bed.hosts, (_side, peer) => routeConfig(peer));
    expect(devicesOf(left.host)).toEqual(devices);
    const capture = await Capture.start(bed.cleanup, left.host, "eth0", "ip");
    await expectPings(pods(bed.hosts));
    await expectTcp(pods(bed.hosts));
    await capture.stop();
    const rows = capture.rows("ip", ["ip.src", "ip.proto", "udp.dstport"]);
    const plain = rows.filter(([source]) => source === left.podIp || source === right.podIp);
    expect(plain.length).toBeGreaterThan(20);
    expect(rows.filter(([, protocol, port]) => protocol === "4" || port === "4789")).toEqual([]);
  });

  it("is shown by the kernel under a protocol number of its own, and removed at the end", async () => {
    const { left, right } = bed.hosts;
    const daemon = await bed.start(
      left.host,
      routeConfig(right, ["dev: eth0", `local: ${left.underlayIp}`]),
    );
    expect(left.host.ip("route", "show", "proto", "94").trim()).toBe(
      `${right.podNetwork} via ${right.underlayIp} dev eth0 src ${left.underlayIp}`,
    );
    expect(existsSync(`${daemon.socket}.routes`)).toBe(true);
    expect((await daemon.stop()).status).toBe(0);
    expect(routesTo(left.host, right.podNetwork)).toBe("");
    expect(existsSync(`${daemon.socket}.routes`)).toBe(false);
  });

  it("appears in status and check, and not in counters", async () => {
    const { left, right } = bed.hosts;
    const daemon = await bed.start(left.host, routeConfig(right));
    const status = await culvertJson<StatusReport>(daemon, "status");
    expect(status.tunnels).toEqual([]);
    expect(status.route_tunnels).toEqual([
      {
        ...{ name: "plain", type: "route" },
        routes: [
          { to: right.podNetwork, via: right.underlayIp, dev: "eth0", metric: 0, state: "ok" },
        ],
      },
    ]);
    const text = await culvert(daemon, "status");
    expect(text).toContain("plain: route\n");
    expect(text).toMatch(/192\.168\.11\.0\/24 +10\.57\.4\.21 +eth0 +- +ok/);
    expect(await culvertJson<{ tunnels: unknown[] }>(daemon, "counters")).toMatchObject({
      tunnels: [],
    });
    const check = await culvertEnds(bed, left.host, routeConfig(right), {}, "check");
    expect(check.stdout).toContain("type: route");
  });

  it("has its route set again when somebody deletes it", async () => {
    const { left, right } = bed.hosts;
    const daemon = await bed.start(left.host, routeConfig(right));
    left.host.ip("route", "del", right.podNetwork);
    await eventually(() =>
      expect(routesTo(left.host, right.podNetwork)).toContain(`via ${right.underlayIp}`),
    );
    await eventually(() => expect(daemon.log).toContain("set a route again"));
  });

  it("waits for a next hop that went away, and goes on when it is back", async () => {
    const { left, right } = bed.hosts;
    const daemon = await bed.start(left.host, routeConfig(right));
    left.host.ip("link", "set", "eth0", "down");
    await eventually(async () => expect(await stateOf(daemon)).toBe("unreachable"));
    expect(daemon.log).toContain("the next hop cannot be reached directly now");
    left.host.ip("link", "set", "eth0", "up");
    left.host.ip("route", "add", "default", "via", "10.57.4.1", "dev", "eth0");
    await eventually(async () => expect(await stateOf(daemon)).toBe("ok"));
    expect(routesTo(left.host, right.podNetwork)).toContain(`via ${right.underlayIp}`);
  });
});

describe("what is in the way of a plain route", () => {
  it("is an error at the start, and the other route stays", async () => {
    const { left, right } = bed.hosts;
    left.host.ip("route", "add", right.podNetwork, "dev", "lo");
    try {
      const said = await refused(left.host, routeConfig(right));
      expect(said).toContain(`cannot set route ${right.podNetwork} via ${right.underlayIp}`);
      expect(said).toMatch(/hint: .*`ip route show/);
      expect(routesTo(left.host, right.podNetwork)).toContain("dev lo");
    } finally {
      left.host.ip("route", "del", right.podNetwork, "dev", "lo");
    }
  });

  it("is a warning while running, until it goes", async () => {
    const { left, right } = bed.hosts;
    const daemon = await bed.start(left.host, routeConfig(right));
    left.host.ip("route", "replace", right.podNetwork, "dev", "lo");
    await eventually(() => expect(daemon.log).toContain("a route cannot be set"));
    expect(await stateOf(daemon)).toBe("missing");
    expect(routesTo(left.host, right.podNetwork)).toContain("dev lo");
    left.host.ip("route", "del", right.podNetwork, "dev", "lo");
    await eventually(async () => expect(await stateOf(daemon)).toBe("ok"));
    left.host.ip("route", "replace", right.podNetwork, "dev", "lo");
    expect((await daemon.stop()).status).toBe(0);
    expect(routesTo(left.host, right.podNetwork)).toContain("dev lo");
    left.host.ip("route", "del", right.podNetwork, "dev", "lo");
  });

  it("is the route of another daemon too", async () => {
    const { left, right } = bed.hosts;
    const first = await bed.start(left.host, routeConfig(right));
    expect(await refused(left.host, routeConfig(right))).toContain("another route has its prefix");
    expect(await stateOf(first)).toBe("ok");
  });

  it.each([
    ["behind a gateway", "10.99.0.1", "it is behind the gateway 10.57.4.1"],
    ["an own address", "10.57.4.20", "it is an address of this host"],
    ["behind another device", "10.57.4.21", "it is reached by eth0, not pod0"],
  ])("is a next hop that is %s", async (_what, via, why) => {
    const { left, right } = bed.hosts;
    const lines = via === right.underlayIp ? ["dev: pod0"] : [];
    const config = routeConfig(right, lines).replace(`via: ${right.underlayIp}`, `via: ${via}`);
    const said = await refused(left.host, config);
    expect(said).toContain(`the next hop ${via} of ${right.podNetwork} is not on a link`);
    expect(said).toContain(why);
    expect(said).toMatch(/hint: .*`direct: true`/);
    expect(routesTo(left.host, right.podNetwork)).toBe("");
  });

  it("is a next hop that only a tunnel of this daemon reaches", async () => {
    const { left, right } = bed.hosts;
    const tunnel = `  - { name: ipip0, type: ipip, local: ${left.underlayIp}, addresses: [10.7.0.1/24] }\n`;
    const config = `tunnels:\n${tunnel}${routeConfig(right).slice("tunnels:\n".length)}`;
    const daemon = await bed.start(left.host, config);
    expect(await stateOf(daemon)).toBe("ok");
    left.host.ip("route", "add", `${right.underlayIp}/32`, "dev", "ipip0");
    await eventually(async () => expect(await stateOf(daemon)).toBe("unreachable"));
    expect(daemon.log).toContain("it is reached through the tunnel ipip0");
    expect(routesTo(left.host, right.podNetwork)).toBe("");
  });
});

describe("after SIGKILL", () => {
  it("the next start takes over what is still wanted and removes the rest", async () => {
    const { left, right } = bed.hosts;
    const config = routeConfig(right).replace(
      "routes: [",
      `routes: [{ to: 192.168.50.0/24, via: ${right.underlayIp} }, `,
    );
    const daemon = await bed.start(left.host, config);
    await daemon.child.stop("SIGKILL");
    expect(left.host.ip("route", "show", "proto", "94").trim().split("\n")).toHaveLength(2);
    const text = readFileSync(daemon.configFile, "utf8");
    writeFileSync(daemon.configFile, text.replace(/\{ to: 192\.168\.50[^}]*\}, /, ""));
    const again = await startAgain(left.host, daemon);
    expect(again.stderr + again.stdout).toContain("removed a route that a daemon had left");
    expect(left.host.ip("route", "show", "proto", "94")).toContain(right.podNetwork);
    expect(routesTo(left.host, "192.168.50.0/24")).toBe("");
    expect((await again.stop()).status).toBe(0);
    expect(left.host.ip("route", "show", "proto", "94")).toBe("");
  });

  it("a damaged list is set aside, said so, and the routes are taken over", async () => {
    const { left, right } = bed.hosts;
    const daemon = await bed.start(left.host, routeConfig(right));
    await daemon.child.stop("SIGKILL");
    writeFileSync(`${daemon.socket}.routes`, '{"version":1,"rou');
    const again = await startAgain(left.host, daemon);
    expect(again.stderr + again.stdout).toContain("is damaged and was set aside");
    expect(readFileSync(`${daemon.socket}.routes.damaged`, "utf8")).toBe('{"version":1,"rou');
    expect((await again.stop()).status).toBe(0);
    expect(left.host.ip("route", "show", "proto", "94")).toBe("");
  });

  it("a second daemon at the same socket touches nothing of a living one", async () => {
    const { left, right } = bed.hosts;
    const daemon = await bed.start(left.host, routeConfig(right));
    const other = routeConfig(right).replace(right.podNetwork, "192.168.60.0/24");
    const { status } = await culvertEnds(bed, left.host, other, { socket: daemon.socket });
    expect(status).toBe(1);
    expect(await stateOf(daemon)).toBe("ok");
    expect(existsSync(`${daemon.socket}.routes`)).toBe(true);
  });
});
