// MTU of the device and what becomes of frames that do not fit the underlay.

import { R1, S1, useLab } from "./lab.js";
import type { Datagram } from "./wire.js";

const lab = useLab();
const mac = "02:00:00:00:00:0b";
const fdb = [{ mac, dst: R1 }];
/** An inner IPv4 packet of 1500 bytes: 50 too many for the underlay's 1500. */
const full = `frame(dst="${mac}", size=1472)`;
const fullDf = `frame(dst="${mac}", size=1472, df=True)`;
const full6 = `frame(dst="${mac}", size=1452, v=6)`;
const isFragment = (datagrams: readonly Datagram[]): boolean =>
  datagrams.some(({ fragment }) => fragment === true);

lab.group("mtu, IPv4 underlay", {}, (rule) => {
  rule.same("the MTU is that of dev less 50", 1450, async (scene) => scene.vtep.mtu());
});

lab.group("mtu, IPv6 underlay", { family: 6 }, (rule) => {
  rule.same("the MTU is that of dev less 70", 1430, async (scene) => scene.vtep.mtu());
});

lab.group("mtu without dev", { dev: false }, (rule) => {
  rule.differs(
    "the MTU without dev",
    { kernel: 1500, culvert: 1450, why: "the kernel takes 1500, so that the outer is fragmented" },
    async (scene) => scene.vtep.mtu(),
  );
});

lab.group("mtu 1200", { mtu: 1200 }, (rule) => {
  rule.same("mtu N is the device's", 1200, async (scene) => scene.vtep.mtu());
});

lab.group("mtu 1450, full frames", { fdb }, (rule) => {
  rule.same(
    "a frame of the device's MTU leaves in one packet of 1500 bytes",
    [1500, false],
    async (scene) => {
      const datagrams = await scene.egress(`frame(dst="${mac}", size=1422)`);
      return [datagrams[0]!.ip.bytes, isFragment(datagrams)];
    },
  );
});

lab.group("mtu 1500, df unset", { dev: false, mtu: 1500, fdb }, (rule) => {
  rule.same("df unset: what does not fit is fragmented", [2, true], async (scene) => {
    const datagrams = await scene.egress(full);
    return [datagrams.length, isFragment(datagrams)];
  });

  rule.differs(
    "df unset: inner DF and too big",
    {
      kernel: [[], true],
      culvert: [[[3, 4, 1450]], false],
      why: "the kernel fragments the outer packet",
    },
    async (scene) => {
      const { back, out } = await scene.ask(fullDf);
      return [back.map(({ icmp }) => [icmp?.type, icmp?.code, icmp?.mtu]), isFragment(out)];
    },
  );

  rule.differs(
    "df unset: inner IPv6 and too big",
    {
      kernel: [[], true],
      culvert: [[[2, 0, 1450]], false],
      why: "the kernel fragments the outer packet",
    },
    async (scene) => {
      const { back, out } = await scene.ask(full6);
      return [back.map(({ icmp }) => [icmp?.type, icmp?.code, icmp?.mtu]), isFragment(out)];
    },
  );
});

lab.group("mtu 1500, df set", { dev: false, mtu: 1500, df: "set", fdb }, (rule) => {
  rule.same("df set: what does not fit does not leave", [], (scene) => scene.egress(full));

  rule.differs(
    "df set: the sender of inner DF is told",
    { kernel: [], culvert: [[3, 4, 1450]], why: "the kernel tells bridged senders only" },
    async (scene) => {
      const { back } = await scene.ask(fullDf);
      return back.map(({ icmp }) => [icmp?.type, icmp?.code, icmp?.mtu]);
    },
  );

  rule.same("df set: what fits leaves", 1, async (scene) => {
    return (await scene.egress(`frame(dst="${mac}", size=1422)`)).length;
  });
});

lab.group(
  "mtu 1500, IPv6 underlay",
  { family: 6, dev: false, mtu: 1500, fdb: [{ mac, dst: S1 }] },
  (rule) => {
    rule.differs(
      "IPv6 underlay: what does not fit",
      { kernel: [], culvert: [true, true], why: "the kernel drops it and tells nobody" },
      async (scene) => (await scene.egress(full)).map(({ fragment }) => fragment),
    );
  },
);
