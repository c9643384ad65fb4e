// Tunnels of type route in a configuration: what they become, and wrong ones, each with exactly one
// problem. `direct` of the other types.

import { describe, expect, it } from "vitest";
import { formatConfig } from "../../../src/config/format.js";
import { loadConfig } from "../../../src/config/load.js";
import { deviceTunnels, routeTunnels } from "../../../src/config/tunnel-kinds.js";
import {
  type Case,
  expectOnlyProblem,
  ipipWith,
  problemsOf,
  titled,
  vxlanWith,
} from "./documents.js";

/** One tunnel in flow style; `keys` begin at column 32 of line 2. */
const one = (keys: string): string => `tunnels:\n  - { name: plain, type: route, ${keys} }\n`;
const ROUTE = "{ to: 10.1.0.0/16, via: 10.0.0.2 }";

const CASES: Case[] = [
  [
    "tunnels:\n  - { name: plain, type: route }\n",
    2,
    5,
    "tunnels[0].routes",
    "a list of at least one route",
    "nothing",
  ],
  [one("routes: []"), 2, 41, "tunnels[0].routes", "a list of at least one route", "an empty list"],
  [
    one("routes: [{ to: 10.1.0.0/16 }]"),
    2,
    42,
    "tunnels[0].routes[0].via",
    "a unicast IP address such as 10.57.4.20 or fd00::20",
    "nothing",
  ],
  [
    one('routes: [{ to: 10.1.0.0/16, via: "fd00::2" }]'),
    2,
    66,
    "tunnels[0].routes[0].via",
    "an IPv4 address, as in `to`",
    '"fd00::2"',
  ],
  [
    one("routes: [{ to: 10.1.0.0/16, via: 10.0.0.2, onlink: true }]"),
    2,
    76,
    "tunnels[0].routes[0].onlink",
    "one of the keys to, via, metric",
    'the unknown key "onlink"',
  ],
  [
    one(`routes: [${ROUTE}, { to: 10.1.0.0/16, via: 10.0.0.3 }]`),
    2,
    84,
    "tunnels[0].routes[1].to",
    "each prefix and metric once (entry [0] has it)",
    '"10.1.0.0/16"',
  ],
  [
    one(`local: 10.0.0.2, routes: [${ROUTE}]`),
    2,
    83,
    "tunnels[0].routes[0].via",
    "an address other than local",
    '"10.0.0.2"',
  ],
  [
    one(`local: "fd00::1", routes: [${ROUTE}]`),
    2,
    66,
    "tunnels[0].routes[0].to",
    "an IPv6 prefix, as `local`; others need a tunnel of their own",
    '"10.1.0.0/16"',
  ],
  [
    `${one(`routes: [${ROUTE}]`)}  - { name: other, type: route, routes: [${ROUTE}] }\n`,
    3,
    48,
    "tunnels[1].routes[0].to",
    "a prefix and metric that tunnels[0] does not have",
    '"10.1.0.0/16"',
  ],
  [
    `${one(`routes: [${ROUTE}]`)}  - { name: plain, type: vxlan, vni: 1, local: 10.0.0.1 }\n`,
    3,
    13,
    "tunnels[1].name",
    "a name that no other tunnel has (tunnels[0] has it)",
    '"plain"',
  ],
  [
    one(`direct: true, routes: [${ROUTE}]`),
    2,
    33,
    "tunnels[0].direct",
    "one of the keys name, type, dev, local, routes",
    'the unknown key "direct"',
  ],
  [
    one(`addresses: [10.0.0.1/24], routes: [${ROUTE}]`),
    2,
    33,
    "tunnels[0].addresses",
    "one of the keys name, type, dev, local, routes",
    'the unknown key "addresses"',
  ],
  [ipipWith("direct: yes"), 5, 13, "tunnels[0].direct", "true or false", '"yes"'],
];

describe("a wrong tunnel of type route", () => {
  it.each(titled(...CASES))("%s", (_title, wrong) => {
    expectOnlyProblem(wrong);
  });

  it("may have one prefix with two metrics", () => {
    expect(
      problemsOf(one(`routes: [${ROUTE}, { to: 10.1.0.0/16, via: 10.0.0.3, metric: 5 }]`)),
    ).toEqual([]);
  });
});

describe("a right tunnel of type route", () => {
  const text = `${one('dev: eth0, local: "FD00::1", routes: [{ to: "FD01:0::/64", via: "FD00:0::2" }]')}  - { name: t, type: ipip, local: 10.0.0.1 }\n`;

  it("is canonical, with every default, and prints what loads again", () => {
    const { config } = loadConfig(text, "test.yaml");
    expect(config?.tunnels[0]).toStrictEqual({
      ...{ name: "plain", type: "route", dev: "eth0", local: "fd00::1" },
      routes: [{ to: "fd01::/64", via: "fd00::2", metric: 0 }],
    });
    expect(loadConfig(formatConfig(config!), "again.yaml").config).toStrictEqual(config);
  });

  it("has no place among the tunnels with a device", () => {
    const { config } = loadConfig(text, "test.yaml");
    expect(deviceTunnels(config!).map(({ name }) => name)).toEqual(["t"]);
    expect(routeTunnels(config!).map(({ name }) => name)).toEqual(["plain"]);
  });
});

describe("direct", () => {
  it.each([vxlanWith("direct: true"), ipipWith("direct: true")])("is a key of %j", (text) => {
    expect(loadConfig(text, "test.yaml").config?.tunnels[0]).toMatchObject({ direct: true });
  });
});
