// Ethernet headers: tshark's fields, emission, truncation.

import { describe, expect, it } from "vitest";
import {
  checkEthernet,
  ETHERTYPE_MIN,
  emitEthernet,
  etherType,
  parseEthernet,
} from "../../../src/wire/ethernet.js";
import { formatMac, parseMac } from "../../../src/wire/mac.js";
import { wireVector, wireVectorNames } from "../../vectors/wire-vectors.js";
import { emitted, expectTruncationRefused } from "./support.js";

describe("ethernet", () => {
  it.each(wireVectorNames)("reads and writes the header of %s as tshark does", (name) => {
    const { bytes, field } = wireVector(name);
    const repr = parseEthernet(bytes, 0, bytes.length)!;
    expect(formatMac(repr.destination.hi, repr.destination.lo)).toBe(field("eth.dst"));
    expect(formatMac(repr.source.hi, repr.source.lo)).toBe(field("eth.src"));
    expect(repr.destination).toEqual(parseMac(field("eth.dst")));
    const type = repr.etherType < ETHERTYPE_MIN ? field("eth.len") : field("eth.type");
    expect(repr.etherType).toBe(Number(type));
    expect(emitted((out, at) => emitEthernet(repr, out, at))).toEqual(bytes.slice(0, 14));
  });

  it("reads the type of a tagged frame as the tag's", () => {
    expect(etherType(wireVector("qinq-ipv6-udp").bytes, 0)).toBe(0x88a8);
  });

  it("refuses fewer than 14 bytes", () => {
    expectTruncationRefused(checkEthernet, wireVector("arp-reply").bytes, 0, 14);
    expect(parseEthernet(wireVector("arp-reply").bytes, 0, 13)).toBeUndefined();
  });
});
