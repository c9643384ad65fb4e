// Learning [RFC 7348 § 4.2; kernel: vxlan_snoop]: which entries come, move, stay and age.

import { expect } from "vitest";
import { R1, R2, R3, type Scene, useLab } from "./lab.js";

const lab = useLab();
const line = (mac: string, dst: string): string => `${mac} dst ${dst} self`;

/** Where an entry of the FDB points. */
async function remotesOf(scene: Scene, mac: string): Promise<string[]> {
  const entries = await scene.vtep.fdbJson();
  return entries.filter((entry) => entry.mac === mac).map(({ dst }) => dst ?? "");
}

const from = (mac: string, src: string): string => `vx(frame(src="${mac}"), src="${src}")`;

lab.group("learning", { floods: [R3], fdb: [{ mac: "02:00:00:00:02:01", dst: R1 }] }, (rule) => {
  rule.same("an unknown inner source is learned", true, async (scene) => {
    await scene.ingress(from("02:00:00:00:01:01", R1));
    return (await scene.vtep.fdbLines()).includes(line("02:00:00:00:01:01", R1));
  });

  rule.same("what was learned is used: unicast instead of flooding", [R1], async (scene) => {
    await scene.ingress(from("02:00:00:00:01:02", R1));
    const datagrams = await scene.egress('frame(dst="02:00:00:00:01:02")');
    return datagrams.map(({ ip }) => ip.dst);
  });

  rule.same("the learned remote has the tunnel's port, not the sender's", 4789, async (scene) => {
    await scene.ingress('vx(frame(src="02:00:00:00:01:03"), sport=9999)');
    const [datagram] = await scene.egress('frame(dst="02:00:00:00:01:03")');
    return datagram!.dport;
  });

  rule.same("a MAC that comes from another remote moves there", [R2], async (scene) => {
    await scene.ingress(from("02:00:00:00:01:04", R1), from("02:00:00:00:01:04", R2));
    return remotesOf(scene, "02:00:00:00:01:04");
  });

  rule.same("a static entry does not move", [R1], async (scene) => {
    await scene.ingress(from("02:00:00:00:02:01", R2));
    return remotesOf(scene, "02:00:00:00:02:01");
  });

  rule.same("a frame from a static MAC behind another remote is dropped", [], async (scene) => {
    return scene.ingress(from("02:00:00:00:02:01", R2));
  });

  rule.same(
    "a dynamic entry keeps its port and VNI when its remote is heard",
    [8472, 77],
    async (scene) => {
      const mac = "02:00:00:00:01:08";
      expect(await scene.vtep.fdb(`add ${mac} dst ${R1} port 8472 vni 77 dynamic`)).toBe("done");
      await scene.ingress(from(mac, R1));
      const [datagram] = await scene.egress(`frame(dst="${mac}")`);
      return [datagram!.dport, datagram!.vni];
    },
  );

  rule.same("a frame from a static MAC behind its own remote passes", 1, async (scene) => {
    return (await scene.ingress(from("02:00:00:00:02:01", R1))).length;
  });

  rule.same("a frame that is dropped (own MAC) teaches nothing", [], async (scene) => {
    await scene.ingress(from("02:00:00:00:01:00", R1));
    return remotesOf(scene, "02:00:00:00:01:00");
  });

  rule.same("broadcast frames teach, too", [R1], async (scene) => {
    await scene.ingress(`vx(frame(src="02:00:00:00:01:05", dst="ff:ff:ff:ff:ff:ff"), src="${R1}")`);
    return remotesOf(scene, "02:00:00:00:01:05");
  });

  rule.same("an entry that was learned can be deleted by hand", [], async (scene) => {
    await scene.ingress(from("02:00:00:00:01:06", R1));
    expect(await scene.vtep.fdb("del 02:00:00:00:01:06")).toBe("done");
    return remotesOf(scene, "02:00:00:00:01:06");
  });

  rule.same("`replace` makes a learned entry permanent", true, async (scene) => {
    await scene.ingress(from("02:00:00:00:01:07", R1));
    expect(await scene.vtep.fdb(`replace 02:00:00:00:01:07 dst ${R2}`)).toBe("done");
    const lines = await scene.vtep.fdbLines();
    return lines.includes(`02:00:00:00:01:07 dst ${R2} self permanent`);
  });

  rule.same("`add` of a MAC that was learned is refused as existing", "exists", async (scene) => {
    await scene.ingress(from("02:00:00:00:01:08", R1));
    return scene.vtep.fdb(`add 02:00:00:00:01:08 dst ${R2}`);
  });
});

lab.group("no learning", { learning: false, floods: [R3] }, (rule) => {
  rule.same("nolearning: nothing is learned, the frame passes", [1, []], async (scene) => {
    const frames = await scene.ingress(from("02:00:00:00:01:01", R1));
    return [frames.length, await remotesOf(scene, "02:00:00:00:01:01")];
  });

  rule.same("nolearning: unknown unicast is flooded", [R3], async (scene) => {
    const datagrams = await scene.egress('frame(dst="02:00:00:00:01:01")');
    return datagrams.map(({ ip }) => ip.dst);
  });

  rule.same("nolearning: a static MAC behind another remote passes", 1, async (scene) => {
    await scene.vtep.fdb(`add 02:00:00:00:02:01 dst ${R1}`);
    return (await scene.ingress(from("02:00:00:00:02:01", R2))).length;
  });
});

/** The kernel looks for old entries every 10 s (FDB_AGE_INTERVAL). */
const ageingPatience_ms = 15_000;

lab.group("ageing 2 s", { ageing_s: 2, floods: [R3] }, (rule) => {
  const [silent, asked, heard, fixed] = ["01", "02", "03", "04"].map((n) => `02:00:00:00:05:${n}`);
  const there = async (scene: Scene, mac: string): Promise<boolean> =>
    (await remotesOf(scene, mac)).length > 0;

  rule.same("an entry that is not heard of ages", "aged", async (scene) => {
    await scene.vtep.fdb(`add ${fixed} dst ${R1}`);
    await scene.ingress(from(silent!, R1), from(asked!, R1));
    const end_ms = performance.now() + ageingPatience_ms;
    while (await there(scene, silent!)) {
      if (performance.now() >= end_ms) return "still there";
      await scene.ingress(from(heard!, R1));
      await scene.egress(`frame(dst="${asked}")`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return "aged";
  });

  rule.same("what is received keeps an entry", true, (scene) => there(scene, heard!));

  rule.same("what is sent to it does not", [R3], async (scene) => {
    const datagrams = await scene.egress(`frame(dst="${asked}")`);
    return datagrams.map(({ ip }) => ip.dst);
  });

  rule.same("a permanent entry does not age", true, (scene) => there(scene, fixed!));
});

lab.group("maxaddress 2", { maxaddress: 2, markers: false }, (rule) => {
  rule.same("a full FDB: the next MAC is not learned, its frame passes", [1, []], async (scene) => {
    await scene.vtep.fdb(`add 02:00:00:00:02:01 dst ${R1}`);
    await scene.vtep.fdb(`add 02:00:00:00:02:02 dst ${R1}`);
    const frames = await scene.ingress(from("02:00:00:00:01:01", R1));
    return [frames.length, await remotesOf(scene, "02:00:00:00:01:01")];
  });

  rule.same("a full FDB: `add` is refused as full", "full", async (scene) => {
    return scene.vtep.fdb(`add 02:00:00:00:02:03 dst ${R1}`);
  });

  rule.same("a full FDB: `replace` of an entry that is there works", "done", async (scene) => {
    return scene.vtep.fdb(`replace 02:00:00:00:02:02 dst ${R2}`);
  });

  rule.same("after a delete there is room again", "done", async (scene) => {
    await scene.vtep.fdb("del 02:00:00:00:02:02");
    return scene.vtep.fdb(`add 02:00:00:00:02:03 dst ${R1}`);
  });
});
