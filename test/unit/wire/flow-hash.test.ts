// The flow hash: same flow same hash, other flow other hash, fragments, even spreading, no read
// past the end.

import { describe, expect, it } from "vitest";
import { flowHash } from "../../../src/wire/flow-hash.js";
import { LOCATE_COLUMNS, locateFrame, locatePacket } from "../../../src/wire/locate.js";
import { wireVector, wireVectorNames } from "../../vectors/wire-vectors.js";
import { guarded, patched } from "./support.js";

const located = new Int32Array(LOCATE_COLUMNS);

/** Undefined: malformed, so that nobody asks for its hash. */
function hashUpTo(bytes: Uint8Array, end: number, at = 0): number | undefined {
  const view = guarded(bytes, at, end);
  const locate = at === 0 ? locateFrame : locatePacket;
  return locate(view, at, end, located) === 0 ? flowHash(view, at, located) : undefined;
}

function hashOf(bytes: Uint8Array): number {
  const hash = hashUpTo(bytes, bytes.length);
  if (hash === undefined) throw new Error("the frame is malformed");
  return hash;
}

describe("flow hash", () => {
  it.each([
    ["ipv4-udp", 14],
    ["ipv6-tcp-syn", 14],
    ["ipv6-fragment-later", 14],
    ["vlan-ipv4-udp", 18],
    ["qinq-ipv6-udp", 22],
  ])("of the packet in %s is that of the frame, 31 bits", (name, l3) => {
    const { bytes } = wireVector(name);
    const hash = hashUpTo(bytes, bytes.length, l3)!;
    expect(hash).toBe(hashOf(bytes));
    expect(hash).toBe(hash & 0x7fffffff);
  });

  it("skips VLAN tags, options and extension headers", () => {
    const v4 = hashOf(wireVector("ipv4-udp").bytes);
    expect(hashOf(wireVector("vlan-ipv4-udp").bytes)).toBe(v4);
    expect(hashOf(wireVector("ipv4-options-udp").bytes)).toBe(v4);
    const v6 = hashOf(wireVector("ipv6-udp").bytes);
    expect(hashOf(wireVector("qinq-ipv6-udp").bytes)).toBe(v6);
    expect(hashOf(wireVector("ipv6-extensions-udp").bytes)).toBe(v6);
  });

  it.each([
    ["ipv4-udp", [26, 29, 30, 33, 34, 35, 36, 37], [0, 6, 15, 18, 22, 42, 64]],
    ["ipv6-udp", [22, 30, 37, 38, 53, 54, 57], [0, 6, 15, 21, 62, 84]],
    ["ipv4-sctp", [26, 33, 34, 37], [0, 6, 15, 22, 46]],
    ["ipv4-echo-request", [26, 33], [0, 6, 15, 34, 38, 40, 64]],
    ["ipv4-fragment-first", [26, 33], [18, 34, 36, 40]],
    ["ipv6-fragment-first", [22, 53], [58, 62, 64]],
    ["arp-request", [0, 5, 6, 11, 13], [14, 38, 59]],
    ["vlan-three-tags", [0, 5, 6, 11], [14, 15, 24, 60]],
  ])("of %s depends on its flow and nothing else", (name, flowBytes, otherBytes) => {
    const { bytes } = wireVector(name);
    const hash = hashOf(bytes);
    for (const at of flowBytes)
      expect(hashOf(patched(bytes, at, bytes[at] ^ 1)), `${at}`).not.toBe(hash);
    for (const at of otherBytes)
      expect(hashOf(patched(bytes, at, bytes[at] ^ 1)), `${at}`).toBe(hash);
  });

  it("tells protocols with the same ports apart", () => {
    const { bytes } = wireVector("ipv4-udp");
    expect(hashOf(patched(bytes, 23, 132))).not.toBe(hashOf(bytes)); // SCTP
  });

  it("is one for all fragments of a datagram", () => {
    const v4 = wireVector("ipv4-fragment-first").bytes;
    expect(hashOf(wireVector("ipv4-fragment-later").bytes)).toBe(hashOf(v4));
    const v6 = wireVector("ipv6-fragment-first").bytes;
    expect(hashOf(wireVector("ipv6-fragment-later").bytes)).toBe(hashOf(v6));
  });

  it.each(wireVectorNames)("reads no byte past any truncation of %s", (name) => {
    const { bytes } = wireVector(name);
    for (let end = 0; end <= bytes.length; end++) {
      const hash = hashUpTo(bytes, end);
      expect(hash).toBe(hash === undefined ? undefined : hash >>> 0);
    }
  });

  /**
   * Chi-squared of 10,000 flows over 16 buckets; 15 degrees of freedom exceed 37.7 once in a
   * thousand.
   */
  function chiSquared(bucketOf: (flow: number) => number): number {
    const buckets = new Array<number>(16).fill(0);
    for (let flow = 0; flow < 10_000; flow++) buckets[bucketOf(flow)]++;
    return buckets.reduce((total, n) => total + (n - 625) ** 2 / 625, 0);
  }

  const ports = (flow: number) => patched(wireVector("ipv4-udp").bytes, 34, flow >> 8, flow & 0xff);
  const hosts = (flow: number) => patched(wireVector("ipv4-udp").bytes, 32, flow >> 8, flow & 0xff);
  const hosts6 = (flow: number) =>
    patched(wireVector("ipv6-udp").bytes, 52, flow >> 8, flow & 0xff);
  const stations = (flow: number) =>
    patched(wireVector("arp-reply").bytes, 10, flow >> 8, flow & 0xff);

  it.each([
    ["consecutive source ports", ports],
    ["consecutive IPv4 hosts", hosts],
    ["consecutive IPv6 hosts", hosts6],
    ["consecutive MACs", stations],
  ])("spreads %s evenly, by low bits, high bits and scaling", (_, frameOf) => {
    const hashes = Array.from({ length: 10_000 }, (_unused, flow) => {
      const bytes = frameOf(flow);
      return hashOf(bytes);
    });
    // Random values would give about one collision in 10,000 of 2^31.
    expect(new Set(hashes).size).toBeGreaterThan(9_995);
    expect(chiSquared((flow) => hashes[flow] & 15)).toBeLessThan(37.7);
    expect(chiSquared((flow) => hashes[flow] >>> 27)).toBeLessThan(37.7);
    expect(chiSquared((flow) => Math.floor(((hashes[flow] & 0xffff) * 16) / 65536))).toBeLessThan(
      37.7,
    );
  });
});
