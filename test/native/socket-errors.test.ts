// Errors that ICMP brings back to sending sockets (SOCKET_ERRORS): they are read with the address
// they are about, and they cost no later send, to whomever that goes.

import { afterAll, afterEach, describe, expect, it } from "vitest";
import {
  ERROR_ADDRESS,
  ERROR_CODE,
  ERROR_ERRNO,
  ERROR_FAMILY,
  ERROR_OFFENDER,
  ERROR_PORT,
  ERROR_QUOTED,
  ERROR_TYPE,
  ERROR_VNI,
  ERROR_WORDS,
  MAX_ERRORS,
  native,
  QUOTE_BYTES,
  SEND_NO_GSO,
  SOCKET_ERRORS,
  SOCKET_GRO,
  SOCKET_HEADER_INCLUDED,
  SOCKET_NO_CHECKSUM,
  SOCKET_NO_FLOW_LABEL,
  SOCKET_SEND_ONLY,
  SOCKET_ZERO_CHECKSUM_RX,
} from "#native";
import { emitIpv4 } from "../../src/wire/ipv4.js";
import { addressWords, Descriptors, LOOPBACK, LOOPBACK_V6, Receiver, Sender } from "./batches.js";
import { buildPacket, patternBytes } from "./packets.js";

const ECONNREFUSED = 111;
const EAGAIN = -11;

const descriptors = new Descriptors();
const sender = new Sender();
const receiver = new Receiver();
afterEach(() => sender.begin());
afterAll(() => descriptors.closeAll());

const packet = (length: number): Uint8Array =>
  buildPacket({ version: 4, protocol: "udp", payload: patternBytes(length, 1) }).bytes;

/** A port that was free a moment ago. */
function closedPort(address: string): number {
  const { fd, port } = descriptors.udp(address);
  descriptors.close(fd);
  return port;
}

/** Of the errors that were read last. */
const quotes = new Uint8Array(MAX_ERRORS * QUOTE_BYTES);

function errorsOf(fd: number): Int32Array[] {
  const rows = new Int32Array(MAX_ERRORS * ERROR_WORDS);
  const count = native.socketErrors(fd, rows, quotes);
  expect(count).toBeGreaterThanOrEqual(0);
  return Array.from({ length: count }, (_, n) =>
    rows.slice(n * ERROR_WORDS, (n + 1) * ERROR_WORDS),
  );
}

describe.each([
  [LOOPBACK, 4, 3, 3],
  [LOOPBACK_V6, 6, 1, 4],
] as const)("a closed port at %s", (address, family, type, code) => {
  const port = closedPort(address);
  const healthy = descriptors.udp(address, SOCKET_GRO);
  const closed = sender.addRemote(address, port);
  const open = sender.addRemote(address, healthy.port);
  const { fd } = descriptors.udp(address, SOCKET_ERRORS | SOCKET_SEND_ONLY);

  it("is told with address, port and VNI", () => {
    sender.add(packet(64), { remote: closed }, 0xabcdef);
    expect(sender.flush([fd]).failed).toBe(0);
    const [error] = errorsOf(fd);
    const read = (column: number): number => error![column]!;
    expect([ERROR_ERRNO, ERROR_TYPE, ERROR_CODE, ERROR_FAMILY].map(read)).toEqual([
      ...[ECONNREFUSED, type, code],
      family,
    ]);
    expect([ERROR_PORT, ERROR_VNI].map(read)).toEqual([port, 0xabcdef]);
    for (const column of [ERROR_ADDRESS, ERROR_OFFENDER]) {
      const words = [0, 1, 2, 3].map((word) => read(column + word));
      expect(words[3]).toBe(addressWords(address).words[3]);
      expect(words[2]).toBe(family === 4 ? 0xffff : 0);
    }
    // What was quoted begins behind the UDP header: here with VXLAN's.
    expect(read(ERROR_QUOTED)).toBe(8 + packet(64).length);
    expect(quotes.slice(4, 7)).toEqual(Uint8Array.of(0xab, 0xcd, 0xef));
    expect(quotes.slice(8, read(ERROR_QUOTED))).toEqual(packet(64));
    expect(errorsOf(fd)).toEqual([]);
  });

  it.each([0, SEND_NO_GSO])("costs no send to a healthy peer, flags %i", (flags) => {
    let arrived = 0;
    for (let round = 0; round < 50; round++) {
      // The last send of a round leaves an error for the first one of the next.
      for (let n = 0; n < 4; n++) {
        sender.add(packet(64 + n), { remote: n % 2 === 0 ? open : closed, flags });
      }
      expect(sender.flush([fd])).toMatchObject({ failed: 0, results: [1, 1, 1, 1] });
      for (;;) {
        const runs = receiver.tryReceive(healthy.fd);
        if (typeof runs === "number") break;
        arrived += runs.reduce((sum, { segments }) => sum + segments, 0);
      }
    }
    expect(arrived).toBe(100);
    while (errorsOf(fd).length > 0);
  });
});

describe("datagramSend", () => {
  it("loses nothing by an error about an earlier datagram", () => {
    const healthy = descriptors.udp(LOOPBACK);
    const { fd } = descriptors.udp(LOOPBACK, SOCKET_ERRORS | SOCKET_SEND_ONLY);
    const words = Int32Array.from(addressWords(LOOPBACK).words);
    const send = (port: number) => native.datagramSend(fd, 4, words, 0, port, packet(56), 0);
    const closed = closedPort(LOOPBACK);
    expect([send(closed), send(healthy.port), send(closed), send(closed)]).toEqual([0, 0, 0, 0]);
    expect(receiver.tryReceive(healthy.fd)).toHaveLength(1);
    expect(errorsOf(fd)).toHaveLength(3);
  });
});

describe.runIf(process.getuid?.() === 0)("a raw socket", () => {
  const PROTOCOL_UNREACHABLE = [92, 3, 2, 4];
  const own = Int32Array.of(0, 0, 0xffff, 0x7f00_0002);
  const peer = Int32Array.of(0, 0, 0xffff, 0x7f00_0001);
  /** An outer packet without anything that could be an inner one. */
  const outerPacket = (protocol: number, length: number): Uint8Array => {
    const bytes = patternBytes(length, 3);
    const repr = { tos: 0, identification: 1, dontFragment: true, moreFragments: false };
    const more = { fragmentOffset_bytes: 0, ttl: 9, protocol, payload_bytes: length - 20 };
    emitIpv4({ ...repr, ...more, source: own[3]!, destination: peer[3]! }, bytes, 0);
    return bytes;
  };

  it.each([
    [true, 20],
    [false, 0],
  ])("is told of what others sent with its protocol, header included %s", (included, header) => {
    const flags = SOCKET_ERRORS | (included ? SOCKET_HEADER_INCLUDED : 0);
    const raw = (protocol: number, more: number): number =>
      descriptors.take(native.rawOpen(4, protocol, own, "", more, 65536), "rawOpen");
    const receiving = raw(4, flags);
    const other = raw(41, flags);
    const sending = raw(255, SOCKET_HEADER_INCLUDED | SOCKET_SEND_ONLY);
    const bytes = outerPacket(4, 700);
    expect(native.datagramSend(sending, 4, peer, 0, 9, bytes, 0)).toBe(0);
    const [error] = errorsOf(receiving);
    const columns = [ERROR_ERRNO, ERROR_TYPE, ERROR_CODE, ERROR_FAMILY];
    expect(columns.map((column) => error![column])).toEqual(PROTOCOL_UNREACHABLE);
    expect(error![ERROR_OFFENDER + 3]).toBe(peer[3]);
    // The kernel quotes so much that the whole message has 576 bytes [RFC 1812 § 4.3.2.3].
    expect(error![ERROR_QUOTED]).toBe(548 - 20 + header);
    const quoted = quotes.slice(0, error![ERROR_QUOTED]);
    expect(quoted.slice(header)).toEqual(bytes.slice(20, 548));
    if (included) expect(quoted.slice(12, 20)).toEqual(bytes.slice(12, 20));
    expect([errorsOf(receiving), errorsOf(other), errorsOf(sending)]).toEqual([[], [], []]);
    for (const fd of [receiving, other, sending]) descriptors.close(fd);
  });
});

describe("socketErrors", () => {
  it("refuses memory that is too small for what it may give", () => {
    const { fd } = descriptors.udp();
    const rows = new Int32Array(MAX_ERRORS * ERROR_WORDS);
    const take = (errors: Int32Array, room: Uint8Array) => native.socketErrors(fd, errors, room);
    expect(take(rows.subarray(1), quotes)).toBe(-22);
    expect(take(rows, quotes.subarray(1))).toBe(-22);
    expect(take(rows, quotes)).toBe(0);
  });

  it("gives no more than there is room for, and the rest afterwards", () => {
    const remote = sender.addRemote(LOOPBACK, closedPort(LOOPBACK));
    const { fd } = descriptors.udp(LOOPBACK, SOCKET_ERRORS);
    // Loopback is exempt from the rate limit of ICMP (net/ipv4/icmp.c, icmpv4_xrlim_allow).
    for (let n = 0; n < MAX_ERRORS + 3; n++) {
      sender.add(packet(64), { remote, flags: SEND_NO_GSO });
    }
    expect(sender.flush([fd]).failed).toBe(0);
    expect([errorsOf(fd).length, errorsOf(fd).length]).toEqual([MAX_ERRORS, 3]);
  });

  it("is empty for a socket that was not asked to keep them", () => {
    const remote = sender.addRemote(LOOPBACK, closedPort(LOOPBACK));
    const { fd } = descriptors.udp();
    sender.add(packet(64), { remote });
    expect(sender.flush([fd]).failed).toBe(0);
    expect(errorsOf(fd)).toEqual([]);
  });
});

describe("socketConfigure", () => {
  it("turns the checksum of IPv6 off and on, and what a receiver takes", () => {
    const target = descriptors.udp(LOOPBACK_V6);
    const remote = sender.addRemote(LOOPBACK_V6, target.port);
    const { fd } = descriptors.udp(LOOPBACK_V6);
    const deliver = (sending: number, receiving: number): boolean => {
      expect(native.socketConfigure(fd, 6, sending)).toBe(0);
      expect(native.socketConfigure(target.fd, 6, receiving)).toBe(0);
      sender.add(packet(64), { remote });
      expect(sender.flush([fd]).failed).toBe(0);
      return receiver.tryReceive(target.fd) !== EAGAIN;
    };
    expect(deliver(0, 0)).toBe(true);
    expect(deliver(SOCKET_NO_CHECKSUM, SOCKET_ZERO_CHECKSUM_RX)).toBe(true);
    expect(deliver(SOCKET_NO_FLOW_LABEL, 0)).toBe(true);
    expect(deliver(SOCKET_NO_CHECKSUM, 0)).toBe(false);
  });
});
