// The path MTU of remotes, asked for in turn.

import { describe, expect, it } from "vitest";
import { PATH_MTU_QUERIES_PER_S, PathMtus } from "../../../src/daemon/path-mtus.js";
import { formatIp } from "../../../src/wire/ip-address.js";
import { controlContext } from "./control-context.js";

const text = ([w0, w1, w2, w3]: Int32Array) => formatIp(w0! >>> 0, w1! >>> 0, w2! >>> 0, w3! >>> 0);

describe("path MTUs", () => {
  it("are those that the kernel holds now, 0 when it knows none", () => {
    const { tunnels, remotes, vxlan } = controlContext();
    const [row] = vxlan.flood.list();
    let answer = 1400;
    const asked: string[] = [];
    const mtus = new PathMtus(tunnels, remotes, (family, address, dev) => {
      asked.push(`${family} ${text(address)} ${dev}`);
      return answer;
    });
    const entry = remotes.get(row!)!;
    for (const [kernel, known] of [
      [1400, 1400],
      [1500, 1500],
      [-101, 0],
    ] as const) {
      answer = kernel;
      mtus.run();
      expect(remotes.pathMtu(row!)).toBe(known);
    }
    expect(asked).toContain(
      `${entry.family} ${formatIp(...entry.address)} ${vxlan.config.dev ?? ""}`,
    );
  });

  it("are asked for a bounded number of times, and all of them in turn", () => {
    const { tunnels, remotes, vxlan } = controlContext(undefined, [], 1024);
    const before = remotes.count;
    for (let n = 0; n < 2 * PATH_MTU_QUERIES_PER_S; n++) {
      remotes.acquire(vxlan.index, 0, 0, 0xffff, 0x0a00_0000 + n, 4789, 100, 0);
    }
    const asked = new Map<string, number>();
    const mtus = new PathMtus(tunnels, remotes, (_, address) => {
      asked.set(text(address), (asked.get(text(address)) ?? 0) + 1);
      return 1500;
    });
    const total = () => [...asked.values()].reduce((sum, count) => sum + count, 0);
    mtus.run();
    expect(total()).toBe(PATH_MTU_QUERIES_PER_S);
    mtus.run();
    mtus.run();
    expect(asked.size).toBeGreaterThanOrEqual(2 * PATH_MTU_QUERIES_PER_S);
    expect(total()).toBe(3 * PATH_MTU_QUERIES_PER_S);
    expect(before).toBeLessThan(PATH_MTU_QUERIES_PER_S);
  });
});
