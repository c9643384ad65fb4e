// VLAN tags: tshark's fields, skipping of up to two tags, emission, truncation.

import { describe, expect, it } from "vitest";
import {
  checkVlan,
  contentTypeOffset,
  emitVlan,
  isVlanEtherType,
  parseVlan,
} from "../../../src/wire/vlan.js";
import { wireVector } from "../../vectors/wire-vectors.js";
import { emitted, expectTruncationRefused, guarded, patched } from "./support.js";

describe("vlan", () => {
  it("reads and writes a tag as tshark does", () => {
    const { bytes, number } = wireVector("vlan-ipv4-udp");
    const repr = parseVlan(bytes, 14, bytes.length)!;
    expect(repr).toEqual({
      id: number("vlan.id"),
      priority: number("vlan.priority"),
      dropEligible: number("vlan.dei") === 1,
      etherType: number("vlan.etype"),
    });
    expect(repr).toEqual({ id: 100, priority: 5, dropEligible: true, etherType: 0x0800 });
    expect(emitted((out, at) => emitVlan(repr, out, at))).toEqual(bytes.slice(14, 18));
  });

  it("reads stacked tags one by one", () => {
    const { bytes, number } = wireVector("qinq-ipv6-udp");
    const outer = parseVlan(bytes, 14, bytes.length)!;
    expect(outer).toEqual({
      id: number("ieee8021ad.id"),
      priority: 3,
      dropEligible: false,
      etherType: 0x8100,
    });
    expect(parseVlan(bytes, 18, bytes.length)?.id).toBe(number("vlan.id"));
  });

  it("knows 802.1Q and 802.1ad only", () => {
    expect([0x8100, 0x88a8, 0x9100, 0x0800].map(isVlanEtherType)).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  it("refuses the reserved identifier", () => {
    const { bytes } = wireVector("vlan-ipv4-udp");
    expect(parseVlan(patched(bytes, 14, 0x0f, 0xff), 14, bytes.length)).toBeUndefined();
    expect(parseVlan(patched(bytes, 14, 0x0f, 0xfe), 14, bytes.length)?.id).toBe(0xffe);
  });

  it.each([
    ["ipv4-udp", 12, 14],
    ["vlan-ipv4-udp", 16, 18],
    ["qinq-ipv6-udp", 20, 22],
    ["vlan-three-tags", 20, 22],
  ])("finds the type behind the tags of %s", (name, offset, needed_bytes) => {
    const { bytes } = wireVector(name);
    for (let end = 14; end <= bytes.length; end++) {
      const found = contentTypeOffset(guarded(bytes, 0, end), 0, end);
      expect(found).toBe(end < needed_bytes ? -1 : offset);
    }
  });

  it("refuses fewer than 4 bytes", () => {
    expectTruncationRefused(checkVlan, wireVector("vlan-ipv4-udp").bytes, 14, 4);
    expect(parseVlan(wireVector("vlan-ipv4-udp").bytes, 14, 17)).toBeUndefined();
  });
});
