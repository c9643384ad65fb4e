// Links from datagrams a Linux 6.18 kernel sent, and from every truncation of them.
import { describe, expect, it } from "vitest";
import { linkByName } from "../../../src/netlink/links.js";
import { NetlinkSocket } from "../../../src/netlink/netlink-socket.js";
import { bytesOf, message, ScriptedTransport } from "./scripted-transport.js";

// `ip link add vx4 type vxlan id 100 local 10.57.4.20 dev 3 dstport 4789`, statistics and AF_SPEC
// left out.
const vxlanLink = bytesOf(
  "00000100040000000210000000000000",
  "0800030076783400 0800040 0aa050000 0a000100 8ad0217bd3ff0000",
  "e80012000a00010076786c616e000000d80002000800010064000000080003000300000008000400",
  "0a390414050005000000000005001c0000000000050006000000000005001d000000000008001a00",
  "000000000800200000000000050007000100000005000b000000000005000c000000000005000d00",
  "0000000005000e00000000000500190000000000080008002c010000080009000000000006000f00",
  "12b50000050012000100000005001300000000000500140000000000050015000000000005001600",
  "0000000005001f000100000008000a00000000000c002100f7ffffff000000ff",
);

describe("links", () => {
  it("reads a vxlan device", () => {
    const rtnl = new NetlinkSocket(new ScriptedTransport([message(16, 0, vxlanLink)]));
    expect(linkByName(rtnl, "vx4")).toEqual({
      index: 4,
      group: 0,
      name: "vx4",
      kind: "vxlan",
      mtu_bytes: 1450,
      mac: "8a:d0:21:7b:d3:ff",
      up: false,
      loopback: false,
      master: undefined,
      vxlan: { vni: 100, port: 4789, family: 4, local: "10.57.4.20", dev: 3 },
    });
  });

  it("answers every truncation with a link or CULVERT_NETLINK_MALFORMED", () => {
    let refused = 0;
    for (let length = 0; length < vxlanLink.length; length++) {
      const cut = message(16, 0, vxlanLink.slice(0, length));
      try {
        linkByName(new NetlinkSocket(new ScriptedTransport([cut])), "vx4");
      } catch (error) {
        refused++;
        expect(error).toMatchObject({ code: "CULVERT_NETLINK_MALFORMED" });
      }
    }
    // Valid: a cut after the struct, after each of the three attributes before LINKINFO, and in the
    // MAC's padding (2).
    expect(refused).toBe(vxlanLink.length - 6);
  });
});
