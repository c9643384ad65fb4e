// Text of config and control socket as the words and masks that the data path compares.

import { describe, expect, it } from "vitest";
import { allowedSources, ipOf, macOf, prefixOf } from "../../../src/daemon/addresses.js";
import { SourcePolicy, type SourcePrefix } from "../../../src/forwarding/source-policy.js";
import { RemoteTable } from "../../../src/remotes/remote-table.js";

const unsigned = (words: readonly number[]) => words.map((word) => (word >>> 0).toString(16));

/** Would a stranger at this address be let in? */
function admits(allow: string[], address: string): boolean {
  const remotes = RemoteTable.create({ maxTunnels: 1, maxRemotes: 4 });
  const { w0, w1, w2, w3 } = ipOf(address);
  const policy = new SourcePolicy(0, allowedSources(allow), remotes);
  return policy.admit(Int32Array.of(7, w0, w1, w2, w3), 1, 10) >= 0;
}

describe("allowedSources", () => {
  it("passes the words on", () => {
    expect([allowedSources("known"), allowedSources("any")]).toEqual(["known", "any"]);
    expect(allowedSources([])).toEqual([]);
  });

  it.each([
    ["10.0.0.0/8", ["0", "0", "ffff", "a000000"], ["ffffffff", "ffffffff", "ffffffff", "ff000000"]],
    ["10.1.2.3/32", ["0", "0", "ffff", "a010203"], Array(4).fill("ffffffff")],
    ["0.0.0.0/0", ["0", "0", "ffff", "0"], ["ffffffff", "ffffffff", "ffffffff", "0"]],
    ["fd00::/8", ["fd000000", "0", "0", "0"], ["ff000000", "0", "0", "0"]],
    ["2001:db8::/33", ["20010db8", "0", "0", "0"], ["ffffffff", "80000000", "0", "0"]],
    ["fd00::1/128", ["fd000000", "0", "0", "1"], Array(4).fill("ffffffff")],
  ])("makes words and masks of %s", (text, words, masks) => {
    const [prefix] = allowedSources([text]) as readonly SourcePrefix[];
    expect([unsigned(prefix.words), unsigned(prefix.masks)]).toEqual([words, masks]);
  });

  it.each([
    [["10.0.0.0/8"], "10.255.255.255", true],
    [["10.0.0.0/8"], "11.0.0.0", false],
    [["10.1.2.3/31"], "10.1.2.2", true],
    [["10.1.2.3/31"], "10.1.2.4", false],
    [["0.0.0.0/0"], "255.255.255.255", true],
    [["0.0.0.0/0"], "fd00::1", false],
    [["fd00::/8", "192.0.2.0/24"], "192.0.2.9", true],
    [["2001:db8:8000::/33"], "2001:db8:ffff::1", true],
    [["2001:db8:8000::/33"], "2001:db8:7fff::1", false],
    [["fd00::1/128"], "fd00::2", false],
  ])("%o admits %s: %s", (allow, address, admitted) => {
    expect(admits(allow, address)).toBe(admitted);
  });
});

describe("text that has been validated", () => {
  it("becomes words", () => {
    expect(ipOf("10.57.4.20")).toEqual({ w0: 0, w1: 0, w2: 0xffff, w3: 0x0a390414 });
    expect(macOf("02:00:00:00:00:0b")).toEqual({ hi: 0x200, lo: 0xb });
    expect(prefixOf("203.0.113.0/24")).toEqual({ ip: ipOf("203.0.113.0"), family: 4, length: 24 });
    expect(prefixOf("fd00::/8")).toEqual({ ip: ipOf("fd00::"), family: 6, length: 8 });
  });

  it("asserts where it is none", () => {
    expect(() => ipOf("10.57.4")).toThrow("not an address: 10.57.4");
    expect(() => macOf("02:00")).toThrow("not a MAC address");
    expect(() => prefixOf("10.0.0.0/33")).toThrow("not a prefix: 10.0.0.0/33");
    expect(() => allowedSources(["10.0.0.1"])).toThrow("not a prefix");
  });
});
