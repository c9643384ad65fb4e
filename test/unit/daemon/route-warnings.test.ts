// What the log has of routes that cannot be used: once, again when it becomes more, not for ever.

import { describe, expect, it } from "vitest";
import { RouteWarnings } from "../../../src/daemon/route-warnings.js";
import { createLogger } from "../../../src/telemetry/log.js";
import { controlContext } from "./control-context.js";
import { kernelRoute } from "./kernel-routes.js";

const MINUTE_MS = 60_000;

function fixture(maxRemotes = 64) {
  const lines: string[] = [];
  const log = createLogger({ level: "info", format: "json", write: (line) => lines.push(line) });
  const context = controlContext(
    "tunnels: [{ name: ipip0, type: ipip, local: 10.57.4.20 }]",
    [],
    maxRemotes,
  );
  const routes = context.mirror.of(context.ipip);
  const now = { ms: 0 };
  const warnings = new RouteWarnings(log, () => now.ms);
  const change = (what: "add" | "delete", to: string, via: string) =>
    routes.change(what, kernelRoute({ to, hops: [{ via, ifindex: context.ipip.device.ifindex }] }));
  const look = () => {
    warnings.look(routes);
    return lines.splice(0).map((line) => JSON.parse(line) as Record<string, unknown>);
  };
  return { warnings, routes, now, change, look, lines };
}

describe("routes that cannot be used", () => {
  it("are told when they become more, at most once a minute", () => {
    const { now, change, look } = fixture();
    expect(look()).toEqual([]);
    change("add", "10.1.0.0/16", "224.0.0.1");
    expect(look()).toMatchObject([{ tunnel: "ipip0", routes: 1, next_hop: "224.0.0.1" }]);
    change("add", "10.2.0.0/16", "224.0.0.1");
    expect(look()).toEqual([]);
    now.ms += MINUTE_MS;
    expect(look()).toMatchObject([{ routes: 2 }]);
    now.ms += MINUTE_MS;
    expect(look()).toEqual([]);
    change("delete", "10.2.0.0/16", "224.0.0.1");
    expect(look()).toEqual([]);
    change("add", "10.2.0.0/16", "224.0.0.1");
    expect(look()).toMatchObject([{ routes: 2 }]);
  });

  it("for want of room are told with the limit", () => {
    const { change, look } = fixture(1);
    change("add", "10.1.0.0/16", "10.57.4.21");
    change("add", "10.2.0.0/16", "10.57.4.22");
    const [line] = look();
    expect(line).toMatchObject({ tunnel: "ipip0", routes: 1 });
    expect(line?.msg).toContain("131072 routes");
  });

  it("because they lead into the tunnel are told with a cure, some by name", () => {
    const { warnings, routes, change, lines } = fixture();
    for (let n = 0; n < 20; n++) change("add", `10.${n}.0.0/16`, `10.57.4.${100 + n}`);
    const hops = routes.outer.list();
    for (const hop of hops) hop.looped = true;
    warnings.loops(routes, hops);
    const line = JSON.parse(lines.splice(0)[0]!) as { next_hops: string[]; msg: string };
    expect(line).toMatchObject({ tunnel: "ipip0", count: 20 });
    expect(line.next_hops).toHaveLength(8);
    expect(line.msg).toContain("ip route add 10.57.4.100/32");
    for (const hop of hops) hop.looped = false;
    warnings.loops(routes, hops);
    expect(lines).toHaveLength(1);
  });
});
