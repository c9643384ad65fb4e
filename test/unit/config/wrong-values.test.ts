// Wrong values of single keys of a tunnel. Each document has exactly one problem.

import { describe, it } from "vitest";
import { type Case, expectOnlyProblem, titled, vxlanWith } from "./documents.js";

const NUMBER_CASES: Case[] = [
  ["vni: 16777216", "vni", "a whole number from 0 to 16777215", "the number 16777216", 4],
  ["vni: -1", "vni", "a whole number from 0 to 16777215", "the number -1", 4],
  ["vni: '5'", "vni", "a whole number from 0 to 16777215", '"5"', 4],
].map(([line, key, expected, got, lineNumber]) => [
  `tunnels:\n  - name: t\n    type: vxlan\n    ${line}\n    local: 10.0.0.1\n`,
  Number(lineNumber),
  10,
  `tunnels[0].${key}`,
  String(expected),
  String(got),
]);

const PORTS = "a UDP port, or a range of ports such as 49152-65535";

/** One key of a vxlan tunnel with a wrong plain value: key, value, expected, got. */
const VALUE_CASES: Case[] = (
  [
    ["port", "0", "a whole number from 1 to 65535", "the number 0"],
    ["port", "65536", "a whole number from 1 to 65535", "the number 65536"],
    ["mtu", "67", "auto, or a whole number from 68 to 65535", "the number 67"],
    ["mtu", "65536", "auto, or a whole number from 68 to 65535", "the number 65536"],
    ["mtu", ".nan", "auto, or a whole number from 68 to 65535", "the number NaN"],
    ["ttl", "256", "inherit, or a whole number from 0 to 255", "the number 256"],
    ["tos", "copy", "inherit, or a whole number from 0 to 255", '"copy"'],
    ["df", "on", "unset, set or inherit", '"on"'],
    ["flowlabel", "1048576", "auto, or a whole number from 0 to 1048575", "the number 1048576"],
    ["srcport", "0", "a whole number from 1 to 65535", "the number 0"],
    ["srcport", "5-4", PORTS, '"5-4"'],
    ["srcport", "1-65536", PORTS, '"1-65536"'],
    ["gbp", "7", "off, or a mapping with id and allow", "the number 7"],
    ["gbp", "on", "off, or a mapping with id and allow", '"on"'],
    ["keepalive_s", "3601", "a whole number from 0 to 3600", "the number 3601"],
    ["bum_limit_pps", "-1", "a whole number from 0 to 10000000", "the number -1"],
    ["rsc", "1", "true or false", "the number 1"],
    ["ageing_s", "-1", "a whole number from 0 to 2147483647", "the number -1"],
    ["max_entries", "0", "a whole number from 1 to 1048576", "the number 0"],
    ["max_entries", "1048577", "a whole number from 1 to 1048576", "the number 1048577"],
    ["learning", "on", "true or false", '"on"'],
    ["proxy", "1", "true or false", "the number 1"],
    ["inner_vlan", "keep", "pass or drop", '"keep"'],
    [
      "mac",
      "02:00:00:00:00",
      "auto, or a unicast MAC address such as 02:00:00:00:00:0b",
      '"02:00:00:00:00"',
    ],
    [
      "mac",
      "01:00:5e:00:00:01",
      "auto, or a unicast MAC address such as 02:00:00:00:00:0b",
      '"01:00:5e:00:00:01"',
    ],
    [
      "mac",
      "00:00:00:00:00:00",
      "auto, or a unicast MAC address such as 02:00:00:00:00:0b",
      '"00:00:00:00:00:00"',
    ],
    ["dev", "a-name-too-long-", "a device name of 1 to 15 bytes (it has 16)", '"a-name-too-long-"'],
    ["dev", "t", "a device of the underlay, not the tunnel itself", '"t"'],
    ["allow", "all", "known, any, or a list of prefixes such as [10.57.4.0/24]", '"all"'],
    ["allow", "[]", "known, any, or a list of at least one prefix", "an empty list"],
    ["remotes", "10.0.0.2", "a list of at most 1024 remotes", '"10.0.0.2"'],
    ["addresses", "{}", "a list of addresses", "a mapping"],
  ] as const
).map(([key, value, expected, got]) => [
  vxlanWith(`${key}: ${value}`),
  6,
  7 + key.length,
  `tunnels[0].${key}`,
  expected,
  got,
]);

describe("a wrong value", () => {
  it.each(titled(...NUMBER_CASES, ...VALUE_CASES))("%s", (_title, wrong) => {
    expectOnlyProblem(wrong);
  });
});
