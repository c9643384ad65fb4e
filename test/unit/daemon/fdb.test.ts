// `culvert fdb` on real tables: the rules of bridge(8), and that references to remotes come out
// even.

import { describe, expect, it } from "vitest";
import type { FdbChange } from "../../../src/control/target.js";
import { fdbChange, fdbFlush } from "../../../src/daemon/control/fdb.js";
import { fdbShow } from "../../../src/daemon/control/fdb-show.js";
import { REMOTE_FLAG_ALLOWED, REMOTE_FLAG_LEARNED } from "../../../src/remotes/remote-rows.js";
import { monotonicSeconds } from "../../../src/shared-memory/clock.js";
import { formatIp } from "../../../src/wire/ip-address.js";
import { ip, mac } from "../forwarding/frames.js";
import { type ControlFixture, controlContext } from "./control-context.js";

const DEV = "vxlan100";
const ZERO = "00:00:00:00:00:00";
const ENTRY = "02:00:00:00:00:0b";
const OTHER = "02:00:00:00:00:0c";
const [B, C, D] = ["10.57.4.21", "10.57.4.22", "10.57.4.23"];

const change = (context: ControlFixture, op: FdbChange["op"], mac: string, more = {}) =>
  fdbChange(context, { op, dev: DEV, mac, ...more });

const shown = (context: ControlFixture) =>
  fdbShow(context, {})
    .map(({ mac, dst, port, vni, state, router, extern_learn }) => {
      const flags = [router && "router", extern_learn && "extern_learn"];
      return [mac, dst, port, vni, state, ...flags].filter((part) => part !== undefined).join(" ");
    })
    .sort();

const remotesOf = ({ remotes }: ControlFixture) =>
  remotes
    .list(0)
    .map(({ address, vni, references }) => `${formatIp(...address)} ${vni} ${references}`)
    .sort();

/** What a worker does with a frame from `mac` behind outer source `from`. */
function learn({ remotes, vxlan }: ControlFixture, text: string, from: string): number {
  const { w0, w1, w2, w3 } = ip(from);
  const { hi, lo } = mac(text);
  const known = remotes.findSender(0, w0, w1, w2, w3);
  const row = known >= 0 ? known : remotes.learn(0, w0, w1, w2, w3, monotonicSeconds());
  vxlan.fdb.learn(hi, lo, row, monotonicSeconds());
  return row;
}

const code = (name: string) => expect.objectContaining({ code: `CULVERT_${name}` });
const START = [`${ZERO} ${B} permanent`, `${ENTRY} ${C} permanent`];
const START_REMOTES = [`${B} 100 1`, `${C} 100 1`];

describe("show", () => {
  it("lists flood list and entries, port and VNI only where they differ from the tunnel's", () => {
    const context = controlContext();
    change(context, "append", ZERO, { dst: D, port: 8472, vni: 7 });
    learn(context, OTHER, B);
    expect(shown(context)).toEqual([
      ...[`${ZERO} ${B} permanent`, `${ZERO} ${D} 8472 7 permanent`],
      ...[`${ENTRY} ${C} permanent`, `${OTHER} ${B} dynamic`],
    ]);
  });

  it("filters by device, MAC and destination in any spelling", () => {
    const context = controlContext();
    expect(fdbShow(context, { mac: "02:00:00:00:00:0B" })).toHaveLength(1);
    expect(fdbShow(context, { dst: "::ffff:10.57.4.21" })).toHaveLength(1);
    expect(fdbShow(context, { dev: DEV, mac: ENTRY, dst: B })).toEqual([]);
    expect(() => fdbShow(context, { dev: "ipip0" })).toThrow(code("WRONG_TYPE"));
    expect(() => fdbShow(context, { dev: "eth9" })).toThrow(code("NO_TUNNEL"));
  });
});

describe("add", () => {
  it("adds a permanent entry that holds its remote", () => {
    const context = controlContext();
    change(context, "add", OTHER, { dst: D, vni: 7 });
    expect(shown(context)).toEqual([...START, `${OTHER} ${D} 7 permanent`]);
    expect(remotesOf(context)).toEqual([...START_REMOTES, `${D} 100 1`, `${D} 7 1`].sort());
  });

  it("of what is there is refused and leaves no reference behind", () => {
    const context = controlContext();
    expect(() => change(context, "add", ENTRY, { dst: D })).toThrow(code("EXISTS"));
    expect(() => change(context, "add", ZERO, { dst: D })).toThrow(code("EXISTS"));
    expect(shown(context)).toEqual(START);
    expect(remotesOf(context)).toEqual(START_REMOTES);
  });

  it("that is refused takes nothing of what was learned from that remote", () => {
    const context = controlContext();
    const row = learn(context, OTHER, D);
    expect(context.remotes.flags(row)).toBe(REMOTE_FLAG_LEARNED);
    expect(() => change(context, "add", ENTRY, { dst: D })).toThrow(code("EXISTS"));
    expect(shown(context)).toEqual([...START, `${OTHER} ${D} dynamic`]);
    expect(context.remotes.flags(row)).toBe(REMOTE_FLAG_LEARNED);
  });

  it("of the all-zero MAC works on an empty list", () => {
    const context = controlContext();
    change(context, "del", ZERO);
    change(context, "add", ZERO, { dst: D });
    expect(shown(context)).toEqual([`${ZERO} ${D} permanent`, START[1]]);
  });

  it("to a full table is refused and leaves no reference behind", () => {
    const context = controlContext();
    for (let i = 0; i < 2; i++) change(context, "add", `02:00:00:00:01:0${i}`, { dst: D });
    const full = () => change(context, "add", OTHER, { dst: "10.57.4.99" });
    expect(full).toThrow(code("TABLE_FULL"));
    expect(remotesOf(context)).toEqual([...START_REMOTES, `${D} 100 2`]);
    change(context, "replace", ENTRY, { dst: D });
    change(context, "append", ZERO, { dst: D });
    change(context, "del", ENTRY);
    change(context, "add", OTHER, { dst: D });
  });

  it("without room for another remote is refused", () => {
    const context = controlContext(undefined, [], 3);
    expect(() => change(context, "add", OTHER, { dst: D })).toThrow(code("TABLE_FULL"));
    expect(shown(context)).toEqual(START);
  });
});

describe("append", () => {
  it("adds to the flood list; the same remote twice is no error, as with bridge(8)", () => {
    const context = controlContext();
    change(context, "append", ZERO, { dst: D });
    change(context, "append", ZERO, { dst: D });
    change(context, "append", ZERO, { dst: D, vni: 7 });
    expect(context.vxlan.flood.list()).toHaveLength(3);
    expect(remotesOf(context)).toEqual([...START_REMOTES, `${D} 100 2`, `${D} 7 1`].sort());
  });

  it("of a unicast MAC is refused", () => {
    const context = controlContext();
    expect(() => change(context, "append", OTHER, { dst: D })).toThrow(code("FDB_REFUSED"));
    expect(remotesOf(context)).toEqual(START_REMOTES);
  });
});

describe("replace", () => {
  it("points an entry to another remote and gives the old one back", () => {
    const context = controlContext();
    change(context, "replace", ENTRY, { dst: D });
    expect(shown(context)).toEqual([START[0], `${ENTRY} ${D} permanent`]);
    expect(remotesOf(context)).toEqual([`${B} 100 1`, `${D} 100 1`]);
  });

  it("to where it points keeps the reference count and what was learned", () => {
    const context = controlContext();
    learn(context, OTHER, C);
    change(context, "replace", ENTRY, { dst: C });
    expect(remotesOf(context)).toEqual(START_REMOTES);
    expect(shown(context)).toEqual([...START, `${OTHER} ${C} dynamic`]);
  });

  it("makes a learned entry permanent and adds one that is not there", () => {
    const context = controlContext();
    learn(context, OTHER, B);
    change(context, "replace", OTHER, { dst: B });
    change(context, "replace", "02:00:00:00:00:0d", { dst: B });
    expect(remotesOf(context)).toEqual([`${B} 100 3`, `${C} 100 1`]);
    expect(shown(context).filter((line) => line.endsWith("permanent"))).toHaveLength(4);
  });

  it("of the all-zero MAC is refused", () => {
    const context = controlContext();
    expect(() => change(context, "replace", ZERO, { dst: D })).toThrow(code("FDB_REFUSED"));
    expect(shown(context)).toEqual(START);
  });
});

describe("del", () => {
  it("without port and VNI means the tunnel's own, as with bridge(8)", () => {
    const context = controlContext();
    change(context, "append", ZERO, { dst: B, port: 8472 });
    change(context, "del", ZERO, { dst: B });
    expect(shown(context).filter((line) => line.startsWith(ZERO))).toHaveLength(1);
    expect(remotesOf(context).some((line) => line.startsWith(B))).toBe(true);
    change(context, "del", ZERO, { dst: B, port: 8472 });
    expect(context.vxlan.flood.list()).toEqual([]);
  });

  it("removes an entry and its remote, with or without its destination", () => {
    for (const more of [{}, { dst: C }, { dst: C, port: 4789, vni: 100 }]) {
      const context = controlContext();
      change(context, "del", ENTRY, more);
      expect(shown(context)).toEqual([START[0]]);
      expect(remotesOf(context)).toEqual([START_REMOTES[0]]);
    }
  });

  it("of what is not there is not found", () => {
    const context = controlContext();
    for (const more of [{}, { dst: B }]) {
      expect(() => change(context, "del", OTHER, more)).toThrow(code("NOT_FOUND"));
    }
    expect(shown(context)).toEqual(START);
  });

  it.each([
    [ENTRY, { dst: B }],
    [ENTRY, { dst: C, port: 1 }],
    [ENTRY, { dst: C, vni: 1 }],
    [ZERO, { dst: C }],
  ])("of a remote that %s has not (%o) does nothing, as with the kernel", (mac, more) => {
    const context = controlContext();
    change(context, "del", mac, more);
    expect(shown(context)).toEqual(START);
    expect(remotesOf(context)).toEqual(START_REMOTES);
  });

  it("of the all-zero MAC removes one destination, or all of them", () => {
    const context = controlContext();
    change(context, "append", ZERO, { dst: D });
    change(context, "append", ZERO, { dst: C });
    change(context, "del", ZERO, { dst: B });
    expect(remotesOf(context)).toEqual([`${C} 100 2`, `${D} 100 1`]);
    change(context, "del", ZERO);
    expect(shown(context)).toEqual([START[1]]);
    expect(remotesOf(context)).toEqual([`${C} 100 1`]);
  });

  it("of a remote's last use forgets what was learned from it, and only that", () => {
    const context = controlContext();
    learn(context, OTHER, C);
    learn(context, "02:00:00:00:00:0d", B);
    change(context, "del", ENTRY);
    expect(shown(context)).toEqual([START[0], `02:00:00:00:00:0d ${B} dynamic`]);
  });

  it("of one of several uses forgets nothing", () => {
    const context = controlContext();
    change(context, "append", ZERO, { dst: C });
    learn(context, OTHER, C);
    change(context, "del", ENTRY);
    expect(shown(context)).toContain(`${OTHER} ${C} dynamic`);
  });

  it("of a remote with a VNI of its own forgets what was learned from that host", () => {
    const context = controlContext();
    change(context, "add", "02:00:00:00:00:0d", { dst: D, vni: 7 });
    learn(context, OTHER, D);
    change(context, "del", "02:00:00:00:00:0d");
    expect(shown(context)).toEqual(START);
    expect(remotesOf(context)).toEqual(START_REMOTES);
  });

  it("keeps a remote that was learned as well: only its permission goes", () => {
    const context = controlContext();
    const row = learn(context, OTHER, D);
    change(context, "add", "02:00:00:00:00:0d", { dst: D });
    expect(context.remotes.flags(row) & REMOTE_FLAG_ALLOWED).not.toBe(0);
    change(context, "del", "02:00:00:00:00:0d");
    expect(context.remotes.flags(row)).toBe(REMOTE_FLAG_LEARNED);
    expect(shown(context)).toContain(`${OTHER} ${D} dynamic`);
  });
});

describe("flush", () => {
  function filled() {
    const context = controlContext();
    learn(context, OTHER, B);
    learn(context, "02:00:00:00:00:0d", C);
    return context;
  }

  it.each([
    [{}, 4, 0],
    [{ states: ["permanent"] as const }, 2, 0],
    [{ states: ["static"] as const }, 0, 1],
    [{ router: true }, 0, 1],
    [{ extern_learn: false, dst: C }, 2, 1],
    [{ port: 4789, vni: 100 }, 4, 0],
    [{ port: 8472 }, 0, 1],
    [{ permanent: true }, 2, 0],
    [{ permanent: false }, 2, 1],
    [{ mac: OTHER }, 1, 1],
    [{ mac: ZERO }, 1, 0],
    [{ dst: B }, 2, 0],
    [{ dst: C, permanent: false }, 1, 1],
    [{ mac: OTHER, dst: C }, 0, 1],
  ])("with %o removes %i entries and leaves %i in the flood list", (filter, removed, left) => {
    const context = filled();
    const { states, ...others } = { states: undefined, ...filter };
    const wanted = { dev: DEV, ...others, ...(states && { states: [...states] }) };
    expect(fdbFlush(context, wanted)).toEqual({ removed });
    expect(context.vxlan.flood.list()).toHaveLength(left);
  });

  it("takes what the filter says, and what was learned from remotes that go with it", () => {
    const context = filled();
    fdbFlush(context, { dev: DEV, mac: OTHER });
    expect(shown(context)).toEqual([...START, `02:00:00:00:00:0d ${C} dynamic`]);
    fdbFlush(context, { dev: DEV, permanent: true });
    expect(shown(context)).toEqual([]);
  });

  it("gives the remotes of permanent entries back", () => {
    const context = filled();
    fdbFlush(context, { dev: DEV });
    expect(remotesOf(context)).toEqual([]);
  });
});

describe("refusals", () => {
  it.each([
    ["append to a unicast MAC", "append", ENTRY, { dst: D }],
    ["replace of a multicast MAC", "replace", "01:00:5e:00:00:01", { dst: D }],
    ["no destination", "add", OTHER, {}],
    ["the tunnel's own address", "add", OTHER, { dst: "10.57.4.20" }],
    ["another address family", "append", ZERO, { dst: "fd00::1" }],
    ["a multicast group", "append", ZERO, { dst: "239.1.1.1" }],
    ["no address at all", "add", OTHER, { dst: "0.0.0.0" }],
  ] as const)("%s, as wrong usage", (_, op, mac, more) => {
    const context = controlContext();
    const refused = expect.objectContaining({ code: "CULVERT_FDB_REFUSED", exit: 2 });
    expect(() => change(context, op, mac, more)).toThrow(refused);
    expect(remotesOf(context)).toEqual(START_REMOTES);
  });

  it("an ipip tunnel", () => {
    const context = controlContext();
    const onIpip = () => fdbChange(context, { op: "del", dev: "ipip0", mac: OTHER });
    expect(onIpip).toThrow(code("WRONG_TYPE"));
  });
});
