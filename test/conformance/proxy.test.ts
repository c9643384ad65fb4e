// ARP and neighbour-discovery proxy (kernel: arp_reduce, neigh_reduce) and route short circuit
// (route_shortcircuit).

import { R1, R2, R3, type Scene, useLab } from "./lab.js";
import { ownMac, type VtepOptions } from "./vtep.js";
import type { InnerFrame } from "./wire.js";

const lab = useLab();
const peer = "02:00:00:00:00:0b";
const gateway = "02:00:00:00:00:0f";
const all = "ff:ff:ff:ff:ff:ff";

const arp = (fields: string): string =>
  `Ether(src="${ownMac}", dst="${all}")/ARP(hwsrc="${ownMac}", ${fields})`;
const request = (target: string, source = "192.168.10.10"): string =>
  arp(`op=1, psrc="${source}", pdst="${target}"`);
const solicitation = (target: string, source = "fd10::10"): string =>
  `Ether(src="${ownMac}", dst="33:33:ff:00:00:10")/` +
  `IPv6(src="${source}", dst="ff02::1:ff00:10", hlim=255)/ICMPv6ND_NS(tgt="${target}")` +
  (source === "::" ? "" : `/ICMPv6NDOptSrcLLAddr(lladdr="${ownMac}")`);

const options: VtepOptions = {
  proxy: true,
  ipv6: true,
  floods: [R3],
  fdb: [
    { mac: peer, dst: R1 },
    { mac: gateway, dst: R1, router: true },
    { mac: "02:00:00:00:00:0e", dst: R1 },
  ],
  neighbors: [
    { ip: "192.168.11.10", mac: peer },
    { ip: "192.168.11.11", mac: "02:00:00:00:00:0c" },
    { ip: "fd11::10", mac: peer },
    { ip: "fd11::1", mac: gateway, router: true },
    { ip: "fd11::2", mac: "02:00:00:00:00:0e", router: true },
  ],
};

/** Answers to what was asked, and how many datagrams left. */
async function asked(
  scene: Scene,
  question: string,
  tell: (frame: InnerFrame) => unknown,
): Promise<unknown> {
  const { back, out } = await scene.ask(question);
  return [back.map(tell), out.length];
}

lab.group("proxy, ARP", options, (rule) => {
  rule.same(
    "a request for a neighbour is answered from its MAC, and goes nowhere",
    [[{ op: 2, smac: peer, sip: "192.168.11.10", tmac: ownMac, tip: "192.168.10.10" }], 0],
    (scene) => asked(scene, request("192.168.11.10"), ({ arp: reply }) => reply),
  );

  rule.same("the answer is unicast from the neighbour's MAC", [[[peer, ownMac]], 0], (scene) =>
    asked(scene, request("192.168.11.10"), ({ src, dst }) => [src, dst]),
  );

  rule.same("a request for an unknown address is consumed", [[], 0], (scene) =>
    asked(scene, request("192.168.11.99"), ({ hex }) => hex),
  );

  rule.same("a neighbour whose MAC the FDB does not have is answered", [[2], 0], (scene) =>
    asked(scene, request("192.168.11.11"), ({ arp: reply }) => reply?.op),
  );

  rule.same("a probe (sender 0.0.0.0) is answered", [["0.0.0.0"], 0], (scene) =>
    asked(scene, request("192.168.11.10", "0.0.0.0"), ({ arp: reply }) => reply?.tip),
  );

  rule.same("a gratuitous request is consumed", [[], 0], (scene) =>
    asked(scene, request("192.168.10.10"), ({ hex }) => hex),
  );

  rule.same("an ARP reply is consumed", [[], 0], (scene) =>
    asked(scene, arp('op=2, psrc="192.168.10.10", pdst="192.168.11.10"'), ({ hex }) => hex),
  );

  rule.same("a request for a multicast address is consumed", [[], 0], (scene) =>
    asked(scene, request("224.0.0.1"), ({ hex }) => hex),
  );

  rule.same("a unicast request is answered, too", [[peer], 0], (scene) =>
    asked(
      scene,
      `patch(${request("192.168.11.10")}, 0, bytes.fromhex("02000000000b"))`,
      ({ arp: reply }) => reply?.smac,
    ),
  );

  rule.same("other broadcast is flooded as ever", [[], 1], (scene) =>
    asked(scene, `frame(dst="${all}")`, ({ hex }) => hex),
  );

  rule.same("an entry that was deleted is not answered any more", [[], 0], async (scene) => {
    await scene.vtep.neigh("del 192.168.11.10");
    return asked(scene, request("192.168.11.10"), ({ hex }) => hex);
  });

  rule.same("an entry that was added is answered", [[peer], 0], async (scene) => {
    await scene.vtep.neigh(`replace 192.168.11.10 lladdr ${peer} nud permanent`);
    return asked(scene, request("192.168.11.10"), ({ arp: reply }) => reply?.smac);
  });
});

lab.group("proxy, neighbour discovery", options, (rule) => {
  rule.same(
    "a solicitation is answered: S and O set, R not, with the MAC",
    [[{ target: "fd11::10", R: 0, S: 1, O: 1, lladdr: peer }], 0],
    (scene) => asked(scene, solicitation("fd11::10"), ({ na }) => na),
  );

  rule.same("RFC 4861 4.4: the answer has hop limit 255", [[255], 0], (scene) =>
    asked(scene, solicitation("fd11::10"), ({ ip }) => ip?.ttl),
  );

  rule.same(
    "the answer comes from the target, to who asked",
    [[["fd11::10", "fd10::10"]], 0],
    (scene) => asked(scene, solicitation("fd11::10"), ({ ip }) => [ip?.src, ip?.dst]),
  );

  rule.same("the R flag of a router is set", [[1], 0], (scene) =>
    asked(scene, solicitation("fd11::1"), ({ na }) => na?.R),
  );

  rule.differs(
    "a neighbour that is a router, behind a MAC that is none",
    { kernel: [[0], 0], culvert: [[1], 0], why: "the kernel asks the FDB entry only" },
    (scene) => asked(scene, solicitation("fd11::2"), ({ na }) => na?.R),
  );

  rule.same("a solicitation for an unknown address is consumed", [[], 0], (scene) =>
    asked(scene, solicitation("fd11::99"), ({ hex }) => hex),
  );

  rule.differs(
    "duplicate address detection (source ::)",
    {
      kernel: [[["::", 1]], 0],
      culvert: [[["ff02::1", 0]], 0],
      why: "RFC 4861 7.2.4: to all nodes and not solicited; the kernel answers to ::",
    },
    (scene) => asked(scene, solicitation("fd11::10", "::"), ({ ip, na }) => [ip?.dst, na?.S]),
  );

  rule.same("an advertisement is not the proxy's: it is flooded", [[], 1], (scene) =>
    asked(
      scene,
      `Ether(src="${ownMac}", dst="33:33:00:00:00:01")/` +
        'IPv6(src="fd10::10", dst="ff02::1", hlim=255)/ICMPv6ND_NA(tgt="fd10::10")',
      ({ hex }) => hex,
    ),
  );

  rule.same("IPv6 that is no solicitation passes", [[], 1], (scene) =>
    asked(scene, `frame(dst="${peer}", v=6)`, ({ hex }) => hex),
  );
});

lab.group("no proxy", { floods: [R3], ipv6: true, neighbors: options.neighbors! }, (rule) => {
  rule.same("without proxy a request is flooded", [[], 1], (scene) =>
    asked(scene, request("192.168.11.10"), ({ hex }) => hex),
  );

  rule.same("without proxy a solicitation is flooded", [[], 1], (scene) =>
    asked(scene, solicitation("fd11::10"), ({ hex }) => hex),
  );
});

lab.group(
  "rsc",
  {
    rsc: true,
    ipv6: true,
    fdb: [
      { mac: gateway, dst: R1, router: true },
      { mac: peer, dst: R2 },
    ],
    neighbors: [
      { ip: "192.168.11.10", mac: peer },
      { ip: "fd11::10", mac: peer },
    ],
  },
  (rule) => {
    const shortcut = async (scene: Scene, fields: string): Promise<unknown> => {
      const [datagram] = await scene.egress(`frame(src="${ownMac}", dst="${gateway}", ${fields})`);
      return [datagram?.ip.dst, datagram?.inner.dst, datagram?.inner.src];
    };

    rule.same(
      "a frame to a router goes straight to the neighbour, from the router's MAC",
      [R2, peer, gateway],
      (scene) => shortcut(scene, 'daddr="192.168.11.10"'),
    );

    rule.same("the same for IPv6", [R2, peer, gateway], (scene) =>
      shortcut(scene, 'v=6, daddr="fd11::10"'),
    );

    rule.same("an unknown inner destination goes to the router", [R1, gateway, ownMac], (scene) =>
      shortcut(scene, 'daddr="192.168.11.99"'),
    );

    rule.same("the inner TTL stays as it was", 9, async (scene) => {
      const [datagram] = await scene.egress(
        `frame(dst="${gateway}", daddr="192.168.11.10", ttl=9)`,
      );
      return datagram!.inner.ip!.ttl;
    });

    rule.same("a frame to a MAC that is no router stays as it is", [R2, peer], async (scene) => {
      const [datagram] = await scene.egress(`frame(dst="${peer}", daddr="192.168.11.10")`);
      return [datagram!.ip.dst, datagram!.inner.dst];
    });
  },
);
