// Which ways there are between two hosts: tunnels that both run, and why others are left out.

import { describe, expect, it } from "vitest";
import {
  agreedLatencyTool,
  findWays,
  type Way,
  type WaysOptions,
} from "../../../src/bench/remote-paths.js";
import type { OfferedTunnel } from "../../../src/bench/remote-protocol.js";

const vxlan = (name: string, vni: number, port = 4789, addresses = ["192.168.11.1"]) =>
  ({ name, type: "vxlan", vni, port, addresses }) satisfies OfferedTunnel;
const ipip = (name: string, addresses: string[]) =>
  ({ name, type: "ipip", addresses }) satisfies OfferedTunnel;

function ways(options: Partial<WaysOptions>, routes: Record<string, string> = {}): Way[] {
  return findWays({
    ...{ underlay: "10.0.0.2", ours: [], theirs: [], via: [] },
    deviceTowards: (address) => routes[address] ?? "eth0",
    ...options,
  });
}

describe("ways", () => {
  it("begin with the underlay and match tunnels by type and VNI, whatever they are called", () => {
    const found = ways(
      {
        ours: [vxlan("red", 1), ipip("ipip0", ["10.1.0.1"])],
        theirs: [
          ipip("tunnel9", ["10.1.0.2"]),
          vxlan("blue", 1, 4789, ["192.168.11.1", "fd00::1"]),
        ],
        via: [{ name: "kernel", address: "172.16.0.2" }],
      },
      { "fd00::1": "red", "10.1.0.2": "ipip0" },
    );
    expect(found).toEqual([
      { name: "underlay", title: "underlay", address: "10.0.0.2" },
      { name: "red", title: "red (culvert vxlan)", tunnel: true, address: "fd00::1" },
      { name: "ipip0", title: "ipip0 (culvert ipip)", tunnel: true, address: "10.1.0.2" },
      { name: "kernel", title: "kernel", address: "172.16.0.2" },
    ]);
  });

  it("prefer the tunnel on the same port, then of the same name, each once", () => {
    const found = ways(
      {
        ours: [vxlan("a", 7, 4790), vxlan("b", 7, 4789), vxlan("c", 7, 4789)],
        theirs: [
          vxlan("c", 7, 4789, ["10.2.0.3"]),
          vxlan("x", 7, 4790, ["10.2.0.1"]),
          vxlan("b", 7, 4789, ["10.2.0.2"]),
        ],
      },
      { "10.2.0.1": "a", "10.2.0.2": "b", "10.2.0.3": "c" },
    );
    expect(found.slice(1).map(({ address }) => address)).toEqual([
      "10.2.0.1",
      "10.2.0.2",
      "10.2.0.3",
    ]);
  });

  it("leave out, with the reason, what the other side lacks or what takes another way", () => {
    const found = ways({
      ours: [vxlan("a", 1), vxlan("b", 2), vxlan("c", 3), ipip("d", [])],
      theirs: [vxlan("b", 2, 4789, []), vxlan("c", 3)],
    });
    expect(found.slice(1).map(({ missing }) => missing)).toEqual([
      "the other host runs no vxlan with VNI 1",
      "the other end (b) has no address",
      "192.168.11.1 is not routed through c",
      "the other host runs no ipip",
    ]);
    expect(found.slice(1).every(({ address }) => address === undefined)).toBe(true);
  });

  it("refuse an underlay that is one of the tunnels, names that meet, and what is no address", () => {
    const own = { ours: [vxlan("a", 1)], theirs: [] };
    expect(() => ways(own, { "10.0.0.2": "a" })).toThrow("cannot be the underlay");
    const named = (name: string, address: string) => () =>
      ways({ ...own, via: [{ name, address }] });
    expect(named("a", "10.0.0.9")).toThrow("two ways are called a");
    expect(named("underlay", "10.0.0.9")).toThrow("two ways are called underlay");
    expect(named("b", "-f")).toThrow("-f is no IP address");
  });
});

describe("the tool for latency", () => {
  const way = (address: string): Way => ({ name: "x", title: "x", address });

  it("is sockperf where both have it and no address is IPv6", () => {
    expect(agreedLatencyTool(["sockperf", "sockperf"], [way("10.0.0.1")])).toBe("sockperf");
    expect(agreedLatencyTool(["sockperf", "culvert"], [way("10.0.0.1")])).toBe("culvert");
    const mixed = [way("10.0.0.1"), way("fd00::1")];
    expect(agreedLatencyTool(["sockperf", "sockperf"], mixed)).toBe("culvert");
  });
});
