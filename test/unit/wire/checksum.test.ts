// The Internet checksum against published values, tshark's verdicts and a recomputation.

import { describe, expect, it } from "vitest";
import {
  finish,
  pseudoHeaderSumV4,
  pseudoHeaderSumV6,
  sum,
  transportSum,
  updateChecksum16,
} from "../../../src/wire/checksum.js";
import { wireVector } from "../../vectors/wire-vectors.js";
import { guarded } from "./support.js";

/** RFC 1071 with BigInt: no overflow to think about. */
function reference(bytes: Uint8Array, at: number, length: number): number {
  let total = 0n;
  for (let i = 0; i < length; i++) total += BigInt(bytes[at + i]) << (i % 2 === 0 ? 8n : 0n);
  while (total > 0xffffn) total = (total & 0xffffn) + (total >> 16n);
  return Number(total);
}

describe("sum", () => {
  it("gives the value of RFC 1071 § 3", () => {
    const bytes = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7);
    expect(sum(bytes, 0, 8, 0)).toBe(0xddf2);
    expect(finish(0xddf2)).toBe(0x220d);
  });

  it("pads an odd last byte and reads no further", () => {
    expect(sum(guarded(Uint8Array.of(9, 0x12, 0x34, 0x56, 9), 1, 4), 1, 3, 0)).toBe(
      0x1234 + 0x5600,
    );
    expect(sum(new Uint8Array(0), 0, 0, 7)).toBe(7);
  });

  it.each([1, 2, 32767, 32768, 65534, 65535])("does not overflow with %i bytes of 0xff", (n) => {
    const bytes = new Uint8Array(n).fill(0xff);
    expect(sum(bytes, 0, n, 0)).toBe(reference(bytes, 0, n));
    expect(sum(bytes, 0, n, 0xffffffff)).toBe(sum(bytes, 0, n, 0xffff));
  });

  it("can be chained over even ranges", () => {
    const bytes = Uint8Array.from({ length: 301 }, (_, i) => (i * 89) & 0xff);
    expect(sum(bytes, 100, 201, sum(bytes, 0, 100, 0))).toBe(sum(bytes, 0, 301, 0));
  });
});

describe("pseudo headers", () => {
  it("make UDP checksums that tshark calls good", () => {
    const v4 = wireVector("ipv4-udp");
    expect(v4.field("udp.checksum.status")).toBe("1");
    expect(finish(sum(v4.bytes, 34, 31, pseudoHeaderSumV4(v4.bytes, 14, 17, 31)))).toBe(0);
    const v6 = wireVector("ipv6-udp");
    expect(v6.field("udp.checksum.status")).toBe("1");
    expect(finish(sum(v6.bytes, 54, 31, pseudoHeaderSumV6(v6.bytes, 14, 17, 31)))).toBe(0);
  });

  it("are chosen by the version", () => {
    for (const [name, l4At] of [
      ["ipv4-tcp-syn", 34],
      ["ipv6-tcp-syn", 54],
    ] as const) {
      const { bytes } = wireVector(name);
      expect(finish(transportSum(bytes, 14, l4At, bytes.length, 6))).toBe(0);
      expect(finish(transportSum(bytes, 14, l4At, bytes.length, 17))).not.toBe(0);
    }
  });
});

describe("updateChecksum16", () => {
  it("gives the value of RFC 1624 § 4, where eqn. 2 would give 0xffff", () => {
    expect(updateChecksum16(0xdd2f, 0x5555, 0x3285)).toBe(0x0000);
  });

  it("agrees with a recomputation for every TTL and TOS change", () => {
    const { bytes } = wireVector("ipv4-udp");
    for (let value = 0; value < 0x10000; value += 251) {
      const changed = bytes.slice();
      const checksum = (bytes[24] << 8) | bytes[25];
      const old = (bytes[22] << 8) | bytes[23];
      changed.set([value >> 8, value & 0xff], 22);
      changed.set([0, 0], 24);
      const updated = updateChecksum16(checksum, old, value);
      expect(updated).toBe(finish(sum(changed, 14, 20, 0)));
    }
  });
});
