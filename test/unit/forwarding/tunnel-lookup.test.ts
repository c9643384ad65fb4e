// Which IPIP tunnel a packet belongs to: the kernel's order at all four levels, in both families,
// whatever the order of the configuration, and against a plain search.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { IpipTunnel } from "../../../src/forwarding/ipip-tunnel.js";
import { TunnelLookup } from "../../../src/forwarding/tunnel-lookup.js";
import { MemoryNetwork } from "../../../src/underlay/memory-underlay.js";
import { formatIp, type IpAddress, ipEquals } from "../../../src/wire/ip-address.js";
import { ip } from "./frames.js";
import { HOST_A, MemoryHost } from "./memory-host.js";

type Family = 4 | 6;
type Ends = readonly [local: string, remote: string];

const ANY = { 4: "0.0.0.0", 6: "::" } as const;
const base = new MemoryHost(new MemoryNetwork(), HOST_A).ipip().tunnel;

function tunnels(family: Family, ends: readonly Ends[]): IpipTunnel[] {
  return ends.map(([local, remote], index) => ({
    ...{ ...base, index, family, local: ip(local === "any" ? ANY[family] : local) },
    remote: remote === "any" ? undefined : ip(remote),
  }));
}

const words = ({ w0, w1, w2, w3 }: IpAddress): Int32Array => Int32Array.of(w0, w1, w2, w3);

/** Number of the tunnel that a packet from `remote` to `local` is given to, -1: none. */
function find(lookup: TunnelLookup, family: Family, local: string, remote: string): number {
  const [l, r] = [ip(local), ip(remote)];
  const found =
    family === 4
      ? lookup.find4(l.w3 | 0, r.w3 >>> 0)
      : lookup.find6(words(l), 0, Int32Array.of(7, ...words(r)), 1);
  return found?.index ?? -1;
}

const US = { 4: ["10.57.4.20", "10.57.4.120"], 6: ["fd57::20", "fd57::120"] } as const;
const THEM = { 4: ["10.57.4.21", "10.57.4.121"], 6: ["fd57::21", "fd57::121"] } as const;

describe.each([4, 6] as const)("tunnels over IPv%i", (family) => {
  const [us, alsoUs] = US[family];
  const [peer, other] = THEM[family];
  /** In the order in which they are looked for, most of all first. */
  const order: Ends[] = [
    [us, peer],
    ...(family === 4
      ? ([
          ["any", peer],
          [us, "any"],
        ] as const)
      : ([
          [us, "any"],
          ["any", peer],
        ] as const)),
    ["any", "any"],
  ];

  it("are looked for in the kernel's order, whichever was configured first", () => {
    for (let first = 0; first < order.length; first++) {
      const there = order.slice(first);
      for (const configured of [there, [...there].reverse()]) {
        const lookup = new TunnelLookup(tunnels(family, configured));
        expect(find(lookup, family, us, peer)).toBe(configured.indexOf(there[0]));
      }
    }
  });

  it("take only what their addresses say", () => {
    const only = (ends: Ends) => {
      const lookup = new TunnelLookup(tunnels(family, [ends]));
      return [us, alsoUs].flatMap((to) =>
        [peer, other].map((from) => find(lookup, family, to, from) === 0),
      );
    };
    expect(only([us, peer])).toEqual([true, false, false, false]);
    expect(only(["any", peer])).toEqual([true, false, true, false]);
    expect(only([us, "any"])).toEqual([true, true, false, false]);
    expect(only(["any", "any"])).toEqual([true, true, true, true]);
  });

  it("with the same addresses leave the packets to the first", () => {
    const lookup = new TunnelLookup(tunnels(family, [order[0], order[0], order[3], order[3]]));
    expect([find(lookup, family, us, peer), find(lookup, family, us, other)]).toEqual([0, 2]);
  });

  it("are not found when there is none", () => {
    expect(find(new TunnelLookup([]), family, us, peer)).toBe(-1);
  });

  it("are found as by a plain search, however many", () => {
    const address = fc.integer({ min: 0, max: 12 });
    const text = (n: number): string => (family === 4 ? `10.57.4.${20 + n}` : `fd57::${20 + n}`);
    const end = fc
      .option(address, { nil: undefined })
      .map((n) => (n === undefined ? "any" : text(n)));
    const configured = fc.array(fc.tuple(end, end), { maxLength: 80 });
    fc.assert(
      fc.property(configured, address, address, (ends, l, r) => {
        const all = tunnels(family, ends);
        const [local, remote] = [text(l), text(r)];
        const levels = [
          [local, remote],
          family === 4 ? ["any", remote] : [local, "any"],
          family === 4 ? [local, "any"] : ["any", remote],
          ["any", "any"],
        ];
        const expected = levels
          .map(([a, b]) => ends.findIndex((pair) => pair[0] === a && pair[1] === b))
          .find((index) => index >= 0);
        expect(find(new TunnelLookup(all), family, local, remote)).toBe(expected ?? -1);
      }),
      { numRuns: 200 },
    );
  });
});

it("compares every word of an address", () => {
  const remote = ip("2001:db8:1:2:3:4:5:6");
  const lookup = new TunnelLookup(tunnels(6, [["fd57::20", "2001:db8:1:2:3:4:5:6"]]));
  const text = ({ w0, w1, w2, w3 }: IpAddress): string => formatIp(w0, w1, w2, w3);
  expect(find(lookup, 6, "fd57::20", text(remote))).toBe(0);
  for (const word of ["w0", "w1", "w2", "w3"] as const) {
    const changed = { ...remote, [word]: (remote[word] ^ 1) >>> 0 };
    expect(ipEquals(changed, remote)).toBe(false);
    expect(find(lookup, 6, "fd57::20", text(changed))).toBe(-1);
  }
});
