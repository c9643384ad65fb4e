// Which of the kernel's IP tunnels get in the way of ours: links as a Linux 6.1 guest shows them.

import { describe, expect, it } from "vitest";
import { noticesFor, type OurTunnel } from "../../../src/doctor/kernel-tunnels.js";
import type { IpTunnelLink, Link } from "../../../src/netlink/links.js";
import { ip } from "../forwarding/frames.js";

const none = { tunnel4: false, tunnel6: false };
const both = { tunnel4: true, tunnel6: true };

function link(name: string, kind: string, ipTunnel: Partial<IpTunnelLink>, up = true): Link {
  return {
    ...{ index: 7, name, kind, mtu_bytes: 1480, mac: undefined, up, loopback: false },
    ...{ master: undefined, group: 0, vxlan: undefined },
    ipTunnel: { local: undefined, remote: undefined, protocol: 4, ...ipTunnel },
  };
}

/** As they are when the modules are loaded. */
const fallback = [
  link("tunl0", "ipip", { protocol: 0 }, false),
  link("sit0", "sit", { protocol: 41 }, false),
  link("ip6tnl0", "ip6tnl", { protocol: 41 }, false),
];

const ipip: OurTunnel = { local: ip("10.57.4.20"), remote: undefined, mode: "ipip" };
const over6: OurTunnel = { local: ip("fd57::20"), remote: ip("fd57::21"), mode: "any" };

/** Names of the devices that take packets too, and "module" where the kernel answers. */
function found(tunnel: OurTunnel, links: readonly Link[], modules = both): string[] {
  return noticesFor(tunnel, links, modules).map(
    ({ what }) => / device (\S+) \(/.exec(what)?.[1] ?? "module",
  );
}

describe("the kernel's tunnels beside one of ours", () => {
  it("say nothing without modules", () => {
    expect(found(ipip, [], none)).toEqual([]);
    expect(found(over6, [], none)).toEqual([]);
  });

  it("answer for a module whose devices are down", () => {
    expect(found(ipip, fallback)).toEqual(["module"]);
    expect(noticesFor(ipip, fallback, both)[0]?.what).toContain("tunnel4");
    expect(noticesFor(over6, fallback, both)[0]?.what).toContain("tunnel6");
    expect(found(ipip, fallback, { tunnel4: false, tunnel6: true })).toEqual([]);
    expect(found(over6, fallback, { tunnel4: true, tunnel6: false })).toEqual([]);
  });

  it("take what a device without addresses takes", () => {
    expect(found(ipip, [link("tunl0", "ipip", { protocol: 0 })])).toEqual(["tunl0"]);
    expect(found({ ...ipip, mode: "sit" }, [link("sit0", "sit", { protocol: 41 })])).toEqual([
      "sit0",
    ]);
  });

  it("drop quietly what a device of the same ends does not carry", () => {
    expect(found(ipip, [link("sit0", "sit", { protocol: 41 })])).toEqual([]);
    expect(found(ipip, [link("mpls1", "ipip", { protocol: 137 })])).toEqual([]);
  });

  it("are asked by kind: ipip for IPv4 only, sit for both, ip6tnl over IPv6", () => {
    const any = (kind: string) => [link("x1", kind, { protocol: 0 })];
    expect(found({ ...ipip, mode: "sit" }, any("ipip"))).toEqual(["module"]);
    expect(found(ipip, any("sit"))).toEqual(["x1"]);
    expect(found(ipip, any("ip6tnl"))).toEqual(["module"]);
    expect(found(over6, any("ip6tnl"))).toEqual(["x1"]);
    expect(found(over6, any("ipip"))).toEqual(["module"]);
    // IPv6 of a tunnel of mode any has no receiver in ipip.
    expect(found({ ...ipip, mode: "any" }, any("ipip"))).toEqual(["x1", "module"]);
  });

  it("are told apart by their addresses", () => {
    const peer = (local: string, remote: string) => [link("peer1", "ipip", { local, remote })];
    const toOne = { ...ipip, remote: ip("10.57.4.21") };
    expect(found(toOne, peer("10.57.4.20", "10.57.4.21"))).toEqual(["peer1"]);
    expect(found(toOne, peer("10.57.4.20", "10.57.4.22"))).toEqual(["module"]);
    expect(found(toOne, peer("10.57.4.19", "10.57.4.21"))).toEqual(["module"]);
    // One-to-many: the device takes those of one peer, and the others have none.
    expect(found(ipip, peer("10.57.4.20", "10.57.4.22"))).toEqual(["peer1", "module"]);
    const anywhere = { ...ipip, local: ip("0.0.0.0") };
    expect(found(anywhere, peer("10.57.4.20", "10.57.4.22"))).toEqual(["peer1", "module"]);
  });

  it("name device, addresses and cure", () => {
    const [notice] = noticesFor(ipip, [link("peer1", "ipip", { local: "10.57.4.20" })], both);
    expect(notice).toEqual({
      what: "the kernel's ipip device peer1 (remote any local 10.57.4.20) is up",
      consequence: "it takes this tunnel's packets too, so the host has them twice",
      cure: "ip link set peer1 down",
    });
  });
});
