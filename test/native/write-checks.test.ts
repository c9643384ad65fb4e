// What `decapWriteBatch` lets into the overlay: wrong checksums and contradicting lengths are
// dropped and counted, checksums that a sender left to an offload are finished, oversize frames are
// handed on with a size.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { FRAME_NEEDS_CHECKSUM, GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4 } from "#native";
import { writeU16 } from "../../src/wire/byte-order.js";
import { finish, transportSum } from "../../src/wire/checksum.js";
import { ETHERTYPE_ARP } from "../../src/wire/ethernet.js";
import { emitIcmp, ICMP_ECHO_REQUEST } from "../../src/wire/icmp.js";
import { PROTOCOL_ICMP, PROTOCOL_ICMPV6 } from "../../src/wire/ip-protocol.js";
import { writeIpv4Checksum } from "../../src/wire/ipv4.js";
import {
  buildPacket,
  checksumOffset,
  type PacketSpec,
  patternBytes,
  segmentPackets,
  withPartialChecksum,
} from "./packets.js";
import { ALL_OFFLOADS, isRoot, needsRoot, TapPair } from "./tap-pair.js";

const versions = [4, 6] as const;
const protocols = ["tcp", "udp"] as const;
const pair = new TapPair();

/**
 * An Ethernet frame with an IPv4 or IPv6 packet of another protocol in place of the emitted one's
 * L4 part.
 */
function withL4(version: 4 | 6, protocol: number, l4: Uint8Array): Uint8Array {
  const payload = new Uint8Array(l4.length - 8);
  const packet = buildPacket({ version, protocol: "udp", payload });
  packet.bytes[packet.l3 + (version === 4 ? 9 : 6)] = protocol;
  if (version === 4) writeIpv4Checksum(packet.bytes, packet.l3);
  packet.bytes.set(l4, packet.l4);
  return packet.bytes;
}

function ping(): Uint8Array {
  const bytes = new Uint8Array(64);
  const body = patternBytes(56);
  const repr = { type: ICMP_ECHO_REQUEST, code: 0, rest: 0x00010002, data: body };
  return withL4(4, PROTOCOL_ICMP, bytes.slice(0, emitIcmp(repr, bytes, 0)));
}

/** The packet with one byte changed. */
function damaged(bytes: Uint8Array, at: number): Uint8Array {
  const copy = bytes.slice();
  copy[at] ^= 0x5a;
  return copy;
}

async function expectNothing(packets: readonly Uint8Array[], count: object): Promise<void> {
  const { frames, totals } = await pair.exchange({ packets, outputOffloads: ALL_OFFLOADS });
  expect(totals).toMatchObject({ written: 0, bad: 0, malformed: 0, deviceErrors: 0, ...count });
  expect(frames).toEqual([]);
}

async function expectUnchanged(packets: readonly Uint8Array[]): Promise<void> {
  const { frames, totals } = await pair.exchange({ packets, outputOffloads: ALL_OFFLOADS });
  expect(totals).toMatchObject({ written: packets.length, bad: 0, malformed: 0 });
  expect(frames.map((frame) => frame.bytes)).toEqual(packets);
}

beforeAll(() => pair.createAsRoot("checks"));
beforeEach((context) => context.skip(!isRoot, needsRoot));
afterAll(() => pair.remove());

describe("wrong checksums", () => {
  it("of TCP and UDP are dropped, wherever the damage is", async () => {
    for (const version of versions) {
      for (const protocol of protocols) {
        const { bytes, l3, l4 } = buildPacket({ version, protocol, payload: patternBytes(101) });
        const address = l3 + (version === 4 ? 15 : 20);
        const field = l4 + (protocol === "tcp" ? 16 : 6);
        const places = [l4, l4 + 3, field, field + 1, bytes.length - 1, bytes.length - 50];
        if (version === 6) places.push(address);
        const packets = places.map((at) => damaged(bytes, at));
        await expectNothing(packets, { bad: packets.length });
      }
    }
  });

  it("of IPv4 headers are dropped, fragments too", async () => {
    const { bytes, l3 } = buildPacket({ version: 4, protocol: "tcp", payload: patternBytes(50) });
    const places = [1, 4, 8, 10, 11, 12, 19].map((at) => l3 + at);
    await expectNothing(
      places.map((at) => damaged(bytes, at)),
      { bad: places.length },
    );
    const fragment = bytes.slice();
    fragment[l3 + 6] |= 0x20;
    await expectNothing([fragment], { bad: 1 });
    writeIpv4Checksum(fragment, l3);
    await expectUnchanged([fragment]);
  });

  it("of ICMP are dropped", async () => {
    const bytes = ping();
    await expectUnchanged([bytes]);
    await expectNothing([damaged(bytes, 34), damaged(bytes, bytes.length - 1)], { bad: 2 });
  });

  it("of ICMPv6 are dropped", async () => {
    const l4 = Uint8Array.of(128, 0, 0, 0, ...patternBytes(21));
    const bytes = withL4(6, PROTOCOL_ICMPV6, l4);
    const checksum = finish(transportSum(bytes, 14, 54, bytes.length, PROTOCOL_ICMPV6));
    writeU16(bytes, 54 + 2, checksum);
    await expectUnchanged([bytes]);
    await expectNothing([damaged(bytes, 54), damaged(bytes, bytes.length - 1)], { bad: 2 });
  });

  it("of UDP that are missing are none: over IPv6 tunnels leave them out [RFC 6935]", async () => {
    for (const version of versions) {
      const { bytes, l4 } = buildPacket({ version, protocol: "udp", payload: patternBytes(9) });
      bytes.fill(0, l4 + 6, l4 + 8);
      await expectUnchanged([bytes]);
    }
  });

  it("behind a routing header are not looked at: the pseudo header has another address", async () => {
    const { bytes } = buildPacket({ version: 6, protocol: "udp", payload: patternBytes(9) });
    // One 8-byte header of type 253 [RFC 4727], nothing left to visit, in front of UDP.
    const routing = Uint8Array.of(17, 0, 253, 0, 0, 0, 0, 0);
    const packet = new Uint8Array([...bytes.slice(0, 54), ...routing, ...bytes.slice(54)]);
    packet[14 + 6] = 43;
    writeU16(packet, 14 + 4, packet.length - 54);
    await expectUnchanged([packet]);
    await expectUnchanged([damaged(packet, packet.length - 1)]);
  });

  it("never enter a superpacket", async () => {
    const payload = patternBytes(500);
    const packets = segmentPackets({ version: 4, protocol: "tcp", payload }, 100);
    packets[2] = damaged(packets[2], 90);
    const { frames, totals } = await pair.exchange({ packets });
    expect(totals).toMatchObject({ written: 4, bad: 1 });
    expect(frames.map((frame) => frame.bytes)).toEqual(packets.filter((_, n) => n !== 2));
  });
});

describe("malformed packets", () => {
  const { bytes, l3, l4 } = buildPacket({ version: 4, protocol: "tcp", payload: patternBytes(9) });
  const six = buildPacket({ version: 6, protocol: "udp", payload: patternBytes(9) });
  const patched = (from: Uint8Array, at: number, ...values: number[]): Uint8Array => {
    const copy = from.slice();
    copy.set(values, at);
    if (from === bytes && at !== l3) writeIpv4Checksum(copy, l3);
    return copy;
  };
  const cases: Record<string, Uint8Array> = {
    "a frame shorter than its Ethernet header": bytes.slice(0, 13),
    "a frame that ends in a VLAN tag": Uint8Array.of(...bytes.slice(0, 12), 0x81, 0, 0, 1),
    "a frame that ends in the IPv4 header": bytes.slice(0, l3 + 19),
    "a frame shorter than its IPv4 length": bytes.slice(0, -1),
    "version 5": patched(bytes, l3, 0x55),
    "an IPv4 header length of 16": patched(bytes, l3, 0x44),
    "a length shorter than the header": patched(bytes, l3 + 2, 0, 19),
    "a TCP header cut short": patched(bytes, l3 + 2, 0, 39),
    "a TCP data offset below 20": patched(bytes, l4 + 12, 0x40),
    "a TCP data offset beyond the packet": patched(bytes, l4 + 12, 0xf0),
    "a frame that ends in the IPv6 header": six.bytes.slice(0, six.l3 + 39),
    "a frame shorter than its IPv6 length": six.bytes.slice(0, -1),
    "a UDP length below 8": patched(six.bytes, six.l4 + 4, 0, 7),
    "a UDP length beyond the packet": patched(six.bytes, six.l4 + 4, 1, 0),
    "IPv6 extension headers beyond the packet": patched(six.bytes, six.l3 + 6, 0),
  };
  for (const [what, packet] of Object.entries(cases)) {
    it(`are dropped: ${what}`, () => expectNothing([packet], { malformed: 1 }));
  }

  it("do not stop the others", async () => {
    const { totals } = await pair.exchange({ packets: [...Object.values(cases), bytes] });
    const malformed = Object.keys(cases).length;
    expect(totals).toMatchObject({ segments: malformed + 1, malformed, written: 1, bad: 0 });
  });
});

describe("what is not looked into", () => {
  it("passes unchanged", async () => {
    const arp = Uint8Array.of(
      ...Array(6).fill(0xff),
      2,
      0,
      0,
      0,
      0,
      10,
      8,
      6,
      ...Array(28).fill(1),
    );
    expect((arp[12] << 8) | arp[13]).toBe(ETHERTYPE_ARP);
    const gre = withL4(4, 47, patternBytes(40));
    const sctp = withL4(6, 132, patternBytes(40));
    const { bytes } = buildPacket({ version: 4, protocol: "udp", payload: patternBytes(40) });
    await expectUnchanged([arp, gre, sctp, bytes]);
  });
});

describe("checksums left to an offload", () => {
  it("are handed on to a device that takes them", async () => {
    for (const version of versions) {
      for (const protocol of protocols) {
        const spec: PacketSpec = { version, protocol, payload: patternBytes(77) };
        const { bytes, l4 } = withPartialChecksum(spec);
        const { frames } = await pair.exchange({ packets: [bytes], outputOffloads: ALL_OFFLOADS });
        expect(frames).toMatchObject([
          {
            bytes,
            flags: FRAME_NEEDS_CHECKSUM,
            gsoType: GSO_NONE,
            csumStart: l4,
            csumOffset: checksumOffset(spec),
          },
        ]);
      }
    }
  });

  it("are finished by the kernel, or here when the device takes none", async () => {
    for (const version of versions) {
      for (const protocol of protocols) {
        for (const inputOffloads of [ALL_OFFLOADS, 0]) {
          const spec: PacketSpec = { version, protocol, payload: patternBytes(77) };
          const packets = [withPartialChecksum(spec).bytes];
          const { frames, totals } = await pair.exchange({ packets, inputOffloads });
          expect(totals).toMatchObject({ written: 1, bad: 0 });
          expect(frames.map((frame) => frame.bytes)).toEqual([buildPacket(spec).bytes]);
        }
      }
    }
  });

  it("may be joined", async () => {
    const spec: PacketSpec = { version: 4, protocol: "tcp", payload: patternBytes(400) };
    const whole = segmentPackets(spec, 100);
    const packets = [0, 1, 2, 3].map((n) => {
      const payload = spec.payload.slice(100 * n, 100 * (n + 1));
      const segment = { ...spec, payload, sequence: 1000 + 100 * n, identification: 1 + n };
      return withPartialChecksum(segment).bytes;
    });
    const { frames, totals } = await pair.exchange({ packets });
    expect(totals).toMatchObject({ written: 4, writes: 1 });
    expect(frames.map((frame) => frame.bytes)).toEqual(whole);
  });
});

describe("a frame that arrived merged", () => {
  it("enters the device as the superpacket it is, and the kernel cuts it", async () => {
    for (const version of versions) {
      for (const protocol of protocols) {
        const spec: PacketSpec = { version, protocol, payload: patternBytes(30_000), flags: 0x18 };
        const packet = withPartialChecksum(spec);
        const request = { packets: [packet.bytes], gsoSizeHint: 1400 };
        const types = protocol === "udp" ? GSO_UDP_L4 : version === 4 ? GSO_TCPV4 : GSO_TCPV6;
        const whole = await pair.exchange({ ...request, outputOffloads: ALL_OFFLOADS });
        expect(whole.frames).toMatchObject([
          { bytes: packet.bytes, gsoType: types, gsoSize: 1400, flags: FRAME_NEEDS_CHECKSUM },
        ]);
        const cut = await pair.exchange(request);
        expect(cut.totals).toMatchObject({ written: 1, writes: 1 });
        expect(cut.frames.map((frame) => frame.bytes)).toEqual(segmentPackets(spec, 1400));
      }
    }
  });

  it("is cut here when the device cannot", async () => {
    for (const version of versions) {
      for (const protocol of protocols) {
        const payload = patternBytes(30_000);
        const spec: PacketSpec = { version, protocol, payload, flags: 0x18, vlans: [9] };
        const packets = [withPartialChecksum(spec).bytes];
        const { frames, totals } = await pair.exchange({
          packets,
          gsoSizeHint: 1400,
          inputOffloads: 0,
        });
        expect(totals).toMatchObject({ written: 1, writes: 22, bytes: packets[0].length });
        expect(frames.map((frame) => frame.bytes)).toEqual(segmentPackets(spec, 1400));
      }
    }
  });

  it("takes no size when it fits one segment", async () => {
    const spec: PacketSpec = { version: 4, protocol: "tcp", payload: patternBytes(1400) };
    const packets = [withPartialChecksum(spec).bytes];
    const outputOffloads = ALL_OFFLOADS;
    const { frames } = await pair.exchange({ packets, gsoSizeHint: 1400, outputOffloads });
    expect(frames).toMatchObject([{ gsoType: GSO_NONE, gsoSize: 0 }]);
  });
});

describe("RUN_SET_CE", () => {
  it("marks IP packets and leaves checksums right", async () => {
    for (const version of versions) {
      for (const tos of [0xb9, 0x02, 0xff, 0x01]) {
        const spec: PacketSpec = { version, protocol: "tcp", payload: patternBytes(50), tos };
        const marked = { ...spec, tos: tos | 3 };
        for (let identification = 0xfff0; identification <= 0xffff; identification++) {
          const packets = [buildPacket({ ...spec, identification }).bytes];
          const { frames } = await pair.exchange({ packets, setCe: true });
          const expected = buildPacket({ ...marked, identification }).bytes;
          expect(frames.map((frame) => frame.bytes)).toEqual([expected]);
        }
      }
    }
  });

  it("leaves other frames alone", async () => {
    const arp = Uint8Array.of(
      ...Array(6).fill(0xff),
      2,
      0,
      0,
      0,
      0,
      10,
      8,
      6,
      ...Array(28).fill(1),
    );
    const { frames } = await pair.exchange({ packets: [arp], setCe: true });
    expect(frames.map((frame) => frame.bytes)).toEqual([arp]);
  });
});

describe("a device that refuses", () => {
  it("is counted by segment", async () => {
    const payload = patternBytes(500);
    const packets = segmentPackets({ version: 4, protocol: "tcp", payload }, 100);
    const { frames, totals } = await pair.exchange({ packets, closed: true });
    expect(totals).toMatchObject({ segments: 5, written: 0, deviceErrors: 5, bytes: 0, writes: 0 });
    expect(frames).toEqual([]);
  });
});
