// Values that are right alone and wrong together. Each document has exactly one problem.

import { describe, it } from "vitest";
import { type Case, expectOnlyProblem, titled, vxlanWith } from "./documents.js";

const TWO_FDB = `fdb:
      - { mac: 02:00:00:00:00:01, dst: 10.0.0.2 }
      - { mac: 02-00-00-00-00-01, dst: 10.0.0.3 }`;
const ZERO_FDB = `remotes: [10.0.0.2]
    fdb: [{ mac: 00:00:00:00:00:00, dst: 10.0.0.2 }]`;
const TWO_NEIGHBORS = `neighbors:
      - { ip: "fd00::1", mac: 02:00:00:00:00:01 }
      - { ip: "FD00:0::1", mac: 02:00:00:00:00:02 }`;
const MANY_REMOTES = Array.from({ length: 1025 }, (_, i) => `10.1.${i >> 8}.${i & 255}`).join(", ");
const MOST_REMOTES = MANY_REMOTES.slice(0, MANY_REMOTES.lastIndexOf(","));
const VXLAN = "type: vxlan, vni: 1";

const CROSS_CASES: Case[] = [
  [
    "tunnels:\n  - name: t\n    type: vxlan\n    vni: 1\n",
    2,
    5,
    "tunnels[0]",
    "`local` (an address of this host), `dev` (its device), or both",
    "neither",
  ],
  [
    "tunnels:\n  - { name: t, type: gre }\n",
    2,
    22,
    "tunnels[0].type",
    "vxlan, ipip or route",
    '"gre"',
  ],
  ["tunnels:\n  - { name: t }\n", 2, 5, "tunnels[0].type", "vxlan, ipip or route", "nothing"],
  [
    `tunnels:\n  - { name: t, ${VXLAN}, local: 10.0.0.1 }\n  - { name: t, type: ipip, local: 10.0.0.1 }\n`,
    3,
    13,
    "tunnels[1].name",
    "a name that no other tunnel has (tunnels[0] has it)",
    '"t"',
  ],
  [
    `tunnels:\n  - { name: t, ${VXLAN}, local: 10.0.0.1 }\n  - { name: u, ${VXLAN}, local: 10.0.0.1, port: 4789 }\n`,
    3,
    34,
    "tunnels[1].vni",
    "a VNI that no other tunnel with the same port and local address has (tunnels[0] has it)",
    "the number 1",
  ],
  [
    `tunnels:\n  - { name: t, ${VXLAN}, dev: eth0 }\n  - { name: u, ${VXLAN}, dev: eth0 }\n`,
    3,
    34,
    "tunnels[1].vni",
    "a VNI that no other tunnel with the same port and local address has (tunnels[0] has it)",
    "the number 1",
  ],
  [
    `tunnels:\n  - { name: t, ${VXLAN}, dev: eth0, remotes: [10.0.0.2, "fd00::2"] }\n`,
    2,
    68,
    "tunnels[0].remotes[1]",
    "an IPv4 address, as in the first remote",
    '"fd00::2"',
  ],
  [
    vxlanWith('mtu: 1279\n    addresses: ["fd00::1/64"]'),
    6,
    10,
    "tunnels[0].mtu",
    "at least 1280, because the tunnel has IPv6 addresses, routes or neighbors",
    "the number 1279",
  ],
  [
    vxlanWith('mtu: 1000\n    routes: [{ to: "fd00::/64" }]'),
    6,
    10,
    "tunnels[0].mtu",
    "at least 1280, because the tunnel has IPv6 addresses, routes or neighbors",
    "the number 1000",
  ],
  [
    vxlanWith('mtu: 1000\n    neighbors: [{ ip: "fd00::2", mac: 02:00:00:00:00:01 }]'),
    6,
    10,
    "tunnels[0].mtu",
    "at least 1280, because the tunnel has IPv6 addresses, routes or neighbors",
    "the number 1000",
  ],
  [
    vxlanWith("mtu: 65522"),
    6,
    10,
    "tunnels[0].mtu",
    "auto, or at most 65521: a TAP device takes no more",
    "the number 65522",
  ],
  [
    vxlanWith(TWO_FDB),
    8,
    16,
    "tunnels[0].fdb[1].mac",
    "each MAC address once (entry [0] has it)",
    '"02-00-00-00-00-01"',
  ],
  [
    vxlanWith(ZERO_FDB),
    7,
    42,
    "tunnels[0].fdb[0].dst",
    "each remote of the flood list once",
    '"10.0.0.2"',
  ],
  [
    vxlanWith("remote: 10.0.0.2\n    remotes: [10.0.0.3, 10.0.0.2]"),
    7,
    25,
    "tunnels[0].remotes[1]",
    "each remote of the flood list once (`remote` has it)",
    '"10.0.0.2"',
  ],
  [
    vxlanWith(
      TWO_FDB.replaceAll(/02[:-]00(?=[:-]00[:-]00[:-]00[:-]01)/g, "33:33").replace(
        "33:33-00-00-00-01, dst: 10.0.0.3",
        "33:33:00:00:00:01, dst: 10.0.0.2",
      ),
    ),
    8,
    40,
    "tunnels[0].fdb[1].dst",
    "each remote of 33:33:00:00:00:01 once",
    '"10.0.0.2"',
  ],
  [
    vxlanWith("group: 239.1.1.1"),
    6,
    12,
    "tunnels[0].group",
    "`dev` beside group: the device on which the group is joined",
    '"239.1.1.1"',
  ],
  [
    vxlanWith("dev: eth0\n    group: 239.1.1.1\n    remote: 10.0.0.2"),
    8,
    13,
    "tunnels[0].remote",
    "either `remote` or `group`; further remotes stand in `remotes`",
    '"10.0.0.2"',
  ],
  [
    vxlanWith('dev: eth0\n    group: "ff05::100"'),
    7,
    12,
    "tunnels[0].group",
    "an IPv4 address, as in `local`",
    '"ff05::100"',
  ],
  [
    vxlanWith("dev: eth0\n    group: 10.0.0.9"),
    7,
    12,
    "tunnels[0].group",
    "a multicast address such as 239.1.1.1 or ff05::100",
    '"10.0.0.9"',
  ],
  [
    `tunnels:\n  - { name: t, ${VXLAN}, local: 10.0.0.1 }\n  - { name: u, type: vxlan, vni: 2, local: 10.0.0.1, udp6_zero_csum_rx: true }\n`,
    3,
    73,
    "tunnels[1].udp6_zero_csum_rx",
    "false, as in tunnels[0] with the same port and local address",
    "true",
  ],
  [
    vxlanWith(TWO_NEIGHBORS),
    8,
    15,
    "tunnels[0].neighbors[1].ip",
    "each address once (entry [0] has it)",
    '"FD00:0::1"',
  ],
  [
    vxlanWith(`max_entries: 1\n    ${TWO_FDB.replace("-01, dst: 10.0.0.3", "-02, dst: 10.0.0.3")}`),
    8,
    7,
    "tunnels[0].fdb",
    "at most max_entries (1) entries, the flood list being one",
    "2 entries",
  ],
  [
    vxlanWith(
      "max_entries: 1\n    remotes: [10.0.0.2]\n    fdb: [{ mac: 02:00:00:00:00:01, dst: 10.0.0.2 }]",
    ),
    8,
    10,
    "tunnels[0].fdb",
    "at most max_entries (1) entries, the flood list being one",
    "2 entries",
  ],
  [
    vxlanWith(`dev: eth0\n    group: 239.1.1.1\n    remotes: [${MOST_REMOTES}]`),
    8,
    14,
    "tunnels[0].remotes",
    "at most 1024 flood list entries in group, remote, remotes and fdb",
    "1025 entries",
  ],
  [
    vxlanWith("remotes: [{ dst: 10.0.0.2, gbp: 7 }]"),
    6,
    37,
    "tunnels[0].remotes[0].gbp",
    "`gbp` of the tunnel as well, with its own id",
    "the number 7",
  ],
  [
    vxlanWith(
      "gbp: { id: 1 }\n    remotes: [{ dst: 10.0.0.2, gbp: 7 }]\n    " +
        "fdb: [{ mac: 02:00:00:00:00:01, dst: 10.0.0.2, port: 4789, gbp: 8 }]",
    ),
    8,
    69,
    "tunnels[0].fdb[0].gbp",
    "7, as in another entry: a remote has one group",
    "the number 8",
  ],
  [
    vxlanWith('allow: [10.0.0.0/8, "fd00::/8"]'),
    6,
    25,
    "tunnels[0].allow[1]",
    "an IPv4 prefix, as the tunnel's underlay",
    '"fd00::/8"',
  ],
  [
    `tunnels:\n  - { name: t, ${VXLAN}, local: 10.0.0.1 }\n  - { name: u, ${VXLAN.replace("1", "2")}, local: 10.0.0.1, dev: eth0 }\n`,
    3,
    59,
    "tunnels[1].dev",
    "no `dev`, as in tunnels[0] with the same port and local address",
    '"eth0"',
  ],
  [
    `tunnels:\n  - { name: t, ${VXLAN}, local: 10.0.0.1, dev: eth0 }\n  - { name: u, ${VXLAN.replace("1", "2")}, local: 10.0.0.1 }\n`,
    3,
    44,
    "tunnels[1].local",
    "a `dev`, as in tunnels[0] with the same port and local address",
    '"10.0.0.1"',
  ],
  [
    vxlanWith("neighbors: [{ ip: 224.0.0.1, mac: 02:00:00:00:00:01 }]"),
    6,
    23,
    "tunnels[0].neighbors[0].ip",
    "a unicast IP address such as 192.168.11.1 or fd00:11::1",
    '"224.0.0.1"',
  ],
  [
    vxlanWith(`remotes: [${MANY_REMOTES}]`),
    6,
    14,
    "tunnels[0].remotes",
    "a list of at most 1024 remotes",
    "a list",
  ],
  [
    vxlanWith("external: true"),
    6,
    5,
    "tunnels[0].external",
    "a tunnel for each VNI: metadata of `external` does not reach a TAP",
    'the unknown key "external"',
  ],
];

describe("a wrong combination", () => {
  it.each(titled(...CROSS_CASES))("%s", (_title, wrong) => {
    expectOnlyProblem(wrong);
  });
});
