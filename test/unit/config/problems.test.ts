// Several problems in one file, how they are printed, and documents that mean harm.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatConfig, formatProblems, invalidConfigError } from "../../../src/config/format.js";
import { loadConfig } from "../../../src/config/load.js";
import { CulvertError } from "../../../src/errors.js";
import { CONTRACT_EXAMPLE, problemsOf, rootWith, vxlanWith } from "./documents.js";

const MANY_MISTAKES = `workers: 99
wrokers: 1
log: { level: chatty }
tunnels:
  - name: a
    type: vxlan
    vni: x
    local: 10.0.0.1
    remotes: [10.0.0.1, 10.0.0.300, fd00::1]
    routes: [{ to: 10.1.1.1/24 }, { to: 10.2.0.0/16, via: fd00::1 }]
  - name: a
    type: vxlnn
    mtu: 1
  - type: ipip
    name: b
    local: 10.0.0.1
    local: 10.0.0.2
`;

describe("several problems", () => {
  it("are all reported, in the order of the file, whatever stage found them", () => {
    const places = problemsOf(MANY_MISTAKES).map(
      ({ line, column, key, got }) => `${line}:${column} ${key} ${got}`,
    );
    expect(places).toStrictEqual([
      "1:10 workers the number 99",
      '2:1 wrokers the unknown key "wrokers"',
      '3:15 log.level "chatty"',
      '7:10 tunnels[0].vni "x"',
      '9:15 tunnels[0].remotes[0] "10.0.0.1"',
      '9:25 tunnels[0].remotes[1] "10.0.0.300"',
      '9:37 tunnels[0].remotes[2] "fd00::1"',
      '10:20 tunnels[0].routes[0].to "10.1.1.1/24"',
      '10:59 tunnels[0].routes[1].via "fd00::1"',
      '11:11 tunnels[1].name "a"',
      '12:11 tunnels[1].type "vxlnn"',
      "13:10 tunnels[1].mtu the number 1",
      '17:5 tunnels[2].local "local" again',
    ]);
  });

  it("of syntax are all reported", () => {
    const lines = problemsOf('a: "\\x"\nb: "\\y"\nc: [\n').map(({ line, expected }) => [
      line,
      expected,
    ]);
    expect(lines).toStrictEqual([
      [1, "valid YAML"],
      [2, "valid YAML"],
      // The end of the text, where the list should have been closed.
      [4, "valid YAML"],
    ]);
  });
});

describe("formatProblems", () => {
  it("shows place, key, words, source line and a caret", () => {
    const text = vxlanWith("remotes: [10.0.0.2, fd00::2]\n    mtuu: 1");
    expect(formatProblems(problemsOf(text), text, "/etc/culvert.yaml")).toBe(
      [
        '/etc/culvert.yaml:6:25: tunnels[0].remotes[1]: expected an IPv4 address, as in `local`, got "fd00::2"',
        "      remotes: [10.0.0.2, fd00::2]",
        "                          ^",
        '/etc/culvert.yaml:7:5: tunnels[0].mtuu: expected a known key (did you mean mtu?), got the unknown key "mtuu"',
        "      mtuu: 1",
        "      ^",
        "",
      ].join("\n"),
    );
  });

  it("shows a window of a long line with the caret below the place", () => {
    const remotes = Array.from({ length: 100 }, (_, index) => `10.0.1.${index}`);
    const text = vxlanWith(`remotes: [${remotes.join(", ")}, bad-one, 10.0.2.1]`);
    const [, source, caret] = formatProblems(problemsOf(text), text, "f").split("\n");
    expect(source.length).toBeLessThan(130);
    expect(source.slice(caret.indexOf("^")).startsWith("bad-one")).toBe(true);
  });

  it("never sends control characters of the file to the terminal", () => {
    const text = rootWith('"\u001b[31m\u009b\u202e": 1\n"\\e\\x9b": "\u0007\t"');
    const shown = formatProblems(problemsOf(text), text, "f");
    expect(shown).toContain("^");
    expect(shown.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\u202e]/u);
  });

  it("counts characters for the caret, not code units", () => {
    const text = rootWith('log: { "\u{1f600}": 1, x: 2 }');
    const output = formatProblems(problemsOf(text), text, "f").split("\n");
    expect(output.slice(3, 6)).toStrictEqual([
      'f:6:17: log.x: expected one of the keys level, got the unknown key "x"',
      '  log: { "\u{1f600}": 1, x: 2 }',
      "                 ^",
    ]);
  });

  it("cuts an endless list and says so", () => {
    const text = rootWith(Array.from({ length: 1200 }, (_, index) => `key${index}: 1`).join("\n"));
    const problems = problemsOf(text);
    expect(problems).toHaveLength(1200);
    expect(formatProblems(problems, text, "f").trimEnd().split("\n").at(-1)).toBe(
      "... and 200 more",
    );
  });
});

describe("invalidConfigError", () => {
  it("is an operating error with exit status 2 that holds every problem", () => {
    const text = rootWith("workers: 0\nlog: 1");
    const error = invalidConfigError(problemsOf(text), text, "f.yaml");
    expect(error).toBeInstanceOf(CulvertError);
    expect(error).toMatchObject({ code: "CULVERT_CONFIG_INVALID", exit: 2 });
    expect(error.hint).toContain("culvert check");
    expect(error.message.split("\n")[0]).toBe("f.yaml has 2 problems");
    expect(error.message).toContain("f.yaml:6:10: workers: expected auto");
    expect(error.message).toContain("f.yaml:7:6: log: expected");
  });
});

describe("a hostile document", () => {
  it("cannot multiply itself by aliases", () => {
    const levels = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"];
    for (const [name, before] of ["ba", "cb", "dc", "ed", "fe", "gf", "hg"]) {
      levels.push(`${name}: &${name} [${Array(10).fill(`*${before}`).join(", ")}]`);
    }
    const bombs = problemsOf(`${levels.join("\n")}\n`).filter(({ got }) => got === "more");
    expect(bombs).toStrictEqual([
      {
        line: 4,
        column: 36,
        key: "d[7]",
        expected: "aliases that repeat at most 10000 values in all",
        got: "more",
      },
    ]);
  });

  it.each([
    ["flow lists", "[".repeat(1 << 20)],
    ["block lists", "- ".repeat(1 << 19)],
    ["flow mappings", "{a: ".repeat(1 << 18)],
    ["explicit keys", "? ".repeat(1 << 19)],
  ])("cannot exhaust the stack by nested %s", (_what, text) => {
    const [problem, ...others] = problemsOf(text);
    expect(others).toStrictEqual([]);
    expect(problem).toMatchObject({ expected: "at most 64 levels of nesting", got: "more" });
  });

  it("of nothing but syntax errors ends in a bounded list", () => {
    const problems = problemsOf("}".repeat(1 << 20));
    expect(problems).toHaveLength(1000);
    expect(problems[0]).toMatchObject({ line: 1, column: 1, expected: "valid YAML" });
  });

  it("does not change prototypes", () => {
    problemsOf("__proto__: { polluted: 1 }\nconstructor: { prototype: { polluted: 1 } }");
    expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
  });

  it("cannot turn the rules of YAML 1.1 on", () => {
    const [problem] = problemsOf(`%YAML 1.1\n---\n${rootWith("offloads: { tso: no }")}`);
    expect(problem).toMatchObject({ key: "offloads.tso", got: '"no"' });
  });
});

/** Reports problems with places inside the text, or gives a configuration that prints and loads. */
function expectHandled(text: string): void {
  const { config, problems } = loadConfig(text, "f");
  if (config !== undefined) {
    expect(loadConfig(formatConfig(config), "f").config).toStrictEqual(config);
    return;
  }
  expect(problems.length).toBeGreaterThan(0);
  const lines = text.split("\n").length;
  for (const { line, column, expected, got } of problems) {
    expect(line).toBeGreaterThanOrEqual(1);
    expect(line).toBeLessThanOrEqual(lines);
    expect(column).toBeGreaterThanOrEqual(1);
    expect(expected).not.toBe("");
    expect(got).not.toBe("");
  }
  expect(formatProblems(problems, text, "f")).toContain("f:");
}

describe("any text", () => {
  it("that is JSON is reported, never thrown at", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expectHandled(JSON.stringify(value));
      }),
      { numRuns: 150 },
    );
  });

  it("made of YAML's characters is reported, never thrown at", () => {
    const pieces = [
      ..."[]{}:,-?*&!|>'\"%#@ \n\t",
      "a",
      "1",
      "&x ",
      "*x",
      "- ",
      ": ",
      "<<: ",
      "---\n",
    ];
    const words = ["tunnels:", "type: vxlan", "name: t", "vni: 1", "\n  - ", "\n    "];
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces, ...words), { maxLength: 40 }), (parts) => {
        expectHandled(parts.join(""));
      }),
      { numRuns: 400 },
    );
  });

  it("one edit away from a right document is reported or right", () => {
    const edit = fc.tuple(
      fc.nat({ max: CONTRACT_EXAMPLE.length }),
      fc.nat({ max: 12 }),
      fc.oneof(
        fc.string({ maxLength: 6 }),
        fc.constantFrom("\n", "- ", ": ", "{}", "[]", "~", "0"),
      ),
    );
    fc.assert(
      fc.property(edit, ([at, removed, added]) => {
        expectHandled(CONTRACT_EXAMPLE.slice(0, at) + added + CONTRACT_EXAMPLE.slice(at + removed));
      }),
      { numRuns: 300 },
    );
  });

  it("with right keys and any values is reported or right", () => {
    const value = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom("auto", "any", 1, 68, "10.0.0.2", "fd00::2", "10.0.0.0/8", ["10.0.0.2"]),
    );
    const keys = ["mtu", "mac", "remotes", "fdb", "neighbors", "routes", "addresses", "allow"];
    const entries = fc.dictionary(fc.constantFrom(...keys, "dev", "port", "ttl", "x"), value);
    const base = { name: "t", type: "vxlan", vni: 1, local: "10.0.0.1" };
    fc.assert(
      fc.property(entries, (extra) => {
        expectHandled(JSON.stringify({ tunnels: [{ ...base, ...extra }] }));
      }),
      { numRuns: 300 },
    );
  });
});
