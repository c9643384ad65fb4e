// The outer header of IPIP packets, byte by byte for every mode, and what its fields are made from:
// TOS, TTL, DF by option and inner packet.

import { describe, expect, it } from "vitest";
import { MemoryNetwork } from "../../../src/underlay/memory-underlay.js";
import { parseIpv4 } from "../../../src/wire/ipv4.js";
import { ipv6FlowLabel, parseIpv6 } from "../../../src/wire/ipv6.js";
import { ipv4Udp, ipv6Udp } from "./frames.js";
import { HOST_A, HOST_B, type IpipOptions, MemoryHost } from "./memory-host.js";

const OVER4: IpipOptions = { carries6: true, remote: HOST_B };
const OVER6: IpipOptions = {
  ...{ family: 6, carries6: true, local: "fd57::20", remote: "fd57::21" },
};

/** What leaves for these packets. */
function sentFor(options: IpipOptions, ...packets: readonly Uint8Array[]): Uint8Array[] {
  const network = new MemoryNetwork();
  const host = new MemoryHost(network, HOST_A);
  host.send(host.ipip(options).device, ...packets);
  return network.sent.map(({ bytes }) => bytes);
}

const outer4 = (options: IpipOptions, packet: Uint8Array) => {
  const [bytes] = sentFor({ ...OVER4, ...options }, packet);
  return parseIpv4(bytes, 0, bytes.length);
};
const outer6 = (options: IpipOptions, packet: Uint8Array) => {
  const [bytes] = sentFor({ ...OVER6, ...options }, packet);
  return parseIpv6(bytes, 0, bytes.length);
};

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const ADDRESSES6 = "fd570000000000000000000000000020fd570000000000000000000000000021";

describe("the outer header, byte by byte", () => {
  it.each([
    // version and IHL, TOS, length, id, DF, TTL, protocol, checksum, addresses
    ["ipip", ipv4Udp(), "4500004e000040004004".concat("1e12", "0a3904140a390415")],
    ["sit", ipv6Udp(), "45000062000040004029".concat("1dd9", "0a3904140a390415")],
  ])("%s", (_, packet, expected) => {
    const [bytes] = sentFor(OVER4, packet);
    expect(hex(bytes.slice(0, 20))).toBe(expected);
    expect(bytes.slice(20)).toEqual(packet);
  });

  it.each([
    ["ipip6", ipv4Udp(), "003a0440"],
    ["ip6ip6", ipv6Udp(), "004e2940"],
  ])("%s", (_, packet, lengthNextHopLimit) => {
    const [bytes] = sentFor(OVER6, packet);
    const label = ipv6FlowLabel(bytes, 0);
    expect(label).not.toBe(0);
    const first = `600${label.toString(16).padStart(5, "0")}`;
    expect(hex(bytes.slice(0, 40))).toBe(first + lengthNextHopLimit + ADDRESSES6);
    expect(bytes.slice(40)).toEqual(packet);
  });

  it("has a source of zero where the kernel shall fill it in", () => {
    expect(outer4({ local: "0.0.0.0" }, ipv4Udp())?.source).toBe(0);
  });
});

describe("TTL and hop limit", () => {
  it.each([
    [outer4, "ttl"],
    [outer6, "hopLimit"],
  ] as const)("%# is what the option says, or the inner one", (outer, field) => {
    const of = (options: IpipOptions, packet: Uint8Array) =>
      (outer(options, packet) as unknown as Record<string, number>)[field];
    expect(of({ ttl: 7 }, ipv4Udp({ ttl: 1 }))).toBe(7);
    expect(of({ ttl: 0 }, ipv4Udp({ ttl: 1 }))).toBe(1);
    expect(of({ ttl: 0 }, ipv6Udp({ ttl: 255 }))).toBe(255);
  });
});

describe("TOS and traffic class", () => {
  const INNER = [0, 1, 2, 3, 0xb8, 0xbb];
  it.each([
    ["0: ECN alone", 0, [0, 1, 2, 3, 0, 3]],
    ["a value, with the inner ECN", 0x48, [0x48, 0x49, 0x4a, 0x4b, 0x48, 0x4b]],
    ["inherit: all of it", -1, INNER],
  ])("%s", (_, tos, expected) => {
    for (const packet of [ipv4Udp, ipv6Udp]) {
      const over4 = INNER.map((inner) => outer4({ tos }, packet({ tos: inner }))?.tos);
      const over6 = INNER.map((inner) => outer6({ tos }, packet({ tos: inner }))?.trafficClass);
      expect([over4, over6]).toEqual([expected, expected]);
    }
  });
});

describe("DF", () => {
  it.each([
    // pmtudisc, inner IPv4 with DF, without, inner IPv6
    [true, true, true, true],
    [false, true, false, false],
  ])("with pmtudisc %s", (pmtudisc, withDf, without, ipv6) => {
    const packets = [ipv4Udp({ dontFragment: true }), ipv4Udp(), ipv6Udp()];
    const flags = packets.map((packet) => outer4({ pmtudisc }, packet)?.dontFragment);
    expect(flags).toEqual([withDf, without, ipv6]);
  });
});

describe("the flow label", () => {
  it("is the same for a flow, whatever its packets, and differs between flows", () => {
    const flows = [1, 2, 3, 4].flatMap((sourcePort) => [
      ipv4Udp({ sourcePort }),
      ipv4Udp({ sourcePort, payload_bytes: 99 }),
    ]);
    const labels = sentFor(OVER6, ...flows).map((bytes) => ipv6FlowLabel(bytes, 0));
    expect(labels.filter((_, i) => i % 2 === 0)).toEqual(labels.filter((_, i) => i % 2 === 1));
    expect(new Set(labels).size).toBe(4);
  });
});
