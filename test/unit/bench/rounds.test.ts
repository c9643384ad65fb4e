// The rounds of the benchmark with variants and workloads that only write down what happens: whose
// turn it is when, what becomes of failures, what is said meanwhile.

import { describe, expect, it } from "vitest";
import type { Path, PathVariant } from "../../../src/bench/path.js";
import {
  clockTime,
  describeExtent,
  type Extent,
  estimate_s,
  Progress,
  roughTime,
} from "../../../src/bench/progress.js";
import { type RoundsPlan, runRounds, type Turn, turnOrder } from "../../../src/bench/rounds.js";
import { TestbedError } from "../../../src/testbed/error.js";

interface Scene {
  readonly events: string[];
  readonly plan: RoundsPlan;
  turns(): Promise<Turn[]>;
}

/** `failing` names events (`b up`, `b tcp-1`, `b down`) that throw. */
function sceneOf(
  names: readonly string[],
  { failing = [] as string[], rounds = 1, workloads = ["tcp-1", "latency"] } = {},
): Scene {
  const events: string[] = [];
  const happen = (event: string): void => {
    events.push(event);
    if (failing.includes(event)) throw new TestbedError(`${event} failed`, "do something");
  };
  const variant = (name: string): PathVariant => ({
    name,
    title: `title of ${name}`,
    withPath: async (body) => {
      happen(`${name} up`);
      const result = await body({ address: name } as Path);
      happen(`${name} down`);
      return result;
    },
  });
  const plan = { setting: 3, variants: names.map(variant), workloads, rounds, seconds: 7 };
  const turns = async () => {
    const all: Turn[] = [];
    const measured = runRounds(plan, async (path, workload, seconds) => {
      happen(`${path.address} ${workload}`);
      return { rtt_p50_us: seconds, rtt_p99_us: 2 * seconds };
    });
    for await (const turn of measured) all.push(turn);
    return all;
  };
  return { events, plan, turns };
}

describe("rounds", () => {
  it("let another variant go first each time", async () => {
    expect([0, 1, 2, 3].map((round) => turnOrder(["a", "b", "c"], round).join(""))).toEqual([
      "abc",
      "bca",
      "cab",
      "abc",
    ]);
    const scene = sceneOf(["a", "b"], { rounds: 2, workloads: ["tcp-1"] });
    const turns = await scene.turns();
    expect(turns.map(({ variant, round }) => `${variant.name}${round}`)).toEqual([
      ..."a0 b0 b1 a1".split(" "),
    ]);
    const turn = (name: string) => [`${name} up`, `${name} tcp-1`, `${name} down`];
    expect(scene.events).toEqual(["a", "b", "b", "a"].flatMap(turn));
  });

  it("give one sample for each value, with all that tells where it belongs", async () => {
    const [turn] = await sceneOf(["a"]).turns();
    const key = { setting: 3, variant: "a", round: 0 };
    expect(turn!.failures).toEqual([]);
    expect(turn!.samples).toEqual([
      { ...key, workload: "tcp-1", metric: "rtt_p50_us", value: 7 },
      { ...key, workload: "tcp-1", metric: "rtt_p99_us", value: 14 },
      { ...key, workload: "latency", metric: "rtt_p50_us", value: 7 },
      { ...key, workload: "latency", metric: "rtt_p99_us", value: 14 },
    ]);
  });

  it("go on after a workload that failed, with the others of the same variant", async () => {
    const scene = sceneOf(["a", "b"], { failing: ["a tcp-1"] });
    const [a, b] = await scene.turns();
    const failure = { setting: 3, variant: "a", round: 0, workload: "tcp-1" };
    expect(a!.failures).toEqual([{ ...failure, reason: "a tcp-1 failed\n  -> do something" }]);
    expect(a!.samples.map(({ workload }) => workload)).toEqual(["latency", "latency"]);
    expect(b!.samples).toHaveLength(4);
    expect(scene.events).toContain("a down");
  });

  it("blame every workload on a variant that does not come up, and go on", async () => {
    const [a, b] = await sceneOf(["a", "b"], { failing: ["a up"] }).turns();
    expect(a!.failures.map(({ workload }) => workload)).toEqual(["tcp-1", "latency"]);
    expect(a!.samples).toEqual([]);
    expect(b!.samples).toHaveLength(4);
  });

  it("keep the values of a variant that did not end well, with the reason", async () => {
    const [a] = await sceneOf(["a"], { failing: ["a down"] }).turns();
    expect(a!.samples).toHaveLength(4);
    expect(a!.failures.map(({ workload, reason }) => [workload, reason])).toEqual([
      ["latency", "a down failed\n  -> do something"],
    ]);
  });

  it("watch daemons only where there are any", async () => {
    const [turn] = await sceneOf(["a"], { workloads: ["latency", "daemon"] }).turns();
    expect(turn!.failures).toEqual([]);
    expect(new Set(turn!.samples.map(({ workload }) => workload))).toEqual(new Set(["latency"]));
  });
});

const extent: Extent = {
  ...{ settings: 1, variants: 2, rounds: 5, seconds: 3 },
  workloads: ["tcp-1", "latency"],
};

describe("progress", () => {
  it("estimates from the counts", () => {
    const base_s = estimate_s(extent);
    expect(base_s).toBeGreaterThan(2 * 5 * 2 * 3);
    expect(base_s).toBeLessThan(2 * 2 * 5 * 2 * 3);
    expect(estimate_s({ ...extent, rounds: 10 })).toBeCloseTo(2 * base_s);
    expect(estimate_s({ ...extent, settings: 4 })).toBeCloseTo(4 * base_s);
    expect(estimate_s({ ...extent, seconds: 4 })).toBeCloseTo(base_s + 2 * 5 * 2);
    // Watching the daemons takes a second of its own and no transfer.
    const watching = { ...extent, workloads: [...extent.workloads, "daemon"] };
    expect(estimate_s(watching)).toBeCloseTo(base_s + 2 * 5);
  });

  it("says what will be measured", () => {
    const lines = describeExtent(extent);
    expect(lines[0]).toBe("workloads: TCP, 1 stream; latency");
    expect(lines[1]).toMatch(
      /^2 variants, 2 workloads, 5 rounds, transfers of 3 s: about \d+ (s|minutes); Ctrl-C /,
    );
    expect(describeExtent({ ...extent, settings: 4, rounds: 1 })[1]).toMatch(
      /^2 variants, 2 workloads, 1 round, transfers of 3 s, 4 settings: /,
    );
  });

  it("prints headline values, time passed and time left for every turn", () => {
    let now_ms = 1000;
    const progress = new Progress(extent, () => now_ms);
    const key = { setting: 0, variant: "a", round: 1 };
    const turn: Turn = {
      variant: { name: "a", title: "kernel vxlan" } as PathVariant,
      round: 1,
      samples: [
        { ...key, workload: "tcp-1", metric: "throughput_bits_per_s", value: 13.31e9 },
        { ...key, workload: "tcp-1", metric: "retransmits_per_gib", value: 3 },
        { ...key, workload: "latency", metric: "rtt_p50_us", value: 35.24 },
      ],
      failures: [],
    };
    now_ms += 92_000;
    expect(progress.line(turn)).toBe(
      "[1:32] round 2/5 kernel vxlan: tcp-1 13.31 Gb/s, latency p50 35.2 us; 13:48 left",
    );
    now_ms += 8_000;
    const failures = [{ ...key, workload: "tcp-1", reason: "no answer" }];
    expect(progress.line({ ...turn, samples: [], failures })).toBe(
      "[1:40] round 2/5 kernel vxlan: nothing measured; 6:40 left\n  tcp-1 FAILED: no answer",
    );
    for (let i = 2; i < 9; i++) progress.line(turn);
    expect(progress.line(turn)).not.toContain("left");
  });

  it("writes times as clocks do, and estimates without seconds", () => {
    expect([7, 725, 3725, 59.6].map(clockTime)).toEqual(["0:07", "12:05", "1:02:05", "1:00"]);
    expect([0.2, 60, 300, 5400, 6000].map(roughTime)).toEqual([
      ...["1 s", "60 s", "5 minutes", "1 h 30 min", "1 h 40 min"],
    ]);
  });
});
