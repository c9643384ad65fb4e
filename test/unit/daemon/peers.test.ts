// Sources that nobody configured: how they are forgotten, and what goes with them.

import { describe, expect, it } from "vitest";
import { RemoteCounter } from "../../../src/telemetry/counters.js";
import { ip, mac } from "../forwarding/frames.js";
import { type ControlFixture, controlContext, TWO_TUNNELS } from "./control-context.js";

const STRANGER = "10.57.4.99";
const AGEING_S = 300;
const HEARD_S = 1000;

/** What a worker does with a frame from a source that it did not know; its row. */
function hear({ remotes, vxlan, worker }: ControlFixture, text: string, last: number): number {
  const { w0, w1, w2, w3 } = ip(STRANGER);
  const row = remotes.learn(vxlan.index, w0, w1, w2, w3, HEARD_S);
  const { hi, lo } = mac(text);
  vxlan.fdb.learn(hi, lo, row, last);
  worker.addRemote(row, RemoteCounter.ingressPackets, 5);
  return row;
}

const age = ({ peers, vxlan }: ControlFixture, now_s: number) =>
  peers.ageStrangers(vxlan, now_s, AGEING_S);

const knows = ({ remotes, vxlan }: ControlFixture, address: string) => {
  const { w0, w1, w2, w3 } = ip(address);
  return remotes.findSender(vxlan.index, w0, w1, w2, w3) >= 0;
};

const find = ({ vxlan }: ControlFixture, text: string) => {
  const { hi, lo } = mac(text);
  return vxlan.fdb.get(hi, lo);
};

describe("a source that nobody configured", () => {
  const MAC = "02:00:00:00:00:63";

  it("stays until it was silent for the ageing time", () => {
    const context = controlContext();
    const row = hear(context, MAC, HEARD_S);
    age(context, HEARD_S + AGEING_S - 1);
    expect(knows(context, STRANGER)).toBe(true);
    expect(find(context, MAC)).toMatchObject({ remote: row });
    expect(context.counters.remote(row).ingressPackets).toBe(5);
  });

  it("then goes, with the entries that lead to it, and its row counts from zero", () => {
    const context = controlContext();
    const row = hear(context, MAC, HEARD_S + AGEING_S);
    age(context, HEARD_S + AGEING_S);
    expect(knows(context, STRANGER)).toBe(false);
    expect(find(context, MAC)).toBeUndefined();
    expect(context.counters.remote(row).ingressPackets).toBe(0);
  });

  it("while configured remotes stay, however silent", () => {
    const context = controlContext();
    age(context, HEARD_S + 100 * AGEING_S);
    expect(["10.57.4.21", "10.57.4.22"].map((remote) => knows(context, remote))).toEqual([
      ...[true, true],
    ]);
  });
});

describe("a configured remote that nobody holds any more", () => {
  const MAC = "02:00:00:00:00:64";

  /** 10.57.4.21 is a member of the flood list alone; it was heard, and is taken off the list. */
  function letGo(allow: "known" | "any") {
    const text = TWO_TUNNELS.replace("vni: 100", `vni: 100\n    allow: ${allow}`);
    const context = controlContext(text);
    const { w0, w1, w2, w3 } = ip("10.57.4.21");
    const row = context.remotes.findSender(context.vxlan.index, w0, w1, w2, w3);
    const { hi, lo } = mac(MAC);
    context.vxlan.fdb.learn(hi, lo, row, HEARD_S);
    const remote = { dst: ip("10.57.4.21"), port: 4789, vni: 100 };
    context.fdbEntries.change(context.vxlan, { op: "del", mac: { hi: 0, lo: 0 }, remote });
    return context;
  }

  it("takes what was learned from it along where only known sources may send", () => {
    const context = letGo("known");
    expect(find(context, MAC)).toBeUndefined();
    expect(knows(context, "10.57.4.21")).toBe(false);
  });

  it("is a stranger like any other where strangers may: its MACs stay until they age", () => {
    const context = letGo("any");
    expect(find(context, MAC)).toBeDefined();
    expect(knows(context, "10.57.4.21")).toBe(true);
  });
});
