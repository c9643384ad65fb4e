// IP addresses as four words: text of both families, prefixes, classes.

import { isIPv4, isIPv6 } from "node:net";
import { describe, expect, it } from "vitest";
import {
  formatIp,
  formatPrefix,
  type IpAddress,
  ipEquals,
  ipFromV4,
  isIpv4,
  isLoopbackIp,
  isMulticastIp,
  isUnspecifiedIp,
  maskIp,
  parseIp,
  parsePrefix,
  prefixHasHostBits,
} from "../../../src/wire/ip-address.js";

const ip = (text: string): IpAddress => {
  const parsed = parseIp(text);
  if (parsed === undefined) throw new Error(`${text} is not an address`);
  return parsed;
};
const text = ({ w0, w1, w2, w3 }: IpAddress) => formatIp(w0, w1, w2, w3);

describe("parseIp", () => {
  it("maps IPv4", () => {
    expect(ip("192.168.10.1")).toEqual({ w0: 0, w1: 0, w2: 0xffff, w3: 0xc0a80a01 });
    expect(ip("255.255.255.255").w3).toBe(0xffffffff);
    expect(ipFromV4(0xc0a80a01)).toEqual(ip("192.168.10.1"));
  });

  it("reads IPv6 with and without ::", () => {
    expect(ip("2001:db8:0:1:fedc:ba98:7654:3210")).toEqual({
      w0: 0x20010db8,
      w1: 1,
      w2: 0xfedcba98,
      w3: 0x76543210,
    });
    expect(ip("::")).toEqual({ w0: 0, w1: 0, w2: 0, w3: 0 });
    expect(ip("1::")).toEqual({ w0: 0x10000, w1: 0, w2: 0, w3: 0 });
    expect(ip("::1")).toEqual({ w0: 0, w1: 0, w2: 0, w3: 1 });
    expect(ip("1:2:3:4:5:6:7::")).toEqual({ w0: 0x10002, w1: 0x30004, w2: 0x50006, w3: 0x70000 });
  });

  it("reads an embedded dotted quad", () => {
    expect(ip("64:ff9b::192.0.2.33")).toEqual({ w0: 0x64ff9b, w1: 0, w2: 0, w3: 0xc0000221 });
    expect(ip("1:2:3:4:5:6:1.2.3.4").w3).toBe(0x01020304);
    expect(ip("::ffff:10.0.0.1")).toEqual(ip("10.0.0.1"));
  });

  it.each([
    "",
    "10.0.0",
    "10.0.0.0.1",
    "10.0.0.256",
    "010.0.0.1",
    "10.0.0.01",
    "10.0.0.",
    "0x0a.0.0.1",
    " 10.0.0.1",
    "10.0.0.1\n",
    "167772161",
    ":",
    ":::",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8::",
    "1::2::3",
    "12345::",
    "g::",
    ":1::",
    "1:",
    "fe80::1%eth0",
    "::1.2.3",
    "::01.2.3.4",
    "1.2.3.4::",
    "1:2:3:4:5:6:7:1.2.3.4",
    "::1.2.3.4:5",
    "::/0",
  ])("refuses %j", (wrong) => {
    expect(isIPv4(wrong) || (isIPv6(wrong) && !wrong.includes("%"))).toBe(false);
    expect(parseIp(wrong)).toBeUndefined();
  });
});

describe("formatIp", () => {
  // [RFC 5952 § 4]: leading zeros, longest run, first of equal runs, a single group, lower case.
  it.each([
    ["2001:0db8::0001", "2001:db8::1"],
    ["2001:db8:0:0:0:0:2:1", "2001:db8::2:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:DB8::ABCD", "2001:db8::abcd"],
    ["0:0:0:0:0:0:0:0", "::"],
    ["1:0:0:0:0:0:0:0", "1::"],
    ["::ffff:a00:1", "10.0.0.1"],
    ["255.0.255.0", "255.0.255.0"],
  ])("prints %s as %s", (written, canonical) => {
    expect(text(ip(written))).toBe(canonical);
  });
});

describe("prefixes", () => {
  it("count in the family's own bits", () => {
    expect(parsePrefix("192.168.11.0/24")).toEqual({
      ip: ip("192.168.11.0"),
      length: 24,
      family: 4,
    });
    expect(parsePrefix("fd00::/8")).toEqual({ ip: ip("fd00::"), length: 8, family: 6 });
    expect(parsePrefix("::ffff:10.0.0.0/104")).toEqual(parsePrefix("10.0.0.0/8"));
    expect(parsePrefix("::/0")?.family).toBe(6);
    expect(parsePrefix("0.0.0.0/0")?.length).toBe(0);
  });

  it.each([
    "10.0.0.0",
    "10.0.0.0/",
    "10.0.0.0/33",
    "10.0.0.0/08",
    "10.0.0.0/-1",
    "10.0.0.0/8/8",
    "/8",
    "::/129",
    "::ffff:10.0.0.0/95",
    "10.0.0.0/ 8",
  ])("refuse %j", (wrong) => {
    expect(parsePrefix(wrong)).toBeUndefined();
  });

  it.each(["192.168.11.1/24", "0.0.0.0/0", "fd00::1/64", "::/0"])(
    "print %s as parsed",
    (prefix) => {
      expect(formatPrefix(parsePrefix(prefix)!)).toBe(prefix);
    },
  );

  it.each([
    ["192.168.11.129", 25, "192.168.11.128"],
    ["255.255.255.255", 1, "128.0.0.0"],
    ["255.255.255.255", 0, "0.0.0.0"],
    ["255.255.255.255", 32, "255.255.255.255"],
    ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65, "ffff:ffff:ffff:ffff:8000::"],
    ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 32, "ffff:ffff::"],
    ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 127, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"],
    ["ffff::1", 0, "::"],
    ["ffff::1", 128, "ffff::1"],
  ])("mask %s/%i to %s", (address, length, network) => {
    expect(text(maskIp(ip(address), length))).toBe(network);
  });

  it("tell host bits", () => {
    expect(prefixHasHostBits(parsePrefix("192.168.11.1/24")!)).toBe(true);
    expect(prefixHasHostBits(parsePrefix("192.168.11.0/24")!)).toBe(false);
    expect(prefixHasHostBits(parsePrefix("192.168.11.1/32")!)).toBe(false);
    expect(prefixHasHostBits(parsePrefix("fd00::1/64")!)).toBe(true);
    expect(prefixHasHostBits(parsePrefix("fd00::/64")!)).toBe(false);
  });
});

describe("classes of addresses", () => {
  const all = ["0.0.0.0", "::", "127.0.0.1", "::1", "224.0.0.1", "239.255.255.255", "ff02::1"];
  const others = ["10.0.0.1", "240.0.0.1", "223.255.255.255", "fe80::1", "::2", "1::", "::7f00:1"];
  const which = (is: (address: IpAddress) => boolean) =>
    [...all, ...others].filter((address) => is(ip(address)));

  it("are told apart", () => {
    expect(which(isUnspecifiedIp)).toEqual(["0.0.0.0", "::"]);
    expect(which(isLoopbackIp)).toEqual(["127.0.0.1", "::1"]);
    expect(which(isMulticastIp)).toEqual(["224.0.0.1", "239.255.255.255", "ff02::1"]);
    expect(which(isIpv4)).toEqual([...all, ...others].filter((a) => !a.includes(":")));
  });

  it("compare all four words", () => {
    expect(ipEquals(ip("fd00::1"), ip("fd00:0::1"))).toBe(true);
    for (const other of ["fd01::1", "fd00:0:1::1", "fd00::1:0:1", "fd00::2"]) {
      expect(ipEquals(ip("fd00::1"), ip(other))).toBe(false);
    }
  });
});
