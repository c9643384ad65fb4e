// MAC addresses: reading, classes, text.

import { describe, expect, it } from "vitest";
import {
  formatMac,
  isBroadcastMac,
  isMulticastMac,
  isValidSourceMac,
  isZeroMac,
  macHi,
  macLo,
  parseMac,
  writeMac,
} from "../../../src/wire/mac.js";
import { emitted } from "./support.js";

describe("mac", () => {
  it("reads hi and lo as unsigned numbers", () => {
    const bytes = Uint8Array.of(0, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54);
    expect(macHi(bytes, 1)).toBe(0xfedc);
    expect(macLo(bytes, 1)).toBe(0xba987654);
  });

  it("writes six bytes and no more", () => {
    const bytes = emitted((out, at) => {
      writeMac(out, at, 0xfedc, 0xba987654);
      return 6;
    });
    expect([...bytes]).toEqual([0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54]);
  });

  it("tells multicast, broadcast, zero and valid sources apart", () => {
    expect(isMulticastMac(0x0100)).toBe(true);
    expect(isMulticastMac(0x3333)).toBe(true);
    expect(isMulticastMac(0x0201)).toBe(false);
    expect(isBroadcastMac(0xffff, 0xffffffff)).toBe(true);
    expect(isBroadcastMac(0xffff, 0xfffffffe)).toBe(false);
    expect(isZeroMac(0, 0)).toBe(true);
    expect(isZeroMac(0, 1)).toBe(false);
    expect(isValidSourceMac(0x0200, 0x0b)).toBe(true);
    expect(isValidSourceMac(0, 0)).toBe(false);
    expect(isValidSourceMac(0xffff, 0xffffffff)).toBe(false);
  });

  it.each([
    ["02:00:00:00:00:0b", 0x0200, 0x0b],
    ["FE-DC-BA-98-76-54", 0xfedc, 0xba987654],
  ])("parses %s", (text, hi, lo) => {
    expect(parseMac(text)).toEqual({ hi, lo });
    expect(formatMac(hi, lo)).toBe(text.toLowerCase().replaceAll("-", ":"));
  });

  it.each([
    "",
    "02:00:00:00:00",
    "02:00:00:00:00:0b:00",
    "2:0:0:0:0:b",
    "02-00:00:00:00:0b",
    "0200.0000.000b",
    "02:00:00:00:00:0g",
    " 02:00:00:00:00:0b",
    "02:00:00:00:00:0b\n",
  ])("refuses %j", (text) => {
    expect(parseMac(text)).toBeUndefined();
  });
});
