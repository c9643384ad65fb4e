// Which datagrams `encapSendUdp` puts into one message (UDP_SEGMENT). A receiver on loopback with
// UDP_GRO gets each message whole, so one receive of one message shows what was grouped; one run
// means one flow, in order.

import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import {
  GSO_TCPV4,
  GSO_UDP_L4,
  MAX_SENDS,
  MAX_UDP_SEGMENTS,
  SEND_NO_GSO,
  SOCKET_GRO,
} from "#native";
import {
  Descriptors,
  encapsulated,
  LOOPBACK,
  LOOPBACK_V6,
  Receiver,
  Sender,
  segmentsOf,
} from "./batches.js";
import { buildPacket, patternBytes, segmentPackets, withPartialChecksum } from "./packets.js";

const EAGAIN = -11;
const EBADF = -9;
const EINVAL = -22;
const EMSGSIZE = -90;

const descriptors = new Descriptors();
const sender = new Sender();
const receiver = new Receiver();
let target = { fd: 0, port: 0 };
let socket = 0;
let otherSocket = 0;

beforeAll(() => {
  target = descriptors.udp(LOOPBACK, SOCKET_GRO);
  sender.addRemote(LOOPBACK, target.port);
  socket = descriptors.udp().fd;
  otherSocket = descriptors.udp().fd;
});
afterEach(() => {
  sender.begin();
  expect(receiver.tryReceive(target.fd)).toBe(EAGAIN);
});
afterAll(() => descriptors.closeAll());

/** A packet of `length` bytes of payload; `seed` makes it recognisable. */
const packet = (length: number, seed: number): Uint8Array =>
  buildPacket({ version: 4, protocol: "udp", payload: patternBytes(length, seed) }).bytes;

/** Every message that waits, as the datagrams in it. */
function messages(fd = target.fd): Uint8Array[][] {
  const all: Uint8Array[][] = [];
  for (;;) {
    const runs = receiver.tryReceive(fd, 1);
    if (typeof runs === "number") return all;
    all.push(runs.flatMap(segmentsOf));
  }
}

const sizes = (all: Uint8Array[][]): number[][] =>
  all.map((message) => message.map((datagram) => datagram.length - 8 - 42));

describe("grouping", () => {
  it("puts equal datagrams for one remote into one message, in order", () => {
    const packets = Array.from({ length: 20 }, (_, n) => packet(64, n));
    for (const bytes of packets) sender.add(bytes);
    const { failed, results, bytes } = sender.flush([socket]);
    expect(failed).toBe(0);
    expect(results).toEqual(Array(20).fill(1));
    expect(bytes).toEqual(Array(20).fill(8 + 42 + 64));
    expect(messages()).toEqual([packets.map((inner) => encapsulated(inner))]);
  });

  it("ends a message behind a shorter datagram, and before a longer one", () => {
    for (const [n, length] of [64, 64, 40, 64, 64, 80, 80, 10, 10].entries()) {
      sender.add(packet(length, n));
    }
    expect(sender.flush([socket]).failed).toBe(0);
    expect(sizes(messages())).toEqual([[64, 64, 40], [64, 64], [80, 80, 10], [10]]);
  });

  it(`puts at most ${MAX_UDP_SEGMENTS} datagrams and 64 KiB into one`, () => {
    for (let n = 0; n < 2 * MAX_UDP_SEGMENTS + 3; n++) sender.add(packet(20, n));
    expect(sender.flush([socket]).failed).toBe(0);
    expect(messages().map((message) => message.length)).toEqual([64, 64, 3]);
    for (let n = 0; n < 9; n++) sender.add(packet(16_000, n));
    expect(sender.flush([socket]).failed).toBe(0);
    expect(messages().map((message) => message.length)).toEqual([4, 4, 1]);
  });

  it("never mixes remotes or sockets, and keeps each one's order", () => {
    const other = descriptors.udp(LOOPBACK, SOCKET_GRO);
    const remote = sender.addRemote(LOOPBACK, other.port);
    const keys = [
      { remote: 0, socket: 0, tos: 0 },
      { remote, socket: 0, tos: 0 },
      { remote: 0, socket: 1, tos: 0 },
    ];
    for (let n = 0; n < 18; n++) sender.add(packet(100, n), keys[n % 3]);
    expect(sender.flush([socket, otherSocket]).failed).toBe(0);
    const chain = (key: number) =>
      Array.from({ length: 6 }, (_, n) => encapsulated(packet(100, 3 * n + key)));
    const received = messages();
    expect(received).toHaveLength(2);
    expect(received).toEqual(expect.arrayContaining([chain(0), chain(2)]));
    expect(messages(other.fd)).toEqual([chain(1)]);
    descriptors.close(other.fd);
  });

  it("ends a message where the traffic class changes, so that no mark overtakes its flow", () => {
    const classes = [2, 2, 3, 2, 3, 3, 3, 0, 2, 2];
    for (const [n, tos] of classes.entries()) sender.add(packet(100, n), { tos });
    expect(sender.flush([socket]).failed).toBe(0);
    const received = messages();
    expect(received.map((message) => message.length)).toEqual([2, 1, 1, 3, 1, 2]);
    const sent = classes.map((_, n) => encapsulated(packet(100, n)));
    expect(received.flat()).toEqual(sent);
  });

  it("groups segments of superpackets with plain frames of their size", () => {
    const spec = { version: 4, protocol: "udp", payload: patternBytes(300) } as const;
    sender.add(packet(100, 1));
    sender.addSend(sender.addSuperpacket(withPartialChecksum(spec), GSO_UDP_L4, 100));
    sender.add(packet(100, 2));
    const { results } = sender.flush([socket]);
    expect(results).toEqual([1, 3, 1]);
    const segments = segmentPackets(spec, 100);
    expect(messages()).toEqual([
      [packet(100, 1), ...segments, packet(100, 2)].map((inner) => encapsulated(inner)),
    ]);
  });

  it("keeps datagrams of another TOS or TTL apart", () => {
    const outer = [
      { tos: 0, ttl: 0 },
      { tos: 4, ttl: 0 },
      { tos: 4, ttl: 9 },
      { tos: 4, ttl: 9 },
      { tos: 0, ttl: 9 },
    ];
    for (const [n, fields] of outer.entries()) sender.add(packet(64, n), fields);
    expect(sender.flush([socket]).failed).toBe(0);
    expect(messages().map((message) => message.length)).toEqual([1, 1, 2, 1]);
  });

  it("sends singly with SEND_NO_GSO", () => {
    const spec = { version: 4, protocol: "tcp", payload: patternBytes(3000) } as const;
    for (let n = 0; n < 3; n++) sender.add(packet(100, n), { flags: SEND_NO_GSO });
    const frame = sender.addSuperpacket(withPartialChecksum(spec), GSO_TCPV4, 1000);
    sender.addSend(frame, { flags: SEND_NO_GSO });
    sender.add(packet(100, 3));
    sender.add(packet(100, 4));
    expect(sender.flush([socket]).results).toEqual([1, 1, 1, 3, 1, 1]);
    expect(messages().map((message) => message.length)).toEqual([1, 1, 1, 1, 1, 1, 2]);
  });

  it("sends a header that does not lie in front of its frame", () => {
    const { arena } = sender.batch;
    const header = sender.batch.allocateScratch(8);
    arena.set([8, 0, 0, 0, 0, 0, 7, 0], header);
    const row = sender.addFrame(packet(50, 1), 100);
    sender.addSend(row);
    sender.addSend(row, { header });
    sender.addSend(row, { headerBytes: 0 });
    expect(sender.flush([socket]).results).toEqual([1, 1, 1]);
    const datagrams = messages().flat();
    const inner = packet(50, 1);
    expect(datagrams).toEqual([encapsulated(inner, 100), encapsulated(inner, 7), inner]);
  });

  it(`sends ${MAX_SENDS} rows`, () => {
    const counts = new Map<number, number>();
    const rows = Array.from({ length: 8 }, (_, n) => sender.addFrame(packet(30, n), n));
    for (let n = 0; n < MAX_SENDS; n++) sender.addSend(rows[n % 8], { tos: (n % 2) * 4 });
    expect(sender.batch.addSend(0, 0, 0, 0, 8, 0, 0)).toBe(false);
    const { failed, results } = sender.flush([socket]);
    expect({ failed, sent: results.every((result) => result === 1) }).toEqual({
      failed: 0,
      sent: true,
    });
    for (const datagram of messages().flat()) {
      counts.set(datagram[6], (counts.get(datagram[6]) ?? 0) + 1);
    }
    expect([...counts].sort()).toEqual(Array.from({ length: 8 }, (_, n) => [n, MAX_SENDS / 8]));
  });

  it("keeps order when there are more keys than it can tell apart", () => {
    // 256 classes on three sockets are more keys than there are buckets; the VNI counts a key's
    // datagrams.
    const open = [descriptors.udp(), descriptors.udp(), descriptors.udp()];
    const rows = [0, 1, 2].map((n) => sender.addFrame(packet(30, n), n));
    const sent = new Map<string, number[]>();
    for (let n = 0; n < MAX_SENDS; n++) {
      const [tos, nth] = [Math.floor(n / 3) & 0xff, Math.floor(n / 768)];
      sender.addSend(rows[nth], { tos, socket: n % 3 });
      const key = `${open[n % 3].port} ${tos}`;
      sent.set(key, [...(sent.get(key) ?? []), nth]);
    }
    const { failed, results } = sender.flush(open.map(({ fd }) => fd));
    expect(failed).toBe(0);
    expect(results.every((result) => result === 1)).toBe(true);
    const received = new Map<string, number[]>();
    for (;;) {
      const runs = receiver.tryReceive(target.fd);
      if (typeof runs === "number") break;
      for (const run of runs) {
        const key = `${run.port} ${run.tos}`;
        const vnis = segmentsOf(run).map((datagram) => datagram[6]);
        received.set(key, [...(received.get(key) ?? []), ...vnis]);
      }
    }
    expect(received.size).toBe(768);
    for (const [key, order] of sent) expect(received.get(key), key).toEqual(order);
  });
});

describe("outer header fields", () => {
  it("carries the traffic class, IPv4 and IPv6", () => {
    const six = descriptors.udp(LOOPBACK_V6, SOCKET_GRO);
    const sending = descriptors.udp(LOOPBACK_V6);
    const remote = sender.addRemote(LOOPBACK_V6, six.port);
    for (const tos of [0, 1, 2, 0xb8, 0xff]) {
      sender.add(packet(64, 1), { tos });
      sender.add(packet(64, 2), { tos });
      expect(sender.flush([socket]).failed).toBe(0);
      sender.add(packet(64, 1), { tos, remote });
      sender.add(packet(64, 2), { tos, remote });
      expect(sender.flush([sending.fd]).failed).toBe(0);
      const [four] = receiver.receive(target.fd);
      expect(four).toMatchObject({ family: 4, tos, segments: 2 });
      const [v6] = receiver.receive(six.fd);
      expect(v6).toMatchObject({ family: 6, tos, segments: 2, port: sending.port });
    }
  });
});

describe("failed sends", () => {
  it("tell per row, the others still go", () => {
    // Loopback has no way to 192.0.2.1 from a socket bound to 127.0.0.1; port 0 is no destination.
    const unreachable = sender.addRemote("192.0.2.1", 4789);
    const six = sender.addRemote(LOOPBACK_V6, target.port);
    const portless = sender.addRemote(LOOPBACK, 0);
    for (let n = 0; n < 3; n++) {
      sender.add(packet(100, n));
      sender.add(packet(100, n), { remote: unreachable });
      sender.add(packet(100, n), { remote: six });
      sender.add(packet(100, n), { remote: portless });
    }
    sender.add(packet(100, 3), { tos: 256 });
    sender.add(packet(65_486, 4));
    const { failed, results, bytes } = sender.flush([socket]);
    expect(failed).toBe(11);
    for (let n = 0; n < 3; n++) {
      expect(results[4 * n]).toBe(1);
      expect(results.slice(4 * n + 1, 4 * n + 4).every((result) => result < 0)).toBe(true);
    }
    expect(results.slice(-2)).toEqual([EINVAL, EMSGSIZE]);
    expect(bytes.filter((count) => count > 0)).toEqual(Array(3).fill(150));
    expect(sizes(messages())).toEqual([[100, 100, 100]]);
  });

  it("of a closed socket fail alone", () => {
    for (let n = 0; n < 4; n++) sender.add(packet(100, n), { socket: n % 2 });
    const { failed, results } = sender.flush([-1, socket]);
    expect({ failed, results }).toEqual({ failed: 2, results: [EBADF, 1, EBADF, 1] });
    expect(sizes(messages())).toEqual([[100, 100]]);
  });

  it("of a superpacket that cannot leave give no bytes", () => {
    const spec = { version: 4, protocol: "tcp", payload: patternBytes(3000) } as const;
    const frame = sender.addSuperpacket(withPartialChecksum(spec), GSO_TCPV4, 1000);
    sender.addSend(frame);
    expect(sender.flush([-1])).toEqual({ failed: 1, results: [EBADF], bytes: [0] });
  });
});
