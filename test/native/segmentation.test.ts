// Superpackets through `encapSendUdp` over loopback into an ordinary UDP socket: what arrives must
// be, byte for byte, the packets that src/wire emits for each segment (checksums, lengths,
// identification, sequence, flags).

import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  FRAME_LENGTH,
  FRAME_NEEDS_CHECKSUM,
  FRAME_OFFSET,
  GSO_ECN,
  GSO_TCPV4,
  GSO_TCPV6,
  GSO_UDP_L4,
} from "#native";
import { TCP_FLAG_ACK, TCP_FLAG_FIN, TCP_FLAG_PSH } from "../../src/wire/tcp.js";
import { Descriptors, encapsulated, LOOPBACK, Receiver, Sender, segmentsOf } from "./batches.js";
import {
  buildPacket,
  checksumOffset,
  type PacketSpec,
  patternBytes,
  segmentPackets,
  TCP_FLAG_CWR,
  TCP_FLAG_ECE,
  withPartialChecksum,
} from "./packets.js";

const EINVAL = -22;
/** So few that the receiver's default buffer holds them all. */
const mostSegments = 48;
const vni = 0xabcdef;

/** An ordinary socket and what it received. */
class Listener {
  readonly socket: Socket = createSocket("udp4");
  received: Buffer[] = [];
  #wanted = 0;
  #arrived: () => void = () => {};

  async open(): Promise<number> {
    this.socket.on("message", (bytes) => {
      this.received.push(bytes);
      if (this.received.length >= this.#wanted) this.#arrived();
    });
    this.socket.bind(0, LOOPBACK);
    await once(this.socket, "listening");
    return (this.socket.address() as AddressInfo).port;
  }

  /** The next `count` datagrams; fails after two seconds. */
  async take(count: number): Promise<Uint8Array[]> {
    this.#wanted = count;
    if (this.received.length < count) {
      await new Promise<void>((resolve, reject) => {
        const missing = () => reject(new Error(`${this.received.length} of ${count} arrived`));
        const timer = setTimeout(missing, 2000);
        this.#arrived = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return this.received.splice(0).map((bytes) => new Uint8Array(bytes));
  }
}

const listener = new Listener();
const descriptors = new Descriptors();
const sender = new Sender();
let socket = 0;

beforeAll(async () => {
  sender.addRemote(LOOPBACK, await listener.open());
  socket = descriptors.udp().fd;
});
beforeEach(() => sender.begin());
afterAll(() => {
  descriptors.closeAll();
  listener.socket.close();
});

function gsoType(spec: PacketSpec): number {
  if (spec.protocol === "udp") return GSO_UDP_L4;
  return spec.version === 4 ? GSO_TCPV4 : GSO_TCPV6;
}

async function expectSegments(spec: PacketSpec, gsoSize: number, flag = 0): Promise<void> {
  const packet = withPartialChecksum(spec);
  sender.addSend(sender.addSuperpacket(packet, gsoType(spec) | flag, gsoSize, vni));
  const expected = segmentPackets(spec, gsoSize).map((bytes) => encapsulated(bytes, vni));
  const { failed, results, bytes } = sender.flush([socket]);
  expect({ failed, results }).toEqual({ failed: 0, results: [expected.length] });
  expect(bytes).toEqual([expected.reduce((sum, segment) => sum + segment.length, 0)]);
  expect(await listener.take(expected.length)).toEqual(expected);
}

const receiver = new Receiver();

/** Every datagram that waits at a socket of native code's. */
function receiveAll(fd: number): Uint8Array[] {
  const received: Uint8Array[] = [];
  for (;;) {
    const runs = receiver.tryReceive(fd);
    if (typeof runs === "number") return received;
    received.push(...runs.flatMap(segmentsOf));
  }
}

const words = (maxWords: number) =>
  fc
    .integer({ min: 0, max: maxWords })
    .chain((n) => fc.uint8Array({ minLength: 4 * n, maxLength: 4 * n }));

const u16 = fc.oneof(fc.constantFrom(0, 1, 0xfffe, 0xffff), fc.integer({ min: 0, max: 0xffff }));
const u32 = fc.oneof(
  fc.constantFrom(0, 0xffff, 0x1ffff, 0x7fffffff, 0xffff0000, 0xffffffff),
  fc.integer({ min: 0, max: 0xffffffff }),
);

const superpacket = fc
  .record({
    version: fc.constantFrom(4 as const, 6 as const),
    protocol: fc.constantFrom("tcp" as const, "udp" as const),
    vlans: fc.array(fc.integer({ min: 0, max: 0xffe }), { maxLength: 2 }),
    ethernet: fc.boolean(),
    tos: fc.integer({ min: 0, max: 255 }),
    ttl: fc.integer({ min: 1, max: 255 }),
    identification: u16,
    dontFragment: fc.boolean(),
    ipOptions: words(10),
    sourcePort: u16,
    destinationPort: u16,
    sequence: u32,
    acknowledgement: u32,
    flags: fc.integer({ min: 0, max: 255 }),
    window: u16,
    urgent: u16,
    tcpOptions: words(10),
    gsoSize: fc.integer({ min: 1, max: 9000 }),
    seed: fc.integer({ min: 1, max: 1000 }),
    size: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ gsoSize, seed, size, ...spec }) => {
    const most = Math.min(60_000, gsoSize * mostSegments);
    const payload = patternBytes(1 + Math.floor(size * (most - 1)), seed);
    return { spec: { ...spec, payload }, gsoSize };
  });

describe("segmentation", () => {
  it("gives what src/wire emits for every segment", { timeout: 30_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(superpacket, ({ spec, gsoSize }) => expectSegments(spec, gsoSize)),
      { numRuns: 250 },
    );
  });

  it("carries sequence numbers whose low half is all ones into the checksum", async () => {
    const boundaries = [0, 1, 0xfffe, 0xffff, 0x10000, 0xffff0000, 0xfffffffe, 0xffffffff];
    for (const version of [4, 6] as const) {
      for (const sequence of [...boundaries, 0x1234ffff, 0xfffeffff, 0xffff - 1448]) {
        for (const acknowledgement of [0, 0xffff, 0xffffffff]) {
          const payload = new Uint8Array(2896).fill(0xff);
          const spec = { version, protocol: "tcp", payload, sequence, acknowledgement } as const;
          await expectSegments({ ...spec, window: 0xffff, urgent: 0xffff }, 1448);
        }
      }
    }
  });

  it("counts identification on through its end", async () => {
    const payload = patternBytes(5000);
    await expectSegments({ version: 4, protocol: "tcp", payload, identification: 0xfffe }, 1000);
    await expectSegments({ version: 4, protocol: "udp", payload, identification: 0xffff }, 1000);
  });

  it("leaves FIN and PSH to the last segment and CWR to the first", async () => {
    const flags = TCP_FLAG_ACK | TCP_FLAG_PSH | TCP_FLAG_FIN | TCP_FLAG_CWR | TCP_FLAG_ECE;
    const spec = { version: 4, protocol: "tcp", payload: patternBytes(3000), flags } as const;
    const segments = segmentPackets(spec, 1000).map((bytes) => bytes[14 + 20 + 13]);
    expect(segments).toEqual([0xd0, 0x50, 0x59]);
    await expectSegments(spec, 1000, GSO_ECN);
  });

  it("makes one segment of a payload that fits one", async () => {
    for (const length of [1, 999, 1000]) {
      const payload = patternBytes(length);
      await expectSegments({ version: 6, protocol: "tcp", payload, flags: 0x19 }, 1000);
      await expectSegments({ version: 4, protocol: "udp", payload }, 65_535);
    }
  });

  it("sends a computed UDP checksum of zero as all ones [RFC 768]", async () => {
    for (const version of [4, 6] as const) {
      const probe = buildPacket({ version, protocol: "udp", payload: new Uint8Array(4) });
      const { bytes, l4 } = probe;
      // With these two bytes the sum becomes all ones, so its complement zero.
      const payload = Uint8Array.of(bytes[l4 + 6], bytes[l4 + 7], 0, 0);
      const spec = { version, protocol: "udp", payload } as const;
      expect(Array.from(buildPacket(spec).bytes.slice(l4 + 6, l4 + 8))).toEqual([0xff, 0xff]);
      await expectSegments({ ...spec, payload: Uint8Array.of(...payload, ...payload) }, 4);
    }
  });

  it("flushes in between what one flush cannot hold", async () => {
    const options = { ipOptions: new Uint8Array(40).fill(1), tcpOptions: patternBytes(40) };
    const payload = patternBytes(40_000);
    const spec: PacketSpec = { version: 4, protocol: "tcp", payload, vlans: [5, 6] };
    // Short headers run out of vectors first, the longest ones out of room for headers.
    for (const { headerBytes, ...rest } of [{ headerBytes: 8 }, { headerBytes: 64, ...options }]) {
      const target = descriptors.udp();
      const remote = sender.addRemote(LOOPBACK, target.port);
      const packet = withPartialChecksum({ ...spec, ...rest });
      const frame = sender.addSuperpacket(packet, GSO_TCPV4, 16, vni);
      const header = sender.frame(frame)[FRAME_OFFSET] - headerBytes;
      const encapsulation = sender.batch.arena.slice(header, header + headerBytes);
      sender.addSend(frame, { remote, header, headerBytes });
      const { failed, results } = sender.flush([socket]);
      expect({ failed, results }).toEqual({ failed: 0, results: [2500] });
      const received = receiveAll(target.fd);
      const expected = segmentPackets({ ...spec, ...rest }, 16);
      // The receiver's buffer may be too small without privilege: what arrived must be right and in
      // order.
      expect(received.length).toBeGreaterThan(100);
      for (const [n, datagram] of received.entries()) {
        const same = Buffer.concat([encapsulation, expected[n]]).equals(datagram);
        expect(same, `segment ${n}`).toBe(true);
      }
    }
  });

  it("reads nothing behind the arena's end", () => {
    const target = descriptors.udp();
    const remote = sender.addRemote(LOOPBACK, target.port);
    const end = sender.batch.arena.length;
    for (const version of [4, 6] as const) {
      const spec: PacketSpec = { version, protocol: "tcp", payload: patternBytes(20) };
      const { bytes, payload, ...offsets } = withPartialChecksum(spec);
      for (let length = 1; length <= bytes.length; length++) {
        const fields = { ...offsets, payload, gsoType: gsoType(spec), gsoSize: 7 };
        const row = sender.addFrame(new Uint8Array(0), vni, fields);
        sender.batch.arena.set(bytes.subarray(0, length), end - length);
        sender.frame(row)[FRAME_OFFSET] = end - length;
        sender.frame(row)[FRAME_LENGTH] = length;
        sender.addSend(row, { remote, header: 0 });
        const segments = length <= payload ? EINVAL : Math.ceil((length - payload) / 7);
        expect(sender.flush([socket]).results, `length ${length}`).toEqual([segments]);
        expect(receiveAll(target.fd)).toHaveLength(Math.max(segments, 0));
      }
    }
  });
});

describe("checksums left to the device", () => {
  it("are finished where the frame says", async () => {
    for (const version of [4, 6] as const) {
      for (const protocol of ["tcp", "udp"] as const) {
        const spec = { version, protocol, payload: patternBytes(333), vlans: [7] } as const;
        const { bytes, l4 } = withPartialChecksum(spec);
        const frame = sender.addFrame(bytes, vni, {
          flags: FRAME_NEEDS_CHECKSUM,
          csumStart: l4,
          csumOffset: checksumOffset(spec),
        });
        sender.addSend(frame);
        // To several remotes: finished once.
        sender.addSend(frame);
        expect(sender.flush([socket]).results).toEqual([1, 1]);
        const expected = encapsulated(buildPacket(spec).bytes, vni);
        expect(await listener.take(2)).toEqual([expected, expected]);
      }
    }
  });

  it("refuses fields outside of the frame", async () => {
    const { bytes } = buildPacket({ version: 4, protocol: "udp", payload: patternBytes(50) });
    const flags = FRAME_NEEDS_CHECKSUM;
    const length = bytes.length;
    const wrong: [number, number][] = [
      [length, 0],
      [length - 1, 0],
      [34, length - 35],
      [0xffff, 6],
      [34, 0xffff],
      [-1, 6],
      [34, -1],
      [34, -2],
      [34, -35],
      [-34, 40],
    ];
    for (const [csumStart, csumOffset] of wrong) {
      sender.addSend(sender.addFrame(bytes, vni, { flags, csumStart, csumOffset }));
    }
    sender.add(bytes, {}, vni);
    const { failed, results } = sender.flush([socket]);
    expect(results).toEqual([...wrong.map(() => EINVAL), 1]);
    expect(failed).toBe(wrong.length);
    expect(await listener.take(1)).toEqual([encapsulated(bytes, vni)]);
  });
});

describe("impossible superpackets", () => {
  const good = { gsoType: GSO_TCPV4, gsoSize: 100, l3: 14, l4: 34, payload: 54 };
  const frameBytes = 554;
  const wrong: Record<string, Partial<typeof good>> = {
    "an unknown type": { gsoType: 2 },
    "a negative type": { gsoType: -1 },
    "size 0": { gsoSize: 0 },
    "a negative size": { gsoSize: -1 },
    "a size beyond an IP packet": { gsoSize: 65_536 },
    "L3 behind L4": { l3: 35 },
    "L3 at L4": { l3: 34 },
    "a negative L3": { l3: -1 },
    "L3 too far in": { l3: 65, l4: 85, payload: 105 },
    "an IPv4 header that is too short": { l3: 20 },
    "L4 behind the payload": { l4: 55 },
    "a TCP header that is too short": { payload: 53 },
    "a negative L4": { l4: -1 },
    "payload at the frame's end": { payload: frameBytes },
    "payload behind the frame's end": { payload: frameBytes + 1 },
    "a negative payload": { payload: -1 },
    "headers longer than any": { payload: 257 },
    "everything at its largest": { l3: 0x7fffffff, l4: 0x7fffffff, payload: 0x7fffffff },
  };

  it("are refused, the others still go", async () => {
    const spec = { version: 4, protocol: "tcp", payload: patternBytes(500) } as const;
    const { bytes } = withPartialChecksum(spec);
    expect(bytes.length).toBe(frameBytes);
    const names = Object.keys(wrong);
    for (const name of names) {
      sender.addSend(sender.addFrame(bytes, vni, { ...good, ...wrong[name] }));
    }
    sender.addSend(sender.addFrame(bytes, vni, good));
    const { results, bytes: sentBytes } = sender.flush([socket]);
    expect(Object.fromEntries(names.map((name, n) => [name, results[n]]))).toEqual(
      Object.fromEntries(names.map((name) => [name, EINVAL])),
    );
    expect(results.at(-1)).toBe(5);
    expect(sentBytes.slice(0, -1).every((count) => count === 0)).toBe(true);
    const expected = segmentPackets(spec, 100).map((segment) => encapsulated(segment, vni));
    expect(await listener.take(5)).toEqual(expected);
  });

  it("cannot point outside of arena, frames, remotes and sockets", async () => {
    const { bytes } = buildPacket({ version: 4, protocol: "udp", payload: patternBytes(20) });
    const end = sender.batch.arena.length;
    const frames: [number, number][] = [
      [-1, 10],
      [end, 1],
      [end - 9, 10],
      [0, end + 1],
      [0, -1],
      [0, 0],
      [0x7fffffff, 0x7fffffff],
    ];
    for (const [offset, length] of frames) {
      const row = sender.addFrame(bytes, vni);
      sender.frame(row)[FRAME_OFFSET] = offset;
      sender.frame(row)[FRAME_LENGTH] = length;
      sender.addSend(row, { header: 0 });
    }
    const row = sender.addFrame(bytes, vni);
    const sends = [
      { header: -1 },
      { header: end },
      { header: end - 7 },
      { headerBytes: -1 },
      { headerBytes: 65 },
      { header: 0x7fffffff, headerBytes: 64 },
      { remote: -1 },
      { remote: 64 },
      { socket: -1 },
      { socket: 1 },
      { socket: 64 },
    ];
    for (const fields of sends) sender.addSend(row, fields);
    for (const frame of [-1, 256, 0x7fffffff]) sender.addSend(frame, { header: 0 });
    const count = frames.length + sends.length + 3;
    sender.addSend(row);
    const { failed, results } = sender.flush([socket]);
    expect(results).toEqual([...Array(count).fill(EINVAL), 1]);
    expect(failed).toBe(count);
    expect(await listener.take(1)).toEqual([encapsulated(bytes, vni)]);
  });
});
