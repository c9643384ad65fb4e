// `culvert neigh`: the proxy's table and the device's own entries change together.

import { describe, expect, it } from "vitest";
import type { ControlContext } from "../../../src/daemon/control/context.js";
import { neighChange, neighFlush, neighShow } from "../../../src/daemon/control/neigh.js";
import { NetlinkSocket } from "../../../src/netlink/netlink-socket.js";
import { bytesOf, message, ScriptedTransport } from "../netlink/scripted-transport.js";
import { controlContext } from "./control-context.js";

const DEV = "vxlan100";
const MAC = "02:00:00:00:00:0c";
const FIRST = { dev: DEV, ip: "192.168.11.1", mac: "02:00:00:00:00:0b", state: "PERMANENT" };
const RTM_NEWNEIGH = 28;
const RTM_DELNEIGH = 29;

const success = message(2, 0x100, bytesOf("00000000 14000000 1c00 0500 00000000 00000000"));
/** -ENOENT: the device has no such entry. */
const noEntry = message(2, 0x100, bytesOf("feffffff 14000000 1d00 0500 00000000 00000000"));
/** -ENODEV, when the error's words need the device's name. */
const noLink = message(2, 0x100, bytesOf("edffffff 14000000 1200 0100 00000000 00000000"));
const code = (name: string) => expect.objectContaining({ code: `CULVERT_${name}` });

/** A context whose kernel gives these answers; `sent` are the types of the requests it got. */
function withKernel(...answers: Uint8Array[]) {
  const transport = new ScriptedTransport(...answers.map((answer) => [answer]));
  const context: ControlContext = { ...controlContext(), rtnl: new NetlinkSocket(transport) };
  const sent = () => transport.sent.map((bytes) => bytes[4] | (bytes[5] << 8));
  return { context, transport, sent };
}

describe("show", () => {
  it("lists the table, one address in any spelling; an ipip tunnel has none", () => {
    const { context } = withKernel();
    expect(neighShow(context, {})).toEqual([FIRST]);
    expect(neighShow(context, { ip: "::ffff:192.168.11.1" })).toEqual([FIRST]);
    expect(neighShow(context, { ip: "192.168.11.2" })).toEqual([]);
    expect(() => neighShow(context, { dev: "ipip0" })).toThrow(code("WRONG_TYPE"));
  });
});

describe("change", () => {
  it("adds to the table and to the device", () => {
    const { context, sent, transport } = withKernel(success);
    neighChange(context, { op: "add", dev: DEV, ip: "fd00::c", mac: MAC });
    expect(neighShow(context, { ip: "fd00::c" })).toEqual([
      { dev: DEV, ip: "fd00::c", mac: MAC, state: "PERMANENT" },
    ]);
    expect(sent()).toEqual([RTM_NEWNEIGH]);
    expect(Buffer.from(transport.sent[0]).readUInt32LE(16 + 4)).toBe(10); // the device's ifindex
  });

  it("refuses to add what is there, but replaces it", () => {
    const { context, sent } = withKernel(success);
    const change = { dev: DEV, ip: FIRST.ip, mac: MAC };
    expect(() => neighChange(context, { op: "add", ...change })).toThrow(code("EXISTS"));
    expect(sent()).toEqual([]);
    neighChange(context, { op: "replace", ...change });
    expect(neighShow(context, {})).toEqual([{ ...FIRST, mac: MAC }]);
    expect(sent()).toEqual([RTM_NEWNEIGH]);
  });

  it("refuses to add or replace without a MAC, as wrong usage", () => {
    const { context } = withKernel();
    const refused = expect.objectContaining({ code: "CULVERT_NEIGH_REFUSED", exit: 2 });
    for (const op of ["add", "replace"] as const) {
      expect(() => neighChange(context, { op, dev: DEV, ip: "192.168.11.2" })).toThrow(refused);
    }
  });

  it.each([
    ["192.168.11.2", "01:00:5e:00:00:01"],
    ["192.168.11.2", "00:00:00:00:00:00"],
    ["224.0.0.1", MAC],
    ["0.0.0.0", MAC],
    ["ff02::1", MAC],
  ])("refuses %s at %s: a neighbour is one host", (ip, mac) => {
    const { context, sent } = withKernel();
    const refused = expect.objectContaining({ code: "CULVERT_NEIGH_REFUSED", exit: 2 });
    expect(() => neighChange(context, { op: "add", dev: DEV, ip, mac })).toThrow(refused);
    expect(sent()).toEqual([]);
    expect(neighShow(context, {})).toEqual([FIRST]);
  });

  it.each([
    ["has it", [success]],
    ["lost it before", [noEntry, noLink]],
  ])("deletes from the table and from a device that %s", (_, answers) => {
    const { context, sent } = withKernel(...answers);
    neighChange(context, { op: "del", dev: DEV, ip: FIRST.ip });
    expect(sent()[0]).toBe(RTM_DELNEIGH);
    expect(neighShow(context, {})).toEqual([]);
  });

  it("of what is not there is not found, and the kernel is not asked", () => {
    const { context, sent } = withKernel();
    const absent = () => neighChange(context, { op: "del", dev: DEV, ip: "192.168.11.2" });
    expect(absent).toThrow(code("NOT_FOUND"));
    expect(sent()).toEqual([]);
  });

  it("of an ipip tunnel is refused", () => {
    const { context } = withKernel();
    const onIpip = () => neighChange(context, { op: "del", dev: "ipip0", ip: FIRST.ip });
    expect(onIpip).toThrow(code("WRONG_TYPE"));
  });
});

describe("flush", () => {
  it("removes all, one address, or nothing where only others than permanent ones are meant", () => {
    const { context, sent } = withKernel(success, success);
    neighChange(context, { op: "add", dev: DEV, ip: "192.168.11.2", mac: MAC });
    expect(neighFlush(context, { dev: DEV, permanent: false })).toEqual({ removed: 0 });
    expect(neighFlush(context, { dev: DEV, ip: "192.168.11.9" })).toEqual({ removed: 0 });
    expect(neighFlush(context, { dev: DEV, ip: "192.168.11.2" })).toEqual({ removed: 1 });
    expect(neighShow(context, {})).toEqual([FIRST]);
    expect(sent()).toEqual([RTM_NEWNEIGH, RTM_DELNEIGH]);
  });
});

describe("state and flags", () => {
  it("reach the table and the device, and are shown", () => {
    const { context, transport } = withKernel(success);
    const change = { op: "add", dev: DEV, ip: "192.168.11.2", mac: MAC } as const;
    neighChange(context, { ...change, state: "noarp", router: true });
    expect(neighShow(context, { state: "noarp" })).toEqual([
      { dev: DEV, ip: "192.168.11.2", mac: MAC, state: "NOARP", router: true },
    ]);
    expect(neighShow(context, { state: "permanent" })).toEqual([FIRST]);
    // ndm_state (NUD_NOARP) and ndm_flags (NTF_ROUTER) of struct ndmsg, linux/neighbour.h
    expect([...transport.sent[0].subarray(16 + 8, 16 + 11)]).toEqual([0x40, 0, 0x80]);
  });

  it("choose what a flush takes", () => {
    const { context } = withKernel(success, success, success, success);
    const change = { op: "add", dev: DEV, mac: MAC } as const;
    neighChange(context, { ...change, ip: "192.168.11.2", state: "noarp" });
    neighChange(context, { ...change, ip: "192.168.11.3", router: true });
    expect(neighFlush(context, { dev: DEV, states: [] })).toEqual({ removed: 0 });
    expect(neighFlush(context, { dev: DEV, states: ["noarp"] })).toEqual({ removed: 1 });
    expect(neighFlush(context, { dev: DEV, router: true })).toEqual({ removed: 1 });
    expect(neighShow(context, {})).toEqual([FIRST]);
  });

  it("are told to who listens", () => {
    const { context } = withKernel(success, success);
    const told: unknown[] = [];
    context.changes.listen({
      fdb: () => undefined,
      neigh: ({ op, ip, mac, router }) => told.push([op, ip, mac, router]),
    });
    const ip = "192.168.11.2";
    neighChange(context, { op: "replace", dev: DEV, ip, mac: MAC, router: true });
    neighChange(context, { op: "del", dev: DEV, ip });
    expect(told).toEqual([
      ["new", ip, MAC, true],
      ["del", ip, MAC, true],
    ]);
  });
});
