// When tables are swept: not every second, and never so late that the ageing time would be a lie.

import { describe, expect, it } from "vitest";
import { Ageing } from "../../../src/daemon/ageing.js";
import { mac } from "../forwarding/frames.js";
import { controlContext } from "./control-context.js";
import { daemonEvents } from "./daemon-events.js";

const HEARD_S = 1000;
const AGEING_S = 300;

/** A tunnel that heard a MAC at HEARD_S, and its ageing. */
function heard() {
  const context = controlContext();
  const { vxlan, tunnels, peers, fdbEntries } = context;
  const { hi, lo } = mac("02:00:00:00:00:63");
  vxlan.fdb.learn(hi, lo, vxlan.flood.list()[0], HEARD_S);
  const { events } = daemonEvents(context);
  const ageing = new Ageing(tunnels, peers, fdbEntries, events);
  return { ageing, knows: () => vxlan.fdb.get(hi, lo) !== undefined };
}

describe("ageing", () => {
  it("forgets at the end of the ageing time, at most a thirtieth later", () => {
    for (let phase = 0; phase < 10; phase++) {
      const { ageing, knows } = heard();
      for (let now_s = HEARD_S + phase; now_s < HEARD_S + AGEING_S; now_s++) ageing.run(now_s);
      expect(knows()).toBe(true);
      const end_s = HEARD_S + AGEING_S + 10;
      for (let now_s = HEARD_S + AGEING_S; now_s < end_s; now_s++) ageing.run(now_s);
      expect(knows()).toBe(false);
    }
  });

  it("of many tunnels lets others go on between them, and leaves none out", () => {
    const tunnel = (n: number) =>
      `  - { name: vx${n}, type: vxlan, vni: ${n}, local: 10.57.4.20, remotes: [10.57.4.21] }\n`;
    const ipip = "  - { name: ipip0, type: ipip, local: 10.57.4.20 }\n";
    const context = controlContext(`tunnels:\n${[1, 2, 3, 4, 5].map(tunnel).join("")}${ipip}`);
    const vxlan = context.tunnels.filter((one) => one.type === "vxlan");
    const { hi, lo } = mac("02:00:00:00:00:63");
    for (const { fdb, flood } of vxlan) fdb.learn(hi, lo, flood.list()[0]!, HEARD_S);
    let now_ms = 0;
    const slowly = () => (now_ms += 6);
    const { tunnels, peers, fdbEntries } = context;
    const { events } = daemonEvents(context);
    const ageing = new Ageing(tunnels, peers, fdbEntries, events, slowly);
    const known = () => vxlan.filter(({ fdb }) => fdb.get(hi, lo) !== undefined).length;
    const late_s = HEARD_S + 2 * AGEING_S;
    expect([ageing.run(late_s), known()]).toEqual([true, 3]);
    expect([ageing.run(late_s), known()]).toEqual([true, 1]);
    expect([ageing.run(late_s), known()]).toEqual([false, 0]);
    expect([ageing.run(late_s + 1), known()]).toEqual([false, 0]); // nobody is due
  });

  it("does not sweep every second", () => {
    const { ageing, knows } = heard();
    ageing.run(HEARD_S + AGEING_S - 1);
    ageing.run(HEARD_S + AGEING_S + 8);
    expect(knows()).toBe(true);
    ageing.run(HEARD_S + AGEING_S + 9);
    expect(knows()).toBe(false);
  });
});
