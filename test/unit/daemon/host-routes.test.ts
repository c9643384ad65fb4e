// The plain routes that a daemon sets: at the start, over what an earlier one left, beside routes of
// others, and when they are moved.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type HostRoute, HostRoutes } from "../../../src/daemon/host-routes.js";
import { RouteState } from "../../../src/daemon/route-state.js";
import { CulvertError } from "../../../src/errors.js";
import { createLogger } from "../../../src/telemetry/log.js";
import { ETH0, MemoryKernel, TUN0 } from "./memory-kernel.js";

const log = createLogger({ level: "fatal" });
let folder: string;
let kernel: MemoryKernel;
let state: RouteState;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "culvert-routes-"));
  state = new RouteState(join(folder, "sock"), log);
  kernel = new MemoryKernel();
});
afterEach(() => rmSync(folder, { recursive: true }));

const routeTo = (to: string, via = "10.0.0.2"): HostRoute => ({
  ...{ tunnel: "plain", to, via, ifindex: ETH0, dev: "eth0", metric: 0 },
});
const A = routeTo("10.1.0.0/16");
const B = routeTo("10.2.0.0/16");
const OTHERS = { to: A.to, via: "10.0.0.9", ifindex: ETH0, protocol: 4 };
const OVER_TUNNEL = { to: A.to, via: "10.9.0.2", ifindex: TUN0 };

function started(...routes: HostRoute[]): HostRoutes {
  const all = new HostRoutes(kernel, state, log);
  all.start(routes);
  return all;
}

const present = (): string[] => [...kernel.table.values()].map(({ to, via }) => `${to} ${via}`);

describe("at the start", () => {
  it("every route is set and on the list, and all is gone at the end", () => {
    const routes = started(A, B);
    expect(present()).toEqual(["10.1.0.0/16 10.0.0.2", "10.2.0.0/16 10.0.0.2"]);
    expect(state.read()).toMatchObject([{ to: A.to }, { to: B.to }]);
    routes.stop();
    expect(present()).toEqual([]);
    expect(state.read()).toEqual([]);
  });

  it("what a killed daemon left goes, or stays untouched where it is wanted again", () => {
    started(A, B);
    kernel.changes.length = 0;
    started(B);
    expect(kernel.changes).toEqual(["remove 10.1.0.0/16 via 10.0.0.2 dev 2"]);
    expect(state.read()).toMatchObject([{ to: B.to }]);
  });

  it("what a killed daemon left moves to its new next hop without a gap", () => {
    started(A);
    kernel.changes.length = 0;
    started(routeTo(A.to, "10.0.0.3"));
    expect(kernel.changes).toEqual(["replace 10.1.0.0/16 via 10.0.0.3 dev 2"]);
  });

  it("a daemon killed while it moved a route leaves nothing that the next one does not know", () => {
    started(A);
    const moved = routeTo(A.to, "10.0.0.3");
    state.write([A, moved]);
    started();
    expect(present()).toEqual([]);
    kernel.add({ ...moved, protocol: 94 });
    state.write([A, moved]);
    started();
    expect(present()).toEqual([]);
  });

  it.each([
    ["somebody else's route", OTHERS],
    ["a route of another daemon", { ...OTHERS, protocol: 94 }],
    ["the same route of another daemon", { ...OTHERS, via: A.via, protocol: 94 }],
  ])("%s is an error, and stays after the end", (_what, other) => {
    kernel.add(other);
    const routes = new HostRoutes(kernel, state, log);
    expect(() => routes.start([B, A])).toThrow(
      expect.objectContaining({ code: "CULVERT_ROUTE_CONFLICT" }),
    );
    routes.stop();
    expect([...kernel.table.values()]).toEqual([other]);
  });
});

describe("while running", () => {
  it("a route that was deleted is set again", () => {
    const routes = started(A);
    kernel.table.clear();
    expect(routes.presentOf([A]).size).toBe(0);
    routes.check();
    expect(routes.presentOf([A]).size).toBe(1);
  });

  it("somebody else's route in its place stays, until it goes", () => {
    const routes = started(A);
    kernel.table.clear();
    kernel.add(OTHERS);
    routes.check();
    expect(present()).toEqual(["10.1.0.0/16 10.0.0.9"]);
    kernel.table.clear();
    routes.check();
    expect(present()).toEqual(["10.1.0.0/16 10.0.0.2"]);
  });

  it("a route replaces the same one over the tunnel, and that one it", () => {
    const routes = started();
    kernel.add(OVER_TUNNEL);
    kernel.changes.length = 0;
    routes.move([{ kind: "set", route: A, device: TUN0 }]);
    expect(state.read()).toMatchObject([{ to: A.to }]);
    routes.move([{ kind: "remove", route: A, tunnelled: OVER_TUNNEL }]);
    expect(kernel.changes).toEqual([
      "replace 10.1.0.0/16 via 10.0.0.2 dev 2",
      "replace 10.1.0.0/16 via 10.9.0.2 dev 10",
    ]);
    expect(state.read()).toEqual([]);
    routes.stop();
    expect(present()).toEqual(["10.1.0.0/16 10.9.0.2"]);
  });

  it("a route over the tunnel is added where ours is gone, and not over another one", () => {
    const routes = started(A);
    kernel.table.clear();
    routes.move([{ kind: "remove", route: A, tunnelled: OVER_TUNNEL }]);
    expect(present()).toEqual(["10.1.0.0/16 10.9.0.2"]);
    kernel.table.clear();
    kernel.add(OTHERS);
    routes.move([{ kind: "set", route: A, device: TUN0 }]);
    expect(present()).toEqual(["10.1.0.0/16 10.0.0.9"]);
    routes.move([{ kind: "remove", route: A, tunnelled: OVER_TUNNEL }]);
    expect(present()).toEqual(["10.1.0.0/16 10.0.0.9"]);
  });

  it("a move that the kernel refuses is told and leaves the list as it was", () => {
    const routes = started(A);
    kernel.failure = new CulvertError("CULVERT_LINK_DOWN", "down", { hint: "set it up" });
    const failed = routes.move([{ kind: "remove", route: A, tunnelled: OVER_TUNNEL }]);
    expect(failed.has(A)).toBe(true);
    expect(state.read()).toMatchObject([{ to: A.to }]);
    expect(routes.move([{ kind: "remove", route: A, tunnelled: OVER_TUNNEL }]).size).toBe(0);
  });

  it("what cannot be removed at the end stays on the list", () => {
    const routes = started(A);
    kernel.failure = new CulvertError("CULVERT_NOT_PERMITTED", "no", { hint: "be root" });
    routes.stop();
    expect(state.read()).toMatchObject([{ to: A.to }]);
  });
});
