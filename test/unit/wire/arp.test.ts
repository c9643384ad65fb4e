// ARP: tshark's fields, accessors, emission, truncation, other hardware and protocols.

import { describe, expect, it } from "vitest";
import {
  ARP_REPLY,
  ARP_REQUEST,
  arpOperation,
  arpSenderIp,
  arpTargetIp,
  checkArp,
  emitArp,
  parseArp,
} from "../../../src/wire/arp.js";
import { parseIp } from "../../../src/wire/ip-address.js";
import { parseMac } from "../../../src/wire/mac.js";
import { wireVector } from "../../vectors/wire-vectors.js";
import { emitted, expectTruncationRefused, guarded, patched } from "./support.js";

describe("arp", () => {
  it.each(["arp-request", "arp-reply"])("reads and writes %s as tshark does", (name) => {
    const { bytes, field, number } = wireVector(name);
    const repr = parseArp(bytes, 14, bytes.length)!;
    expect(repr).toEqual({
      operation: number("arp.opcode"),
      senderMac: parseMac(field("arp.src.hw_mac")),
      senderIp: parseIp(field("arp.src.proto_ipv4"))?.w3,
      targetMac: parseMac(field("arp.dst.hw_mac")),
      targetIp: parseIp(field("arp.dst.proto_ipv4"))?.w3,
    });
    expect(emitted((out, at) => emitArp(repr, out, at))).toEqual(bytes.slice(14, 42));
  });

  it("gives the data path what it decides by", () => {
    const bytes = guarded(wireVector("arp-request").bytes, 14, 42);
    expect(arpOperation(bytes, 14)).toBe(ARP_REQUEST);
    expect(arpSenderIp(bytes, 14)).toBe(0xc0a80a01);
    expect(arpTargetIp(bytes, 14)).toBe(0xc0a80b01);
  });

  it("refuses fewer than 28 bytes", () => {
    expectTruncationRefused(checkArp, wireVector("arp-request").bytes, 14, 28);
  });

  it.each([
    ["hardware type", 0],
    ["protocol type", 2],
    ["hardware length", 4],
    ["protocol length", 5],
  ])("refuses another %s", (_, offset) => {
    const { bytes } = wireVector("arp-reply");
    expect(checkArp(patched(bytes, 14 + offset, 0x7f), 14, bytes.length)).toBe(false);
  });

  it("checks but does not parse operations other than request and reply", () => {
    const { bytes } = wireVector("arp-reply");
    const inverse = patched(bytes, 20, 0, 8);
    expect(arpOperation(bytes, 14)).toBe(ARP_REPLY);
    expect(checkArp(inverse, 14, bytes.length)).toBe(true);
    expect(parseArp(inverse, 14, bytes.length)).toBeUndefined();
  });
});
