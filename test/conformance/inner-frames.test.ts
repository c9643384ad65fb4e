// A VTEP is a device of layer 2: which inner frames pass it, both ways. What is odd above Ethernet
// is not its business.

import { R1, type Rules, type Scene, useLab } from "./lab.js";

const lab = useLab();
const mac = "02:00:00:00:00:0b";
const header = `Ether(src="02:00:00:00:00:aa", dst="${mac}"`;

/** Name and expression of each; all of them pass. */
const fine: readonly (readonly [string, string])[] = [
  ["an unknown EtherType", `${header}, type=0x88b5)/Raw(b"x" * 46)`],
  ["an 802.3 frame with LLC", `${header}, type=49)/Raw(b"\\x42\\x42\\x03" + bytes(46))`],
  [
    "two VLAN tags",
    `${header}, type=0x88a8)/Dot1Q(vlan=5)/Dot1Q(vlan=6)/IP()/UDP()/Raw(b"x" * 26)`,
  ],
  ["MPLS", `${header}, type=0x8847)/Raw(bytes(46))`],
  ["a frame of 14 bytes", `${header}, type=0x88b5)`],
  ["IPv4 with trailing padding", `frame(dst="${mac}", size=1)/Raw(bytes(20))`],
  ["IPv4 with options", `${header})/IP(options=b"\\x94\\x04\\x00\\x00")/UDP()/Raw(b"x" * 26)`],
  ["an IPv4 fragment", `${header})/IP(frag=100, flags="MF", proto=17)/Raw(b"x" * 64)`],
  ["IPv4 with an unknown protocol", `${header})/IP(proto=253)/Raw(b"x" * 46)`],
  ["IPv4 with TTL 0", `frame(dst="${mac}", ttl=0)`],
  ["UDP without a checksum", `patch(frame(dst="${mac}"), 40, b"\\x00\\x00")`],
  [
    "IPv6 with a hop-by-hop header",
    `${header})/IPv6(nh=0)/Raw(b"\\x3b\\x00\\x01\\x04" + bytes(60))`,
  ],
  ["ARP cut short", `${header}, type=0x806)/Raw(bytes(10))`],
];

/** Wrong, and nothing that forwarding has to look at. */
const wrongSums: readonly (readonly [string, string])[] = [
  ["a wrong IPv4 header checksum", `patch(frame(dst="${mac}"), 24, b"\\x12\\x34")`],
  ["a wrong UDP checksum", `patch(frame(dst="${mac}"), 40, b"\\x12\\x34")`],
  ["a wrong TCP checksum", `patch(frame(dst="${mac}", proto="tcp"), 50, b"\\x12\\x34")`],
];

const contradictory: readonly (readonly [string, string])[] = [
  ["IPv4 longer than its frame", `patch(frame(dst="${mac}"), 16, b"\\x40\\x00")`],
  ["IPv4 of version 5", `patch(frame(dst="${mac}"), 14, b"\\x55")`],
  ["IPv4 with a header length of 8 bytes", `patch(frame(dst="${mac}"), 14, b"\\x42")`],
  ["IPv6 longer than its frame", `patch(frame(dst="${mac}", v=6), 18, b"\\x40\\x00")`],
];

/** The kernel drops these, too: it pulls the inner IP header. */
const short: readonly (readonly [string, string])[] = [
  ["an IPv4 header cut short", `chop(frame(dst="${mac}"), 26)`],
  ["an IPv6 header cut short", `chop(frame(dst="${mac}", v=6), 40)`],
];

const malformedWhy = "headers that contradict the frame are dropped and counted as malformed";
const checksumWhy = "an inner packet that is known to be damaged is dropped and counted";

function rules(rule: Rules, way: string, count: (scene: Scene, frame: string) => Promise<number>) {
  for (const [name, frame] of fine) {
    rule.same(`${way}: ${name} passes`, 1, (scene) => count(scene, frame));
  }
  for (const [name, frame] of short) {
    rule.same(`${way}: ${name} is dropped`, 0, (scene) => count(scene, frame));
  }
  for (const [name, frame] of contradictory) {
    const difference = { kernel: 1, culvert: 0, why: malformedWhy };
    rule.differs(`${way}: ${name}`, difference, (scene) => count(scene, frame));
  }
}

lab.group("inner frames out", { fdb: [{ mac, dst: R1 }] }, (rule) => {
  const count = async (scene: Scene, frame: string) => (await scene.egress(frame)).length;
  rules(rule, "egress", count);
  for (const [name, frame] of wrongSums) {
    rule.same(`egress: ${name} passes`, 1, (scene) => count(scene, frame));
  }
});

lab.group("inner frames in", {}, (rule) => {
  for (const [way, tos] of [
    ["ingress", 0],
    ["ingress, outer ECT(0)", 2],
  ] as const) {
    const count = async (scene: Scene, frame: string) =>
      (await scene.ingress(`vx(${frame}, tos=${tos})`)).length;
    rules(rule, way, count);
    for (const [name, frame] of wrongSums) {
      const difference = { kernel: 1, culvert: 0, why: checksumWhy };
      rule.differs(`${way}: ${name}`, difference, (scene) => count(scene, frame));
    }
  }

  rule.same("ingress: a frame arrives byte by byte", true, async (scene) => {
    const [frame] = await scene.ingress(`vx(${header}, type=0x88b5)/Raw(bytes(range(46))))`);
    const body = Buffer.from(Array.from({ length: 46 }, (_, i) => i)).toString("hex");
    return frame!.hex === `02000000000b0200000000aa88b5${body}`;
  });
});
