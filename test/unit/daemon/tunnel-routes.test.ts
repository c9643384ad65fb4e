// The kernel's routes over one device -> the tunnel's table: which of several is used, and what
// each change of the kernel's does to them.

import { describe, expect, it } from "vitest";
import { routeProblems } from "../../../src/daemon/control/routes.js";
import { MAX_ROUTES_PER_PREFIX, type TunnelRoutes } from "../../../src/daemon/tunnel-routes.js";
import type { RouteChange } from "../../../src/netlink/route-watch.js";
import { REMOTE_FLAG_ALLOWED } from "../../../src/remotes/remote-rows.js";
import { MAX_GROUPS } from "../../../src/routes/next-hop-groups.js";
import { formatIp, formatPrefix, parseIp } from "../../../src/wire/ip-address.js";
import { controlContext } from "./control-context.js";
import { kernelRoute, type TestRoute } from "./kernel-routes.js";

const OTHER = 2;

function fixture(lines = "") {
  const context = controlContext(
    `tunnels: [{ name: ipip0, type: ipip, local: 10.57.4.20 ${lines}}]`,
  );
  const { ipip, remotes } = context;
  const routes: TunnelRoutes = context.mirror.of(ipip);
  const ours = ipip.device.ifindex;
  const over = (to: string, ...gateways: string[]): TestRoute => ({
    to,
    hops: gateways.map((via) => ({ via, ifindex: ours })),
  });
  const change = (what: RouteChange, route: TestRoute) => routes.change(what, kernelRoute(route));
  /** The table as text, in order. */
  const table = () =>
    ipip.routes
      .list()
      .map(({ prefix, hops }) => {
        if (hops === undefined) return `${formatPrefix(prefix)} nowhere`;
        const texts = hops.map(({ remote, weight }) => `${nameOf(remote)}*${weight}`);
        return `${formatPrefix(prefix)} ${texts.join(" ")}`.trim();
      })
      .sort();
  const nameOf = (row: number) => formatIp(...remotes.get(row)!.address);
  const allowed = () =>
    remotes
      .list(ipip.index)
      .filter(({ flags }) => (flags & REMOTE_FLAG_ALLOWED) !== 0)
      .map(({ address }) => formatIp(...address))
      .sort();
  const sync = (routesNow: TestRoute[], during: () => void = () => {}) => {
    routes.beginSync();
    routes.syncStarted(4);
    for (const route of routesNow) routes.synced(kernelRoute(route));
    routes.syncStarted(6);
    const steps = routes.finishSync();
    during();
    for (const _ of steps) during();
  };
  return { context, routes, ours, over, change, table, allowed, sync };
}

const NET = "192.168.11.0/24";

describe("of several routes with one prefix", () => {
  it("the main table's is used, then the lowest metric; the next best takes over", () => {
    const { over, change, table } = fixture();
    const routes: TestRoute[] = [
      { ...over(NET, "10.57.4.24"), table: 100 },
      { ...over(NET, "10.57.4.23"), metric: 20 },
      { ...over(NET, "10.57.4.22"), metric: 10 },
      over(NET, "10.57.4.21"),
    ];
    for (const route of routes) change("add", route);
    for (let last = 1; last <= 4; last++) {
      expect(table()).toEqual([`${NET} 10.57.4.2${last}*1`]);
      change("delete", routes.pop()!);
    }
    expect(table()).toEqual([]);
  });

  it("equals stand in the kernel's order: prepended, appended, the first replaced", () => {
    const { over, change, table, routes } = fixture();
    change("add", over(NET, "10.57.4.21"));
    change("append", over(NET, "10.57.4.22"));
    expect(table()).toEqual([`${NET} 10.57.4.21*1`]);
    change("add", over(NET, "10.57.4.23"));
    expect(table()).toEqual([`${NET} 10.57.4.23*1`]);
    change("replace", over(NET, "10.57.4.24"));
    change("delete", over(NET, "10.57.4.24"));
    expect(table()).toEqual([`${NET} 10.57.4.21*1`]);
    change("delete", over(NET, "10.57.4.21"));
    expect(table()).toEqual([`${NET} 10.57.4.22*1`]);
    expect(routes.uncertain).toBe(true);
  });

  it("those over other devices are nobody's business until they replace ours", () => {
    const { over, change, table } = fixture();
    const elsewhere = { to: NET, hops: [{ via: "10.57.4.99", ifindex: OTHER }] };
    change("add", over(NET, "10.57.4.21"));
    change("add", { ...elsewhere, metric: 5 });
    change("replace", { ...elsewhere, metric: 5 });
    change("delete", elsewhere);
    expect(table()).toEqual([`${NET} 10.57.4.21*1`]);
    change("replace", elsewhere);
    expect(table()).toEqual([]);
  });

  it("at most MAX_ROUTES_PER_PREFIX are kept, the others counted", () => {
    const { over, change, routes } = fixture();
    for (let metric = 0; metric <= MAX_ROUTES_PER_PREFIX; metric++) {
      change("add", { ...over(NET, "10.57.4.21"), metric });
    }
    expect(routeProblems(routes)).toMatchObject({ beyond_limits: 1 });
  });
});

describe("next hops", () => {
  it("of a multipath route share by weight; those of other devices and dead ones are left out", () => {
    const { ours, change, table } = fixture();
    const hops = [
      { via: "10.57.4.21", ifindex: ours, weight: 2 },
      { via: "10.57.4.22", ifindex: ours, dead: true },
      { via: "10.57.4.23", ifindex: OTHER },
      { via: "10.57.4.24", ifindex: ours },
    ];
    change("add", { to: NET, hops });
    expect(table()).toEqual([`${NET} 10.57.4.21*2 10.57.4.24*1`]);
  });

  it("of IPv6 come as one route: what is appended is told with all, what goes alone", () => {
    const { over, change, table } = fixture();
    const to = "fd11::/48";
    change("add", over(to, "::10.57.4.21"));
    change("append", over(to, "::10.57.4.21", "::ffff:10.57.4.22"));
    expect(table()).toEqual([`${to} 10.57.4.21*1 10.57.4.22*1`]);
    change("delete", over(to, "::10.57.4.21"));
    expect(table()).toEqual([`${to} 10.57.4.22*1`]);
    change("delete", over(to, "::ffff:10.57.4.22"));
    expect(table()).toEqual([]);
  });

  it("that cannot be outer destinations are counted and not used", () => {
    const { over, change, table, routes } = fixture();
    const bad = ["fd57::21", "::1", "224.0.0.1", "255.255.255.255", "0.0.0.1", "ff02::1"];
    for (const [n, via] of bad.entries()) change("add", over(`10.${n}.0.0/16`, via));
    expect(table()).toEqual(bad.map((_, n) => `10.${n}.0.0/16 nowhere`));
    expect(routeProblems(routes)).toMatchObject({ unreachable: bad.length });
    for (const [n, via] of bad.entries()) change("delete", over(`10.${n}.0.0/16`, via));
    expect(routeProblems(routes)).toBeUndefined();
    expect(table()).toEqual([]);
  });

  it("that cannot be used keep packets from a shorter prefix, as long as the kernel uses them", () => {
    const { context, routes, ours, over, change, table } = fixture();
    const row = () => context.ipip.routes.match(parseIp("192.168.11.10")!);
    change("add", over("0.0.0.0/0", "10.57.4.21"));
    const dead = { via: "10.57.4.22", ifindex: ours, dead: true };
    change("add", { to: NET, hops: [dead] });
    // The kernel goes on to the default route then.
    expect(table()).toEqual(["0.0.0.0/0 10.57.4.21*1"]);
    change("replace", { to: NET, hops: [dead, { via: "fd57::21", ifindex: ours }] });
    expect(table()).toEqual(["0.0.0.0/0 10.57.4.21*1", `${NET} nowhere`]);
    change("add", { ...over(NET, "10.57.4.23"), metric: 9 });
    expect(table()).toEqual(["0.0.0.0/0 10.57.4.21*1", `${NET} 10.57.4.23*1`]);
    change("delete", { ...over(NET, "10.57.4.23"), metric: 9 });
    expect(row()?.hops).toBeUndefined();
    expect(routes.count - routes.unused).toBe(1);
    change("delete", { to: NET, hops: [dead, { via: "fd57::21", ifindex: ours }] });
    expect(table()).toEqual(["0.0.0.0/0 10.57.4.21*1"]);
  });

  it("for which there is no room keep packets from a shorter prefix", () => {
    const { ours, over, change, table, routes } = fixture();
    change("add", over("0.0.0.0/0", "10.57.4.21"));
    const pair = (n: number) => ({
      to: `10.${n >> 8}.${n & 255}.0/24`,
      hops: [
        { via: "10.57.4.21", ifindex: ours, weight: 1 + (n & 31) },
        { via: "10.57.4.22", ifindex: ours, weight: 1 + (n >> 5) },
      ],
    });
    for (let n = 0; n <= MAX_GROUPS; n++) change("add", pair(n));
    expect(routeProblems(routes)).toMatchObject({ beyond_limits: 1 });
    expect(table().filter((line) => line.endsWith("nowhere"))).toEqual(["10.4.0.0/24 nowhere"]);
    change("delete", pair(0));
    for (const _ of routes.reinstall());
    expect(table()).toContain("10.4.0.0/24 10.57.4.21*1 10.57.4.22*33");
  });

  it("may send as long as a route leads to them", () => {
    const { over, change, allowed } = fixture();
    change("add", over(NET, "10.57.4.21"));
    change("add", over("192.168.12.0/24", "10.57.4.21"));
    change("add", over("fd11::/48", "::10.57.4.22"));
    expect(allowed()).toEqual(["10.57.4.21", "10.57.4.22"]);
    change("replace", over(NET, "10.57.4.23"));
    change("delete", over("192.168.12.0/24", "10.57.4.21"));
    change("delete", over("fd11::/48", "::10.57.4.22"));
    expect(allowed()).toEqual(["10.57.4.23"]);
  });

  it("of a point-to-point tunnel are its remote, whatever the route says", () => {
    const { over, ours, change, table, allowed } = fixture(", remote: 10.57.4.30");
    change("add", over(NET, "10.57.4.21"));
    change("add", { to: "192.168.12.0/24", hops: [{ ifindex: ours }] });
    expect(table()).toEqual(["192.168.11.0/24 10.57.4.30*1", "192.168.12.0/24 10.57.4.30*1"]);
    expect(allowed()).toEqual(["10.57.4.30"]);
  });

  it("that lead into the tunnel are not used until they do so no longer", () => {
    const { over, change, table, routes } = fixture();
    change("add", over(NET, "10.57.4.21"));
    change("add", { ...over(NET, "10.57.4.22"), metric: 9 });
    const [hop] = routes.outer.list();
    hop.looped = true;
    for (const _ of routes.reinstall());
    expect(table()).toEqual([`${NET} 10.57.4.22*1`]);
    expect(routeProblems(routes)).toMatchObject({ recursive: ["10.57.4.21"] });
    change("delete", { ...over(NET, "10.57.4.22"), metric: 9 });
    expect(table()).toEqual([`${NET} nowhere`]);
    hop.looped = false;
    for (const _ of routes.reinstall());
    expect(table()).toEqual([`${NET} 10.57.4.21*1`]);
  });
});

describe("reading all anew", () => {
  it("adds what is missing, changes what differs, removes what is gone, frees their next hops", () => {
    const { over, change, table, allowed, sync } = fixture();
    for (const n of [1, 2, 3]) change("add", over(`10.${n}.0.0/16`, `10.57.4.2${n}`));
    sync([
      over("10.2.0.0/16", "10.57.4.29"),
      over("10.3.0.0/16", "10.57.4.23"),
      over("fd11::/48", "::10.57.4.24"),
    ]);
    expect(table()).toEqual([
      ...["10.2.0.0/16 10.57.4.29*1", "10.3.0.0/16 10.57.4.23*1", "fd11::/48 10.57.4.24*1"],
    ]);
    expect(allowed()).toEqual(["10.57.4.23", "10.57.4.24", "10.57.4.29"]);
  });

  it("keeps up with changes before, during and after", () => {
    const { over, change, table, routes, sync } = fixture();
    change("add", over(NET, "10.57.4.21"));
    routes.beginSync();
    // Queued before the answer began, which has it already: not to be applied to the answer again.
    change("replace", over(NET, "10.57.4.22"));
    routes.syncStarted(4);
    routes.synced(kernelRoute(over(NET, "10.57.4.23")));
    change("add", over("10.1.0.0/16", "10.57.4.24"));
    expect(table()).toEqual(["10.1.0.0/16 10.57.4.24*1", `${NET} 10.57.4.22*1`]);
    for (const _ of routes.finishSync());
    expect(table()).toEqual(["10.1.0.0/16 10.57.4.24*1", `${NET} 10.57.4.23*1`]);
    sync([over(NET, "10.57.4.21")], () => change("append", over(NET, "10.57.4.25")));
    change("delete", over(NET, "10.57.4.21"));
    expect(table()).toEqual([`${NET} 10.57.4.25*1`]);
  });

  it("keeps what there was when it fails, and gives next hops back", () => {
    const { over, change, table, allowed, routes } = fixture();
    change("add", over(NET, "10.57.4.21"));
    routes.beginSync();
    routes.syncStarted(4);
    routes.synced(kernelRoute(over(NET, "10.57.4.22")));
    routes.abandonSync();
    expect(table()).toEqual([`${NET} 10.57.4.21*1`]);
    expect(allowed()).toEqual(["10.57.4.21"]);
    expect(routes.uncertain).toBe(true);
  });
});
