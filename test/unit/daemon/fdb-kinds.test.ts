// Kinds of FDB entries and lists of multicast MACs, by the rules seen on a kernel vxlan device
// (6.18, iproute2 6.1); who is told of changes; pages and batches.

import { describe, expect, it } from "vitest";
import type { FdbChange } from "../../../src/control/target.js";
import { runBatch } from "../../../src/daemon/control/batch.js";
import { fdbChange, fdbFlush } from "../../../src/daemon/control/fdb.js";
import { fdbPage, fdbShow } from "../../../src/daemon/control/fdb-show.js";
import { monotonicSeconds } from "../../../src/shared-memory/clock.js";
import { formatIp } from "../../../src/wire/ip-address.js";
import { formatMac } from "../../../src/wire/mac.js";
import { ip, mac } from "../forwarding/frames.js";
import { type ControlFixture, controlContext, TWO_TUNNELS } from "./control-context.js";

const DEV = "vxlan100";
const ZERO = "00:00:00:00:00:00";
const ENTRY = "02:00:00:00:00:0b";
const OTHER = "02:00:00:00:00:0c";
const GROUP = "01:00:5e:01:02:03";
const BROADCAST = "ff:ff:ff:ff:ff:ff";
const [B, C, D] = ["10.57.4.21", "10.57.4.22", "10.57.4.23"];
const ROOMY = TWO_TUNNELS.replace("max_entries: 4", "max_entries: 64");

const change = (context: ControlFixture, op: FdbChange["op"], mac: string, more = {}) =>
  fdbChange(context, { op, dev: DEV, mac, ...more });

/** Lines of one MAC, in the order of its list. */
const lines = (context: ControlFixture, mac: string) =>
  fdbShow(context, { mac }).map(({ dst, port, vni, state, router, extern_learn }) => {
    const flags = [router && "router", extern_learn && "extern_learn"];
    return [dst, port, vni, state, ...flags].filter((part) => part !== undefined).join(" ");
  });

const remotesOf = ({ remotes }: ControlFixture) =>
  remotes
    .list(0)
    .map(({ address, references }) => `${formatIp(...address)} ${references}`)
    .sort();

/** What a worker does with a frame from `text` behind outer source `from`. */
function learn({ remotes, vxlan }: ControlFixture, text: string, from: string): void {
  const { w0, w1, w2, w3 } = ip(from);
  const { hi, lo } = mac(text);
  vxlan.fdb.learn(hi, lo, remotes.findSender(0, w0, w1, w2, w3), monotonicSeconds());
}

const code = (name: string) => expect.objectContaining({ code: `CULVERT_${name}` });

describe("a multicast MAC", () => {
  it("has a list of remotes, one entry of the limit, and a reference to each", () => {
    const context = controlContext(ROOMY);
    const before = context.vxlan.fdb.count;
    change(context, "add", GROUP, { dst: C });
    change(context, "append", GROUP, { dst: D });
    change(context, "append", GROUP, { dst: D, vni: 7 });
    change(context, "append", BROADCAST, { dst: B });
    expect(lines(context, GROUP)).toEqual([
      ...[`${C} permanent`, `${D} permanent`, `${D} 7 permanent`],
    ]);
    expect(lines(context, BROADCAST)).toEqual([`${B} permanent`]);
    expect(context.vxlan.fdb.count).toBe(before + 2);
    expect(remotesOf(context)).toEqual([`${B} 2`, `${C} 2`, `${D} 1`, `${D} 2`]);
    expect(() => change(context, "add", GROUP, { dst: B })).toThrow(code("EXISTS"));
  });

  it("loses one remote at a time, and with the last one its entry", () => {
    const context = controlContext(ROOMY);
    for (const dst of [C, D]) change(context, "append", GROUP, { dst });
    const list = context.vxlan.fdb.get(mac(GROUP).hi, mac(GROUP).lo)!.remote;
    change(context, "del", GROUP, { dst: C });
    expect(lines(context, GROUP)).toEqual([`${D} permanent`]);
    change(context, "del", GROUP, { dst: D });
    expect(lines(context, GROUP)).toEqual([]);
    expect(context.vxlan.flood.list(list)).toEqual([]);
    expect(() => change(context, "del", GROUP)).toThrow(code("NOT_FOUND"));
    expect(remotesOf(context)).toEqual([`${B} 1`, `${C} 1`]);
  });

  it("counts towards max_entries once, like the all-zero one", () => {
    const context = controlContext();
    change(context, "append", GROUP, { dst: C });
    change(context, "append", BROADCAST, { dst: C });
    change(context, "append", GROUP, { dst: D });
    expect(() => change(context, "append", "33:33:00:00:00:01", { dst: B })).toThrow(
      code("TABLE_FULL"),
    );
    expect(remotesOf(context)).toEqual([`${B} 1`, `${C} 3`, `${D} 1`]);
    change(context, "del", ZERO);
    change(context, "append", "33:33:00:00:00:01", { dst: C });
  });

  it("leads to the tunnel's own group too, and to no other", () => {
    const grouped = ROOMY.replace("remotes:", "dev: eth0\n    group: 239.1.1.1\n    remotes:");
    const context = controlContext(grouped);
    expect(lines(context, ZERO)).toEqual(["239.1.1.1 permanent", `${B} permanent`]);
    change(context, "del", ZERO, { dst: "239.1.1.1" });
    expect(lines(context, ZERO)).toEqual([`${B} permanent`]);
    change(context, "append", ZERO, { dst: "239.1.1.1" });
    expect(lines(context, ZERO)).toEqual([`${B} permanent`, "239.1.1.1 permanent"]);
    expect(() => change(context, "append", ZERO, { dst: "239.1.1.2" })).toThrow(
      code("FDB_REFUSED"),
    );
  });

  it("may stand in the config, with several remotes", () => {
    const entry = (dst: string) => `{ mac: "${GROUP}", dst: ${dst} }`;
    const router = `{ mac: "${OTHER}", dst: ${C}, router: true }`;
    const context = controlContext(
      ROOMY.replace("fdb: [", `fdb: [${entry(C)}, ${entry(D)}, ${router}, `),
    );
    expect(lines(context, GROUP)).toEqual([`${C} permanent`, `${D} permanent`]);
    expect(lines(context, OTHER)).toEqual([`${C} permanent router`]);
  });

  it("loses by a flush the remotes that match", () => {
    const context = controlContext(ROOMY);
    for (const dst of [C, D]) change(context, "append", GROUP, { dst });
    expect(fdbFlush(context, { dev: DEV, dst: C })).toEqual({ removed: 2 });
    expect(lines(context, GROUP)).toEqual([`${D} permanent`]);
    expect(fdbFlush(context, { dev: DEV, mac: GROUP })).toEqual({ removed: 1 });
    expect(lines(context, GROUP)).toEqual([]);
    expect(remotesOf(context)).toEqual([`${B} 1`]);
  });

  it("of no fixed kind ages with its list", () => {
    const context = controlContext(ROOMY);
    change(context, "append", GROUP, { dst: D, state: "dynamic" });
    const now_s = monotonicSeconds();
    context.fdbEntries.sweep(context.vxlan, now_s + 299, 300);
    expect(lines(context, GROUP)).toEqual([`${D} dynamic`]);
    context.fdbEntries.sweep(context.vxlan, now_s + 301, 300);
    expect(lines(context, GROUP)).toEqual([]);
    expect(remotesOf(context)).toEqual([`${B} 1`, `${C} 1`]);
  });
});

describe("kinds", () => {
  it.each([
    [{}, "permanent"],
    [{ state: "static" }, "static"],
    [{ state: "dynamic", router: true }, "dynamic router"],
    [{ state: "static", extern_learn: true, router: true }, "static router extern_learn"],
  ])("%o is shown as %s", (more, shown) => {
    const context = controlContext(ROOMY);
    change(context, "add", OTHER, { dst: D, ...more });
    expect(lines(context, OTHER)).toEqual([`${D} ${shown}`]);
  });

  it("are those of the last append or replace, for a whole list", () => {
    const context = controlContext(ROOMY);
    change(context, "append", ZERO, { dst: C, state: "static" });
    expect(lines(context, ZERO)).toEqual([`${B} static`, `${C} static`]);
    change(context, "append", ZERO, { dst: C });
    expect(lines(context, ZERO)).toEqual([`${B} permanent`, `${C} permanent`]);
    change(context, "replace", ENTRY, { dst: C, state: "dynamic", router: true });
    expect(lines(context, ENTRY)).toEqual([`${C} dynamic router`]);
  });

  it("of a user's entry are not taken over by extern_learn, its remote is", () => {
    const context = controlContext(ROOMY);
    change(context, "replace", ENTRY, { dst: D, state: "dynamic", extern_learn: true });
    expect(lines(context, ENTRY)).toEqual([`${D} permanent`]);
    learn(context, OTHER, B);
    change(context, "replace", OTHER, { dst: D, extern_learn: true });
    expect(lines(context, OTHER)).toEqual([`${D} permanent extern_learn`]);
  });

  it("learned is there already for add, as for the kernel", () => {
    const context = controlContext(ROOMY);
    learn(context, OTHER, B);
    expect(() => change(context, "add", OTHER, { dst: B })).toThrow(code("EXISTS"));
  });
});

describe("a dynamic entry", () => {
  it("holds its remote until it ages", () => {
    const context = controlContext(ROOMY);
    change(context, "add", OTHER, { dst: D, state: "dynamic" });
    expect(remotesOf(context)).toContain(`${D} 1`);
    context.fdbEntries.sweep(context.vxlan, monotonicSeconds() + 301, 300);
    expect(lines(context, OTHER)).toEqual([]);
    expect(remotesOf(context)).toEqual([`${B} 1`, `${C} 1`]);
  });

  it("that learning moved gives its remote back at the next sweep", () => {
    const context = controlContext(ROOMY);
    change(context, "add", OTHER, { dst: D, state: "dynamic" });
    learn(context, OTHER, B);
    context.fdbEntries.sweep(context.vxlan, monotonicSeconds(), 0);
    expect(lines(context, OTHER)).toEqual([`${B} dynamic`]);
    expect(remotesOf(context)).toEqual([`${B} 1`, `${C} 1`]);
  });

  it("that was moved and forgotten holds nothing when it is made anew before a sweep", () => {
    const context = controlContext(ROOMY);
    change(context, "add", OTHER, { dst: D, state: "dynamic" });
    learn(context, OTHER, C);
    change(context, "del", ENTRY); // and with its remote what was learned from it
    expect(lines(context, OTHER)).toEqual([]);
    change(context, "add", OTHER, { dst: B, state: "dynamic" });
    expect(remotesOf(context)).toEqual([`${B} 2`]);
  });

  it("gives its remote back once, whatever becomes of it", () => {
    for (const more of [{ dst: C }, { dst: C, state: "dynamic" }]) {
      const context = controlContext(ROOMY);
      change(context, "add", OTHER, { dst: D, state: "dynamic" });
      change(context, "replace", OTHER, more);
      expect(remotesOf(context)).toEqual([`${B} 1`, `${C} 2`]);
      change(context, "del", OTHER);
      context.fdbEntries.sweep(context.vxlan, monotonicSeconds(), 300);
      expect(remotesOf(context)).toEqual([`${B} 1`, `${C} 1`]);
    }
  });
});

describe("changes", () => {
  it("are told, each remote by itself, also those that follow from others", () => {
    const context = controlContext(ROOMY);
    const told: string[] = [];
    const end = context.changes.listen({
      fdb: ({ op, mac, dst, state, router }) =>
        told.push(
          `${op} ${formatMac(mac.hi, mac.lo)} ${dst === undefined ? "" : formatIp(...dst)} ` +
            `${state}${router ? " router" : ""}`,
        ),
      neigh: () => undefined,
    });
    const expectTold = (...expected: string[]) => expect(told.splice(0)).toEqual(expected);
    change(context, "append", GROUP, { dst: C });
    expectTold(`new ${GROUP} ${C} permanent`);
    change(context, "append", GROUP, { dst: C });
    expectTold();
    change(context, "append", GROUP, { dst: C, router: true });
    expectTold(`new ${GROUP} ${C} permanent router`);
    change(context, "replace", ENTRY, { dst: C });
    expectTold();
    change(context, "replace", ENTRY, { dst: D });
    expectTold(`new ${ENTRY} ${D} permanent`);
    learn(context, OTHER, D);
    change(context, "del", ENTRY);
    expectTold(`del ${ENTRY} ${D} permanent`, `del ${OTHER} ${D} learned`);
    fdbFlush(context, { dev: DEV });
    expect(told.splice(0).sort()).toEqual([
      ...[`del ${ZERO} ${B} permanent`, `del ${GROUP} ${C} permanent router`],
    ]);
    end();
    change(context, "append", ZERO, { dst: C });
    expectTold();
  });
});

describe("pages", () => {
  it("give every entry of every tunnel once, each bounded", () => {
    const context = controlContext(ROOMY.replace("max_entries: 64", "max_entries: 6000"));
    const { fdb, flood } = context.vxlan;
    for (let lo = 0; lo < 5000; lo++) fdb.learn(0x0200, 0x10000 + lo, flood.list()[0], 1);
    const macs: string[] = [];
    let from: number | undefined;
    do {
      const page = fdbPage(context, { from });
      expect(page.entries.length).toBeLessThanOrEqual(2000);
      macs.push(...page.entries.map(({ mac }) => mac));
      from = page.next;
    } while (from !== undefined);
    expect(macs).toHaveLength(5002);
    expect(new Set(macs).size).toBe(5002);
    expect(fdbPage(context, { states: ["permanent"] }).entries.length).toBeLessThanOrEqual(2);
  });

  it("are needed for more than one answer may hold", () => {
    const context = controlContext(ROOMY.replace("max_entries: 64", "max_entries: 30000"));
    const { fdb, flood } = context.vxlan;
    for (let lo = 0; lo < 21_000; lo++) fdb.learn(0x0200, 0x10000 + lo, flood.list()[0], 1);
    expect(() => fdbShow(context, {})).toThrow(code("TOO_MANY"));
    expect(fdbShow(context, { states: ["permanent"] })).toHaveLength(2);
  });
});

describe("a batch", () => {
  const batch = (context: ControlFixture, force: boolean) =>
    runBatch(
      {
        force,
        changes: [
          { op: "add", dev: DEV, mac: OTHER, dst: D },
          { op: "add", dev: DEV, mac: OTHER, dst: D },
          { op: "del", dev: "eth9", mac: OTHER },
          { op: "del", dev: DEV, mac: OTHER },
        ],
      },
      (one: FdbChange) => fdbChange(context, one),
    );

  it("ends at the first refusal", () => {
    const context = controlContext(ROOMY);
    expect(batch(context, false)).toMatchObject({
      done: 1,
      failures: [{ index: 1, code: "CULVERT_EXISTS" }],
    });
    expect(lines(context, OTHER)).toEqual([`${D} permanent`]);
  });

  it("goes on when forced, and tells every refusal", () => {
    const context = controlContext(ROOMY);
    expect(batch(context, true)).toMatchObject({
      done: 2,
      failures: [
        { index: 1, code: "CULVERT_EXISTS" },
        { index: 2, code: "CULVERT_NO_TUNNEL" },
      ],
    });
    expect(lines(context, OTHER)).toEqual([]);
  });
});
