// VXLAN-GBP [draft-smith-vxlan-group-policy] and remote checksum offload
// [draft-herbert-vxlan-rco], as the kernel speaks them.

import { R1, R2, useLab } from "./lab.js";

const lab = useLab();
const fdb = [{ mac: "02:00:00:00:00:0b", dst: R1 }];
const to1 = 'frame(dst="02:00:00:00:00:0b")';
const gbp = (group: number, policy = 0): string => {
  const bytes = [policy, group >> 8, group & 0xff].map(
    (n) => `\\x${n.toString(16).padStart(2, "0")}`,
  );
  return `flags=0x88, reserved=b"${bytes.join("")}"`;
};

lab.group("gbp, group 7", { gbp: 7, fdb }, (rule) => {
  rule.same(
    "GBP: the G flag and the group id stand in the header",
    [0x88, "000007"],
    async (scene) => {
      const [datagram] = await scene.egress(to1);
      return [datagram!.flags, datagram!.reserved];
    },
  );

  rule.same("GBP: a frame with a group id is taken", 1, async (scene) => {
    return (await scene.ingress(`vx(${gbp(7)})`)).length;
  });

  rule.same("GBP: a frame without a group id is taken", 1, async (scene) => {
    return (await scene.ingress("vx()")).length;
  });

  rule.differs(
    "GBP: the D bit (do not learn)",
    { kernel: [1, 1], culvert: [1, 0], why: "the draft says MUST NOT learn; the kernel learns" },
    async (scene) => {
      const inner = 'frame(src="02:00:00:00:06:01")';
      const frames = await scene.ingress(`vx(${inner}, ${gbp(7, 0x40)})`);
      const lines = await scene.vtep.fdbLines();
      return [frames.length, lines.filter((line) => line.startsWith("02:00:00:00:06:01")).length];
    },
  );

  rule.same("GBP: without the D bit it is", 1, async (scene) => {
    await scene.ingress(`vx(frame(src="02:00:00:00:06:02"), ${gbp(7)})`);
    const lines = await scene.vtep.fdbLines();
    return lines.filter((line) => line.startsWith("02:00:00:00:06:02")).length;
  });

  rule.same("GBP: the A bit (policy applied) passes", 1, async (scene) => {
    return (await scene.ingress(`vx(${gbp(7, 0x08)})`)).length;
  });
});

lab.group(
  "gbp, only group 7 is allowed",
  { gbp: 7, culvert: ["gbp: { id: 7, allow: [7] }"], marker: gbp(7) },
  (rule) => {
    rule.differs(
      "GBP: a frame of another group",
      { kernel: 1, culvert: 0, why: "the kernel sets the skb mark and leaves policy to filters" },
      async (scene) => (await scene.ingress(`vx(${gbp(8)})`)).length,
    );

    rule.same("GBP: a frame of an allowed group passes", 1, async (scene) => {
      return (await scene.ingress(`vx(${gbp(7)})`)).length;
    });
  },
);

lab.group("gbp off", { fdb }, (rule) => {
  rule.differs(
    "GBP: a frame with a group id",
    { kernel: 0, culvert: 1, why: "without gbp these are reserved bits: RFC 7348 5 ignores them" },
    async (scene) => (await scene.ingress(`vx(${gbp(7)})`)).length,
  );
});

lab.group(
  "gbp, per remote",
  { gbp: 7, fdb: [{ mac: "02:00:00:00:00:0b", dst: R1, gbp: 9 }] },
  (rule) => {
    rule.culvertOnly("GBP: a remote with a group of its own", [0x88, "000009"], async (scene) => {
      const [datagram] = await scene.egress(to1);
      return [datagram!.flags, datagram!.reserved];
    });
  },
);

lab.group("remcsumtx", { remcsumtx: true, fdb }, (rule) => {
  rule.same(
    "RCO: a checksum that is left to us is left to the peer",
    ["200000", 0x80 | 17],
    async (scene) => {
      await scene.wire.sendPartial("overlay", [to1], 34, 6);
      const [datagram] = await scene.left();
      return [datagram!.reserved, datagram!.low];
    },
  );

  rule.same("RCO: of TCP, too", ["200000", 17], async (scene) => {
    const tcp = 'frame(dst="02:00:00:00:00:0b", proto="tcp")';
    await scene.wire.sendPartial("overlay", [tcp], 34, 16);
    const [datagram] = await scene.left();
    return [datagram!.reserved, datagram!.low];
  });

  rule.same(
    "RCO: a finished checksum is sent as it is, without the flag",
    [0x08, 0, "ok"],
    async (scene) => {
      const [datagram] = await scene.egress(to1);
      return [datagram!.flags, datagram!.low, datagram!.inner.l4];
    },
  );

  rule.same("RCO: the outer checksum is right", "ok", async (scene) => {
    await scene.wire.sendPartial("overlay", [to1], 34, 6);
    const [datagram] = await scene.left();
    return datagram!.checksum;
  });
});

lab.group("no remcsumtx", { fdb }, (rule) => {
  rule.same(
    "without RCO a checksum that is left to us is finished",
    [0x08, "ok"],
    async (scene) => {
      await scene.wire.sendPartial("overlay", [to1], 34, 6);
      const [datagram] = await scene.left();
      return [datagram!.flags, datagram!.inner.l4];
    },
  );
});

/** The C bit: bit 10 of the header, in the first of the bytes after the flags. */
const withC = 'reserved=b"\\x20\\0\\0"';

lab.group("remcsumrx", { remcsumrx: true }, (rule) => {
  const usable = async (
    scene: { ingress: (...datagrams: string[]) => Promise<{ l4?: string | null }[]> },
    datagram: string,
  ): Promise<(boolean | string)[]> =>
    (await scene.ingress(datagram)).map(({ l4 }) => (l4 === "bad" ? "bad checksum" : true));

  rule.same("RCO: a UDP checksum that the peer left to us is finished", [true], (scene) =>
    usable(scene, `vx(rco(frame()), ${withC}, low=0x80 | 17)`),
  );

  rule.same("RCO: a TCP checksum that the peer left to us is finished", [true], (scene) =>
    usable(scene, `vx(rco(frame(proto="tcp"), 34, 16), ${withC}, low=17)`),
  );

  rule.same("RCO: of inner IPv6", [true], (scene) =>
    usable(scene, `vx(rco(frame(v=6), 54, 6), ${withC}, low=0x80 | 27)`),
  );

  rule.same("RCO: a start beyond the frame is dropped", [], async (scene) =>
    usable(scene, `vx(chop(rco(frame()), 60), ${withC}, low=0x80 | 127)`),
  );

  rule.same("RCO: frames without the flag pass as ever", [true], (scene) => usable(scene, "vx()"));
});

lab.group(
  "several VNIs of remotes",
  { fdb: [{ mac: "02:00:00:00:00:0b", dst: R2, vni: 0xffffff }] },
  (rule) => {
    rule.same("RFC 7348 5: the largest VNI", 0xffffff, async (scene) => {
      const [datagram] = await scene.egress(to1);
      return datagram!.vni;
    });
  },
);
