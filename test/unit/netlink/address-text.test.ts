// Addresses, prefixes and MACs as text and as bytes: what is taken, what is refused.

import { describe, expect, it } from "vitest";
import {
  broadcastOf,
  canonicalIp,
  formatIp,
  formatMac,
  parseIp,
  parseMac,
  parsePrefix,
} from "../../../src/netlink/address-text.js";
import { bytesOf } from "./scripted-transport.js";

const bad = (run: () => unknown): void => {
  expect(run).toThrow(expect.objectContaining({ code: "CULVERT_BAD_ADDRESS" }));
};

describe("IP addresses", () => {
  it("parses and prints both families", () => {
    expect(parseIp("10.57.4.20")).toEqual({ family: 4, bytes: bytesOf("0a390414") });
    expect(parseIp("fd57::20").bytes).toEqual(bytesOf("fd57", "00".repeat(13), "20"));
    expect(formatIp(bytesOf("0a390414"))).toBe("10.57.4.20");
    expect(canonicalIp("FD57:0:0::0020")).toBe("fd57::20");
    expect(canonicalIp("2001:db8:0:1:0:0:0:1")).toBe("2001:db8:0:1::1");
  });

  it("refuses everything else", () => {
    for (const text of [
      "",
      "10.1",
      "010.0.0.1",
      "10.0.0.256",
      "0x0a000001",
      "fe80::1%va",
      "::g",
      "1",
    ]) {
      bad(() => parseIp(text));
    }
    expect(() => formatIp(new Uint8Array(5))).toThrow(/IP address of 5 bytes/);
  });
});

describe("prefixes", () => {
  it("parses with and without a length", () => {
    expect(parsePrefix("192.168.10.1/24")).toMatchObject({ family: 4, prefixLength: 24 });
    expect(parsePrefix("192.168.10.1")).toMatchObject({ family: 4, prefixLength: 32 });
    expect(parsePrefix("::/0")).toMatchObject({ family: 6, prefixLength: 0 });
    expect(parsePrefix("fd00::1")).toMatchObject({ family: 6, prefixLength: 128 });
  });

  it("refuses lengths that cannot be", () => {
    for (const text of [
      "10.0.0.1/33",
      "10.0.0.1/",
      "10.0.0.1/-1",
      "10.0.0.1/8/8",
      "::/129",
      "::/1e1",
    ]) {
      bad(() => parsePrefix(text));
    }
  });

  it("knows the broadcast address", () => {
    const broadcast = (text: string): string => formatIp(broadcastOf(parsePrefix(text)));
    expect(broadcast("192.168.10.1/24")).toBe("192.168.10.255");
    expect(broadcast("10.1.2.3/12")).toBe("10.15.255.255");
    expect(broadcast("10.1.2.3/30")).toBe("10.1.2.3");
    expect(broadcast("10.1.2.1/30")).toBe("10.1.2.3");
  });
});

describe("MACs", () => {
  it("parses, prints and refuses", () => {
    expect(parseMac("02:00:00:00:0A:0b")).toEqual(bytesOf("020000000a0b"));
    expect(formatMac(bytesOf("020000000a0b"))).toBe("02:00:00:00:0a:0b");
    for (const text of [
      "",
      "02:00:00:00:00",
      "02-00-00-00-00-0b",
      "02:00:00:00:00:0b:0c",
      "2:0:0:0:0:b",
    ]) {
      bad(() => parseMac(text));
    }
  });
});
