// Wrong documents outside the tunnels: YAML, top-level keys, device names. Each has exactly one
// problem.

import { describe, it } from "vitest";
import { type Case, expectOnlyProblem, rootWith, titled, vxlanWith } from "./documents.js";

const ROOT_CASES: Case[] = [
  [
    "",
    1,
    1,
    "",
    "a mapping with control, log, metrics, workers, busy_poll_us, offloads, tunnels",
    "nothing",
  ],
  [
    "[1]",
    1,
    1,
    "",
    "a mapping with control, log, metrics, workers, busy_poll_us, offloads, tunnels",
    "a list",
  ],
  ["workers: 1", 1, 1, "tunnels", "a list of 1 to 4096 tunnels", "nothing"],
  ["tunnels: []", 1, 10, "tunnels", "a list of 1 to 4096 tunnels", "an empty list"],
  ["tunnels:", 1, 1, "tunnels", "a list of 1 to 4096 tunnels", "nothing"],
  ["tunnels: 7", 1, 10, "tunnels", "a list of 1 to 4096 tunnels", "the number 7"],
  [
    "tunnels: [x]",
    1,
    11,
    "tunnels[0]",
    "a mapping with name, type and the keys of that type",
    '"x"',
  ],
  [
    rootWith("workers: 0"),
    6,
    10,
    "workers",
    "auto, or a whole number from 1 to 16",
    "the number 0",
  ],
  [
    rootWith("workers: 1.5"),
    6,
    10,
    "workers",
    "auto, or a whole number from 1 to 16",
    "the number 1.5",
  ],
  [rootWith("workers: many"), 6, 10, "workers", "auto, or a whole number from 1 to 16", '"many"'],
  [
    rootWith("worker: 1"),
    6,
    1,
    "worker",
    "a known key (did you mean workers?)",
    'the unknown key "worker"',
  ],
  [
    rootWith("colour: 1"),
    6,
    1,
    "colour",
    "one of the keys control, log, metrics, workers, busy_poll_us, offloads, tunnels",
    'the unknown key "colour"',
  ],
  [
    rootWith("__proto__: 1"),
    6,
    1,
    "__proto__",
    "one of the keys control, log, metrics, workers, busy_poll_us, offloads, tunnels",
    'the unknown key "__proto__"',
  ],
  [
    rootWith("log: { level: loud }"),
    6,
    15,
    "log.level",
    "trace, debug, info, warn, error or fatal",
    '"loud"',
  ],
  [rootWith("log: info"), 6, 6, "log", "a mapping with level", '"info"'],
  [
    rootWith("metrics: { listen: 9479 }"),
    6,
    20,
    "metrics.listen",
    'off, or address:port such as "127.0.0.1:9479" or "[::1]:9479"',
    "the number 9479",
  ],
  [
    rootWith("metrics: { listen: 'localhost:80' }"),
    6,
    20,
    "metrics.listen",
    'off, or address:port such as "127.0.0.1:9479" or "[::1]:9479"',
    '"localhost:80"',
  ],
  [
    rootWith("metrics: { listen: '127.0.0.1:65536' }"),
    6,
    20,
    "metrics.listen",
    'off, or address:port such as "127.0.0.1:9479" or "[::1]:9479"',
    '"127.0.0.1:65536"',
  ],
  [
    rootWith("control: { socket: run/c.sock }"),
    6,
    20,
    "control.socket",
    "an absolute path of at most 107 bytes",
    '"run/c.sock"',
  ],
  [
    rootWith(`control: { socket: /${"a".repeat(107)} }`),
    6,
    20,
    "control.socket",
    "an absolute path of at most 107 bytes",
    `"/${"a".repeat(59)}..."`,
  ],
  [rootWith("offloads: { tso: yes }"), 6, 18, "offloads.tso", "true or false", '"yes"'],
  [
    rootWith("offloads: { gso: true }"),
    6,
    13,
    "offloads.gso",
    "a known key (did you mean tso?)",
    'the unknown key "gso"',
  ],
];

const SYNTAX_CASES: Case[] = [
  [rootWith("workers: 1\nworkers: 2"), 7, 1, "workers", "each key once", '"workers" again'],
  [vxlanWith("vni: 2"), 6, 5, "tunnels[0].vni", "each key once", '"vni" again'],
  [
    rootWith("log: { level: info, level: warn }"),
    6,
    21,
    "log.level",
    "each key once",
    '"level" again',
  ],
  [
    rootWith("workers: *n"),
    6,
    10,
    "workers",
    "an alias of an anchor that stands complete before it",
    "*n",
  ],
  [
    vxlanWith("remotes: &r [*r]"),
    6,
    18,
    "tunnels[0].remotes[0]",
    "an alias of an anchor that stands complete before it",
    "*r",
  ],
  [rootWith("? [a]\n: 1"), 6, 3, "", "a key that is one word", "a list"],
  [`${rootWith("")}---\ntunnels: []\n`, 7, 1, "", "one YAML document", "a second one"],
  [
    rootWith("log: !x { level: info }"),
    6,
    6,
    "",
    "valid YAML",
    "a syntax error: Unresolved tag: !x",
  ],
  ["\tworkers: 1", 1, 1, "", "valid YAML", "a syntax error: Tabs are not allowed as indentation"],
  [rootWith(`log: ${"[".repeat(80)}`), 6, 68, "", "at most 64 levels of nesting", "more"],
];

/** Names, on line 2 of an ipip tunnel: value, expected, got. */
const NAME_CASES: Case[] = (
  [
    ['""', "a device name of 1 to 15 bytes", '""'],
    ["sixteen-bytes-xx", "a device name of 1 to 15 bytes (it has 16)", '"sixteen-bytes-xx"'],
    ["äöüäöüäö", "a device name of 1 to 15 bytes (it has 16)", '"äöüäöüäö"'],
    ["100", "a device name of 1 to 15 bytes", "the number 100"],
    [
      "a/b",
      "a device name without slash, colon, percent sign, whitespace or control characters",
      '"a/b"',
    ],
    [
      "'a b'",
      "a device name without slash, colon, percent sign, whitespace or control characters",
      '"a b"',
    ],
    [
      "tun%d",
      "a device name without slash, colon, percent sign, whitespace or control characters",
      '"tun%d"',
    ],
    [
      '"a\\e"',
      "a device name without slash, colon, percent sign, whitespace or control characters",
      '"a\\u001b"',
    ],
    ["..", 'a device name other than "." and ".."', '".."'],
    [".", 'a device name other than "." and ".."', '"."'],
    ["default", 'a device name other than "all" and "default" (sysctl reserves them)', '"default"'],
    ["all", 'a device name other than "all" and "default" (sysctl reserves them)', '"all"'],
  ] as const
).map(([value, expected, got]) => [
  `tunnels:\n  - name: ${value}\n    type: ipip\n    local: 10.0.0.1\n`,
  2,
  11,
  "tunnels[0].name",
  expected,
  got,
]);

describe("a wrong document", () => {
  it.each(titled(...ROOT_CASES, ...SYNTAX_CASES, ...NAME_CASES))("%s", (_title, wrong) => {
    expectOnlyProblem(wrong);
  });
});
