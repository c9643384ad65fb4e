// How `receiveBatch` splits what a UDP_GRO socket received into runs: one flow is one run, whatever
// differs begins another. Datagrams come over loopback in one UDP_SEGMENT message, so the receiver
// gets them merged.

import { createSocket } from "node:dgram";
import { once } from "node:events";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { native, RECEIVE_SLOT_BYTES, RUN_ADDRESS, RUN_DEVICE, SOCKET_GRO } from "#native";
import { Descriptors, encapsulated, LOOPBACK, Receiver, Sender, segmentsOf } from "./batches.js";
import { buildPacket, type PacketSpec, patternBytes, withPartialChecksum } from "./packets.js";

const EAGAIN = -11;
const ENOTSOCK = -88;

const descriptors = new Descriptors();
const sender = new Sender();
const receiver = new Receiver();
let target = { fd: 0, port: 0 };
let socket = { fd: 0, port: 0 };

beforeAll(() => {
  target = descriptors.udp(LOOPBACK, SOCKET_GRO);
  sender.addRemote(LOOPBACK, target.port);
  socket = descriptors.udp();
});
afterEach(() => {
  sender.begin();
  expect(receiver.tryReceive(target.fd)).toBe(EAGAIN);
});
afterAll(() => descriptors.closeAll());

const base: PacketSpec = { version: 4, protocol: "tcp", payload: patternBytes(100) };

/** Sends the packets as one message; answers the runs. */
function runsOf(packets: readonly Uint8Array[], vnis: readonly number[] = []) {
  for (const [n, bytes] of packets.entries()) sender.add(bytes, {}, vnis[n] ?? 100);
  expect(sender.flush([socket.fd]).failed).toBe(0);
  return receiver.receive(target.fd);
}

const counts = (packets: readonly Uint8Array[], vnis: readonly number[] = []): number[] =>
  runsOf(packets, vnis).map((run) => run.segments);

describe("runs", () => {
  it("join the segments of one flow, the last may be shorter", () => {
    for (const version of [4, 6] as const) {
      for (const vlans of [[], [5], [5, 6]]) {
        const packets = [0, 1, 2].map((n) =>
          buildPacket({
            ...base,
            version,
            vlans,
            sequence: n * 100,
            identification: n,
            ttl: 60 + n,
            acknowledgement: 5 * n,
            payload: patternBytes(n === 2 ? 40 : 100, n),
          }),
        );
        const [run, ...others] = runsOf(packets.map(({ bytes }) => bytes));
        expect(others).toEqual([]);
        expect(run).toMatchObject({ segments: 3, family: 4, port: socket.port, flags: 0 });
        expect(segmentsOf(run)).toEqual(packets.map(({ bytes }) => encapsulated(bytes)));
      }
    }
  });

  it("tell outer source and have no device yet", () => {
    runsOf([buildPacket(base).bytes]);
    expect(Array.from(receiver.batch.runs.slice(RUN_ADDRESS, RUN_ADDRESS + 4))).toEqual([
      0, 0, 0xffff, 0x7f000001,
    ]);
    expect(receiver.batch.runs[RUN_DEVICE]).toBe(-1);
  });

  const differences: Record<string, Partial<PacketSpec>> = {
    "source MAC": { sourceMac: 0x0c },
    "VLAN tag": { vlans: [6] },
    "source address": { source: 12 },
    "source port": { sourcePort: 40001 },
    "destination port": { destinationPort: 5202 },
    "traffic class": { tos: 1 },
  };
  for (const [what, difference] of Object.entries(differences)) {
    it(`begin anew with another ${what}`, () => {
      for (const version of [4, 6] as const) {
        const one = buildPacket({ ...base, version, vlans: [5] }).bytes;
        const other = buildPacket({ ...base, version, vlans: [5], ...difference }).bytes;
        expect(counts([one, one, other, other, one])).toEqual([2, 2, 1]);
      }
    });
  }

  it("begin anew with another VNI, protocol, fragment flags or IP options", () => {
    const { bytes, l3 } = buildPacket(base);
    expect(counts([bytes, bytes, bytes], [100, 101, 101])).toEqual([1, 2]);
    const dontFragment = buildPacket({ ...base, dontFragment: false }).bytes;
    expect(counts([bytes, dontFragment, dontFragment])).toEqual([1, 2]);
    const udp = buildPacket({ ...base, protocol: "udp", payload: patternBytes(112) }).bytes;
    expect(counts([bytes, udp])).toEqual([1, 1]);
    const options = (value: number) =>
      buildPacket({ ...base, ipOptions: Uint8Array.of(1, 1, 1, value) }).bytes;
    expect(counts([options(1), options(1), options(0)])).toEqual([2, 1]);
    expect(bytes[l3]).toBe(0x45);
  });

  it("hold one segment each where the inner packet is not TCP, UDP or ICMP", () => {
    const arp = Uint8Array.of(...Array(12).fill(0xff), 8, 6, ...Array(28).fill(0));
    expect(counts([arp, arp])).toEqual([1, 1]);
    const fragment = buildPacket(base).bytes;
    fragment[14 + 6] |= 0x20;
    expect(counts([fragment, fragment])).toEqual([1, 1]);
    const malformed = buildPacket(base).bytes;
    malformed[14] = 0x44;
    expect(counts([malformed, malformed])).toEqual([1, 1]);
    expect(counts([Uint8Array.of(1, 2, 3), Uint8Array.of(1, 2, 3)])).toEqual([1, 1]);
  });

  it("hold one segment that is no VXLAN at all", () => {
    for (const length of [1, 7, 8]) {
      const row = sender.addFrame(patternBytes(length), 100);
      for (let n = 0; n < 2; n++) sender.addSend(row, { headerBytes: 0 });
      expect(sender.flush([socket.fd]).failed).toBe(0);
      expect(receiver.receive(target.fd).map((run) => run.bytes.length)).toEqual([length, length]);
    }
  });

  it("cover the message exactly, whatever it holds", () => {
    const kinds = fc.record({
      version: fc.constantFrom(4 as const, 6 as const),
      source: fc.integer({ min: 10, max: 11 }),
      sourcePort: fc.integer({ min: 40000, max: 40001 }),
      tos: fc.integer({ min: 0, max: 1 }),
      vni: fc.integer({ min: 100, max: 101 }),
    });
    fc.assert(
      fc.property(fc.array(kinds, { minLength: 1, maxLength: 30 }), (flows) => {
        const sent = flows.map(({ vni, ...flow }, n) => {
          // Equal sizes, so that one message carries both families.
          const payload = patternBytes(flow.version === 4 ? 120 : 100, n);
          return { bytes: buildPacket({ ...base, ...flow, payload }).bytes, vni };
        });
        const runs = runsOf(
          sent.map(({ bytes }) => bytes),
          sent.map(({ vni }) => vni),
        );
        expect(runs.flatMap(segmentsOf)).toEqual(
          sent.map(({ bytes, vni }) => encapsulated(bytes, vni)),
        );
        const changes = flows.filter(
          (flow, n) => n === 0 || JSON.stringify(flow) !== JSON.stringify(flows[n - 1]),
        );
        expect(runs).toHaveLength(changes.length);
      }),
      { numRuns: 100 },
    );
  });
});

describe("messages", () => {
  it("may be empty", async () => {
    const plain = createSocket("udp4");
    plain.send(new Uint8Array(0), target.port, LOOPBACK);
    await once(plain, "listening");
    for (let tries = 0; tries < 200; tries++) {
      const runs = receiver.tryReceive(target.fd);
      if (typeof runs !== "number") {
        expect(runs).toMatchObject([{ segments: 1, segment_bytes: 0 }]);
        expect(runs[0].bytes.length).toBe(0);
        plain.close();
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    throw new Error("the empty datagram did not arrive");
  });

  it("come in the order they were sent, as many as asked for", () => {
    for (let n = 0; n < 40; n++)
      sender.add(buildPacket({ ...base, sequence: n }).bytes, { flags: 1 });
    expect(sender.flush([socket.fd]).failed).toBe(0);
    const first = receiver.receive(target.fd, 3);
    const second = receiver.receive(target.fd);
    const third = receiver.receive(target.fd);
    expect([first.length, second.length, third.length]).toEqual([3, 32, 5]);
    const sequences = [...first, ...second, ...third].map((run) => run.bytes[8 + 34 + 7]);
    expect(sequences).toEqual(Array.from({ length: 40 }, (_, n) => n));
  });

  it("that are one inner superpacket stay one run with the size known", () => {
    // What a kernel peer on the same machine sends when no offload ever cut its superpacket.
    const superpacket = withPartialChecksum({ ...base, payload: patternBytes(40_000) }).bytes;
    const [single] = runsOf([superpacket]);
    expect(single).toMatchObject({
      segments: 1,
      gsoSize: 0,
      segment_bytes: superpacket.length + 8,
    });
    // The same, handed over with a GRO size: pieces of one datagram that belong together.
    const whole = encapsulated(superpacket);
    for (let at = 0; at < whole.length; at += 1000) {
      const row = sender.addFrame(whole.slice(at, at + 1000), 100);
      sender.addSend(row, { headerBytes: 0 });
    }
    expect(sender.flush([socket.fd]).failed).toBe(0);
    const [run, ...others] = receiver.receive(target.fd);
    expect(others).toEqual([]);
    expect(run).toMatchObject({ segments: 1, gsoSize: 1000, segment_bytes: whole.length });
    expect(run.bytes).toEqual(whole);
  });

  it("fit a slot, the longest that IP allows too", () => {
    expect(RECEIVE_SLOT_BYTES).toBeGreaterThan(65_535);
    const packet = buildPacket({ ...base, payload: patternBytes(65_507 - 8 - 54) }).bytes;
    const [run] = runsOf([packet]);
    expect(run).toMatchObject({ flags: 0, segments: 1, segment_bytes: 65_507 });
    expect(run.bytes).toEqual(encapsulated(packet));
  });

  it("of something that is no socket, or empty, give an error", () => {
    const poll = descriptors.take(native.pollCreate(), "pollCreate");
    expect(receiver.tryReceive(poll)).toBe(ENOTSOCK);
    expect(receiver.tryReceive(target.fd)).toBe(EAGAIN);
  });

  it("of a raw socket are one run each, with the class of the IP header", () => {
    const row = sender.addFrame(Uint8Array.of(0x45, 0xb8, 1, 2, 3), 100);
    for (let n = 0; n < 2; n++) sender.addSend(row, { headerBytes: 0 });
    expect(sender.flush([socket.fd]).failed).toBe(0);
    // The same reading as for a raw socket, from the UDP socket at hand.
    const [run, ...others] = receiver.receive(target.fd, 32, 1);
    expect(others).toEqual([]);
    expect(run).toMatchObject({ tos: 0xb8, segments: 1 });
  });
});
