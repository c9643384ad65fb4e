// What raw IPIP sockets put on the wire, in both families: a namespace's loopback device with the
// MTU of Ethernet, and tcpdump beside it. With the header given, and in fragments with the header
// that the kernel writes from it; segments of superpackets both ways.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  GSO_NONE,
  GSO_TCPV4,
  GSO_UDP_L4,
  RAW_FRAGMENTS_IPV4,
  RAW_FRAGMENTS_IPV6,
  RAW_HEADER_INCLUDED,
  RAW_SOCKETS,
} from "#native";
import { Cleanup } from "../../src/testbed/cleanup.js";
import { temporaryFolder } from "../../src/testbed/daemon.js";
import { Namespace } from "../../src/testbed/namespace.js";
import { IPV4_MAPPED } from "../../src/wire/ip-address.js";
import { type Ipv4Repr, parseIpv4, writeIpv4Header } from "../../src/wire/ipv4.js";
import { type Ipv6Repr, parseIpv6, writeIpv6Header } from "../../src/wire/ipv6.js";
import { type PacketSpec, patternBytes, segmentPackets, withPartialChecksum } from "./packets.js";
import { fixturePath, isRoot, needsRoot } from "./tap-pair.js";

const EMSGSIZE = -90;
const EINVAL = -22;
const MTU_BYTES = 1500;
const LOOPBACK4 = Int32Array.of(0, 0, IPV4_MAPPED, 0x7f000001);
const LOOPBACK6 = Int32Array.of(0, 0, 0, 1);
const IPV4 = 4;
const IPV6 = 41;
const FRAGMENT = 44;
const LABEL = 0x5a5a5;

const cleanup = new Cleanup();
let namespace: Namespace;
beforeAll(() => {
  if (!isRoot) return;
  namespace = Namespace.create(cleanup, "rawsend");
  namespace.ip("link", "set", "lo", "mtu", String(MTU_BYTES));
});
afterAll(() => cleanup.run());

interface Request {
  readonly bytes: Uint8Array;
  readonly header: Uint8Array;
  readonly socket: number;
  readonly gsoType?: number;
  readonly gsoSize?: number;
  readonly l3?: number;
  readonly l4?: number;
  readonly payload?: number;
}

interface Outcome {
  readonly results: number[];
  readonly bytes: number[];
  /** Outer packets as they were on the wire. */
  readonly wire: Uint8Array[];
  /** As `receiveBatch` gave them, those of protocol 4 first. */
  readonly received: { bytes: Uint8Array; tos: number }[];
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

function header4(protocol: number, tos: number, ttl: number): Uint8Array {
  const header = new Uint8Array(20);
  writeIpv4Header(header, 0, tos, 0, true, ttl, protocol, LOOPBACK4[3], LOOPBACK4[3]);
  return header;
}

function header6(next: number, tos: number, hopLimit: number, payload_bytes: number): Uint8Array {
  const header = new Uint8Array(40);
  const fixed = [tos, LABEL, payload_bytes, next, hopLimit] as const;
  writeIpv6Header(header, 0, ...fixed, LOOPBACK6, LOOPBACK6);
  return header;
}

/** IP packets in a pcap file of Ethernet frames (pcap-savefile(5), little-endian). */
function packetsOf(file: string): Uint8Array[] {
  const bytes = readFileSync(file);
  const packets: Uint8Array[] = [];
  for (let at = 24; at + 16 <= bytes.length; ) {
    const length = bytes.readUInt32LE(at + 8);
    if (at + 16 + length > bytes.length) break;
    packets.push(new Uint8Array(bytes.subarray(at + 16 + 14, at + 16 + length)));
    at += 16 + length;
  }
  return packets;
}

/** Sends the packets in the namespace and gives what was on the wire: `expected` packets. */
async function send(family: 4 | 6, requests: Request[], expected: number): Promise<Outcome> {
  const file = join(temporaryFolder(cleanup, "raw"), "packets.pcap");
  // Fragments of IPv6 bear the number of their extension header.
  const filter = "ip proto 4 or ip proto 41 or ip6 proto 4 or ip6 proto 41 or ip6 proto 44";
  const options = ["-i", "lo", "-n", "-U", "--immediate-mode", "-Z", "root", "-w", file];
  const tcpdump = namespace.spawn(["tcpdump", ...options, filter]);
  await expect.poll(() => tcpdump.stderr, { timeout: 20_000 }).toContain("listening on");
  const packets = requests.map(({ bytes, header, ...rest }) => ({
    ...{ gsoType: GSO_NONE, gsoSize: 0, l3: 0, l4: 0, payload: 0, ...rest },
    ...{ bytes: base64(bytes), header: base64(header) },
  }));
  const argv = ["netns", "exec", namespace.name, process.execPath, fixturePath("raw-loop.mjs")];
  const input = JSON.stringify({ family, packets });
  const output = execFileSync("ip", argv, { input, encoding: "utf8", timeout: 20_000 });
  await expect.poll(() => packetsOf(file).length, { timeout: 20_000 }).toBe(expected);
  await tcpdump.stop();
  const {
    results,
    bytes,
    packets: runs,
  } = JSON.parse(output) as Omit<Outcome, "received"> & {
    packets: { bytes: string; tos: number }[];
  };
  const received = runs.map((run) => ({
    bytes: new Uint8Array(Buffer.from(run.bytes, "base64")),
    tos: run.tos,
  }));
  return { results, bytes, wire: packetsOf(file), received };
}

const parse4 = (bytes: Uint8Array): Ipv4Repr => parseIpv4(bytes, 0, bytes.length)!;
const parse6 = (bytes: Uint8Array): Ipv6Repr => parseIpv6(bytes, 0, bytes.length)!;

const spec = (version: 4 | 6, protocol: "tcp" | "udp", bytes: number): PacketSpec => ({
  ...{ version, protocol, ethernet: false, payload: patternBytes(bytes, version) },
});
const tcp = spec(4, "tcp", 4000);
const superpacket = (packet: PacketSpec, gsoType: number, gsoSize: number) => ({
  ...withPartialChecksum(packet),
  ...{ gsoType, gsoSize },
});

/** The payload of fragments put together again. */
function reassembled4(fragments: readonly Uint8Array[]): Uint8Array {
  const bytes: number[] = [];
  for (const fragment of fragments) {
    const { fragmentOffset_bytes } = parse4(fragment);
    for (const [n, byte] of fragment.slice(20).entries()) bytes[fragmentOffset_bytes + n] = byte;
  }
  return Uint8Array.from(bytes);
}

describe("with the outer header given", () => {
  it("IPv6 packets leave as they are, and segments with their own lengths", async (context) => {
    context.skip(!isRoot, needsRoot);
    const [whole] = segmentPackets(spec(6, "udp", 100), 1000);
    const requests = [
      { bytes: whole, header: header6(IPV6, 0xb9, 7, whole.length), socket: RAW_HEADER_INCLUDED },
      {
        ...superpacket(tcp, GSO_TCPV4, 1400),
        ...{ header: header6(IPV4, 0x02, 9, 4040), socket: RAW_HEADER_INCLUDED },
      },
    ];
    const { results, bytes, wire, received } = await send(6, requests, 4);
    expect(results).toEqual([1, 3]);
    // A raw socket gets no outer header; its class comes beside the packet.
    expect(received).toEqual([
      ...segmentPackets(tcp, 1400).map((segment) => ({ bytes: segment, tos: 0x02 })),
      { bytes: whole, tos: 0xb9 },
    ]);
    expect(bytes).toEqual([40 + whole.length, 3 * (40 + 40) + 4000]);
    expect(wire.map((packet) => packet.slice(40))).toEqual([whole, ...segmentPackets(tcp, 1400)]);
    const common = { flowLabel: LABEL, source: { w0: 0, w1: 0, w2: 0, w3: 1 } };
    const first = { trafficClass: 0xb9, hopLimit: 7, nextHeader: IPV6, payload_bytes: 148 };
    const lengths = [1440, 1440, 1240];
    expect(wire.map(parse6)).toMatchObject([
      { ...common, ...first },
      ...lengths.map((payload_bytes) => ({
        ...common,
        ...{ trafficClass: 0x02, hopLimit: 9, nextHeader: IPV4, payload_bytes },
      })),
    ]);
  });

  it("what is longer than the device's MTU is refused in both families, the rest sent", async (context) => {
    context.skip(!isRoot, needsRoot);
    for (const [family, header] of [
      [4, header4(IPV4, 0, 64)],
      [6, header6(IPV4, 0, 64, 1461)],
    ] as const) {
      const fits_bytes = MTU_BYTES - header.length;
      const [long] = segmentPackets(spec(4, "udp", fits_bytes + 1 - 28), 2000);
      const [short] = segmentPackets(spec(4, "udp", 10), 2000);
      const socket = RAW_HEADER_INCLUDED;
      const shortHeader = family === 4 ? header : header6(IPV4, 0, 64, short.length);
      const requests = [
        { bytes: long, header, socket },
        { bytes: short, header: shortHeader, socket },
      ];
      const { results, wire } = await send(family, requests, 1);
      expect(results).toEqual([EMSGSIZE, 1]);
      expect(wire[0].slice(header.length)).toEqual(short);
    }
  });
});

describe("in fragments", () => {
  it("IPv4 leaves with the TTL and TOS of the header given, no DF, and one identification", async (context) => {
    context.skip(!isRoot, needsRoot);
    const [v4Packet] = segmentPackets(spec(4, "udp", 1900), 2000);
    const [v6Packet] = segmentPackets(spec(6, "udp", 1900), 2000);
    const requests = [
      { bytes: v4Packet, header: header4(IPV4, 0xbb, 33), socket: RAW_FRAGMENTS_IPV4 },
      { bytes: v6Packet, header: header4(IPV6, 0, 1), socket: RAW_FRAGMENTS_IPV6 },
    ];
    const { results, bytes, wire } = await send(4, requests, 4);
    expect(results).toEqual([1, 1]);
    expect(bytes).toEqual([20 + v4Packet.length, 20 + v6Packet.length]);
    for (const [n, packet] of [v4Packet, v6Packet].entries()) {
      const fragments = wire.slice(2 * n, 2 * n + 2);
      const [first, second] = fragments.map(parse4);
      const expected = n === 0 ? { tos: 0xbb, ttl: 33, protocol: 4 } : { ttl: 1, protocol: 41 };
      expect(first).toMatchObject({ ...expected, dontFragment: false, moreFragments: true });
      expect(second).toMatchObject({ ...expected, dontFragment: false, moreFragments: false });
      expect(second.identification).toBe(first.identification);
      expect(first.identification).not.toBe(0);
      expect(reassembled4(fragments)).toEqual(packet);
    }
  });

  it("IPv6 leaves with hop limit, traffic class and flow label of the header given", async (context) => {
    context.skip(!isRoot, needsRoot);
    const [packet] = segmentPackets(spec(4, "udp", 1900), 2000);
    const requests = [
      { bytes: packet, header: header6(IPV4, 0xbb, 33, 0), socket: RAW_FRAGMENTS_IPV4 },
    ];
    const { results, wire } = await send(6, requests, 2);
    expect(results).toEqual([1]);
    const outer = { trafficClass: 0xbb, hopLimit: 33, flowLabel: LABEL, nextHeader: FRAGMENT };
    expect(wire.map(parse6)).toMatchObject([outer, outer]);
    expect(wire.map((fragment) => fragment[40])).toEqual([IPV4, IPV4]);
    const whole = wire.flatMap((fragment) => [...fragment.slice(48)]);
    expect(Uint8Array.from(whole)).toEqual(packet);
  });

  it("each segment of a superpacket is cut for itself", async (context) => {
    context.skip(!isRoot, needsRoot);
    const udp = spec(4, "udp", 3000);
    const requests = [
      {
        ...superpacket(udp, GSO_UDP_L4, 1500),
        ...{ header: header4(IPV4, 0, 64), socket: RAW_FRAGMENTS_IPV4 },
      },
    ];
    const { results, bytes, wire } = await send(4, requests, 4);
    expect([results, bytes]).toEqual([[2], [2 * (20 + 28) + 3000]]);
    const segments = [wire.slice(0, 2), wire.slice(2)].map(reassembled4);
    expect(segments).toEqual(segmentPackets(udp, 1500));
  });

  it("packets of one batch leave in its order, whatever their sockets", async (context) => {
    context.skip(!isRoot, needsRoot);
    const packets = [10, 1900, 20, 1901].map((n) => segmentPackets(spec(4, "udp", n), 2000)[0]);
    const requests = packets.map((bytes) => ({
      bytes,
      header: header4(IPV4, 0, 64),
      socket: bytes.length > 1480 ? RAW_FRAGMENTS_IPV4 : RAW_HEADER_INCLUDED,
    }));
    const { wire } = await send(4, requests, 6);
    const [a, b1, b2, c, d1, d2] = wire;
    expect([[a], [b1, b2], [c], [d1, d2]].map(reassembled4)).toEqual(packets);
  });
});

describe("a send that makes no sense", () => {
  it("is refused: no whole header, another length than its version has, no such socket", async (context) => {
    context.skip(!isRoot, needsRoot);
    const bytes = patternBytes(100);
    const header = header4(IPV4, 0, 64);
    const socket = RAW_HEADER_INCLUDED;
    const requests = [
      { bytes, header: header.slice(1), socket },
      { bytes, header: Uint8Array.of(...header, 0, 0, 0, 0), socket },
      { bytes, header: header6(IPV4, 0, 64, 100).slice(0, 20), socket },
      { bytes, header, socket: -1 },
      { bytes, header, socket: RAW_SOCKETS },
      { bytes, header, socket },
    ];
    const { results, wire } = await send(4, requests, 1);
    expect(results).toEqual([...Array<number>(5).fill(EINVAL), 1]);
    expect(wire[0].slice(20)).toEqual(bytes);
  });
});
