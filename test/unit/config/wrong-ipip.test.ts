// Wrong documents of ipip tunnels: single values, and values that are right alone and wrong
// together. Each has exactly one problem.

import { describe, expect, it } from "vitest";
import { type Case, expectOnlyProblem, ipipWith, problemsOf, titled } from "./documents.js";

/** Key, value, expected and got of one key after `local: 10.0.0.1`. */
const KEY_CASES: Case[] = (
  [
    ["mode", "gre", "ipip, sit, ipip6, ip6ip6 or any", '"gre"'],
    ["mode", "ip6ip6", "ipip, sit or any, because the outer addresses are IPv4", '"ip6ip6"'],
    ["mode", "ipip6", "ipip, sit or any, because the outer addresses are IPv4", '"ipip6"'],
    ["ttl", "256", "inherit, or a whole number from 0 to 255", "the number 256"],
    ["tos", "copy", "inherit, or a whole number from 0 to 255", '"copy"'],
    ["pmtudisc", "off", "true or false", '"off"'],
    ["pmtudisc", "false", "true, or `ttl: inherit` beside it, as for `ip tunnel`", "false"],
    ["dev", "t", "a device of the underlay, not the tunnel itself", '"t"'],
    ["remote", '"fd00::1"', "an IPv4 address, as in `local`", '"fd00::1"'],
    ["remote", "10.0.0.1", "an address other than local", '"10.0.0.1"'],
    ["remote", "none", "any, or a unicast IP address such as 10.57.4.20 or fd00::20", '"none"'],
  ] as const
).map(([key, value, expected, got]) => [
  ipipWith(`${key}: ${value}`),
  5,
  7 + key.length,
  `tunnels[0].${key}`,
  expected,
  got,
]);

/** One tunnel in flow style, which starts at column 5 of line 2. */
const one = (keys: string): string => `tunnels:\n  - { name: t, type: ipip, ${keys} }\n`;
const two = (first: string, second: string): string =>
  `tunnels:\n  - { name: t, type: ipip, ${first} }\n  - { name: u, type: ipip, ${second} }\n`;
const PAIR =
  "a pair of local and remote that no other ipip tunnel of the same mode has (tunnels[0] has it)";

const COMBINATIONS: Case[] = [
  [
    "tunnels:\n  - { name: t, type: ipip }\n",
    2,
    5,
    "tunnels[0]",
    "`local` (an address of this host, or any), `dev` (its device), or both",
    "neither",
  ],
  [
    one('local: "fd00::1", mode: sit'),
    2,
    52,
    "tunnels[0].mode",
    "ipip6, ip6ip6 or any, because the outer addresses are IPv6",
    '"sit"',
  ],
  [
    one('dev: eth0, remote: "fd00::1", mode: ipip'),
    2,
    64,
    "tunnels[0].mode",
    "ipip6, ip6ip6 or any, because the outer addresses are IPv6",
    '"ipip"',
  ],
  [
    one("local: any, mode: ip6ip6"),
    2,
    35,
    "tunnels[0].local",
    "an IPv6 address of this host: only over IPv4 does the route give the source",
    '"any"',
  ],
  [
    one('local: any, remote: "fd00::1"'),
    2,
    35,
    "tunnels[0].local",
    "an IPv6 address of this host: only over IPv4 does the route give the source",
    '"any"',
  ],
  [
    one('local: "FD00:0::1", remote: "fd00::1"'),
    2,
    56,
    "tunnels[0].remote",
    "an address other than local",
    '"fd00::1"',
  ],
  [
    one('local: "fd00::1", ttl: inherit, pmtudisc: false'),
    2,
    70,
    "tunnels[0].pmtudisc",
    "true: an outer IPv6 header has no DF bit to leave out",
    "false",
  ],
  [
    ipipWith('addresses: ["fd00::1/64"]'),
    5,
    17,
    "tunnels[0].addresses[0]",
    "an IPv4 address (mode ipip carries IPv4 only)",
    '"fd00::1/64"',
  ],
  [
    ipipWith("mode: sit\n    addresses: [192.168.1.1/24]"),
    6,
    17,
    "tunnels[0].addresses[0]",
    "an IPv6 address (mode sit carries IPv6 only)",
    '"192.168.1.1/24"',
  ],
  [
    one('local: "fd00::1", routes: [{ to: "fd01::/64" }]'),
    2,
    61,
    "tunnels[0].routes[0].to",
    "an IPv4 prefix (mode ipip6 carries IPv4 only)",
    '"fd01::/64"',
  ],
  [
    ipipWith('routes: [{ to: "fd00::/64" }]'),
    5,
    20,
    "tunnels[0].routes[0].to",
    "an IPv4 prefix (mode ipip carries IPv4 only)",
    '"fd00::/64"',
  ],
  [
    ipipWith('mode: sit\n    routes: [{ to: "fd00::/64", via: "fd00::1" }]'),
    6,
    38,
    "tunnels[0].routes[0].via",
    "an IPv4 address (the outer header is IPv4)",
    '"fd00::1"',
  ],
  [
    ipipWith('mode: sit\n    remote: 10.0.0.2\n    routes: [{ to: "fd00::/64", via: 10.0.0.3 }]'),
    7,
    38,
    "tunnels[0].routes[0].via",
    "an IPv6 address (of the family of `to`: `remote` is the outer destination)",
    '"10.0.0.3"',
  ],
  [
    ipipWith("routes: [{ to: 10.1.0.0/16, via: 224.0.0.1 }]"),
    5,
    38,
    "tunnels[0].routes[0].via",
    "a unicast IP address such as 10.57.4.20 or fd00::20",
    '"224.0.0.1"',
  ],
  [
    ipipWith("routes: [{ to: 10.1.0.0/16, via: 10.0.0.1 }]"),
    5,
    38,
    "tunnels[0].routes[0].via",
    "an address other than local",
    '"10.0.0.1"',
  ],
  [
    ipipWith("routes: [{ to: 10.1.0.0/16, onlink: true }]"),
    5,
    41,
    "tunnels[0].routes[0].onlink",
    "`via` beside onlink, which says that the next hop is on this link",
    "true",
  ],
  [
    ipipWith('allow: ["fd00::/64"]'),
    5,
    13,
    "tunnels[0].allow[0]",
    "an IPv4 prefix (the outer header is IPv4)",
    '"fd00::/64"',
  ],
  [
    ipipWith('mode: any\n    mtu: 1000\n    addresses: ["fd00::1/64"]'),
    6,
    10,
    "tunnels[0].mtu",
    "at least 1280, because the tunnel has IPv6 addresses, routes or neighbors",
    "the number 1000",
  ],
  [
    two("local: 10.0.0.1", "local: 10.0.0.1, remote: any"),
    3,
    53,
    "tunnels[1].remote",
    PAIR,
    '"any"',
  ],
  [two("local: any", "local: any"), 3, 13, "tunnels[1].name", PAIR, '"u"'],
  [two("dev: eth0", "dev: eth0, mode: ipip"), 3, 13, "tunnels[1].name", PAIR, '"u"'],
  // `any` carries what `sit` carries.
  [
    two("local: 10.0.0.1, mode: sit", "local: 10.0.0.1, mode: any"),
    3,
    13,
    "tunnels[1].name",
    PAIR,
    '"u"',
  ],
  [
    two('local: "fd00::1", remote: "fd00::2"', 'local: "FD00::1", remote: "FD00::2"'),
    3,
    54,
    "tunnels[1].remote",
    PAIR,
    '"FD00::2"',
  ],
  [
    ipipWith("vni: 5"),
    5,
    5,
    "tunnels[0].vni",
    "one of the keys name, mtu, addresses, routes, direct, allow, type, mode, local, dev, remote, ttl, tos, pmtudisc",
    'the unknown key "vni"',
  ],
];

describe("a wrong ipip tunnel", () => {
  it.each(titled(...KEY_CASES, ...COMBINATIONS))("%s", (_title, wrong) => {
    expectOnlyProblem(wrong);
  });

  it("is not complained about twice: what the schema has refused is not compared", () => {
    const text = two("local: 10.0.0.1", "local: 10.0.0.1, remote: none");
    expect(problemsOf(text).map(({ key }) => key)).toStrictEqual(["tunnels[1].remote"]);
    const ttl = ipipWith("pmtudisc: false\n    ttl: 256");
    expect(problemsOf(ttl).map(({ key }) => key)).toStrictEqual(["tunnels[0].ttl"]);
  });
});

describe("right ipip tunnels", () => {
  it.each([
    [
      "one pair of addresses, another family inside",
      two("local: 10.0.0.1", "local: 10.0.0.1, mode: sit"),
    ],
    ["a remote beside any remote", two("local: 10.0.0.1", "local: 10.0.0.1, remote: 10.0.0.2")],
    ["any local address beside one", two("local: any", "local: 10.0.0.1")],
    ["IPv6 outside by the mode alone", one("dev: eth0, mode: ip6ip6")],
    ["both families inside", one('local: any, mode: any, addresses: [10.9.0.1/32, "fd00::1/128"]')],
    ["no DF, with the TTL of the inner packet", one("local: 10.0.0.1, ttl: 0, pmtudisc: false")],
    [
      "an ordinary next hop where a remote gets everything",
      one(
        'local: 10.0.0.1, remote: 10.0.0.2, mode: sit, routes: [{ to: "fd01::/64", via: "fd00::2" }]',
      ),
    ],
  ])("%s", (_title, text) => {
    expect(problemsOf(text)).toStrictEqual([]);
  });
});
