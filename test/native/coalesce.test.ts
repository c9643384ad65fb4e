// `decapWriteBatch` into a real TAP device, bridged to another one. With the other's offloads on,
// the superpackets come out as they went in; with its offloads off, the kernel itself cuts them:
// coalesce(segment(x)) must be x, and the kernel's segments must be the packets that were
// coalesced.

import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  FRAME_NEEDS_CHECKSUM,
  GSO_NONE,
  GSO_TCPV4,
  GSO_TCPV6,
  GSO_UDP_L4,
  OFFLOAD_CHECKSUM,
} from "#native";
import { TCP_FLAG_ACK, TCP_FLAG_FIN, TCP_FLAG_PSH, TCP_FLAG_SYN } from "../../src/wire/tcp.js";
import {
  buildPacket,
  checksumOffset,
  type PacketSpec,
  patternBytes,
  segmentPackets,
  segmentSpecs,
  TCP_FLAG_CWR,
  TCP_FLAG_ECE,
  withPartialChecksum,
} from "./packets.js";
import { ALL_OFFLOADS, isRoot, needsRoot, TapPair } from "./tap-pair.js";

const versions = [4, 6] as const;
const pair = new TapPair();

function gsoType(spec: PacketSpec): number {
  if (spec.protocol === "udp") return GSO_UDP_L4;
  return spec.version === 4 ? GSO_TCPV4 : GSO_TCPV6;
}

const bytesOf = (specs: readonly PacketSpec[]): Uint8Array[] =>
  specs.map((spec) => buildPacket(spec).bytes);

/** Payload bytes of each frame that comes out, superpackets whole. */
async function superpackets(packets: readonly Uint8Array[], headers_bytes: number) {
  const { frames, totals } = await pair.exchange({ packets, outputOffloads: ALL_OFFLOADS });
  expect(totals).toMatchObject({ segments: packets.length, written: packets.length });
  expect(totals.bytes).toBe(packets.reduce((sum, packet) => sum + packet.length, 0));
  expect(totals.writes).toBe(frames.length);
  return frames.map((frame) => frame.bytes.length - headers_bytes);
}

describe("coalescing", () => {
  beforeAll(() => pair.createAsRoot("coalesce"));
  beforeEach((context) => context.skip(!isRoot, needsRoot));
  afterAll(() => pair.remove());

  it("gives back the superpacket that was segmented, 64 KiB in one write", async () => {
    const cases = [
      { protocol: "tcp", payload: patternBytes(62_000), gsoSize: 1400 },
      { protocol: "tcp", payload: patternBytes(64_000), gsoSize: 8000 },
      { protocol: "udp", payload: patternBytes(63 * 1000 + 7), gsoSize: 1000 },
    ] as const;
    for (const version of versions) {
      for (const vlans of [[], [42]]) {
        for (const { gsoSize, ...rest } of cases) {
          const spec: PacketSpec = { ...rest, version, vlans, sequence: 0xffff0000 };
          const packet = withPartialChecksum(spec);
          const { frames, totals } = await pair.exchange({
            superpacket: { ...packet, gsoType: gsoType(spec), gsoSize },
            outputOffloads: ALL_OFFLOADS,
          });
          const segments = Math.ceil(spec.payload.length / gsoSize);
          expect(totals).toMatchObject({ segments, written: segments, writes: 1 });
          expect(frames).toEqual([
            {
              bytes: packet.bytes,
              flags: FRAME_NEEDS_CHECKSUM,
              gsoType: gsoType(spec),
              gsoSize,
              csumStart: packet.l4,
              csumOffset: checksumOffset(spec),
            },
          ]);
        }
      }
    }
  });

  it("gives the kernel superpackets that it cuts into the packets that came", async () => {
    for (const version of versions) {
      for (const protocol of ["tcp", "udp"] as const) {
        const options = protocol === "tcp" ? { tcpOptions: patternBytes(12) } : {};
        const payload = patternBytes(20_000, version);
        const spec: PacketSpec = { version, protocol, payload, flags: 0x18, tos: 2, ...options };
        const packets = segmentPackets(spec, 1448);
        const { frames, totals } = await pair.exchange({ packets });
        expect(totals).toMatchObject({ written: packets.length, writes: 1 });
        expect(frames.map((frame) => frame.bytes)).toEqual(packets);
      }
    }
  });

  describe("ends a superpacket", () => {
    const payload = patternBytes(600);
    const base: PacketSpec = { version: 4, protocol: "tcp", payload };
    /**
     * Six segments of 100 bytes, the third changed; what must come out, payload bytes per frame.
     */
    const changes: Record<string, [Partial<PacketSpec>, number[]]> = {
      PSH: [{ flags: TCP_FLAG_ACK | TCP_FLAG_PSH }, [300, 300]],
      FIN: [{ flags: TCP_FLAG_ACK | TCP_FLAG_FIN }, [200, 100, 300]],
      SYN: [{ flags: TCP_FLAG_ACK | TCP_FLAG_SYN }, [200, 100, 300]],
      "no ACK": [{ flags: 0 }, [200, 100, 300]],
      ECE: [{ flags: TCP_FLAG_ACK | TCP_FLAG_ECE }, [200, 100, 300]],
      CWR: [{ flags: TCP_FLAG_ACK | TCP_FLAG_CWR }, [200, 100, 300]],
      "another acknowledgement": [{ acknowledgement: 2001 }, [200, 100, 300]],
      "another window": [{ window: 511 }, [200, 100, 300]],
      "an urgent pointer": [{ urgent: 1 }, [200, 100, 300]],
      "another TTL": [{ ttl: 63 }, [200, 100, 300]],
      "another traffic class": [{ tos: 3 }, [200, 100, 300]],
      "a gap in the sequence": [{ sequence: 1250 }, [200, 100, 300]],
      "a repeated sequence": [{ sequence: 1100 }, [200, 100, 300]],
    };
    for (const [what, [change, expected]] of Object.entries(changes)) {
      it(`on ${what}`, async () => {
        for (const version of versions) {
          const specs = segmentSpecs({ ...base, version }, 100).map((spec, n) =>
            n === 2 ? { ...spec, ...change } : spec,
          );
          const headers_bytes = 14 + (version === 4 ? 40 : 60);
          expect(await superpackets(bytesOf(specs), headers_bytes)).toEqual(expected);
        }
      });
    }

    it("on other TCP options, and on DF", async () => {
      const options = (value: number) => ({ tcpOptions: Uint8Array.of(1, 1, 1, value) });
      const specs = segmentSpecs({ ...base, ...options(1) }, 100);
      specs[2] = { ...specs[2], ...options(0) };
      expect(await superpackets(bytesOf(specs), 58)).toEqual([200, 100, 300]);
      const plain = segmentSpecs(base, 100);
      plain[2] = { ...plain[2], dontFragment: false };
      expect(await superpackets(bytesOf(plain), 54)).toEqual([200, 100, 300]);
    });

    it("on a short segment, which still belongs to it", async () => {
      for (const protocol of ["tcp", "udp"] as const) {
        const lengths = [100, 100, 40, 100, 100, 120];
        const starts = lengths.map((_, n) => lengths.slice(0, n).reduce((a, b) => a + b, 1000));
        const specs = lengths.map((length, n) => ({
          ...base,
          protocol,
          sequence: starts[n],
          payload: patternBytes(length, n),
        }));
        const headers_bytes = protocol === "tcp" ? 54 : 42;
        expect(await superpackets(bytesOf(specs), headers_bytes)).toEqual([240, 200, 120]);
      }
    });

    it("on a segment without payload", async () => {
      const specs = segmentSpecs(base, 100);
      const ack = { ...base, sequence: 1300, payload: new Uint8Array(0) };
      const mixed = [...specs.slice(0, 3), ack, ...specs.slice(3)];
      expect(await superpackets(bytesOf(mixed), 54)).toEqual([300, 0, 300]);
    });

    it("at 64 KiB, at 128 segments, and a UDP one at 64 datagrams", async () => {
      const tcp = segmentPackets({ ...base, payload: patternBytes(90_000) }, 1000);
      expect(await superpackets(tcp, 54)).toEqual([65_000, 25_000]);
      const small = segmentPackets({ ...base, payload: patternBytes(2000) }, 10);
      expect(await superpackets(small, 54)).toEqual([1280, 720]);
      const udp = segmentPackets({ ...base, protocol: "udp", payload: patternBytes(7000) }, 100);
      expect(await superpackets(udp, 42)).toEqual([6400, 600]);
    });
  });

  it("leaves alone what may not be joined", async () => {
    const payload = patternBytes(100);
    const ipOptions = Uint8Array.of(1, 1, 1, 0);
    const kinds: PacketSpec[] = [
      { version: 4, protocol: "tcp", payload, ipOptions },
      { version: 4, protocol: "udp", payload, ipOptions },
    ];
    for (const spec of kinds) {
      const specs = [0, 1].map((n) => ({ ...spec, sequence: 1000 + 100 * n }));
      const packets = bytesOf(specs);
      const { frames } = await pair.exchange({ packets, outputOffloads: ALL_OFFLOADS });
      expect(frames.map((frame) => frame.bytes)).toEqual(packets);
      expect(frames.map((frame) => frame.gsoType)).toEqual([GSO_NONE, GSO_NONE]);
    }
    const zero = buildPacket({ version: 4, protocol: "udp", payload });
    zero.bytes.fill(0, zero.l4 + 6, zero.l4 + 8);
    const packets = [zero.bytes, zero.bytes];
    const { frames } = await pair.exchange({ packets, outputOffloads: ALL_OFFLOADS });
    expect(frames.map((frame) => frame.bytes)).toEqual(packets);
  });

  it("joins nothing without the device's offloads", async () => {
    for (const version of versions) {
      for (const protocol of ["tcp", "udp"] as const) {
        const packets = segmentPackets({ version, protocol, payload: patternBytes(500) }, 100);
        const { frames, totals } = await pair.exchange({
          packets,
          inputOffloads: OFFLOAD_CHECKSUM,
          outputOffloads: ALL_OFFLOADS,
        });
        expect(totals.writes).toBe(5);
        expect(frames.map((frame) => frame.bytes)).toEqual(packets);
      }
    }
  });

  it("passes datagrams whose IP packet goes on behind UDP [RFC 9868]", async () => {
    for (const version of versions) {
      const spec: PacketSpec = { version, protocol: "udp", payload: patternBytes(100) };
      const packets = [0, 1, 2].map((n) => {
        const packet = buildPacket({ ...spec, identification: n });
        // The IP packet's length with 12 bytes of surplus, as if they were payload.
        const longer = buildPacket({ ...spec, identification: n, payload: patternBytes(112) });
        longer.bytes.set(packet.bytes.subarray(packet.l4), packet.l4);
        return longer.bytes;
      });
      const { frames, totals } = await pair.exchange({ packets, outputOffloads: ALL_OFFLOADS });
      expect(totals).toMatchObject({ written: 3, writes: 3 });
      expect(frames.map((frame) => frame.bytes)).toEqual(packets);
    }
  });

  it("keeps padding out of superpackets and on single frames", async () => {
    const specs = segmentSpecs({ version: 4, protocol: "tcp", payload: patternBytes(3) }, 1);
    const padded = bytesOf(specs).map((bytes) => {
      const frame = new Uint8Array(60).fill(0xee);
      frame.set(bytes);
      return frame;
    });
    const { frames } = await pair.exchange({ packets: padded, outputOffloads: ALL_OFFLOADS });
    expect(frames.map((frame) => frame.bytes.length)).toEqual([54 + 3]);
    const cut = await pair.exchange({ packets: padded });
    expect(cut.frames.map((frame) => frame.bytes)).toEqual(bytesOf(specs));
  });

  it("keeps every flow's order, and every packet whole", { timeout: 60_000 }, async () => {
    const step = fc.record({
      flow: fc.integer({ min: 0, max: 5 }),
      length: fc.constantFrom(0, 1, 99, 100, 100, 100, 100, 101, 1400),
      flags: fc.constantFrom(...Array<number>(8).fill(TCP_FLAG_ACK), 0x18, 0x11, 0x02, 0x50),
      skip: fc.constantFrom(0, 0, 0, 0, 0, 0, 1),
    });
    const flows: Partial<PacketSpec>[] = [
      { version: 4, protocol: "tcp" },
      { version: 6, protocol: "tcp" },
      { version: 4, protocol: "udp" },
      { version: 6, protocol: "udp" },
      { version: 4, protocol: "tcp", sourcePort: 40001 },
      { version: 4, protocol: "tcp", tos: 4 },
    ];
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 150 }), async (steps) => {
        const state = flows.map(() => ({ sequence: 0xfffffa00, identification: 0xfff0 }));
        const sent: Uint8Array[][] = flows.map(() => []);
        const packets = steps.map(({ flow, length, flags, skip }, n) => {
          const { sequence, identification } = state[flow];
          const bytes = buildPacket({
            version: 4,
            protocol: "tcp",
            ...flows[flow],
            ...{ flags, identification, sequence: (sequence + skip) >>> 0 },
            payload: patternBytes(length, n),
            sourceMac: flow,
          }).bytes;
          state[flow].sequence = (sequence + skip + length) >>> 0;
          state[flow].identification = (identification + 1) & 0xffff;
          sent[flow].push(bytes);
          return bytes;
        });
        const { frames, totals } = await pair.exchange({ packets });
        expect(totals).toMatchObject({ written: packets.length, bad: 0, malformed: 0 });
        const received: Uint8Array[][] = flows.map(() => []);
        for (const { bytes } of frames) received[bytes[11]].push(bytes);
        expect(received).toEqual(sent);
      }),
      { numRuns: 60 },
    );
  });
});
