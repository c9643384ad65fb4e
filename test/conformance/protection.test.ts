// Who may send, and how much one remote may teach: what the kernel's device does not ask.

import { R1, R2, R3, type Scene, useLab } from "./lab.js";

const lab = useLab();
const from = (src: string): string => `vx(src="${src}")`;
const came = async (scene: Scene, ...sources: string[]): Promise<number> =>
  (await scene.ingress(...sources.map(from))).length;
const why = "the kernel takes frames from anybody";

lab.group(
  "allow known",
  { culvert: ["allow: known"], floods: [R1], fdb: [{ mac: "02:00:00:00:00:0b", dst: R2 }] },
  (rule) => {
    rule.same("a configured remote may send", 1, (scene) => came(scene, R1));

    rule.same("a remote of an FDB entry may send", 1, (scene) => came(scene, R2));

    rule.differs("an unknown outer source", { kernel: 1, culvert: 0, why }, (scene) =>
      came(scene, R3),
    );

    rule.same("a remote that was added by hand may send at once", 1, async (scene) => {
      await scene.vtep.fdb(`add 02:00:00:00:00:0c dst ${R3}`);
      return came(scene, R3);
    });

    rule.differs("a remote that was removed", { kernel: 1, culvert: 0, why }, async (scene) => {
      await scene.vtep.fdb("del 02:00:00:00:00:0c");
      return came(scene, R3);
    });

    rule.differs(
      "an unknown outer source teaches",
      { kernel: 1, culvert: 0, why },
      async (scene) => {
        await scene.ingress(`vx(frame(src="02:00:00:00:07:01"), src="${R3}")`);
        const lines = await scene.vtep.fdbLines();
        return lines.filter((line) => line.startsWith("02:00:00:00:07:01")).length;
      },
    );
  },
);

lab.group("allow prefixes", { culvert: ["allow: [10.57.4.22/32, 10.57.4.28/31]"] }, (rule) => {
  rule.same("an outer source in a prefix may send", 1, (scene) => came(scene, R2));

  rule.differs("an outer source in none", { kernel: 1, culvert: 0, why }, (scene) =>
    came(scene, R1),
  );
});

lab.group("MACs of one remote", { culvert: ["max_macs_per_remote: 2"] }, (rule) => {
  rule.differs(
    "max_macs_per_remote 2: three MACs behind one remote",
    { kernel: 3, culvert: 2, why: "the kernel limits the whole table only (maxaddress)" },
    async (scene) => {
      const macs = ["01", "02", "03"].map((n) => `02:00:00:00:08:${n}`);
      await scene.ingress(...macs.map((mac) => `vx(frame(src="${mac}"), src="${R1}")`));
      const lines = await scene.vtep.fdbLines();
      return lines.filter((line) => line.includes(`dst ${R1} `)).length;
    },
  );

  rule.same("another remote may still teach", 1, async (scene) => {
    await scene.ingress(`vx(frame(src="02:00:00:00:08:04"), src="${R2}")`);
    const lines = await scene.vtep.fdbLines();
    return lines.filter((line) => line.includes(`dst ${R2} `)).length;
  });

  rule.same("frames of MACs beyond the limit pass", 1, async (scene) => {
    return (await scene.ingress(`vx(frame(src="02:00:00:00:08:05"), src="${R1}")`)).length;
  });
});
