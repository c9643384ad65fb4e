// What a VTEP takes from the underlay and what it drops, in the order of the kernel's vxlan_rcv:
// length, I flag, VNI, reserved bits, source MAC, inner frame.

import { S1, useLab } from "./lab.js";
import { ownMac } from "./vtep.js";

const lab = useLab();
const macs = (frames: readonly { src: string }[]): string[] => frames.map(({ src }) => src);
const lenient = "RFC 7348 5 ignores reserved bits on receipt; this kernel drops";
const probe = "02:00:00:00:00:aa";

lab.group("receive, IPv4 underlay", {}, (rule) => {
  rule.same("a frame arrives as it was sent", [probe], async (scene) => {
    return macs(await scene.ingress("vx()"));
  });

  rule.same("RFC 7348 5: without the I flag it is dropped", [], async (scene) => {
    return macs(await scene.ingress("vx(flags=0)"));
  });

  rule.same("an unknown VNI is dropped", [], async (scene) => {
    return macs(await scene.ingress("vx(vni=101)"));
  });

  rule.same("the source port does not matter", [probe, probe], async (scene) => {
    return macs(
      await scene.ingress("vx(frame(sport=11), sport=1)", "vx(frame(sport=12), sport=65535)"),
    );
  });

  rule.same("RFC 7348 4.1: a zero UDP checksum is accepted over IPv4", [probe], async (scene) => {
    return macs(await scene.ingress('vx(csum="zero")'));
  });

  rule.same("RFC 7348 4.1: a wrong UDP checksum is dropped", [], async (scene) => {
    return macs(await scene.ingress('vx(csum="bad")'));
  });

  rule.same("a datagram shorter than a VXLAN header is dropped", [], async (scene) => {
    return macs(await scene.ingress("vx(cut=0)", "vx(cut=4)", "vx(cut=7)"));
  });

  rule.same("a VXLAN header without a frame is dropped", [], async (scene) => {
    return macs(await scene.ingress("vx(cut=8)", "vx(cut=12)", "vx(cut=21)"));
  });

  rule.differs(
    "reserved flag bits",
    { kernel: [], culvert: [probe], why: lenient },
    async (scene) => macs(await scene.ingress("vx(flags=0x09)")),
  );

  rule.differs(
    "reserved bytes after the flags",
    { kernel: [], culvert: [probe], why: lenient },
    async (scene) => macs(await scene.ingress('vx(reserved=b"\\0\\0\\1")')),
  );

  rule.differs(
    "the reserved byte after the VNI",
    { kernel: [], culvert: [probe], why: lenient },
    async (scene) => macs(await scene.ingress("vx(low=1)")),
  );

  rule.same("the VTEP's own MAC as inner source is dropped: a loop", [], async (scene) => {
    return macs(await scene.ingress(`vx(frame(src="${ownMac}"))`));
  });

  rule.same("a multicast inner source MAC is dropped", [], async (scene) => {
    return macs(await scene.ingress('vx(frame(src="01:00:5e:00:00:01"))'));
  });

  rule.same("the broadcast MAC as inner source is dropped", [], async (scene) => {
    return macs(await scene.ingress('vx(frame(src="ff:ff:ff:ff:ff:ff"))'));
  });

  rule.same("the zero MAC as inner source is dropped", [], async (scene) => {
    return macs(await scene.ingress('vx(frame(src="00:00:00:00:00:00"))'));
  });

  rule.same("RFC 7348 6.1: an inner VLAN tag passes by default", [5], async (scene) => {
    return (await scene.ingress("vx(frame(vlan=5))")).map(({ vlan }) => vlan);
  });

  rule.same("frames to other MACs pass: the device may be a bridge port", 1, async (scene) => {
    return (await scene.ingress('vx(frame(dst="02:00:00:00:00:77"))')).length;
  });

  rule.same("broadcast and multicast frames pass", 2, async (scene) => {
    const destinations = ["ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"];
    return (await scene.ingress(...destinations.map((dst) => `vx(frame(dst="${dst}"))`))).length;
  });

  rule.same("the outer destination port decides, not the source", [], async (scene) => {
    return macs(await scene.ingress("vx(dport=8472, sport=4789)"));
  });

  rule.same("a frame larger than the device's MTU passes", [1514], async (scene) => {
    const fragments = "fragment(IP(bytes(vx(frame(size=1472)))[14:]), 1000)";
    const ether = "Ether(src=WIRE_MAC, dst=HOST_MAC)";
    const parts = [0, 1].map((n) => `${ether}/${fragments}[${n}]`);
    return (await scene.ingress(...parts)).map(({ bytes }) => bytes);
  });
});

lab.group("strict reserved bits", { culvert: ["strict_reserved: true"] }, (rule) => {
  rule.same("reserved flag bits are dropped", [], async (scene) => {
    return macs(await scene.ingress("vx(flags=0x09)", "vx(flags=0x48)", "vx(flags=0x88)"));
  });

  rule.same("reserved bytes after the flags are dropped", [], async (scene) => {
    return macs(await scene.ingress('vx(reserved=b"\\1\\0\\0")', 'vx(reserved=b"\\0\\0\\1")'));
  });

  rule.same("the reserved byte after the VNI is dropped", [], async (scene) => {
    return macs(await scene.ingress("vx(low=1)", "vx(low=0x80)"));
  });

  rule.same("a clean header passes", [probe], async (scene) => macs(await scene.ingress("vx()")));
});

lab.group("inner VLAN dropped", { culvert: ["inner_vlan: drop"] }, (rule) => {
  rule.differs(
    "an inner VLAN tag",
    { kernel: 1, culvert: 0, why: "RFC 7348 6.1 SHOULD discard; the kernel has no such switch" },
    async (scene) => (await scene.ingress("vx(frame(vlan=5))")).length,
  );

  rule.same("an untagged frame passes", [probe], async (scene) =>
    macs(await scene.ingress("vx()")),
  );
});

lab.group("receive, IPv6 underlay", { family: 6 }, (rule) => {
  rule.same("a frame arrives as it was sent", [probe], async (scene) => {
    return macs(await scene.ingress(`vx(src="${S1}")`));
  });

  rule.same("RFC 6935: a zero UDP checksum is dropped over IPv6", [], async (scene) => {
    return macs(await scene.ingress(`vx(src="${S1}", csum="zero")`));
  });

  rule.same("a wrong UDP checksum is dropped", [], async (scene) => {
    return macs(await scene.ingress(`vx(src="${S1}", csum="bad")`));
  });

  rule.same("without the I flag it is dropped", [], async (scene) => {
    return macs(await scene.ingress(`vx(src="${S1}", flags=0)`));
  });
});

lab.group("receive, udp6zerocsumrx", { family: 6, udp6zerocsumrx: true }, (rule) => {
  rule.same("a zero UDP checksum is accepted", [probe], async (scene) => {
    return macs(await scene.ingress(`vx(src="${S1}", csum="zero")`));
  });

  rule.same("a wrong UDP checksum is still dropped", [], async (scene) => {
    return macs(await scene.ingress(`vx(src="${S1}", csum="bad")`));
  });
});
