// The words of bridge(8) on a vxlan device: what each operation does to which entry, what it
// refuses, how entries are shown (kernel: vxlan_fdb_update_existing, vxlan_fdb_update_create,
// __vxlan_fdb_delete; iproute2: bridge/fdb.c).

import { R1, R2, R3, S1, type Scene, useLab } from "./lab.js";

const lab = useLab();
const zero = "00:00:00:00:00:00";
const group = "01:00:5e:00:00:05";

/** Lines of `show` for one MAC, without the MAC. */
async function shown(scene: Scene, mac: string): Promise<string[]> {
  const lines = await scene.vtep.fdbLines();
  return lines.filter((line) => line.startsWith(mac)).map((line) => line.slice(mac.length + 1));
}

/** What the operations said, then what is shown of `mac`. */
async function after(scene: Scene, mac: string, ...words: string[]): Promise<unknown> {
  const outcomes: string[] = [];
  for (const each of words) outcomes.push(await scene.vtep.fdb(each));
  return [outcomes, await shown(scene, mac)];
}

lab.group("fdb words, unicast", { markers: false }, (rule) => {
  const a = (n: number): string => `02:00:00:00:03:0${n}`;

  rule.same("add: a new entry is permanent", [["done"], [`dst ${R1} self permanent`]], (scene) =>
    after(scene, a(1), `add ${a(1)} dst ${R1}`),
  );

  rule.same(
    "add: the same entry again exists",
    [["done", "exists"], [`dst ${R1} self permanent`]],
    (scene) => after(scene, a(2), `add ${a(2)} dst ${R1}`, `add ${a(2)} dst ${R1}`),
  );

  rule.same(
    "add: an entry with another remote exists, too",
    [["done", "exists"], [`dst ${R1} self permanent`]],
    (scene) => after(scene, a(3), `add ${a(3)} dst ${R1}`, `add ${a(3)} dst ${R2}`),
  );

  rule.same(
    "replace: the remote of an entry changes",
    [["done", "done"], [`dst ${R2} self permanent`]],
    (scene) => after(scene, a(4), `add ${a(4)} dst ${R1}`, `replace ${a(4)} dst ${R2}`),
  );

  rule.same("replace: makes what is not there", [["done"], [`dst ${R1} self permanent`]], (scene) =>
    after(scene, a(5), `replace ${a(5)} dst ${R1}`),
  );

  const appendWhy = "append needs an all-zero or multicast MAC; the kernel takes it as add";
  rule.differs(
    "append: a unicast MAC that is not there",
    {
      kernel: [["done"], [`dst ${R1} self permanent`]],
      culvert: [["refused"], []],
      why: appendWhy,
    },
    (scene) => after(scene, a(6), `append ${a(6)} dst ${R1}`),
  );

  rule.differs(
    "append: adds no second remote to a unicast MAC",
    {
      kernel: [["done", "done"], [`dst ${R1} self permanent`]],
      culvert: [["done", "refused"], [`dst ${R1} self permanent`]],
      why: "the kernel reports success and does nothing",
    },
    (scene) => after(scene, a(7), `add ${a(7)} dst ${R1}`, `append ${a(7)} dst ${R2}`),
  );

  rule.same("del: an entry goes", [["done", "done"], []], (scene) =>
    after(scene, a(8), `add ${a(8)} dst ${R1}`, `del ${a(8)}`),
  );

  rule.same("del: with its remote", [["done", "done"], []], (scene) =>
    after(scene, a(9), `add ${a(9)} dst ${R1}`, `del ${a(9)} dst ${R1}`),
  );

  rule.same("del: what is not there is not found", "not found", (scene) =>
    scene.vtep.fdb("del 02:00:00:00:03:10"),
  );

  rule.same(
    "del: with another remote removes nothing, and is no error",
    ["done", true],
    async (scene) => {
      await scene.vtep.fdb(`add 02:00:00:00:03:11 dst ${R1}`);
      const outcome = await scene.vtep.fdb(`del 02:00:00:00:03:11 dst ${R2}`);
      return [outcome, (await shown(scene, "02:00:00:00:03:11")).length === 1];
    },
  );

  rule.same(
    "add: port and vni are shown where they are the remote's own",
    `dst ${R1} port 8472 vni 77 self permanent`,
    async (scene) => {
      await scene.vtep.fdb(`add 02:00:00:00:03:12 dst ${R1} port 8472 vni 77`);
      return (await shown(scene, "02:00:00:00:03:12"))[0];
    },
  );

  rule.same(
    "add: port and vni that are the tunnel's are not shown",
    `dst ${R1} self permanent`,
    async (scene) => {
      await scene.vtep.fdb(`add 02:00:00:00:03:13 dst ${R1} port 4789 vni 100`);
      return (await shown(scene, "02:00:00:00:03:13"))[0];
    },
  );

  rule.same("del: port is part of the remote", [1, 0], async (scene) => {
    const mac = "02:00:00:00:03:14";
    await scene.vtep.fdb(`add ${mac} dst ${R1} port 8472`);
    await scene.vtep.fdb(`del ${mac} dst ${R1}`);
    const kept = (await shown(scene, mac)).length;
    await scene.vtep.fdb(`del ${mac} dst ${R1} port 8472`);
    return [kept, (await shown(scene, mac)).length];
  });

  rule.same("add: without dst is refused", "refused", (scene) =>
    scene.vtep.fdb("add 02:00:00:00:03:15"),
  );

  rule.same("add: a remote of the other family is refused", "refused", (scene) =>
    scene.vtep.fdb(`add 02:00:00:00:03:16 dst ${S1}`),
  );

  rule.same(
    "static: does not age, is shown as static",
    [`dst ${R1} self static`],
    async (scene) => {
      await scene.vtep.fdb(`add 02:00:00:00:03:17 dst ${R1} static`);
      return shown(scene, "02:00:00:00:03:17");
    },
  );

  rule.same(
    "dynamic: is shown without a state, as what was learned",
    [`dst ${R1} self`],
    async (scene) => {
      await scene.vtep.fdb(`add 02:00:00:00:03:18 dst ${R1} dynamic`);
      return shown(scene, "02:00:00:00:03:18");
    },
  );

  rule.same("router: is shown", [`dst ${R1} self router permanent`], async (scene) => {
    await scene.vtep.fdb(`add 02:00:00:00:03:19 dst ${R1} router`);
    return shown(scene, "02:00:00:00:03:19");
  });

  rule.same(
    "show -j: the shape of an entry",
    { mac: "02:00:00:00:03:20", dst: R1, port: 8472, vni: 77, flags: ["self"], state: "permanent" },
    async (scene) => {
      await scene.vtep.fdb(`add 02:00:00:00:03:20 dst ${R1} port 8472 vni 77`);
      const entry = (await scene.vtep.fdbJson()).find(({ mac }) => mac === "02:00:00:00:03:20");
      delete entry?.ifname;
      return entry;
    },
  );
});

lab.group("fdb words, all-zero and multicast MACs", { markers: false }, (rule) => {
  rule.same(
    "append: the first remote of the all-zero MAC makes the entry",
    [["done"], [`dst ${R1} self permanent`]],
    (scene) => after(scene, zero, `append ${zero} dst ${R1}`),
  );

  rule.same(
    "append: a second remote joins",
    [["done"], [`dst ${R1} self permanent`, `dst ${R2} self permanent`]],
    (scene) => after(scene, zero, `append ${zero} dst ${R2}`),
  );

  rule.same(
    "append: a remote that is a member already changes nothing",
    [["done"], [`dst ${R1} self permanent`, `dst ${R2} self permanent`]],
    (scene) => after(scene, zero, `append ${zero} dst ${R2}`),
  );

  rule.same("append: the same address with another port is another remote", 3, async (scene) => {
    await scene.vtep.fdb(`append ${zero} dst ${R2} port 8472`);
    return (await shown(scene, zero)).length;
  });

  rule.same("append: the same address with another VNI is another remote", 4, async (scene) => {
    await scene.vtep.fdb(`append ${zero} dst ${R2} vni 200`);
    return (await shown(scene, zero)).length;
  });

  rule.same("add: the all-zero MAC exists", "exists", (scene) =>
    scene.vtep.fdb(`add ${zero} dst ${R3}`),
  );

  rule.same("replace: the all-zero MAC is refused", "refused", (scene) =>
    scene.vtep.fdb(`replace ${zero} dst ${R3}`),
  );

  rule.same("del: one remote goes, the others stay", 3, async (scene) => {
    await scene.vtep.fdb(`del ${zero} dst ${R1}`);
    return (await shown(scene, zero)).length;
  });

  rule.same("del: without dst the whole entry goes", [["done"], []], (scene) =>
    after(scene, zero, `del ${zero}`),
  );

  rule.same(
    "del: the last remote takes the entry with it",
    [["done", "done", "not found"], []],
    (scene) =>
      after(scene, zero, `append ${zero} dst ${R1}`, `del ${zero} dst ${R1}`, `del ${zero}`),
  );

  rule.same(
    "append: remotes of a multicast MAC",
    [
      ["done", "done"],
      [`dst ${R1} self permanent`, `dst ${R2} self permanent`],
    ],
    (scene) => after(scene, group, `append ${group} dst ${R1}`, `append ${group} dst ${R2}`),
  );

  rule.same("replace: a multicast MAC is refused", "refused", (scene) =>
    scene.vtep.fdb(`replace ${group} dst ${R3}`),
  );

  rule.same("replace: a multicast MAC that is not there is refused, too", "refused", (scene) =>
    scene.vtep.fdb(`replace 01:00:5e:00:00:06 dst ${R3}`),
  );

  rule.same(
    "del: one remote of a multicast MAC goes",
    [["done"], [`dst ${R2} self permanent`]],
    (scene) => after(scene, group, `del ${group} dst ${R1}`),
  );

  rule.same("add: the broadcast MAC may have remotes of its own", "done", (scene) =>
    scene.vtep.fdb(`add ff:ff:ff:ff:ff:ff dst ${R1}`),
  );
});

lab.group("fdb flush", { markers: false }, (rule) => {
  const fill = async (scene: Scene): Promise<void> => {
    await scene.vtep.fdb(`append ${zero} dst ${R1}`);
    await scene.vtep.fdb(`replace 02:00:00:00:04:01 dst ${R1}`);
    await scene.vtep.fdb(`replace 02:00:00:00:04:02 dst ${R2}`);
    await scene.ingress(`vx(frame(src="02:00:00:00:04:03"), src="${R1}")`);
  };
  const macs = async (scene: Scene): Promise<string[]> =>
    (await scene.vtep.fdbJson()).map(({ mac }) => mac).sort();

  rule.same(
    "flush nopermanent: learned entries go, permanent ones stay",
    [zero, "02:00:00:00:04:01", "02:00:00:00:04:02"],
    async (scene) => {
      await fill(scene);
      await scene.vtep.fdbFlush("nopermanent");
      return macs(scene);
    },
  );

  rule.same(
    "flush permanent: permanent entries go, learned ones stay",
    ["02:00:00:00:04:03"],
    async (scene) => {
      await fill(scene);
      await scene.vtep.fdbFlush("permanent");
      return macs(scene);
    },
  );

  rule.same("flush: everything goes", [], async (scene) => {
    await fill(scene);
    await scene.vtep.fdbFlush("");
    return macs(scene);
  });
});
