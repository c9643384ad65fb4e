// What a VTEP writes in front of a frame: VXLAN header, UDP ports, outer IP fields at their
// defaults [RFC 7348 § 4.1, 5].

import { R1, useLab } from "./lab.js";
import { ownMac } from "./vtep.js";

const lab = useLab();
const to1 = 'dst="02:00:00:00:00:0b"';
const fdb = [{ mac: "02:00:00:00:00:0b", dst: R1 }];

lab.group("header of an IPv4 underlay", { fdb }, (rule) => {
  rule.same("RFC 7348 5: the I flag is set, all other flags are zero", 0x08, async (scene) => {
    const [datagram] = await scene.egress(`frame(${to1})`);
    return datagram!.flags;
  });

  rule.same("RFC 7348 5: reserved fields are zero", ["000000", 0], async (scene) => {
    const [datagram] = await scene.egress(`frame(${to1})`);
    return [datagram!.reserved, datagram!.low];
  });

  rule.same("the inner frame is carried as it was", true, async (scene) => {
    const text = "the payload of a frame";
    const [datagram] = await scene.egress(`frame(${to1}, src="${ownMac}", text="${text}")`);
    return datagram!.inner.hex.includes(Buffer.from(text).toString("hex"));
  });
});
