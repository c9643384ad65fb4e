// `culvert route` on real tables: what is used for which destination, and why.

import { describe, expect, it } from "vitest";
import { routeGet, routeShow } from "../../../src/daemon/control/routes.js";
import { controlContext } from "./control-context.js";

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
  it("lists the routes of ipip tunnels in order of their prefixes", () => {
    const context = controlContext();
    expect(routeShow(context, {})).toEqual([
      { dev: "ipip0", to: "10.57.4.0/24", source: "config" },
      { dev: "ipip0", to: "192.168.11.0/24", via: "10.57.4.21", source: "config" },
    ]);
    expect(() => routeShow(context, { dev: "vxlan100" })).toThrow(code("WRONG_TYPE"));
    expect(() => routeShow(context, { dev: "eth9" })).toThrow(code("NO_TUNNEL"));
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

  it("names the remote of a point-to-point tunnel for everything", () => {
    const context = controlContext(POINT_TO_POINT);
    expect(routeGet(context, { to: "8.8.8.8", dev: "ipip1" })).toMatchObject({
      ...{ dev: "ipip1", outer: "10.57.4.30" },
    });
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
