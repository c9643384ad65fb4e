// The underlay side of a soak of IPIP tunnels: checks what forwarding promises of outer packets,
// fails some sends as kernels do, some of them in part; gives damaged packets to raw sockets and
// damaged quotes to their error queues.

import {
  ERROR_ADDRESS,
  ERROR_CODE,
  ERROR_ERRNO,
  ERROR_FAMILY,
  ERROR_OFFENDER,
  ERROR_QUOTED,
  ERROR_TYPE,
  ERROR_WORDS,
  FRAME_LENGTH,
  FRAME_OFFSET,
  FRAME_WORDS,
  MAX_ERRORS,
  QUOTE_BYTES,
  RAW_HEADER_INCLUDED,
  RECEIVE_SLOT_STRIDE,
  RUN_ADDRESS,
  RUN_DEVICE,
  RUN_FAMILY,
  RUN_FLAGS,
  RUN_LENGTH,
  RUN_OFFSET,
  RUN_SEGMENT_BYTES,
  RUN_SEGMENTS,
  RUN_TOS,
  RUN_TRUNCATED,
  RUN_WORDS,
  SEND_BYTES,
  SEND_FLAGS,
  SEND_FRAGMENTS,
  SEND_FRAME,
  SEND_HEADER,
  SEND_HEADER_BYTES,
  SEND_NO_GSO,
  SEND_PARTLY,
  SEND_RESULT,
  SEND_SOCKET,
  SEND_WORDS,
} from "#abi";
import type { EgressBatch } from "../../../src/packet/egress-batch.js";
import { EAGAIN, EIO, EMSGSIZE, ENOBUFS } from "../../../src/packet/errno.js";
import type { IngressBatch } from "../../../src/packet/ingress-batch.js";
import { MemoryNetwork, MemoryReceiver } from "../../../src/underlay/memory-underlay.js";
import type { UnderlayErrors, UnderlaySender } from "../../../src/underlay/underlay.js";
import type { IpAddress } from "../../../src/wire/ip-address.js";
import { ip6ip, ipip } from "../../unit/forwarding/frames.js";
import { IP_CORPUS } from "./corpus.js";
import type { Random } from "./random.js";
import { SoakError } from "./soak-device.js";

const FAILURES = [EAGAIN, ENOBUFS, EMSGSIZE, EMSGSIZE, EIO, 101];
const ERRNOS = [113, 111, 92, EMSGSIZE];
/** Bytes of a packet that are given, so that damage has its share. */
const GIVEN_BYTES = 2048;

export interface SoakEnds {
  /** Of the outer header. */
  readonly family: 4 | 6;
  readonly local: string;
  readonly peers: readonly string[];
}

/** Every packet of the corpus from each peer, or from us to each. */
function outerPackets(ends: SoakEnds, protocol: number, ours: boolean): Uint8Array[] {
  const { family, local, peers } = ends;
  return IP_CORPUS.flatMap(({ bytes }) => {
    const inner = bytes.subarray(0, GIVEN_BYTES);
    return peers.map((peer) => {
      const [source, destination] = ours ? [local, peer] : [peer, local];
      const options = { source, destination, protocol };
      return family === 4 ? ipip(inner, options) : ip6ip(inner, options);
    });
  });
}

/** One of them, damaged or not, in `into` at `at`. @returns its bytes */
function put(random: Random, packets: readonly Uint8Array[], into: Uint8Array, at: number): number {
  const packet = random.pick(packets);
  into.set(packet, at);
  if (random.oneIn(3)) random.damage(into, at, packet.length);
  return random.oneIn(12) ? random.below(packet.length + 1) : packet.length;
}

class SoakRawReceiver extends MemoryReceiver {
  pending = 0;
  given = 0;
  readonly #random: Random;
  readonly #family: 4 | 6;
  readonly #packets: readonly Uint8Array[];
  readonly #sources: readonly IpAddress[];

  constructor(random: Random, ends: SoakEnds, protocol: number, sources: readonly IpAddress[]) {
    super();
    this.#random = random;
    this.#family = ends.family;
    this.#packets = outerPackets(ends, protocol, false);
    this.#sources = sources;
  }

  override receiveBatch(batch: IngressBatch, limit: number): number {
    const count = Math.min(limit, 32, this.pending);
    if (count === 0) return -EAGAIN;
    for (let run = 0; run < count; run++) this.#fill(batch, run);
    batch.runCount = count;
    this.pending -= count;
    this.given += count;
    return count;
  }

  #fill({ arena, runs }: IngressBatch, run: number): void {
    const random = this.#random;
    const slot = run * RECEIVE_SLOT_STRIDE;
    const length = put(random, this.#packets, arena, slot);
    // Of IPv6 the kernel keeps the header.
    const kept = this.#family === 6 ? Math.min(40, length) : 0;
    const { w0, w1, w2, w3 } = random.pick(this.#sources);
    const at = run * RUN_WORDS;
    runs.fill(0, at, at + RUN_WORDS);
    runs[at + RUN_OFFSET] = slot + kept;
    runs[at + RUN_LENGTH] = length - kept;
    runs[at + RUN_SEGMENT_BYTES] = length - kept;
    runs[at + RUN_SEGMENTS] = 1;
    runs[at + RUN_FAMILY] = this.#family;
    runs.set([w0, w1, w2, w3], at + RUN_ADDRESS);
    runs[at + RUN_TOS] = random.oneIn(2) ? 0 : random.below(256);
    runs[at + RUN_FLAGS] = random.oneIn(100) ? RUN_TRUNCATED : 0;
    runs[at + RUN_DEVICE] = -1;
  }
}

/** The error queue of a raw socket. */
export class SoakErrors implements UnderlayErrors {
  readonly fd = -1;
  pending = 0;
  readonly #random: Random;
  readonly #family: 4 | 6;
  readonly #packets: readonly Uint8Array[];
  readonly #addresses: readonly IpAddress[];

  constructor(random: Random, ends: SoakEnds, protocol: number, addresses: readonly IpAddress[]) {
    this.#random = random;
    this.#family = ends.family;
    this.#packets = outerPackets(ends, protocol, true).map((packet) =>
      packet.subarray(0, QUOTE_BYTES),
    );
    this.#addresses = addresses;
  }

  pathMtu_bytes(): number {
    return this.#random.oneIn(4) ? -101 : 68 + this.#random.below(1500);
  }

  take(rows: Int32Array, quotes: Uint8Array): number {
    const count = Math.min(MAX_ERRORS, this.pending);
    this.pending -= count;
    for (let n = 0; n < count; n++) this.#fill(rows, quotes, n);
    return count;
  }

  #fill(rows: Int32Array, quotes: Uint8Array, n: number): void {
    const random = this.#random;
    const length = put(random, this.#packets, quotes, n * QUOTE_BYTES);
    const at = n * ERROR_WORDS;
    for (const column of [ERROR_ADDRESS, ERROR_OFFENDER]) {
      const { w0, w1, w2, w3 } = random.pick(this.#addresses);
      rows.set([w0, w1, w2, w3], at + column);
    }
    rows[at + ERROR_ERRNO] = random.pick(ERRNOS);
    rows[at + ERROR_TYPE] = random.oneIn(8) ? random.below(256) : random.pick([1, 2, 3, 4, 11]);
    rows[at + ERROR_CODE] = random.below(16);
    rows[at + ERROR_FAMILY] = this.#family;
    rows[at + ERROR_QUOTED] = random.oneIn(3) ? Math.min(length, random.below(100)) : length;
  }
}

export class SoakRawNetwork extends MemoryNetwork {
  readonly receivers: SoakRawReceiver[] = [];
  packetsSent = 0;
  /** Of sends that failed in part and were repeated from their start. */
  sentTwice = 0;
  readonly #random: Random;
  readonly #ends: SoakEnds;
  readonly #addresses: readonly IpAddress[];
  /** Packets of each frame that left although its send failed. */
  readonly #partly = new Map<number, number>();

  constructor(random: Random, ends: SoakEnds, addresses: readonly IpAddress[]) {
    super();
    this.#random = random;
    this.#ends = ends;
    this.#addresses = addresses;
    this.pathMtu_bytes = () => (random.oneIn(3) ? -1 : 68 + random.below(3000));
  }

  override rawReceiver(_address: IpAddress, protocol: number): MemoryReceiver {
    const receiver = new SoakRawReceiver(this.#random, this.#ends, protocol, this.#addresses);
    this.receivers.push(receiver);
    return receiver;
  }

  override rawSender(): UnderlaySender {
    const sender = super.rawSender();
    sender.sendBatch = (batch) => this.#sendBatch(batch);
    return sender;
  }

  #sendBatch(batch: EgressBatch): number {
    let failed = 0;
    const partly = new Map(this.#partly);
    this.#partly.clear();
    for (let row = 0; row < batch.sendCount; row++) {
      const at = row * SEND_WORDS;
      const repeated = (batch.sends[at + SEND_FLAGS] & SEND_NO_GSO) !== 0;
      if (repeated) this.sentTwice += partly.get(batch.sends[at + SEND_FRAME]) ?? 0;
      if (!this.#send(batch, at)) failed++;
    }
    return failed;
  }

  /** @returns false when the row got an error for a result */
  #send(batch: EgressBatch, at: number): boolean {
    const { sends, frames } = batch;
    const frame = sends[at + SEND_FRAME];
    const wrong = this.#wrong(batch, at);
    if (wrong !== undefined) {
      throw new SoakError(`a wrong send, ${wrong}: ${sends.slice(at, at + SEND_WORDS)}`);
    }
    const packets = batch.wirePackets(frame);
    const fails = this.#random.oneIn(12);
    const sent = fails ? this.#random.below(packets) : packets;
    const headers_bytes = sent * sends[at + SEND_HEADER_BYTES];
    sends[at + SEND_RESULT] = fails ? -this.#random.pick(FAILURES) : sent;
    sends[at + SEND_PARTLY] = fails ? sent : 0;
    sends[at + SEND_BYTES] = sent * frames[frame * FRAME_WORDS + FRAME_LENGTH] + headers_bytes;
    if (fails && sent > 0) this.#partly.set(frame, sent);
    this.packetsSent += sent;
    return !fails;
  }

  /** What forwarding promises of a row of the send list. @returns what it breaks */
  #wrong({ arena, sends, frames }: EgressBatch, at: number): string | undefined {
    const { family } = this.#ends;
    const header = sends[at + SEND_HEADER];
    const row = sends[at + SEND_FRAME] * FRAME_WORDS;
    const inner = frames[row + FRAME_OFFSET];
    if (sends[at + SEND_HEADER_BYTES] !== (family === 4 ? 20 : 40)) return "header length";
    if (header + sends[at + SEND_HEADER_BYTES] !== inner) return "header is not in front";
    if ((sends[at + SEND_FLAGS] & ~(SEND_NO_GSO | SEND_FRAGMENTS)) !== 0) return "flags";
    const inner4 = arena[inner] >>> 4 === 4;
    const view = new DataView(arena.buffer);
    const ttl = arena[header + (family === 4 ? 8 : 7)];
    const protocol = arena[header + (family === 4 ? 9 : 6)];
    if (arena[header] >>> 4 !== family || ttl === 0) return "version or TTL";
    if (protocol !== (inner4 ? 4 : 41)) return "protocol";
    const tos = (offset: number) => (view.getUint16(offset) >>> 4) & 0xff;
    const outerTos = family === 4 ? arena[header + 1] : tos(header);
    if (((outerTos ^ (inner4 ? arena[inner + 1] : tos(inner))) & 3) !== 0) return "ECN";
    if (family === 4 && (view.getUint32(header + 4) & ~0x4000) !== 0) return "fragment fields";
    const socket = sends[at + SEND_SOCKET];
    const fragments = (sends[at + SEND_FLAGS] & SEND_FRAGMENTS) !== 0;
    if (fragments !== (socket !== RAW_HEADER_INCLUDED)) return "fragments";
    if (!fragments) return undefined;
    if (socket !== (inner4 ? 1 : 2)) return "socket of another protocol";
    const single = inner4 ? arena[inner + 16] < 224 : arena[inner + 24] !== 0xff;
    const df = inner4 && (view.getUint16(inner + 6) & 0x4000) !== 0;
    return single && df ? "fragments of what must not be fragmented" : undefined;
  }
}
