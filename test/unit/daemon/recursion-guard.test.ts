// Which next hops the kernel is asked about, when, and who is told.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  type AskRoute,
  RecursionGuard,
  recursionError,
} from "../../../src/daemon/recursion-guard.js";
import type { TunnelRoutes } from "../../../src/daemon/tunnel-routes.js";
import { formatIp } from "../../../src/wire/ip-address.js";
import { controlContext } from "./control-context.js";
import { kernelRoute } from "./kernel-routes.js";

const UNDERLAY = 2;
const VIA = "10.57.4.21";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function fixture() {
  const context = controlContext("tunnels: [{ name: ipip0, type: ipip, local: 10.57.4.20 }]");
  const routes: TunnelRoutes = context.mirror.of(context.ipip);
  const ours = context.ipip.device.ifindex;
  const asked: string[] = [];
  const told: string[] = [];
  /** Addresses that the kernel reaches through the tunnel. */
  const inside = new Set<string>();
  const ask: AskRoute = ({ address }) => {
    const text = formatIp(address.w0, address.w1, address.w2, address.w3);
    asked.push(text);
    return inside.has(text) ? ours : UNDERLAY;
  };
  const guard = new RecursionGuard([routes], ask, (_, hops) => {
    for (const { address, looped } of hops) {
      told.push(`${formatIp(address.w0, address.w1, address.w2, address.w3)} ${looped}`);
    }
  });
  const add = (to: string, via: string) =>
    routes.change("add", kernelRoute({ to, hops: [{ via, ifindex: ours }] }));
  return { routes, guard, asked, told, inside, add };
}

describe("a next hop", () => {
  it("that no route of the tunnel covers is not asked about", () => {
    const { guard, add, asked } = fixture();
    add("192.168.11.0/24", VIA);
    guard.checkNew();
    guard.routesChanged();
    vi.advanceTimersByTime(1000);
    expect(asked).toEqual([]);
  });

  it("that one covers is, at once, and again when routes change", () => {
    const { guard, add, asked, told, inside } = fixture();
    inside.add(VIA);
    add("10.57.0.0/16", VIA);
    guard.checkNew();
    expect(told).toEqual([`${VIA} true`]);
    guard.checkNew();
    expect(asked).toEqual([VIA]);
    inside.delete(VIA);
    for (let n = 0; n < 100; n++) guard.routesChanged();
    vi.advanceTimersByTime(1000);
    expect(asked).toEqual([VIA, VIA]);
    expect(told).toEqual([`${VIA} true`, `${VIA} false`]);
  });

  it("is not told of twice", () => {
    const { guard, add, told, inside } = fixture();
    inside.add(VIA);
    add("10.57.0.0/16", VIA);
    for (let n = 0; n < 3; n++) {
      guard.routesChanged();
      vi.advanceTimersByTime(1000);
    }
    expect(told).toEqual([`${VIA} true`]);
  });

  it("has its turn, however many there are, without all in one", () => {
    const { guard, add, asked } = fixture();
    const count = 60;
    add("10.0.0.0/8", "10.9.0.1");
    for (let n = 0; n < count; n++) add(`172.16.${n}.0/24`, `10.8.${n}.1`);
    const all = count + 1;
    guard.checkNew();
    vi.advanceTimersByTime(1000);
    expect(new Set(asked).size).toBe(all);
    expect(asked).toHaveLength(all);
  });

  it("is no longer looked at after the end", () => {
    const { guard, add, asked } = fixture();
    add("10.57.0.0/16", VIA);
    guard.routesChanged();
    guard.stop();
    vi.advanceTimersByTime(1000);
    expect(asked).toEqual([]);
  });
});

it("the error names tunnel, next hop and a cure of the family", () => {
  const error = recursionError("ipip0", "route 10.0.0.0/8 via 10.57.4.21", VIA);
  expect(error).toMatchObject({ code: "CULVERT_RECURSION" });
  expect(error.message).toContain("ipip0");
  expect(error.hint).toContain(`ip route add ${VIA}/32`);
  expect(recursionError("t", "x", "fd57::21").hint).toContain("fd57::21/128");
});
