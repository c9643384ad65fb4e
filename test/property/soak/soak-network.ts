// The underlay side of a soak: takes sends, fails some of them as kernels do, gives damaged
// datagrams and merged runs.

import {
  EGRESS_ARENA_BYTES,
  FRAME_LENGTH,
  FRAME_WORDS,
  MAX_FRAMES,
  RECEIVE_SLOT_STRIDE,
  RUN_ADDRESS,
  RUN_DEVICE,
  RUN_FAMILY,
  RUN_FLAGS,
  RUN_GSO_SIZE,
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
  SEND_FRAGMENTS,
  SEND_FRAME,
  SEND_HEADER,
  SEND_HEADER_BYTES,
  SEND_NO_GSO,
  SEND_PARTIAL_CHECKSUM,
  SEND_REMOTE,
  SEND_RESULT,
  SEND_SOCKET,
  SEND_WORDS,
} from "#abi";
import type { EgressBatch } from "../../../src/packet/egress-batch.js";
import { EAGAIN, EINVAL, EIO, EMSGSIZE, ENOBUFS } from "../../../src/packet/errno.js";
import type { IngressBatch } from "../../../src/packet/ingress-batch.js";
import { MemoryNetwork, MemoryReceiver } from "../../../src/underlay/memory-underlay.js";
import type { UnderlaySender } from "../../../src/underlay/underlay.js";
import type { IpAddress } from "../../../src/wire/ip-address.js";
import { VXLAN_FLAG_VNI, vxlanFlags, vxlanVni } from "../../../src/wire/vxlan.js";
import { CORPUS } from "./corpus.js";
import type { Random } from "./random.js";
import { SoakError } from "./soak-device.js";

const FAILURES = [EAGAIN, ENOBUFS, EMSGSIZE, EMSGSIZE, EIO, EINVAL, 101];
const VNIS = [100, 100, 100, 100, 101, 0, 0xffffff];
const FLAGS = [0x08, 0x08, 0x08, 0x88, 0x09, 0x00];

class SoakReceiver extends MemoryReceiver {
  pending = 0;
  segmentsGiven = 0;
  readonly #random: Random;
  readonly #sources: readonly IpAddress[];

  constructor(random: Random, sources: readonly IpAddress[]) {
    super();
    this.#random = random;
    this.#sources = sources;
  }

  override receiveBatch(batch: IngressBatch, limit: number): number {
    const count = Math.min(limit, 32, this.pending);
    if (count === 0) return -EAGAIN;
    for (let run = 0; run < count; run++) this.#fill(batch, run);
    batch.runCount = count;
    this.pending -= count;
    return count;
  }

  #fill({ arena, runs }: IngressBatch, run: number): void {
    const random = this.#random;
    const slot = run * RECEIVE_SLOT_STRIDE;
    const { bytes } = random.pick(CORPUS);
    const whole = Math.min(8 + bytes.length, 2048);
    const length = random.oneIn(12) ? random.below(whole + 1) : whole;
    arena[slot] = random.pick(FLAGS);
    arena.fill(0, slot + 1, slot + 8);
    const vni = random.pick(VNIS);
    arena[slot + 4] = vni >> 16;
    arena[slot + 5] = vni >> 8;
    arena[slot + 6] = vni;
    if (random.oneIn(6)) arena[slot + 1 + random.below(7)] = random.below(256);
    arena.set(bytes.subarray(0, Math.max(0, length - 8)), slot + 8);
    if (random.oneIn(3)) random.damage(arena, slot, length);
    const segments = length > 0 && random.oneIn(4) ? 1 + random.below(20) : 1;
    for (let n = 1; n < segments; n++) {
      arena.copyWithin(slot + n * length, slot, slot + length);
    }
    const source = random.pick(this.#sources);
    const at = run * RUN_WORDS;
    runs.fill(0, at, at + RUN_WORDS);
    runs[at + RUN_OFFSET] = slot;
    runs[at + RUN_LENGTH] = segments * length;
    runs[at + RUN_SEGMENT_BYTES] = length;
    runs[at + RUN_SEGMENTS] = segments;
    runs[at + RUN_FAMILY] = 4;
    runs[at + RUN_ADDRESS] = source.w0;
    runs[at + RUN_ADDRESS + 1] = source.w1;
    runs[at + RUN_ADDRESS + 2] = source.w2;
    runs[at + RUN_ADDRESS + 3] = source.w3;
    runs[at + RUN_PORT] = random.below(65_536);
    runs[at + RUN_TOS] = random.oneIn(2) ? 0 : random.below(256);
    runs[at + RUN_FLAGS] = random.oneIn(100) ? RUN_TRUNCATED : 0;
    runs[at + RUN_GSO_SIZE] = random.oneIn(20) ? random.below(2000) : 0;
    runs[at + RUN_DEVICE] = -1;
    this.segmentsGiven += segments;
  }
}

export class SoakNetwork extends MemoryNetwork {
  readonly receiver: SoakReceiver;
  packetsSent = 0;
  readonly #random: Random;

  constructor(random: Random, sources: readonly IpAddress[]) {
    super();
    this.#random = random;
    this.receiver = new SoakReceiver(random, sources);
    this.pathMtu_bytes = () => (random.oneIn(3) ? -1 : random.below(3000));
  }

  override udpReceiver(): MemoryReceiver {
    return this.receiver;
  }

  override udpSender(
    source: IpAddress,
    ports: readonly number[],
    remotes: Int32Array,
  ): UnderlaySender {
    const sender = super.udpSender(source, ports, remotes);
    sender.sendBatch = (batch) => this.#sendBatch(batch, ports.length);
    return sender;
  }

  #sendBatch(batch: EgressBatch, sockets: number): number {
    let failed = 0;
    for (let row = 0; row < batch.sendCount; row++) {
      if (!this.#send(batch, row * SEND_WORDS, sockets)) failed++;
    }
    return failed;
  }

  /** @returns false when the row got an error for a result */
  #send(batch: EgressBatch, at: number, sockets: number): boolean {
    const { sends, frames } = batch;
    this.#verify(batch, at, sockets);
    const frame = sends[at + SEND_FRAME];
    const packets = batch.wirePackets(frame);
    if (this.#random.oneIn(12)) {
      sends[at + SEND_RESULT] = -this.#random.pick(FAILURES);
      return false;
    }
    this.packetsSent += packets;
    sends[at + SEND_RESULT] = packets;
    sends[at + SEND_BYTES] =
      frames[frame * FRAME_WORDS + FRAME_LENGTH] + packets * sends[at + SEND_HEADER_BYTES];
    return true;
  }

  /** What forwarding promises of a row of the send list; each socket has a twin that sets DF. */
  #verify({ arena, sends }: EgressBatch, at: number, sockets: number): void {
    const header = sends[at + SEND_HEADER];
    const header_bytes = sends[at + SEND_HEADER_BYTES];
    const good =
      sends[at + SEND_FRAME] >= 0 &&
      sends[at + SEND_FRAME] < MAX_FRAMES &&
      sends[at + SEND_REMOTE] >= 0 &&
      sends[at + SEND_SOCKET] >= 0 &&
      sends[at + SEND_SOCKET] < 2 * sockets &&
      header >= 0 &&
      header_bytes >= 8 &&
      header + header_bytes <= EGRESS_ARENA_BYTES &&
      (vxlanFlags(arena, header) & VXLAN_FLAG_VNI) !== 0 &&
      VNIS.includes(vxlanVni(arena, header)) &&
      (sends[at + SEND_FLAGS] & ~(SEND_NO_GSO | SEND_PARTIAL_CHECKSUM | SEND_FRAGMENTS)) === 0;
    if (good) return;
    const bytes = arena.slice(header, header + header_bytes);
    throw new SoakError(`a wrong send: ${sends.slice(at, at + SEND_WORDS)}, header ${bytes}`);
  }
}
