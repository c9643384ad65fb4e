// Wrong entries of a vxlan tunnel's lists, and unknown keys. Each document has exactly one problem.

import { describe, it } from "vitest";
import { type Case, expectOnlyProblem, titled, vxlanWith } from "./documents.js";

const UNICAST = "a unicast IP address such as 10.57.4.20 or fd00::20";
const NO_GROUP = `${UNICAST}; a multicast group stands in \`group\` of the tunnel`;
const FDB_MAC =
  "a MAC address such as 02:00:00:00:00:0b, or 00:00:00:00:00:00 for a flood list entry";

/** A line of a vxlan tunnel, then column, key below the tunnel, expected and got. */
const LINE_CASES: Case[] = (
  [
    [
      "dstport: 4789",
      5,
      "dstport",
      "a known key (did you mean port?)",
      'the unknown key "dstport"',
    ],
    [
      "ageing: 300",
      5,
      "ageing",
      "a known key (did you mean ageing_s?)",
      'the unknown key "ageing"',
    ],
    ["remote: any", 13, "remote", UNICAST, '"any"'],
    [
      "remoets: []",
      5,
      "remoets",
      "a known key (did you mean remotes?)",
      'the unknown key "remoets"',
    ],
    ["remotes: [224.0.0.1]", 15, "remotes[0]", NO_GROUP, '"224.0.0.1"'],
    ["remotes: [0.0.0.0]", 15, "remotes[0]", UNICAST, '"0.0.0.0"'],
    ["remotes: [10.0.0.02]", 15, "remotes[0]", UNICAST, '"10.0.0.02"'],
    ['remotes: ["::ffff:10.0.0.2"]', 15, "remotes[0]", UNICAST, '"::ffff:10.0.0.2"'],
    ["remotes: [10.0.0.1]", 15, "remotes[0]", "an address other than local", '"10.0.0.1"'],
    ["remotes: [fd00::1]", 15, "remotes[0]", "an IPv4 address, as in `local`", '"fd00::1"'],
    [
      'remotes: ["fe80::1%eth0"]',
      15,
      "remotes[0]",
      "an IPv6 address that is not link-local",
      '"fe80::1%eth0"',
    ],
    [
      "remotes: [5]",
      15,
      "remotes[0]",
      `${UNICAST}, or a mapping with dst, port, vni, gbp`,
      "the number 5",
    ],
    ["remotes: [{ port: 1 }]", 15, "remotes[0].dst", UNICAST, "nothing"],
    [
      "remotes: [{ dst: 10.0.0.2, port: 0 }]",
      38,
      "remotes[0].port",
      "a whole number from 1 to 65535",
      "the number 0",
    ],
    [
      "remotes: [10.0.0.2, { dst: 10.0.0.2, port: 4789 }]",
      25,
      "remotes[1]",
      "each remote once (entry [0] has it)",
      "a mapping",
    ],
    [
      "addresses: [192.168.10.1]",
      17,
      "addresses[0]",
      "a prefix length after the address, such as 192.168.10.1/32",
      '"192.168.10.1"',
    ],
    [
      "addresses: [192.168.10.1/33]",
      17,
      "addresses[0]",
      "a prefix length from 0 to 32",
      '"192.168.10.1/33"',
    ],
    [
      "addresses: [a/24]",
      17,
      "addresses[0]",
      "an address with its prefix length such as 192.168.10.1/24 or fd00:10::1/64",
      '"a/24"',
    ],
    [
      "addresses: [10.1.1.1/24, 10.1.1.1/16]",
      30,
      "addresses[1]",
      "each address once (entry [0] has it)",
      '"10.1.1.1/16"',
    ],
    [
      "routes: [{ to: 10.1.1.1/24 }]",
      20,
      "routes[0].to",
      "10.1.1.0/24 (no bits set after the prefix length)",
      '"10.1.1.1/24"',
    ],
    [
      "routes: [{ to: 10.1.1.0 }]",
      20,
      "routes[0].to",
      "a prefix length after the address, such as 10.1.1.0/32",
      '"10.1.1.0"',
    ],
    [
      'routes: [{ to: "fd00::1/64" }]',
      20,
      "routes[0].to",
      "fd00::/64 (no bits set after the prefix length)",
      '"fd00::1/64"',
    ],
    [
      "routes: [{ to: 10.1.0.0/16, via: 10.0.0.1/8 }]",
      38,
      "routes[0].via",
      "an IP address such as 192.168.11.1 or fd00:11::1, without a prefix length",
      '"10.0.0.1/8"',
    ],
    [
      "routes: [{ to: 10.1.0.0/16, via: fd00::1 }]",
      38,
      "routes[0].via",
      "an IPv4 address, as in `to`",
      '"fd00::1"',
    ],
    [
      "routes: [{ to: 10.1.0.0/16, onlink: true }]",
      41,
      "routes[0].onlink",
      "`via` beside onlink, which says that the next hop is on this link",
      "true",
    ],
    [
      "routes: [{ via: 10.1.0.1 }]",
      14,
      "routes[0].to",
      "a prefix such as 192.168.11.0/24 or fd00:11::/64",
      "nothing",
    ],
    [
      "routes: [{ to: 10.1.0.0/16, metric: -1 }]",
      41,
      "routes[0].metric",
      "a whole number from 0 to 4294967295",
      "the number -1",
    ],
    [
      "routes: [{ to: 10.1.0.0/16 }, { to: 10.1.0.0/16, metric: 0 }]",
      41,
      "routes[1].to",
      "each prefix and metric once (entry [0] has it)",
      '"10.1.0.0/16"',
    ],
    [
      "fdb: [{ mac: 02:00:00:00:01, dst: 10.0.0.2 }]",
      18,
      "fdb[0].mac",
      FDB_MAC,
      '"02:00:00:00:01"',
    ],
    ["fdb: [{ mac: 02:00:00:00:00:01 }]", 11, "fdb[0].dst", UNICAST, "nothing"],
    [
      "fdb: [{ mac: 02:00:00:00:00:01, dst: fd00::1 }]",
      42,
      "fdb[0].dst",
      "an IPv4 address, as in `local`",
      '"fd00::1"',
    ],
    [
      "fdb: [{ mac: 02:00:00:00:00:01, dst: 10.0.0.1 }]",
      42,
      "fdb[0].dst",
      "an address other than local",
      '"10.0.0.1"',
    ],
    [
      "neighbors: [{ ip: 10.1.1.1, mac: ff:ff:ff:ff:ff:ff }]",
      38,
      "neighbors[0].mac",
      "a unicast MAC address such as 02:00:00:00:00:0b",
      '"ff:ff:ff:ff:ff:ff"',
    ],
    [
      "neighbors: [{ ip: x, mac: 02:00:00:00:00:01 }]",
      23,
      "neighbors[0].ip",
      "a unicast IP address such as 192.168.11.1 or fd00:11::1",
      '"x"',
    ],
    [
      "neighbors: [{ lladdr: 1, ip: 10.1.1.1, mac: 02:00:00:00:00:01 }]",
      19,
      "neighbors[0].lladdr",
      "a known key (did you mean mac?)",
      'the unknown key "lladdr"',
    ],
    [
      "allow: [10.0.0.0/8, 10.0.0.1/8]",
      25,
      "allow[1]",
      "10.0.0.0/8 (no bits set after the prefix length)",
      '"10.0.0.1/8"',
    ],
  ] as const
).map(([line, column, key, expected, got]) => [
  vxlanWith(line),
  6,
  column,
  `tunnels[0].${key}`,
  expected,
  got,
]);

describe("a wrong entry", () => {
  it.each(titled(...LINE_CASES))("%s", (_title, wrong) => {
    expectOnlyProblem(wrong);
  });
});
