// `culvert route` on real tables: what is used for which destination, and why.

import { describe, expect, it } from "vitest";
import { RouteListings, routeGet, routeProblems } from "../../../src/daemon/control/routes.js";
import { controlContext } from "./control-context.js";
import { kernelRoute, type TestHop, type TestRoute } from "./kernel-routes.js";

const POINT_TO_POINT = `
tunnels:
  - { name: ipip1, type: ipip, local: 10.57.4.20, remote: 10.57.4.30 }
  - name: ipip2
    type: ipip
    local: 10.57.4.20
    remote: any
    routes: [{ to: 0.0.0.0/0, via: 10.57.4.21 }, { to: 192.168.11.128/25, via: 10.57.4.22 }]
`;
const code = (name: string) => expect.objectContaining({ code: `CULVERT_${name}` });

describe("show", () => {
  it("lists the routes of ipip tunnels", () => {
    const listings = new RouteListings(controlContext());
    const common = { dev: "ipip0", protocol: "static" };
    expect(listings.show({})).toEqual([
      { ...common, dst: "192.168.11.0/24", gateway: "10.57.4.21", flags: ["onlink"] },
      { ...common, dst: "10.57.4.0/24", flags: [] },
    ]);
    expect(() => listings.show({ dev: "vxlan100" })).toThrow(code("WRONG_TYPE"));
    expect(() => listings.page({ dev: "eth9" })).toThrow(code("NO_TUNNEL"));
  });

  it("has the words of ip for every kind of route, and says why one is not in use", () => {
    const context = controlContext("tunnels: [{ name: ipip0, type: ipip, local: 10.57.4.20 }]");
    const { ifindex } = context.ipip.device;
    const routes = context.mirror.of(context.ipip);
    const add = (route: Omit<TestRoute, "hops">, ...hops: Omit<TestHop, "ifindex">[]) =>
      routes.change(
        "append",
        kernelRoute({
          ...route,
          to: route.to as string,
          hops: hops.map((hop) => ({ ...hop, ifindex })),
        }),
      );
    add({ to: "0.0.0.0/0", table: 100, protocol: 12, metric: 7 }, { via: "10.57.4.21" });
    add({ to: "192.168.13.7/32", scope: 253, protocol: 2 }, {});
    add({ to: "192.168.14.0/24", protocol: 77 }, { via: "fd57::21" });
    add(
      { to: "192.168.15.0/24" },
      { via: "10.57.4.21", weight: 2 },
      { via: "10.57.4.22", dead: true },
    );
    add({ to: "fd11::/48", metric: 1024 }, { via: "::10.57.4.23" });
    expect(new RouteListings(context).show({})).toEqual([
      {
        ...{ dst: "default", gateway: "10.57.4.21", dev: "ipip0", table: "100", protocol: "bird" },
        ...{ metric: 7, flags: ["onlink"] },
      },
      { dst: "192.168.13.7", dev: "ipip0", protocol: "kernel", scope: "link", flags: [] },
      {
        ...{ dst: "192.168.14.0/24", via: { family: "inet6", host: "fd57::21" }, dev: "ipip0" },
        ...{ protocol: "77", flags: ["onlink", "unreachable"] },
      },
      {
        ...{ dst: "192.168.15.0/24", dev: "ipip0", protocol: "static", flags: [] },
        nexthops: [
          { gateway: "10.57.4.21", dev: "ipip0", weight: 2, flags: ["onlink"] },
          { gateway: "10.57.4.22", dev: "ipip0", weight: 1, flags: ["onlink", "dead"] },
        ],
      },
      {
        ...{ dst: "fd11::/48", gateway: "::10.57.4.23", dev: "ipip0", protocol: "static" },
        ...{ metric: 1024, flags: ["onlink"] },
      },
    ]);
    expect(routeProblems(routes)).toEqual({ unreachable: 1, recursive: [], beyond_limits: 0 });
  });

  it("gives 5,000 routes in pages, each once; a page that was given is gone", () => {
    const context = controlContext("tunnels: [{ name: ipip0, type: ipip, local: 10.57.4.20 }]");
    const hops = [{ via: "10.57.4.21", ifindex: context.ipip.device.ifindex }];
    for (let n = 0; n < 5000; n++) {
      const to = `10.${n >> 8}.${n & 255}.0/24`;
      context.mirror.of(context.ipip).change("add", kernelRoute({ to, hops }));
    }
    const listings = new RouteListings(context);
    const seen = new Set<string>();
    let page = listings.page({});
    const first = page.next;
    for (;;) {
      expect(page.routes.length).toBeLessThanOrEqual(2000);
      for (const { dst } of page.routes) seen.add(dst);
      if (page.next === undefined) break;
      page = listings.page({ from: page.next });
    }
    expect(seen.size).toBe(5000);
    expect(() => listings.page({ from: first })).toThrow(code("NOT_FOUND"));
  });
});

describe("get", () => {
  it("names the next hop of the longest matching route", () => {
    const context = controlContext(POINT_TO_POINT);
    expect(routeGet(context, { to: "192.168.11.200", dev: "ipip2" })).toMatchObject({
      ...{ dev: "ipip2", match: "192.168.11.128/25", outer: "10.57.4.22" },
    });
    expect(routeGet(context, { to: "192.168.11.1" })).toMatchObject({
      ...{ dev: "ipip2", match: "0.0.0.0/0", outer: "10.57.4.21" },
    });
  });

  it("names the inner destination where the route has no next hop", () => {
    const decision = routeGet(controlContext(), { to: "10.57.4.77" });
    expect(decision).toMatchObject({ match: "10.57.4.0/24", outer: "10.57.4.77" });
    expect(decision.why).toContain("no next hop");
  });

  it("says that the longest matching route cannot be used, and names no shorter one", () => {
    const context = controlContext(
      "tunnels: [{ name: ipip0, type: ipip, local: 10.57.4.20, " +
        "routes: [{ to: 0.0.0.0/0, via: 10.57.4.21 }] }]",
    );
    const { ifindex } = context.ipip.device;
    const route = { to: "192.168.14.0/24", hops: [{ via: "fd57::21", ifindex }] };
    context.mirror.of(context.ipip).change("add", kernelRoute(route));
    expect(routeGet(context, { to: "192.168.15.1" }).outer).toBe("10.57.4.21");
    expect(() => routeGet(context, { to: "192.168.14.1" })).toThrow(
      expect.objectContaining({
        code: "CULVERT_NO_ROUTE",
        message: "192.168.14.1 leads nowhere: no next hop of 192.168.14.0/24 dev ipip0 can be used",
      }),
    );
  });

  it("names the remote of a point-to-point tunnel for everything", () => {
    const context = controlContext(POINT_TO_POINT);
    expect(routeGet(context, { to: "8.8.8.8", dev: "ipip1" })).toMatchObject({
      ...{ dev: "ipip1", outer: "10.57.4.30" },
    });
  });

  it("says so where the longest route leads nowhere, whatever a shorter one says", () => {
    const context = controlContext();
    const hops = [{ via: "224.0.0.1", ifindex: context.ipip.device.ifindex }];
    context.mirror.of(context.ipip).change("add", kernelRoute({ to: "10.57.4.64/26", hops }));
    expect(routeGet(context, { to: "10.57.4.1" }).match).toBe("10.57.4.0/24");
    expect(() => routeGet(context, { to: "10.57.4.77" })).toThrow(
      "10.57.4.77 leads nowhere: no next hop of 10.57.4.64/26 dev ipip0 can be used",
    );
  });

  it("says so where a direct route has taken the place of one over the tunnel", () => {
    const context = controlContext();
    const { ipip, plainRoutes } = context;
    const direct = { ...ipip, config: { ...ipip.config, direct: true } };
    const route = { to: "10.57.4.0/24", via: "10.57.9.1", dev: "eth0", metric: 0 };
    plainRoutes.directOf = () => [{ ...route, state: "ok" }];
    const tunnels = [direct];
    expect(() => routeGet({ ...context, tunnels }, { to: "10.57.4.77" })).toThrow(
      "10.57.4.77 leaves without encapsulation: 10.57.4.0/24 via 10.57.9.1 dev eth0",
    );
    expect(routeGet({ ...context, tunnels }, { to: "192.168.11.1" }).outer).toBe("10.57.4.21");
  });

  it("finds nothing for what no route covers and for IPv6; a vxlan tunnel forwards by MAC", () => {
    const context = controlContext();
    for (const query of [{ to: "172.16.0.1" }, { to: "fd00::1" }]) {
      expect(() => routeGet(context, query)).toThrow(code("NO_ROUTE"));
    }
    const onVxlan = () => routeGet(context, { to: "10.57.4.77", dev: "vxlan100" });
    expect(onVxlan).toThrow(code("WRONG_TYPE"));
  });
});
