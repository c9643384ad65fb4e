// What a VTEP writes in front of a frame: VXLAN header, UDP ports and checksum, outer addresses
// [RFC 7348 § 4.1, 5].

import { R1, S1, useLab } from "./lab.js";
import { ownMac } from "./vtep.js";

const lab = useLab();
const mac = "02:00:00:00:00:0b";
const to1 = `dst="${mac}"`;

for (const [family, dst] of [
  [4, R1],
  [6, S1],
] as const) {
  lab.group(`header, IPv${family} underlay`, { family, fdb: [{ mac, dst }] }, (rule) => {
    rule.same("RFC 7348 5: the I flag is set, all other flags are zero", 0x08, async (scene) => {
      const [datagram] = await scene.egress(`frame(${to1})`);
      return datagram!.flags;
    });

    rule.same("RFC 7348 5: reserved fields are zero", ["000000", 0], async (scene) => {
      const [datagram] = await scene.egress(`frame(${to1})`);
      return [datagram!.reserved, datagram!.low];
    });

    rule.same("RFC 7348 5: the VNI is the tunnel's", 100, async (scene) => {
      const [datagram] = await scene.egress(`frame(${to1})`);
      return datagram!.vni;
    });

    rule.same("RFC 7348 5: the destination port is the configured one", 4789, async (scene) => {
      const [datagram] = await scene.egress(`frame(${to1})`);
      return datagram!.dport;
    });

    rule.same("the inner frame is carried as it was", true, async (scene) => {
      const text = "the payload of a frame";
      const [datagram] = await scene.egress(`frame(${to1}, src="${ownMac}", text="${text}")`);
      return datagram!.inner.hex.includes(Buffer.from(text).toString("hex"));
    });

    rule.same(
      "outer addresses are local and the FDB's remote",
      [family === 4 ? "10.57.4.20" : "fd57::20", dst],
      async (scene) => {
        const [datagram] = await scene.egress(`frame(${to1})`);
        return [datagram!.ip.src, datagram!.ip.dst];
      },
    );

    rule.same("RFC 6040: DSCP is not copied to the outer header", 0, async (scene) => {
      const [datagram] = await scene.egress(`frame(${to1}, tos=0xb8)`);
      return datagram!.ip.tos;
    });

    rule.same("the hop limit is the host's default", 64, async (scene) => {
      const [datagram] = await scene.egress(`frame(${to1}, ttl=9)`);
      return datagram!.ip.ttl;
    });
  });
}

lab.group("checksum, IPv4 underlay", { fdb: [{ mac, dst: R1 }] }, (rule) => {
  rule.same("the outer UDP checksum is there and right by default", "ok", async (scene) => {
    const [datagram] = await scene.egress(`frame(${to1})`);
    return datagram!.checksum;
  });
});

lab.group("checksum off, IPv4 underlay", { udpcsum: false, fdb: [{ mac, dst: R1 }] }, (rule) => {
  rule.same("noudpcsum: the outer UDP checksum is zero [RFC 7348 5]", "none", async (scene) => {
    const [datagram] = await scene.egress(`frame(${to1})`);
    return datagram!.checksum;
  });
});

lab.group("checksum, IPv6 underlay", { family: 6, fdb: [{ mac, dst: S1 }] }, (rule) => {
  rule.same("RFC 6935: the outer UDP checksum is there by default", "ok", async (scene) => {
    const [datagram] = await scene.egress(`frame(${to1})`);
    return datagram!.checksum;
  });
});

lab.group(
  "checksum off, IPv6 underlay",
  { family: 6, udp6zerocsumtx: true, fdb: [{ mac, dst: S1 }] },
  (rule) => {
    rule.same("udp6zerocsumtx: the outer UDP checksum is zero", "none", async (scene) => {
      const [datagram] = await scene.egress(`frame(${to1})`);
      return datagram!.checksum;
    });
  },
);

const flows = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `frame(${to1}, sport=${20_000 + i})`);

lab.group("source port", { srcport: [50_000, 50_999], fdb: [{ mac, dst: R1 }] }, (rule) => {
  rule.same("packets of one flow have one source port", 1, async (scene) => {
    const datagrams = await scene.egress(...Array.from({ length: 8 }, () => `frame(${to1})`));
    return new Set(datagrams.map(({ sport }) => sport)).size;
  });

  rule.same("RFC 7348 5: flows are spread over source ports", true, async (scene) => {
    const datagrams = await scene.egress(...flows(64));
    return new Set(datagrams.map(({ sport }) => sport)).size >= 4;
  });

  rule.same("source ports stay in `srcport`", [], async (scene) => {
    const datagrams = await scene.egress(...flows(64));
    return datagrams.map(({ sport }) => sport).filter((port) => port < 50_000 || port > 50_999);
  });

  rule.differs(
    "frames without IP are spread by their MACs",
    { kernel: false, culvert: true, why: "the kernel's flow hash of them is one constant" },
    async (scene) => {
      const macs = Array.from({ length: 32 }, (_, i) => `02:00:00:00:77:${(16 + i).toString(16)}`);
      const frames = macs.map((src) => `Ether(src="${src}", ${to1}, type=0x88b5)/Raw(b"x" * 46)`);
      const datagrams = await scene.egress(...frames);
      return new Set(datagrams.map(({ sport }) => sport)).size >= 4;
    },
  );
});

lab.group("fixed source port", { srcport: [4789, 4789], fdb: [{ mac, dst: R1 }] }, (rule) => {
  rule.same("a range of one port is that port for every flow", [4789], async (scene) => {
    const datagrams = await scene.egress(...flows(16));
    return [...new Set(datagrams.map(({ sport }) => sport))];
  });
});

lab.group("default source ports", { fdb: [{ mac, dst: R1 }] }, (rule) => {
  rule.differs(
    "the default range",
    {
      kernel: true,
      culvert: false,
      why: "RFC 7348 5 recommends 49152-65535; the kernel takes ip_local_port_range",
    },
    async (scene) => {
      const datagrams = await scene.egress(...flows(128));
      return datagrams.some(({ sport }) => sport < 49_152);
    },
  );
});
