// Random changes of routes by iproute2 over two ipip devices and the underlay: afterwards the
// mirror has what the kernel has, down to the order of routes with one prefix and metric.

import { spawnSync } from "node:child_process";
import { expect, it } from "vitest";
import type { RouteEntry } from "../../src/control/route-target.js";
import { createStations, culvertJson, eventually, type Station, useBed } from "./support.js";

const bed = useBed([], (cleanup) => createStations(cleanup, 1));

const SEEDS = [1, 2, 3, 4];
const CHANGES = 200;
const PREFIXES = {
  4: ["172.16.0.0/24", "172.16.1.0/24", "172.16.2.0/24", "172.16.3.7"],
  6: ["fd11::/48", "fd12::/48", "fd13::/48", "fd14::7"],
};
const DEVICES = ["ipip0", "ipip0", "ipip1", "eth0"];
const VERBS = ["add", "add", "append", "prepend", "replace", "replace", "change", "del", "del"];

/** Numbers below `limit` that look random, always the same for a seed (mulberry32). */
function random(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % limit;
  };
}

function changes(seed: number, { underlayIp }: Station): string[] {
  const below = random(seed);
  const one = <T>(list: readonly T[]): T => list[below(list.length)] as T;
  const network = underlayIp.split(".").slice(0, 3).join(".");
  const hop = (family: 4 | 6): string => {
    const [dev, last] = [one(DEVICES), 200 + below(3)];
    if (family === 4) return `via ${network}.${last} dev ${dev} onlink`;
    return `via ${dev === "eth0" ? `fd99::${last}` : `::${network}.${last}`} dev ${dev}`;
  };
  return Array.from({ length: CHANGES }, () => {
    const family = one([4, 6] as const);
    const metric = below(3) === 0 ? ` metric ${one([10, 20])}` : "";
    const table = below(6) === 0 ? " table 100" : "";
    const hops = Array.from({ length: below(4) === 0 ? 2 + below(2) : 1 }, () => hop(family));
    const many = hops.map((text) => `nexthop ${text} weight ${1 + below(3)}`).join(" ");
    const words = `${one(VERBS)} ${one(PREFIXES[family])}${metric}${table}`;
    return `route ${words} ${hops.length === 1 ? hops[0] : many}`;
  });
}

interface KernelRoute {
  readonly dst: string;
  readonly dev?: string | undefined;
  readonly gateway?: string | undefined;
  readonly table?: string | undefined;
  readonly metric?: number | undefined;
  readonly nexthops?:
    | readonly { readonly gateway?: string | undefined; dev: string; weight: number }[]
    | undefined;
}

/** One route over one device as text: by its next hops there, a single one without weight. */
function textOf(dev: string, { dst, table, metric = 0, nexthops, gateway }: KernelRoute): string {
  const own = nexthops?.filter((hop) => hop.dev === dev) ?? [];
  const many = own.map((hop) => `${hop.gateway}*${hop.weight}`).sort();
  const hops = own.length > 1 ? many : [own[0]?.gateway ?? gateway];
  return `${dst} dev ${dev} table ${table ?? "main"} metric ${metric} ${hops.join(" ")}`;
}

/** Of each prefix and device the route that the kernel uses: the main table's, lowest metric. */
function usedByKernel({ host }: Station): string[] {
  const best = new Map<string, { order: number; text: string }>();
  for (const family of ["-4", "-6"]) {
    const shown = host.ip(family, "-j", "route", "show", "table", "all");
    for (const route of JSON.parse(shown) as (KernelRoute & { type?: string })[]) {
      if ((route.type ?? "unicast") !== "unicast" || route.table === "local") continue;
      const devices = route.nexthops?.map(({ dev }) => dev) ?? [route.dev];
      for (const dev of new Set(devices)) {
        if (dev === undefined || !dev.startsWith("ipip")) continue;
        const order = (route.table === undefined ? 0 : 1e6) + (route.metric ?? 0);
        const key = `${dev} ${route.dst}`;
        if (order >= (best.get(key)?.order ?? Number.POSITIVE_INFINITY)) continue;
        best.set(key, { order, text: textOf(dev, route) });
      }
    }
  }
  return [...best.values()].map(({ text }) => text).sort();
}

it("the mirror has what the kernel has after any changes, in its order", async () => {
  const [station] = bed.hosts as [Station];
  const { host, underlayIp } = station;
  host.sysctl("net.ipv6.conf.all.disable_ipv6", 0);
  host.sysctl("net.ipv6.conf.default.disable_ipv6", 0);
  host.sysctl("net.ipv6.conf.eth0.disable_ipv6", 0);
  host.ip("address", "add", "fd99::1/64", "dev", "eth0", "nodad");
  const network = underlayIp.split(".").slice(0, 3).join(".");
  const daemon = await bed.start(
    host,
    `tunnels:
  - { name: ipip0, type: ipip, mode: any, local: ${underlayIp} }
  - { name: ipip1, type: ipip, mode: any, local: ${underlayIp}, remote: ${network}.210 }
`,
  );
  for (const seed of SEEDS) {
    const input = `${changes(seed, station).join("\n")}\n`;
    // Many are refused, as they shall be: nothing to delete, there already.
    spawnSync("ip", ["-n", host.name, "-force", "-batch", "-"], { input });
    await eventually(async () => {
      const routes = await culvertJson<RouteEntry[]>(daemon, "route", "show");
      const kernel = usedByKernel(station);
      expect(kernel.length).toBeGreaterThan(8);
      expect(routes.map((route) => textOf(route.dev, route)).sort(), `${seed}`).toEqual(kernel);
    });
  }
});
