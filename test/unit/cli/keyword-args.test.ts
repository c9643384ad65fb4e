// The parser for iproute2-style words, with a grammar of its own.

import { describe, expect, it } from "vitest";
import { type Grammar, parseWords } from "../../../src/cli/keyword-args.js";

const GRAMMAR = {
  usage: "test MAC dev NAME",
  values: { mac: "mac", dev: "device", dst: "ip", vni: "vni", port: "port", nud: "nud" },
  bare: "mac",
  flags: ["self", "permanent"],
  required: ["mac", "dev"],
  refused: { master: "because" },
} as const satisfies Grammar;

const MAC = "02:00:00:00:00:0b";

function parseWordsOf(line: string) {
  return parseWords(
    line.split(" ").filter((word) => word !== ""),
    GRAMMAR,
  );
}

describe("accepted", () => {
  it.each([
    [`${MAC} dev v0`, { mac: MAC, dev: "v0" }],
    [`dev v0 ${MAC}`, { mac: MAC, dev: "v0" }],
    [`dev v0 mac ${MAC}`, { mac: MAC, dev: "v0" }],
    [`02:AB:cd:00:00:0B dev v0`, { mac: "02:ab:cd:00:00:0b", dev: "v0" }],
    [
      `vni 0 ${MAC} dst fd00::1 dev a-b.c_d port 65535`,
      { mac: MAC, dev: "a-b.c_d", dst: "fd00::1", vni: 0, port: 65535 },
    ],
    [
      `${MAC} dev dst dst 10.0.0.1 vni 16777215`,
      { mac: MAC, dev: "dst", dst: "10.0.0.1", vni: 0xffffff },
    ],
    [
      `${MAC} dev ${"x".repeat(15)} port 1 nud all`,
      { mac: MAC, dev: "x".repeat(15), port: 1, nud: "all" },
    ],
  ])("%s", (line, values) => {
    expect(parseWordsOf(line)).toEqual({ values, flags: new Set() });
  });

  it("collects words that stand alone, anywhere", () => {
    expect(parseWordsOf(`self ${MAC} permanent dev v0`).flags).toEqual(
      new Set(["self", "permanent"]),
    );
  });
});

describe("refused", () => {
  it.each([
    ["", "missing the MAC address"],
    [MAC, 'missing "dev NAME"'],
    ["dev v0", "missing the MAC address"],
    [`${MAC} dev`, '"dev" needs a value: a device name of at most 15 characters'],
    [`${MAC} dev v0 dst`, '"dst" needs a value: an IPv4 or IPv6 address'],
    [`${MAC} dev v0 dev v1`, '"dev" is given twice'],
    [`${MAC} dev v0 self self`, '"self" is given twice'],
    [
      `${MAC} dev v0 02:00:00:00:00:0c`,
      `the MAC address is given twice: "${MAC}" and "02:00:00:00:00:0c"`,
    ],
    [`${MAC} dev v0 mac ${MAC}`, '"mac" is given twice'],
    [`${MAC} dve v0`, 'unknown word "dve"; did you mean "dev"?'],
    [`${MAC} dev v0 permanant`, 'unknown word "permanant"; did you mean "permanent"?'],
    [`${MAC} dev v0 frobnicate`, 'unknown word "frobnicate"'],
    [`${MAC} dev v0 constructor`, 'unknown word "constructor"'],
    [`${MAC} dev v0 __proto__ 1`, 'unknown word "__proto__"'],
    [`${MAC} dev v0 master`, '"master" is not supported: because'],
    ["02:00:00:00:00 dev v0", '"02:00:00:00:00" is not a MAC address such as 02:00:00:00:00:0b'],
    [
      `${MAC} dev ${"x".repeat(16)}`,
      `dev: "${"x".repeat(16)}" is not a device name of at most 15 characters`,
    ],
    [`${MAC} dev a/b`, 'dev: "a/b" is not a device name of at most 15 characters'],
    [`${MAC} dev v0 dst 10.0.0.256`, 'dst: "10.0.0.256" is not an IPv4 or IPv6 address'],
    [`${MAC} dev v0 dst fe80::1%eth0`, 'dst: "fe80::1%eth0" is not an IPv4 or IPv6 address'],
    [`${MAC} dev v0 vni 16777216`, 'vni: "16777216" is not a VNI, 0 to 16777215'],
    [`${MAC} dev v0 vni 0x10`, 'vni: "0x10" is not a VNI, 0 to 16777215'],
    [`${MAC} dev v0 vni -1`, 'vni: "-1" is not a VNI, 0 to 16777215'],
    [`${MAC} dev v0 port 0`, 'port: "0" is not a UDP port, 1 to 65535'],
    [`${MAC} dev v0 port 65536`, 'port: "65536" is not a UDP port, 1 to 65535'],
    [`${MAC} dev v0 nud stale`, 'nud: "stale" is not "permanent", "noarp" or "all"'],
  ])("%s", (line, message) => {
    expect(() => parseWordsOf(line)).toThrow(
      expect.objectContaining({
        code: "CULVERT_USAGE",
        exit: 2,
        message,
        hint: "usage: test MAC dev NAME",
      }),
    );
  });
});
