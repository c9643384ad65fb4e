// Which routes of a tunnel leave without encapsulation: the peer of each, and the decision as the
// kernel's ways change. Next hops of tunnels of type route are judged by the same rule.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import type { RouteConfig } from "../../../src/config/effective.js";
import { loadConfig } from "../../../src/config/load.js";
import { deviceTunnels } from "../../../src/config/tunnel-kinds.js";
import { directHop } from "../../../src/daemon/direct-hop.js";
import { type DirectTunnel, peerOf } from "../../../src/daemon/direct-routes.js";
import { PlainRoutes } from "../../../src/daemon/plain-routes.js";
import { CulvertError } from "../../../src/errors.js";
import { createLogger } from "../../../src/telemetry/log.js";
import { ETH0, MemoryKernel, TUN0 } from "./memory-kernel.js";

const MACS = 'neighbors: [{ ip: 10.9.0.2, mac: "02:00:00:00:00:02" }]';
const FDB = 'fdb: [{ mac: "02-00-00-00-00-02", dst: 10.0.0.2 }]';
const ipip = (keys: string): string => `name: t, type: ipip, local: 10.0.0.1, ${keys}`;
const vxlan = (keys: string): string => `name: t, type: vxlan, vni: 1, local: 10.0.0.1, ${keys}`;
const routeVia = (via: string): string => `routes: [{ to: 10.1.0.0/16, via: ${via} }]`;

let folder: string;
let kernel: MemoryKernel;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "culvert-direct-"));
  kernel = new MemoryKernel();
});
afterEach(() => rmSync(folder, { recursive: true }));

function parse(...tunnels: string[]) {
  const lines = tunnels.map((keys) => `  - { ${keys} }\n`).join("");
  const control = `control: { socket: ${folder}/sock }\n`;
  const { config, problems } = loadConfig(`${control}tunnels:\n${lines}`, "test.yaml");
  if (config === undefined) throw new Error(JSON.stringify(problems));
  const devices: DirectTunnel[] = deviceTunnels(config).map((tunnel, index) => ({
    ...{ config: tunnel, index, device: { ifindex: TUN0 + index } },
  }));
  return { config, devices };
}

describe("the peer of a route", () => {
  it.each([
    ["its next hop", ipip(routeVia("10.0.0.2")), { peer: "10.0.0.2" }],
    ["the remote", ipip("remote: 10.0.0.3, routes: [{ to: 10.1.0.0/16 }]"), { peer: "10.0.0.3" }],
    [
      "not known without next hop",
      ipip("routes: [{ to: 10.1.0.0/16 }]"),
      { why: "it has no next hop" },
    ],
    [
      "of no use to IPv6",
      ipip('mode: sit, routes: [{ to: "fd01::/64", via: 10.0.0.2 }]'),
      { why: "an IPv6 route cannot have an IPv4 next hop" },
    ],
    [
      "the VTEP of its MAC",
      vxlan(`${routeVia("10.9.0.2")}, ${MACS}, ${FDB}`),
      { peer: "10.0.0.2" },
    ],
    [
      "not known without a neighbour",
      vxlan(`${routeVia("10.9.0.2")}, ${FDB}`),
      { why: "`neighbors` does not have its next hop 10.9.0.2" },
    ],
    [
      "not known without an FDB entry",
      vxlan(`${routeVia("10.9.0.2")}, ${MACS}`),
      { why: "`fdb` does not have 02:00:00:00:00:02, the MAC of 10.9.0.2" },
    ],
  ])("is %s: %s", (_title, keys, expected) => {
    const [tunnel] = parse(keys).devices;
    expect(peerOf(tunnel!, tunnel!.config.routes[0]!)).toEqual(expected);
  });
});

describe("a next hop", () => {
  const tunnels = new Set([TUN0]);

  it.each([
    ["on the link", { ifindex: ETH0, dev: "eth0", own: false }, { ifindex: ETH0, dev: "eth0" }],
    [
      "covered by its own route",
      { ifindex: ETH0, dev: "eth0", own: false, gateway: "10.0.0.2" },
      { ifindex: ETH0, dev: "eth0" },
    ],
    [
      "behind a gateway",
      { ifindex: ETH0, dev: "eth0", own: false, gateway: "10.0.0.254" },
      { why: "it is behind the gateway 10.0.0.254" },
    ],
    [
      "of this host",
      { ifindex: 1, dev: "lo", own: true },
      { why: "it is an address of this host" },
    ],
    [
      "in a tunnel",
      { ifindex: TUN0, dev: "tun0", own: false },
      { why: "it is reached through the tunnel tun0" },
    ],
    [
      "on another device",
      { ifindex: 3, dev: "eth1", own: false },
      { why: "it is reached by eth1, not eth0" },
    ],
    ["nowhere", undefined, { why: "the kernel has no route to it" }],
  ])("%s", (_title, way, expected) => {
    if (way !== undefined) kernel.ways.set("10.0.0.2", way);
    expect(directHop(kernel, { via: "10.0.0.2", dev: "eth0", tunnels })).toEqual(expected);
  });
});

describe("the routes of a tunnel", () => {
  function start(...tunnels: string[]) {
    const { config, devices } = parse(...tunnels);
    const all = new PlainRoutes(config, devices, {
      ...{ kernel, underlays: () => underlay, log: createLogger({ level: "fatal" }) },
    });
    all.start();
    const [tunnel] = devices;
    const first = tunnel?.config.routes[0] as RouteConfig;
    if (first !== undefined && all.isTunnelled(first)) {
      kernel.add({ to: first.to, via: first.via, ifindex: TUN0 });
    }
    return { all, first };
  }

  let underlay: () => string | undefined;
  beforeEach(() => {
    underlay = () => "eth0";
  });
  const device = (): number | undefined => [...kernel.table.values()][0]?.ifindex;

  it("leave it with `direct` alone", () => {
    kernel.reach("10.0.0.2");
    const without = start(ipip(routeVia("10.0.0.2")));
    expect(without.all.isTunnelled(without.first)).toBe(true);
    kernel.table.clear();
    const { all, first } = start(ipip(`direct: true, ${routeVia("10.0.0.2")}`));
    expect(all.isTunnelled(first)).toBe(false);
    expect(all.directOf("t")).toEqual([
      { to: "10.1.0.0/16", via: "10.0.0.2", dev: "eth0", metric: 0, state: "ok" },
    ]);
    expect(device()).toBe(ETH0);
  });

  it("follow their peers", () => {
    kernel.reach("10.0.0.2", "10.0.0.254");
    const { all, first } = start(ipip(`direct: true, ${routeVia("10.0.0.2")}`));
    expect(all.isTunnelled(first)).toBe(true);
    kernel.reach("10.0.0.2");
    all.check();
    expect([device(), all.isTunnelled(first)]).toEqual([ETH0, false]);
    kernel.changes.length = 0;
    all.check();
    expect(kernel.changes).toEqual([]);
    kernel.ways.clear();
    all.check();
    expect([device(), all.isTunnelled(first)]).toEqual([TUN0, true]);
    expect(all.directOf("t")).toEqual([]);
    all.stop();
  });

  it("are looked at soon after any change, with a pause between, and again where it failed", () => {
    vi.useFakeTimers();
    onTestFinished(() => {
      vi.useRealTimers();
    });
    kernel.reach("10.0.0.2");
    const { all } = start(ipip(`direct: true, ${routeVia("10.0.0.2")}`));
    all.changed();
    vi.advanceTimersByTime(1000);
    all.watch();
    const looks = vi.spyOn(all, "check");
    vi.advanceTimersByTime(1000);
    expect(looks).toHaveBeenCalledTimes(1);
    kernel.table.clear();
    for (let n = 0; n < 1000; n++) all.changed();
    vi.advanceTimersByTime(50);
    expect(device()).toBe(ETH0);
    for (let n = 0; n < 1000; n++) {
      all.changed();
      vi.advanceTimersByTime(1);
    }
    expect(looks.mock.calls.length).toBeGreaterThan(5);
    expect(looks.mock.calls.length).toBeLessThan(15);
    vi.advanceTimersByTime(200);
    kernel.table.clear();
    kernel.failure = new CulvertError("CULVERT_LINK_DOWN", "down", { hint: "set it up" });
    all.changed();
    vi.advanceTimersByTime(50);
    expect(device()).toBeUndefined();
    vi.advanceTimersByTime(3000);
    expect(device()).toBe(ETH0);
    looks.mockClear();
    vi.advanceTimersByTime(60_000);
    expect(looks.mock.calls.length).toBeGreaterThanOrEqual(1);
    all.stop();
    looks.mockClear();
    all.changed();
    vi.advanceTimersByTime(60_000);
    expect(looks).not.toHaveBeenCalled();
  });

  it("try again what the kernel has refused", () => {
    kernel.reach("10.0.0.2");
    const { all, first } = start(ipip(`direct: true, ${routeVia("10.0.0.2")}`));
    kernel.ways.clear();
    kernel.failure = new CulvertError("CULVERT_LINK_DOWN", "down", { hint: "set it up" });
    all.check();
    expect([device(), all.isTunnelled(first)]).toEqual([ETH0, false]);
    all.check();
    expect([device(), all.isTunnelled(first)]).toEqual([TUN0, true]);
  });

  it("have peers that stay known, direct or not", () => {
    kernel.reach("10.0.0.2");
    const { all } = start(ipip(`direct: true, ${routeVia("10.0.0.2")}`));
    expect(all.peers()).toEqual([{ tunnel: 0, address: "10.0.0.2" }]);
  });

  it("stay in it while its local address is gone", () => {
    kernel.reach("10.0.0.2");
    underlay = () => {
      throw new CulvertError("CULVERT_NO_ADDRESS", "gone", { hint: "add it" });
    };
    const { all, first } = start(ipip(`direct: true, ${routeVia("10.0.0.2")}`));
    expect(all.isTunnelled(first)).toBe(true);
  });

  it("of type route must have next hops on a link, and follow them later", () => {
    const plain = `name: p, type: route, ${routeVia("10.0.0.2")}`;
    expect(() => start(plain)).toThrow(expect.objectContaining({ code: "CULVERT_NEXT_HOP" }));
    kernel.reach("10.0.0.2");
    const { all } = start(plain);
    const routes = () => all.report()[0]!.routes;
    expect(routes()).toMatchObject([{ dev: "eth0", state: "ok" }]);
    kernel.ways.clear();
    all.check();
    expect(routes()).toEqual([
      { to: "10.1.0.0/16", via: "10.0.0.2", metric: 0, state: "unreachable" },
    ]);
    expect(kernel.table.size).toBe(0);
    kernel.ways.set("10.0.0.2", { ifindex: 3, dev: "eth1", own: false });
    all.check();
    expect(routes()).toMatchObject([{ dev: "eth1", state: "ok" }]);
    kernel.reach("10.0.0.2");
    all.check();
    expect([device(), kernel.changes.at(-1)]).toEqual([
      ETH0,
      "replace 10.1.0.0/16 via 10.0.0.2 dev 2",
    ]);
  });
});
