// The rtnetlink client against the kernel, as root, in a namespace of its own: links, addresses,
// neighbours. iproute2 (`ip -j`) is the oracle for everything set and listed.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Call, type Json, NetlinkNamespace } from "./fixtures/netlink-namespace.js";

const host = new NetlinkNamespace("nl");
let va = 0;

beforeAll(() => {
  host.create();
  va = host.addLinks();
});

afterAll(() => {
  host.remove();
});

describe("links", () => {
  it("lists what ip link lists", () => {
    host.ip("link add vx4 type vxlan id 100 local 10.57.4.20 dev va dstport 4789");
    host.ip("link add vx6 type vxlan id 16777215 local fd57::20 dstport 8472");
    host.ip("link add vxe type vxlan external dstport 4790");
    const [listed] = host.values(["links", "listLinks"]) as [Json[]];
    const indices = new Map(host.ipJson("link").map((link) => [link.ifname, link.ifindex]));
    const expected = host.ipJson("-d link").map((link) => ({
      index: link.ifindex,
      name: link.ifname,
      mtu_bytes: link.mtu,
      mac: link.address,
      group: link.group === "default" ? 0 : link.group,
      up: (link.flags as string[]).includes("UP"),
      loopback: (link.flags as string[]).includes("LOOPBACK"),
      kind: (link.linkinfo as Json | undefined)?.info_kind,
      master: link.master === undefined ? undefined : indices.get(link.master),
    }));
    const withoutVxlan = listed.map(({ vxlan: _vxlan, ...link }) => link);
    expect(withoutVxlan).toEqual(expected.map((link) => JSON.parse(JSON.stringify(link))));
    expect(expected.find((link) => link.name === "vb")?.master).toBe(indices.get("br0"));
    const vxlans = listed.filter((link) => link.vxlan !== undefined).map((link) => link.vxlan);
    expect(vxlans).toEqual([
      { vni: 100, port: 4789, family: 4, local: "10.57.4.20", dev: va },
      { vni: 16777215, port: 8472, family: 6, local: "fd57::20" },
      { vni: 0, port: 4790 },
    ]);
    for (const name of ["vx4", "vx6", "vxe"]) host.ip(`link del ${name}`);
  });

  it("finds by name and index, and tells absence", () => {
    host.ip("link property add dev va altname a-name-longer-than-fifteen");
    const [byName, byIndex, byLongName, absent, absentIndex, empty] = host.values(
      ["links", "linkByName", "va"],
      ["links", "linkByIndex", va],
      ["links", "linkByName", "a-name-longer-than-fifteen"],
      ["links", "linkByName", "nothere"],
      ["links", "linkByIndex", 9999],
      ["links", "linkByName", ""],
    );
    expect(byName).toMatchObject({ index: va, name: "va", kind: "veth", mac: "02:00:00:00:00:0a" });
    expect(byIndex).toEqual(byName);
    expect(byLongName).toEqual(byName);
    expect([absent, absentIndex, empty]).toEqual([null, null, null]);
  });

  it("sets MTU, MAC and up, and deletes", () => {
    host.ip("link add vc type veth peer vd");
    const vc = host.indexOf("vc");
    host.values(["links", "setLink", vc, { mtu_bytes: 1350, mac: "02:00:00:00:00:0c", up: true }]);
    const [link] = host.ipJson("link show vc");
    expect(link).toMatchObject({ mtu: 1350, address: "02:00:00:00:00:0c" });
    expect(link.flags).toContain("UP");
    host.values(["links", "setLink", vc, { mtu_bytes: 1340 }]);
    expect(host.ipJson("link show vc")[0].flags).toContain("UP");
    host.values(["links", "setLink", vc, { up: false }]);
    expect(host.ipJson("link show vc")[0].flags).not.toContain("UP");
    host.values(["links", "deleteLink", vc]);
    expect(host.ipJson("link").map((left) => left.ifname)).not.toContain("vc");
  });

  it("names device and cure when the kernel refuses", () => {
    const [tooBig, gone, loopback, multicast] = host.refusals(
      ["links", "setLink", va, { mtu_bytes: 70_000 }],
      ["links", "deleteLink", 9999],
      ["links", "deleteLink", 1],
      ["links", "setLink", va, { mac: "03:00:00:00:00:01" }],
    );
    expect(tooBig.code).toBe("CULVERT_NETLINK_INVALID");
    expect(tooBig.message).toBe(
      "cannot set va to MTU 70000: mtu greater than device maximum (EINVAL)",
    );
    expect(gone).toMatchObject({ code: "CULVERT_NO_DEVICE" });
    expect(gone.message).toBe("cannot delete link 9999: ENODEV");
    expect(loopback).toMatchObject({ code: "CULVERT_NOT_SUPPORTED" });
    expect(multicast).toMatchObject({ code: "CULVERT_NETLINK_INVALID" });
  });
});

describe("addresses", () => {
  const shown = (): Json[] => {
    const infos = host.ipJson("address show va")[0].addr_info as Json[];
    return infos.filter((info) => info.scope === "global");
  };

  it("adds as ip address add does, replaces, lists and deletes", () => {
    host.ip("address add 10.1.0.1/24 broadcast + dev va");
    const [reference] = shown();
    host.ip("address del 10.1.0.1/24 dev va");
    host.values(["addresses", "addAddress", va, "10.1.0.1/24"]);
    expect(shown()).toEqual([reference]);
    expect(reference.broadcast).toBe("10.1.0.255");

    host.values(
      ["addresses", "replaceAddress", va, "10.1.0.1/24"],
      ["addresses", "addAddress", va, "10.2.0.1/31"],
      ["addresses", "addAddress", va, "10.3.0.1"],
      ["addresses", "addAddress", va, "fd01::1/64"],
    );
    const [listed] = host.values(["addresses", "listAddresses", { ifindex: va }]) as [Json[]];
    const global = listed.filter((address) => address.scope === 0);
    expect(global.map((a) => [a.address, a.prefixLength, a.broadcast])).toEqual(
      shown().map((info) => [info.local, info.prefixlen, info.broadcast]),
    );
    expect(global.map((a) => a.address)).toEqual(["10.1.0.1", "10.2.0.1", "10.3.0.1", "fd01::1"]);
    expect(global[3]).toMatchObject({ family: 6, tentative: false, permanent: true, ifindex: va });
    expect(shown()[3]).toMatchObject({ nodad: true });

    host.values(
      ["addresses", "deleteAddress", va, "10.1.0.1/24"],
      ["addresses", "deleteAddress", va, "10.2.0.1/31"],
      ["addresses", "deleteAddress", va, "10.3.0.1/32"],
      ["addresses", "deleteAddress", va, "fd01::1/64"],
    );
    expect(shown()).toEqual([]);
  });

  it("lists by family and over all devices, peers included", () => {
    host.ip("address add 10.4.0.1 peer 10.4.0.2/32 dev va");
    const [all, fourth, sixth] = host.values(
      ["addresses", "listAddresses"],
      ["addresses", "listAddresses", { family: 4 }],
      ["addresses", "listAddresses", { family: 6 }],
    ) as [Json[], Json[], Json[]];
    expect(fourth).toContainEqual(expect.objectContaining({ address: "127.0.0.1", scope: 254 }));
    expect(fourth).toContainEqual(
      expect.objectContaining({ address: "10.4.0.1", peer: "10.4.0.2" }),
    );
    expect(sixth).toContainEqual(expect.objectContaining({ address: "::1" }));
    expect(all.length).toBe(fourth.length + sixth.length);
    host.ip("address del 10.4.0.1 peer 10.4.0.2/32 dev va");
  });

  it("refuses doubles, absent ones and nonsense", () => {
    host.values(["addresses", "addAddress", va, "10.1.0.1/24"]);
    const [double, absent, nonsense, tooLong] = host.refusals(
      ["addresses", "addAddress", va, "10.1.0.1/24"],
      ["addresses", "deleteAddress", va, "10.9.9.9/24"],
      ["addresses", "addAddress", va, "10.1/24"],
      ["addresses", "addAddress", va, "10.1.0.1/33"],
    );
    host.values(["addresses", "deleteAddress", va, "10.1.0.1/24"]);
    expect(double.code).toBe("CULVERT_EXISTS");
    expect(double.message).toContain("cannot add address 10.1.0.1/24 on va");
    expect(absent.code).toBe("CULVERT_NOT_FOUND");
    expect(nonsense.code).toBe("CULVERT_BAD_ADDRESS");
    expect(tooLong.code).toBe("CULVERT_BAD_ADDRESS");
  });
});

describe("neighbours", () => {
  it("adds, lists, replaces and deletes as ip neigh shows", () => {
    const mac = "02:00:00:00:00:0b";
    host.values(
      ["neighbours", "addNeighbour", { ifindex: va, ip: "192.168.11.1", mac }],
      ["neighbours", "addNeighbour", { ifindex: va, ip: "fd11::1", mac }],
    );
    const shown = (): Json[] => [
      ...host.ipJson("-4 neigh show dev va"),
      ...host.ipJson("-6 neigh show dev va"),
    ];
    expect(shown()).toEqual([
      { dst: "192.168.11.1", lladdr: mac, state: ["PERMANENT"] },
      { dst: "fd11::1", lladdr: mac, state: ["PERMANENT"] },
    ]);
    host.values([
      "neighbours",
      "replaceNeighbour",
      { ifindex: va, ip: "fd11::1", mac: "02:00:00:00:00:0c" },
    ]);
    const [listed, elsewhere] = host.values(
      ["neighbours", "listNeighbours", va],
      ["neighbours", "listNeighbours", 1],
    ) as [Json[], Json[]];
    expect(listed).toHaveLength(2);
    expect(listed).toContainEqual({
      ifindex: va,
      family: 4,
      ip: "192.168.11.1",
      mac,
      state: "permanent",
    });
    expect(listed).toContainEqual(
      expect.objectContaining({ family: 6, ip: "fd11::1", mac: "02:00:00:00:00:0c" }),
    );
    expect(elsewhere).toEqual([]);
    const [double, absent] = host.refusals(
      ["neighbours", "addNeighbour", { ifindex: va, ip: "fd11::1", mac }],
      ["neighbours", "deleteNeighbour", va, "192.168.99.1"],
    );
    expect([double.code, absent.code]).toEqual(["CULVERT_EXISTS", "CULVERT_NOT_FOUND"]);
    host.values(
      ["neighbours", "deleteNeighbour", va, "192.168.11.1"],
      ["neighbours", "deleteNeighbour", va, "fd11::1"],
    );
    expect(shown().filter((entry) => (entry.state as string[]).includes("PERMANENT"))).toEqual([]);
  });
});

describe("permissions", () => {
  it("names CAP_NET_ADMIN and how to grant it", () => {
    const calls: Call[] = [
      ["links", "setLink", va, { mtu_bytes: 1400 }],
      ["links", "linkByName", "va"],
    ];
    const [refused, allowed] = host.run(calls, ["setpriv", "--bounding-set", "-net_admin"]);
    expect(refused.error?.code).toBe("CULVERT_NOT_PERMITTED");
    expect(refused.error?.message).toBe("cannot set va to MTU 1400: EPERM");
    expect(refused.error?.hint).toContain("AmbientCapabilities");
    expect(allowed.value).toMatchObject({ name: "va" });
  });
});
