// Routes of an ipip tunnel for which there is no room: counted, and in force as soon as there is;
// and whatever changes, each next hop is held exactly as long as a route leads to it.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { TunnelRoutes } from "../../../src/daemon/tunnel-routes.js";
import type { RouteChange } from "../../../src/netlink/route-watch.js";
import { MAX_GROUPS } from "../../../src/routes/next-hop-groups.js";
import { RouteTable } from "../../../src/routes/route-table.js";
import { formatPrefix } from "../../../src/wire/ip-address.js";
import { controlContext } from "./control-context.js";
import { kernelRoute, type TestRoute } from "./kernel-routes.js";

const OTHER = 2;

function fixture(maxRemotes = 64) {
  const text = "tunnels: [{ name: ipip0, type: ipip, local: 10.57.4.20 }]";
  const context = controlContext(text, [], maxRemotes);
  const { ipip, remotes, peers } = context;
  const routes: TunnelRoutes = context.mirror.of(ipip);
  const ours = ipip.device.ifindex;
  const over = (to: string, ...gateways: string[]): TestRoute => ({
    to,
    hops: gateways.map((via) => ({ via, ifindex: ours })),
  });
  const change = (what: RouteChange, route: TestRoute) => routes.change(what, kernelRoute(route));
  /** Prefixes that lead somewhere. */
  const table = () =>
    ipip.routes
      .list()
      .filter(({ hops }) => hops !== undefined)
      .map(({ prefix }) => formatPrefix(prefix))
      .sort();
  const retry = () => {
    if (routes.retry()) for (const _ of routes.reinstall());
  };
  return { ipip, remotes, peers, routes, ours, over, change, table, retry };
}

describe("a route without room", () => {
  it("for its next hop is in force when a remote goes, also one of somebody else", () => {
    const { ipip, peers, routes, over, change, table, retry } = fixture(2);
    const stranger = peers.acquire(ipip.index, "10.57.4.90");
    change("add", over("10.1.0.0/16", "10.57.4.21"));
    change("add", over("10.2.0.0/16", "10.57.4.22"));
    change("add", over("10.3.0.0/16", "10.57.4.22"));
    expect(routes.crowdedOut).toBe(2);
    retry();
    expect(table()).toEqual(["10.1.0.0/16"]);
    peers.release(stranger);
    retry();
    expect(table()).toEqual(["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"]);
    expect(routes.crowdedOut).toBe(0);
    expect(routes.unused).toBe(0);
  });

  it("for its set of next hops is in force when another set goes", () => {
    const { routes, over, change, table, retry } = fixture();
    const weighted = (n: number): TestRoute => {
      const { to, hops } = over(`10.${n >>> 8}.${n & 255}.0/24`, "10.57.4.21", "10.57.4.22");
      // Weights up to 256 of each: 65,536 different sets.
      const [a, b] = hops as [(typeof hops)[0], (typeof hops)[0]];
      return {
        to,
        hops: [
          { ...a, weight: 1 + (n % 256) },
          { ...b, weight: 1 + (n >>> 8) },
        ],
      };
    };
    for (let n = 0; n <= MAX_GROUPS; n++) change("add", weighted(n));
    expect(routes.crowdedOut).toBe(1);
    expect(table()).toHaveLength(MAX_GROUPS);
    for (const _ of routes.reinstall());
    expect(routes.crowdedOut).toBe(1);
    change("replace", over("10.0.0.0/24", "10.57.4.21"));
    retry();
    expect(routes.crowdedOut).toBe(0);
    expect(table()).toHaveLength(MAX_GROUPS + 1);
  });

  it("because its own last set was in the way takes that one's place", () => {
    const { routes, over, change } = fixture();
    for (let n = 0; n < MAX_GROUPS; n++) {
      const { to, hops } = over(`10.${n >>> 8}.${n & 255}.0/24`, "10.57.4.21", "10.57.4.22");
      const [a, b] = hops as [(typeof hops)[0], (typeof hops)[0]];
      change("add", {
        to,
        hops: [
          { ...a, weight: 1 + (n % 256) },
          { ...b, weight: 1 + (n >>> 8) },
        ],
      });
    }
    change("replace", over("10.0.0.0/24", "10.57.4.23", "10.57.4.24"));
    expect(routes.crowdedOut).toBe(0);
  });

  it("in the table itself asks for reading all when another goes", () => {
    const { ipip, routes, over, change, table, retry } = fixture();
    const small = Object.assign(ipip, { routes: new RouteTable(2) });
    for (const n of [1, 2, 3]) change("add", over(`10.${n}.0.0/16`, "10.57.4.21"));
    expect(small.routes.count).toBe(2);
    expect(routes.crowdedOut).toBe(1);
    change("delete", over("10.1.0.0/16", "10.57.4.21"));
    retry();
    expect(table()).toEqual(["10.2.0.0/16", "10.3.0.0/16"]);
    expect(routes.crowdedOut).toBe(0);
  });
});

const gateway = fc.constantFrom(
  ...["10.57.4.21", "10.57.4.22", "10.57.4.23", "::10.57.4.24", "224.0.0.1", undefined],
);
const step = fc.record({
  what: fc.constantFrom<RouteChange | "sync" | "retry">(
    ...(["add", "append", "replace", "delete", "delete", "sync", "retry"] as const),
  ),
  prefix: fc.constantFrom("10.1.0.0/16", "10.2.0.0/16", "fd11::/48", "fd12::/48"),
  metric: fc.constantFrom(0, 10),
  hops: fc.array(fc.record({ via: gateway, ours: fc.boolean(), dead: fc.boolean() }), {
    ...{ minLength: 1, maxLength: 3 },
  }),
});

it("next hops are held by nobody when no route is left, whatever happened before", () => {
  const steps = fc.array(step, { maxLength: 60 });
  const property = fc.property(steps, fc.constantFrom(2, 64), (all, maxRemotes) => {
    const { ipip, remotes, routes, ours, change, retry } = fixture(maxRemotes);
    for (const { what, prefix, metric, hops } of all) {
      const route: TestRoute = {
        ...{ to: prefix, metric },
        hops: hops.map(({ via, ours: own, dead }) => ({ via, dead, ifindex: own ? ours : OTHER })),
      };
      if (what === "retry") retry();
      else if (what !== "sync") change(what, route);
      else {
        routes.beginSync();
        routes.syncStarted(4);
        routes.synced(kernelRoute(route));
        routes.syncStarted(6);
        if (metric === 0) routes.abandonSync();
        else for (const _ of routes.finishSync());
      }
      // Who is in use is who may send, and each is there once.
      const held = remotes.list(ipip.index).filter(({ references }) => references > 0);
      expect(held).toHaveLength(routes.outer.list().length);
    }
    routes.beginSync();
    for (const _ of routes.finishSync());
    expect(routes.count).toBe(0);
    expect(routes.outer.list()).toEqual([]);
    expect(remotes.list(ipip.index)).toEqual([]);
    expect(ipip.routes.count).toBe(0);
    expect(routes.crowdedOut + routes.unused + routes.bodies.sourced).toBe(0);
    expect(routes.bodies.unreachable + routes.bodies.nexthopObjects).toBe(0);
  });
  fc.assert(property, { numRuns: 200 });
});
