// Routes over rtnetlink against the kernel, as root, in namespaces of their own; iproute2 (`ip -j`)
// is the oracle.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Json, NetlinkNamespace } from "./fixtures/netlink-namespace.js";

const host = new NetlinkNamespace("nlr");
const other = new NetlinkNamespace("nlr2");
let va = 0;

beforeAll(() => {
  host.create();
  other.create();
  va = host.addLinks();
});

afterAll(() => {
  host.remove();
  other.remove();
});

describe("routes", () => {
  beforeAll(() => {
    host.ip("address add 10.57.4.20/24 dev va");
    host.ip("address add fd57::20/64 nodad dev va");
  });
  afterAll(() => {
    host.ip("address flush dev va scope global");
  });

  const show = (which: string): Json[] => host.ipJson(`route show ${which}`);

  it("adds what ip route shows, in every form", () => {
    host.values(
      ["routes", "addRoute", { to: "192.168.11.0/24", via: "10.57.4.21", ifindex: va }],
      [
        "routes",
        "addRoute",
        { to: "192.168.12.0/24", via: "172.16.0.1", ifindex: va, onlink: true, metric: 50 },
      ],
      ["routes", "addRoute", { to: "192.168.13.7", ifindex: va, source: "10.57.4.20" }],
      ["routes", "addRoute", { to: "default", via: "10.57.4.1", ifindex: va }],
      ["routes", "addRoute", { to: "192.168.14.0/24", via: "fd57::21", ifindex: va }],
      ["routes", "addRoute", { to: "fd11::/48", via: "fd57::21", ifindex: va, metric: 7 }],
      ["routes", "addRoute", { to: "fd12::/48", ifindex: va }],
    );
    const common = { dev: "va", protocol: "static", flags: [] };
    expect(show("192.168.11.0/24")).toEqual([
      { ...common, dst: "192.168.11.0/24", gateway: "10.57.4.21" },
    ]);
    expect(show("192.168.12.0/24")).toEqual([
      { ...common, dst: "192.168.12.0/24", gateway: "172.16.0.1", metric: 50, flags: ["onlink"] },
    ]);
    expect(show("192.168.13.7")).toEqual([
      { ...common, dst: "192.168.13.7", scope: "link", prefsrc: "10.57.4.20" },
    ]);
    expect(show("default")).toEqual([{ ...common, dst: "default", gateway: "10.57.4.1" }]);
    expect(show("192.168.14.0/24")).toEqual([
      { ...common, dst: "192.168.14.0/24", via: { family: "inet6", host: "fd57::21" } },
    ]);
    expect(host.ipJson("-6 route show fd11::/48")[0]).toMatchObject({
      gateway: "fd57::21",
      metric: 7,
    });
    expect(host.ipJson("-6 route show fd12::/48")[0]).toMatchObject({
      dev: "va",
      metric: 1024,
    });
  });

  it("replaces and deletes", () => {
    host.values([
      "routes",
      "replaceRoute",
      { to: "192.168.11.0/24", via: "10.57.4.22", ifindex: va },
    ]);
    expect(show("192.168.11.0/24").map((route) => route.gateway)).toEqual(["10.57.4.22"]);
    host.values(
      ["routes", "deleteRoute", { to: "192.168.11.0/24", via: "10.57.4.22", ifindex: va }],
      ["routes", "deleteRoute", { to: "192.168.12.0/24", ifindex: va }],
      ["routes", "deleteRoute", { to: "default", ifindex: va }],
      ["routes", "deleteRoute", { to: "fd11::/48", ifindex: va }],
    );
    expect(show("192.168.11.0/24")).toEqual([]);
    expect(show("192.168.12.0/24")).toEqual([]);
    expect(show("default")).toEqual([]);
    expect(host.ipJson("-6 route show fd11::/48")).toEqual([]);
  });

  it("names route and cure when the kernel refuses", () => {
    const [offLink, offLink6, double, absent, hostBits] = host.refusals(
      ["routes", "addRoute", { to: "192.168.30.0/24", via: "172.16.0.1", ifindex: va }],
      ["routes", "addRoute", { to: "fd30::/64", via: "fd99::1", ifindex: va }],
      ["routes", "addRoute", { to: "192.168.13.7", ifindex: va }],
      ["routes", "deleteRoute", { to: "192.168.31.0/24", ifindex: va }],
      ["routes", "addRoute", { to: "192.168.32.1/24", ifindex: va }],
    );
    expect(offLink).toEqual({
      code: "CULVERT_NO_ROUTE",
      message:
        "cannot add route 192.168.30.0/24 via 172.16.0.1 dev va: Nexthop has invalid gateway (ENETUNREACH)",
      hint: "the gateway is in no subnet of that device: add `onlink: true` or an address in that subnet",
    });
    expect(offLink6.code).toBe("CULVERT_NO_ROUTE");
    expect(double.code).toBe("CULVERT_EXISTS");
    expect(absent.code).toBe("CULVERT_NOT_FOUND");
    expect(hostBits.code).toBe("CULVERT_NETLINK_INVALID");
    expect(hostBits.message).toContain("Invalid prefix for given prefix length");
  });

  it("decides as ip route get does", () => {
    host.ip("route add 192.168.40.0/24 via 10.57.4.21 mtu 1280");
    host.ip("route add unreachable 192.168.41.0/24");
    host.ip("route add prohibit 192.168.42.0/24");
    host.ip("-6 route add blackhole fd41::/64");
    for (const destination of ["10.57.4.21", "192.168.40.1", "fd57::21", "10.57.4.20"]) {
      const [decision] = host.values(["routes", "getRoute", destination]) as [Json];
      const [oracle] = host.ipJson(`route get ${destination}`);
      expect(decision.ifindex).toBe(host.indexOf(oracle.dev as string));
      expect(decision.gateway).toBe(oracle.gateway);
      expect(decision.source).toBe(oracle.prefsrc);
    }
    expect(host.values(["routes", "getRoute", "192.168.40.1"])[0]).toMatchObject({
      mtu_bytes: 1280,
    });
    const failures = host.refusals(
      ["routes", "getRoute", "203.0.113.1"],
      ["routes", "getRoute", "192.168.41.1"],
      ["routes", "getRoute", "fd41::1"],
      ["routes", "getRoute", "192.168.42.1"],
      ["routes", "getRoute", "2001:db8::1"],
    );
    expect(failures.map((failure) => failure.code)).toEqual(Array(5).fill("CULVERT_NO_ROUTE"));
    expect(failures[0].message).toContain("get the route to 203.0.113.1");
  });
});
