// TTL, TOS with ECN, DF and flow label of the outer header, by the options of ip-link(8).
// ECN at encapsulation: RFC 6040 § 4.1, normal mode.

import { R1, S1, useLab } from "./lab.js";

const lab = useLab();
const mac = "02:00:00:00:00:0b";
const to1 = `dst="${mac}"`;
const fdb = [{ mac, dst: R1 }];
const fdb6 = [{ mac, dst: S1 }];
const notIp = `Ether(src="02:00:00:00:00:aa", ${to1}, type=0x88b5)/Raw(b"x" * 46)`;

lab.group("defaults", { fdb }, (rule) => {
  for (const [name, ecn, outer] of [
    ["Not-ECT", 0, 0],
    ["ECT(1)", 1, 1],
    ["ECT(0)", 2, 2],
  ] as const) {
    rule.same(`RFC 6040 4.1: inner ${name} is copied to the outer header`, outer, async (scene) => {
      const [datagram] = await scene.egress(`frame(${to1}, tos=${ecn})`);
      return datagram!.ip.tos;
    });
    rule.same(`RFC 6040 4.1: ${name} of inner IPv6 is copied`, outer, async (scene) => {
      const [datagram] = await scene.egress(`frame(${to1}, v=6, tos=${ecn})`);
      return datagram!.ip.tos;
    });
  }

  rule.differs(
    "inner CE",
    {
      kernel: 2,
      culvert: 3,
      why: "RFC 6040 4.1 copies CE; the kernel sends ECT(0), RFC 3168's way",
    },
    async (scene) => {
      const [datagram] = await scene.egress(`frame(${to1}, tos=3)`);
      return datagram!.ip.tos;
    },
  );

  rule.same("a frame that is not IP has TOS 0 and the default TTL", [0, 64], async (scene) => {
    const [datagram] = await scene.egress(notIp);
    return [datagram!.ip.tos, datagram!.ip.ttl];
  });

  rule.same("df unset: DF of the inner packet is not copied", false, async (scene) => {
    const [datagram] = await scene.egress(`frame(${to1}, df=True)`);
    return datagram!.ip.df;
  });

  rule.same("ECN is copied from behind a VLAN tag", 2, async (scene) => {
    const [datagram] = await scene.egress(`frame(${to1}, vlan=5, tos=2)`);
    return datagram!.ip.tos;
  });
});

lab.group("ttl 33, tos 0x28", { ttl: 33, tos: 0x28, fdb }, (rule) => {
  rule.same("ttl N is the outer TTL", 33, async (scene) => {
    const [datagram] = await scene.egress(`frame(${to1}, ttl=9)`);
    return datagram!.ip.ttl;
  });

  rule.same("tos N is the outer TOS", 0x28, async (scene) => {
    const [datagram] = await scene.egress(`frame(${to1}, tos=0xb8)`);
    return datagram!.ip.tos;
  });

  rule.same("RFC 6040: ECN of the inner packet joins tos N", 0x2a, async (scene) => {
    const [datagram] = await scene.egress(`frame(${to1}, tos=0xba)`);
    return datagram!.ip.tos;
  });
});

lab.group("ttl inherit, tos inherit", { ttl: "inherit", tos: "inherit", fdb }, (rule) => {
  rule.same("ttl inherit takes the inner IPv4 TTL", 9, async (scene) => {
    const [datagram] = await scene.egress(`frame(${to1}, ttl=9)`);
    return datagram!.ip.ttl;
  });

  rule.same("ttl inherit takes the inner IPv6 hop limit", 7, async (scene) => {
    const [datagram] = await scene.egress(`frame(${to1}, v=6, ttl=7)`);
    return datagram!.ip.ttl;
  });

  rule.same("ttl inherit without an inner IP header: the default", 64, async (scene) => {
    const [datagram] = await scene.egress(notIp);
    return datagram!.ip.ttl;
  });

  rule.same("tos inherit copies the DSCP of inner IPv4", 0xb8, async (scene) => {
    const [datagram] = await scene.egress(`frame(${to1}, tos=0xb8)`);
    return datagram!.ip.tos;
  });

  rule.same("tos inherit copies the traffic class of inner IPv6", 0x48, async (scene) => {
    const [datagram] = await scene.egress(`frame(${to1}, v=6, tos=0x48)`);
    return datagram!.ip.tos;
  });

  rule.same("tos inherit copies DSCP and ECN", 0xba, async (scene) => {
    const [datagram] = await scene.egress(`frame(${to1}, tos=0xba)`);
    return datagram!.ip.tos;
  });
});

lab.group("df set", { df: "set", fdb }, (rule) => {
  rule.same("df set: DF on every outer packet", true, async (scene) => {
    const [datagram] = await scene.egress(`frame(${to1})`);
    return datagram!.ip.df;
  });
});

lab.group("df inherit", { df: "inherit", fdb }, (rule) => {
  rule.same("df inherit: inner DF sets outer DF", true, async (scene) => {
    const [datagram] = await scene.egress(`frame(${to1}, df=True)`);
    return datagram!.ip.df;
  });

  rule.same("df inherit: no inner DF, no outer DF", false, async (scene) => {
    const [datagram] = await scene.egress(`frame(${to1})`);
    return datagram!.ip.df;
  });

  rule.same("df inherit: inner IPv6 counts as DF", true, async (scene) => {
    const [datagram] = await scene.egress(`frame(${to1}, v=6)`);
    return datagram!.ip.df;
  });

  rule.same("df inherit: a frame that is not IP has no DF", false, async (scene) => {
    const [datagram] = await scene.egress(notIp);
    return datagram!.ip.df;
  });
});

lab.group("IPv6 underlay, ttl and tos", { family: 6, ttl: 21, tos: 0x28, fdb: fdb6 }, (rule) => {
  rule.same("ttl N is the outer hop limit", 21, async (scene) => {
    const [datagram] = await scene.egress(`frame(${to1})`);
    return datagram!.ip.ttl;
  });

  rule.same("tos N with the inner ECN is the traffic class", 0x29, async (scene) => {
    const [datagram] = await scene.egress(`frame(${to1}, tos=1)`);
    return datagram!.ip.tos;
  });
});

lab.group(
  "IPv6 underlay, inherit",
  { family: 6, ttl: "inherit", tos: "inherit", fdb: fdb6 },
  (rule) => {
    rule.same("ttl and tos of inner IPv4 are inherited", [9, 0xb8], async (scene) => {
      const [datagram] = await scene.egress(`frame(${to1}, ttl=9, tos=0xb8)`);
      return [datagram!.ip.ttl, datagram!.ip.tos];
    });
  },
);

lab.group("IPv6 underlay, flow label", { family: 6, flowlabel: 0x12345, fdb: fdb6 }, (rule) => {
  rule.same("flowlabel N is the outer flow label", 0x12345, async (scene) => {
    const [datagram] = await scene.egress(`frame(${to1})`);
    return datagram!.ip.label;
  });
});
