// Where a frame goes: unicast by the FDB, everything else by the lists of the exact multicast MAC
// or of the all-zero MAC (kernel: vxlan_xmit; RFC 7348 § 4.2, 4.3).

import { R1, R2, R3, S1, S2, type Scene, useLab } from "./lab.js";
import type { Datagram } from "./wire.js";

const lab = useLab();
const broadcast = 'frame(dst="ff:ff:ff:ff:ff:ff")';
const remotes = (datagrams: readonly Datagram[]): string[] =>
  datagrams.map(({ ip }) => ip.dst).sort();
const to = async (scene: Scene, mac: string): Promise<string[]> =>
  remotes(await scene.egress(`frame(dst="${mac}")`));
const zero = "00:00:00:00:00:00";

lab.group(
  "flood list of three",
  {
    floods: [R1, R2, R3],
    fdb: [
      { mac: "02:00:00:00:00:0b", dst: R1 },
      { mac: "02:00:00:00:00:0c", dst: R2, port: 8472 },
      { mac: "02:00:00:00:00:0d", dst: R2, vni: 77 },
    ],
  },
  (rule) => {
    rule.same("known unicast goes to its remote only", [R1], (scene) =>
      to(scene, "02:00:00:00:00:0b"),
    );

    rule.same("a remote's own port is used", [R2, 8472], async (scene) => {
      const [datagram] = await scene.egress('frame(dst="02:00:00:00:00:0c")');
      return [datagram!.ip.dst, datagram!.dport];
    });

    rule.same("a remote's own VNI is used", [R2, 77, 4789], async (scene) => {
      const [datagram] = await scene.egress('frame(dst="02:00:00:00:00:0d")');
      return [datagram!.ip.dst, datagram!.vni, datagram!.dport];
    });

    rule.same("unknown unicast goes to every remote once", [R1, R2, R3], (scene) =>
      to(scene, "02:00:00:00:00:77"),
    );

    rule.same("broadcast goes to every remote once", [R1, R2, R3], (scene) =>
      to(scene, "ff:ff:ff:ff:ff:ff"),
    );

    rule.same("multicast without an entry goes to every remote once", [R1, R2, R3], (scene) =>
      to(scene, "01:00:5e:00:00:09"),
    );

    rule.same("copies of one frame are equal", 1, async (scene) => {
      const datagrams = await scene.egress(broadcast);
      return new Set(datagrams.map(({ inner }) => inner.hex)).size;
    });

    rule.same("an appended remote gets copies at once", 4, async (scene) => {
      await scene.vtep.fdb(`append ${zero} dst 10.57.4.24`);
      return (await scene.egress(broadcast)).length;
    });

    rule.same("a deleted remote gets none", [R1, R2, R3], async (scene) => {
      await scene.vtep.fdb(`del ${zero} dst 10.57.4.24`);
      return remotes(await scene.egress(broadcast));
    });

    rule.same("members of the list have their own port and VNI", [8472, 55], async (scene) => {
      await scene.vtep.fdb(`append ${zero} dst 10.57.4.24 port 8472 vni 55`);
      const datagrams = await scene.egress(broadcast);
      await scene.vtep.fdb(`del ${zero} dst 10.57.4.24 port 8472 vni 55`);
      const own = datagrams.find(({ ip }) => ip.dst === "10.57.4.24");
      return [own?.dport, own?.vni];
    });

    rule.same("the other members keep the tunnel's VNI", [100, 100, 100], async (scene) => {
      const datagrams = await scene.egress(broadcast);
      return datagrams.map(({ vni }) => vni);
    });

    rule.same("a multicast MAC with an entry goes to its remotes only", [R3], async (scene) => {
      await scene.vtep.fdb(`append 01:00:5e:00:00:05 dst ${R3}`);
      return to(scene, "01:00:5e:00:00:05");
    });

    rule.same("a multicast MAC with two remotes goes to both", [R2, R3], async (scene) => {
      await scene.vtep.fdb(`append 01:00:5e:00:00:05 dst ${R2}`);
      return to(scene, "01:00:5e:00:00:05");
    });

    rule.same("without its entry it is flooded again", [R1, R2, R3], async (scene) => {
      await scene.vtep.fdb("del 01:00:5e:00:00:05");
      return to(scene, "01:00:5e:00:00:05");
    });

    rule.same("the broadcast MAC with an entry goes there", [R2], async (scene) => {
      await scene.vtep.fdb(`append ff:ff:ff:ff:ff:ff dst ${R2}`);
      const went = await to(scene, "ff:ff:ff:ff:ff:ff");
      await scene.vtep.fdb("del ff:ff:ff:ff:ff:ff");
      return went;
    });

    rule.same("split horizon: what came from a remote does not go back", [], async (scene) => {
      await scene.ingress(
        'vx(frame(dst="ff:ff:ff:ff:ff:ff"))',
        'vx(frame(dst="02:00:00:00:00:0c"))',
      );
      return scene.left();
    });
  },
);

lab.group("no flood list", { l2miss: true, l3miss: true }, (rule) => {
  rule.same("unknown unicast is dropped and counted", [[], 1], async (scene) => {
    const before = await scene.vtep.txDropped();
    const went = await to(scene, "02:00:00:00:00:77");
    return [went, (await scene.vtep.txDropped()) - before];
  });

  rule.same("broadcast is dropped and counted", [[], 1], async (scene) => {
    const before = await scene.vtep.txDropped();
    const went = await to(scene, "ff:ff:ff:ff:ff:ff");
    return [went, (await scene.vtep.txDropped()) - before];
  });

  rule.same("multicast is dropped and counted", [[], 1], async (scene) => {
    const before = await scene.vtep.txDropped();
    const went = await to(scene, "01:00:5e:00:00:09");
    return [went, (await scene.vtep.txDropped()) - before];
  });
});

lab.group("flood list, IPv6 underlay", { family: 6, floods: [S1, S2] }, (rule) => {
  rule.same("unknown unicast goes to every remote once", [S1, S2], (scene) =>
    to(scene, "02:00:00:00:00:77"),
  );

  rule.same("broadcast goes to every remote once", [S1, S2], (scene) =>
    to(scene, "ff:ff:ff:ff:ff:ff"),
  );

  rule.same("what was learned is used", [S2], async (scene) => {
    await scene.ingress(`vx(frame(src="02:00:00:00:01:01"), src="${S2}")`);
    return to(scene, "02:00:00:00:01:01");
  });
});

lab.group("multicast underlay", { group: "239.1.1.1" }, (rule) => {
  rule.same("unknown unicast goes to the group", ["239.1.1.1"], (scene) =>
    to(scene, "02:00:00:00:00:77"),
  );

  rule.same("the TTL towards a group is 1 by default", 1, async (scene) => {
    const [datagram] = await scene.egress(broadcast);
    return datagram!.ip.ttl;
  });

  rule.same("the group's Ethernet address", "01:00:5e:01:01:01", async (scene) => {
    const [datagram] = await scene.egress(broadcast);
    return datagram!.dmac;
  });

  rule.same("the group is joined on dev", true, async (scene) =>
    scene.host.ip("maddr", "show", "dev", "eth0").includes("239.1.1.1"),
  );

  rule.same("what comes to the group is received and learned", [1, [R1]], async (scene) => {
    const frames = await scene.ingress(
      'patch(vx(frame(src="02:00:00:00:01:01"), dst="239.1.1.1"), 0, bytes.fromhex("01005e010101"))',
    );
    return [frames.length, await to(scene, "02:00:00:00:01:01")];
  });
});

lab.group("multicast underlay, ttl 5", { group: "239.1.1.1", ttl: 5 }, (rule) => {
  rule.same("ttl N holds for the group", 5, async (scene) => {
    const [datagram] = await scene.egress(broadcast);
    return datagram!.ip.ttl;
  });
});

lab.group("multicast underlay, IPv6", { family: 6, group: "ff05::100" }, (rule) => {
  rule.same("broadcast goes to the group, hop limit 1", ["ff05::100", 1], async (scene) => {
    const [datagram] = await scene.egress(broadcast);
    return [datagram?.ip.dst, datagram?.ip.ttl];
  });
});
