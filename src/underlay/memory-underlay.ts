// A network in memory, for whole data planes without root: joins the senders and receivers of
// several hosts in one process. UDP (VXLAN) and raw (IPIP) flavour. It has no offloads: a
// superpacket, or a frame whose checksum is left to the underlay, is refused with EINVAL. Faults
// are the tests' business: `onSend` decides what becomes of each send.

import {
  EGRESS_ARENA_BYTES,
  FRAME_FLAGS,
  FRAME_GSO_TYPE,
  FRAME_LENGTH,
  FRAME_NEEDS_CHECKSUM,
  FRAME_OFFSET,
  FRAME_WORDS,
  GSO_NONE,
  RAW_HEADER_INCLUDED,
  RAW_SOCKETS,
  RECEIVE_SLOT_BYTES,
  RECEIVE_SLOT_STRIDE,
  RECEIVE_SLOTS,
  REMOTE_ADDRESS,
  REMOTE_PORT,
  REMOTE_WORDS,
  RUN_ADDRESS,
  RUN_DEVICE,
  RUN_FAMILY,
  RUN_FLAGS,
  RUN_LENGTH,
  RUN_OFFSET,
  RUN_PORT,
  RUN_SEGMENT_BYTES,
  RUN_SEGMENTS,
  RUN_TOS,
  RUN_TRUNCATED,
  RUN_WORDS,
  SEND_BYTES,
  SEND_FLAGS,
  SEND_FRAME,
  SEND_HEADER,
  SEND_HEADER_BYTES,
  SEND_NO_GSO,
  SEND_PARTIAL_CHECKSUM,
  SEND_REMOTE,
  SEND_RESULT,
  SEND_SOCKET,
  SEND_TOS,
  SEND_TTL,
  SEND_WORDS,
} from "#abi";
import type { EgressBatch } from "../packet/egress-batch.js";
import { EAGAIN, EINVAL } from "../packet/errno.js";
import type { IngressBatch } from "../packet/ingress-batch.js";
import { formatIp, type IpAddress, ipFromV4, isIpv4 } from "../wire/ip-address.js";
import {
  IPV4_HEADER_BYTES,
  ipv4Destination,
  ipv4Protocol,
  ipv4Source,
  ipv4Tos,
  writeIpv4Checksum,
  writeIpv4DontFragment,
  writeIpv4TotalLength,
} from "../wire/ipv4.js";
import {
  IPV6_DESTINATION,
  IPV6_HEADER_BYTES,
  IPV6_SOURCE,
  ipv6NextHeader,
  ipv6TrafficClass,
  readIpv6Address,
} from "../wire/ipv6.js";
import type { DatagramSender, UnderlayReceiver, UnderlaySender } from "./underlay.js";

/** In place of a UDP port: raw sockets have none. */
const RAW = 0;

/**
 * What a socket gets: a UDP payload (VXLAN header first), or of raw packets (IPIP) over IPv4 all,
 * over IPv6 what follows the header.
 */
export interface Datagram {
  readonly source: IpAddress;
  /** UDP source port; 0 for raw. */
  readonly sourcePort: number;
  /** Outer TOS or traffic class. */
  readonly tos: number;
  readonly bytes: Uint8Array;
  /**
   * As UDP_GRO would give it: several datagrams of this size behind each other, the last maybe
   * shorter, alike enough to be one run. Absent: one datagram.
   */
  readonly segment_bytes?: number;
}

/** A datagram and where it goes. */
export interface Addressed extends Datagram {
  readonly destination: IpAddress;
  /** UDP destination port; 0 for raw. */
  readonly destinationPort: number;
}

/** A datagram as a host sent it. */
export interface Sent extends Addressed {
  /** SEND_NO_GSO stood in its row. */
  readonly alone: boolean;
  /** Outer TTL or hop limit that its row asked for; 0: the route's, or raw. */
  readonly ttl: number;
  /** Raw only: the kernel writes the outer header and fragments what is too long. */
  readonly fragments?: boolean;
}

/** `onSend`: the datagram is sent and never arrives. */
export const LOSE = 1;
/** `onSend`: the datagram is sent and arrives. */
export const DELIVER = 0;

/** Carries datagrams between the receivers that were opened on it. */
export class MemoryNetwork {
  /** Every datagram that left a host, in order, lost ones among them. */
  readonly sent: Sent[] = [];
  /** @returns DELIVER, LOSE or a negative errno: the send fails with it */
  onSend: (datagram: Sent) => number = () => DELIVER;
  /** The path MTU towards an address, bytes; a negative number: not known. */
  pathMtu_bytes: (address: IpAddress) => number = () => -1;
  readonly #receivers = new Map<string, MemoryReceiver>();

  /**
   * A pool of UDP sockets.
   * @param ports source ports: a power of two of them, or two pools of equal size
   * @param remotes rows as native code reads them (RemoteTable.rows)
   * @param socketCount of one pool
   */
  udpSender(
    source: IpAddress,
    ports: readonly number[],
    remotes: Int32Array,
    socketCount = ports.length,
  ): UnderlaySender {
    return new MemoryUdpSender(this, source, ports, remotes, socketCount);
  }

  /** A UDP socket for single datagrams. */
  datagrams(source: IpAddress, sourcePort: number): DatagramSender {
    return {
      sendDatagram: (_family, words, at, destinationPort, bytes) =>
        this.send({
          ...{ source, sourcePort, tos: 0, ttl: 0, alone: true, bytes: bytes.slice() },
          ...{ destination: addressOf(words, at), destinationPort },
        }),
    };
  }

  rawSender(): UnderlaySender {
    return new MemoryRawSender(this);
  }

  udpReceiver(address: IpAddress, port: number): MemoryReceiver {
    return this.#open(address, port);
  }

  /** Gets every packet of an outer protocol to `address`. */
  rawReceiver(address: IpAddress, protocol: number): MemoryReceiver {
    return this.#open(address, rawPort(protocol));
  }

  /** Sends one datagram. @returns 0, or a negative errno from `onSend` */
  send(datagram: Sent): number {
    const verdict = this.onSend(datagram);
    if (verdict < 0) return verdict;
    this.sent.push(datagram);
    if (verdict === DELIVER) this.deliver(datagram);
    return 0;
  }

  /**
   * Puts a datagram into the queue of the socket it goes to; nothing happens when there is none.
   */
  deliver(datagram: Addressed): void {
    const { destination, destinationPort, bytes } = datagram;
    if (destinationPort !== RAW) {
      return this.#receivers.get(socketKey(destination, destinationPort))?.take(datagram);
    }
    const protocol = bytes[0] >>> 4 === 6 ? ipv6NextHeader(bytes, 0) : ipv4Protocol(bytes, 0);
    this.#receivers.get(socketKey(destination, rawPort(protocol)))?.take(rawArrival(bytes));
  }

  #open(address: IpAddress, port: number): MemoryReceiver {
    const receiver = new MemoryReceiver();
    this.#receivers.set(socketKey(address, port), receiver);
    return receiver;
  }
}

/** The address in four words from `at` on. */
function addressOf(words: Int32Array, at: number): IpAddress {
  const word = (i: number) => words[at + i] >>> 0;
  return { w0: word(0), w1: word(1), w2: word(2), w3: word(3) };
}

function socketKey({ w0, w1, w2, w3 }: IpAddress, port: number): string {
  return `${formatIp(w0, w1, w2, w3)} ${port}`;
}

/**
 * Walks the send list as native code does: every row gets a result, one that fails stops no other.
 */
abstract class MemorySender implements UnderlaySender {
  protected readonly network: MemoryNetwork;
  abstract readonly socketCount: number;
  abstract readonly fragments: boolean;

  constructor(network: MemoryNetwork) {
    this.network = network;
  }

  pathMtu_bytes(w0: number, w1: number, w2: number, w3: number): number {
    return this.network.pathMtu_bytes({ w0, w1, w2, w3 });
  }

  sendBatch(batch: EgressBatch): number {
    let failed = 0;
    for (let row = 0; row < batch.sendCount; row++) {
      const at = row * SEND_WORDS;
      const bytes = gather(batch, at);
      const result = bytes === undefined ? -EINVAL : this.send(batch.sends, at, bytes);
      batch.sends[at + SEND_RESULT] = result < 0 ? result : 1;
      batch.sends[at + SEND_BYTES] = result < 0 ? 0 : (bytes?.length ?? 0);
      if (result < 0) failed++;
    }
    return failed;
  }

  /** Sends header and frame of the row at word `at`. @returns 0 or a negative errno */
  protected abstract send(sends: Int32Array, at: number, bytes: Uint8Array): number;
}

/** Header and frame of a send, copied; undefined when the row is impossible or needs an offload. */
function gather({ arena, frames, sends }: EgressBatch, at: number): Uint8Array | undefined {
  const frame = sends[at + SEND_FRAME] * FRAME_WORDS;
  if (frames[frame + FRAME_GSO_TYPE] !== GSO_NONE) return undefined;
  const partial = (frames[frame + FRAME_FLAGS] & FRAME_NEEDS_CHECKSUM) !== 0;
  if (partial && (sends[at + SEND_FLAGS] & SEND_PARTIAL_CHECKSUM) === 0) return undefined;
  const headerAt = sends[at + SEND_HEADER];
  const headerBytes = sends[at + SEND_HEADER_BYTES];
  if (headerAt < 0 || headerAt + headerBytes > EGRESS_ARENA_BYTES) return undefined;
  const frameAt = frames[frame + FRAME_OFFSET];
  const length = frames[frame + FRAME_LENGTH];
  const bytes = new Uint8Array(headerBytes + length);
  bytes.set(arena.subarray(headerAt, headerAt + headerBytes));
  bytes.set(arena.subarray(frameAt, frameAt + length), headerBytes);
  return bytes;
}

class MemoryUdpSender extends MemorySender {
  readonly fragments = true;
  readonly socketCount: number;
  readonly #source: IpAddress;
  readonly #ports: readonly number[];
  readonly #remotes: Int32Array;

  constructor(
    network: MemoryNetwork,
    source: IpAddress,
    ports: readonly number[],
    remotes: Int32Array,
    socketCount: number,
  ) {
    super(network);
    this.socketCount = socketCount;
    this.#source = source;
    this.#ports = ports;
    this.#remotes = remotes;
  }

  protected send(sends: Int32Array, at: number, bytes: Uint8Array): number {
    const socket = sends[at + SEND_SOCKET];
    const row = sends[at + SEND_REMOTE] * REMOTE_WORDS;
    const known = row >= 0 && row < this.#remotes.length;
    if (!known || socket < 0 || socket >= this.#ports.length) return -EINVAL;
    return this.network.send({
      source: this.#source,
      sourcePort: this.#ports[socket],
      destination: addressOf(this.#remotes, row + REMOTE_ADDRESS),
      destinationPort: this.#remotes[row + REMOTE_PORT],
      tos: sends[at + SEND_TOS],
      ttl: sends[at + SEND_TTL],
      alone: (sends[at + SEND_FLAGS] & SEND_NO_GSO) !== 0,
      bytes,
    });
  }
}

/**
 * Completes the outer header as the kernel does for IP_HDRINCL (raw(7)): of IPv4 total length and
 * checksum. Through the sockets for fragments DF is clear, as there.
 */
class MemoryRawSender extends MemorySender {
  readonly fragments = true;
  readonly socketCount = 1;

  protected send(sends: Int32Array, at: number, bytes: Uint8Array): number {
    const socket = sends[at + SEND_SOCKET];
    const v6 = bytes[0] >>> 4 === 6;
    const header_bytes = v6 ? IPV6_HEADER_BYTES : IPV4_HEADER_BYTES;
    const known = socket >= RAW_HEADER_INCLUDED && socket < RAW_SOCKETS;
    if (!known || sends[at + SEND_HEADER_BYTES] !== header_bytes) return -EINVAL;
    const fragments = socket !== RAW_HEADER_INCLUDED;
    if (!v6) {
      writeIpv4TotalLength(bytes, 0, bytes.length);
      if (fragments) writeIpv4DontFragment(bytes, 0, false);
      writeIpv4Checksum(bytes, 0);
    }
    const alone = (sends[at + SEND_FLAGS] & SEND_NO_GSO) !== 0;
    return this.network.send({ ...rawDatagram(bytes), ttl: 0, alone, fragments });
  }
}

/** Stands for a protocol where UDP has a port; no port is negative. */
const rawPort = (protocol: number): number => -1 - protocol;

/** What a raw socket gets of a whole IP packet: of IPv6 the kernel keeps the header [ipv6(7)]. */
export function rawArrival(bytes: Uint8Array): Datagram {
  const v6 = bytes[0] >>> 4 === 6;
  return { ...rawDatagram(bytes), bytes: v6 ? bytes.slice(IPV6_HEADER_BYTES) : bytes };
}

/** A whole IP packet as a raw socket sends it. */
export function rawDatagram(bytes: Uint8Array): Addressed {
  const v6 = bytes[0] >>> 4 === 6;
  return {
    source: v6 ? readIpv6Address(bytes, IPV6_SOURCE) : ipFromV4(ipv4Source(bytes, 0)),
    sourcePort: RAW,
    destination: v6
      ? readIpv6Address(bytes, IPV6_DESTINATION)
      : ipFromV4(ipv4Destination(bytes, 0)),
    destinationPort: RAW,
    tos: v6 ? ipv6TrafficClass(bytes, 0) : ipv4Tos(bytes, 0),
    bytes,
  };
}

/** One receiving socket: what lies in its queue becomes runs, one per datagram. */
export class MemoryReceiver implements UnderlayReceiver {
  readonly fd = -1;
  /** Datagrams that arrived and forwarding has not taken yet. */
  readonly queue: Datagram[] = [];

  take(datagram: Datagram): void {
    this.queue.push(datagram);
  }

  receiveBatch(batch: IngressBatch, limit: number): number {
    const count = Math.min(limit, this.queue.length, RECEIVE_SLOTS);
    for (let run = 0; run < count; run++) fillRun(batch, run, this.queue[run]);
    this.queue.splice(0, count);
    batch.runCount = count;
    return count === 0 ? -EAGAIN : count;
  }
}

function fillRun({ arena, runs }: IngressBatch, run: number, datagram: Datagram): void {
  const { source, bytes } = datagram;
  const at = run * RUN_WORDS;
  const slot = run * RECEIVE_SLOT_STRIDE;
  const length = Math.min(bytes.length, RECEIVE_SLOT_BYTES);
  const segment = Math.min(length, datagram.segment_bytes ?? length);
  arena.set(bytes.subarray(0, length), slot);
  runs.fill(0, at, at + RUN_WORDS);
  runs[at + RUN_OFFSET] = slot;
  runs[at + RUN_LENGTH] = length;
  runs[at + RUN_SEGMENT_BYTES] = segment;
  runs[at + RUN_SEGMENTS] = segment === 0 ? 1 : Math.ceil(length / segment);
  runs[at + RUN_FAMILY] = isIpv4(source) ? 4 : 6;
  runs.set([source.w0, source.w1, source.w2, source.w3], at + RUN_ADDRESS);
  runs[at + RUN_PORT] = datagram.sourcePort;
  runs[at + RUN_TOS] = datagram.tos;
  runs[at + RUN_FLAGS] = length < bytes.length ? RUN_TRUNCATED : 0;
  runs[at + RUN_DEVICE] = -1;
}
