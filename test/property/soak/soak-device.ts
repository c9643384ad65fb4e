// The overlay side of a soak: gives damaged frames and superpackets, takes what ingress writes and
// refuses some of it. Counts what each frame became, so that nothing gets lost unseen.

import {
  EGRESS_ARENA_BYTES,
  FRAME_CSUM_OFFSET,
  FRAME_CSUM_START,
  FRAME_FLAGS,
  FRAME_GSO_SIZE,
  FRAME_GSO_TYPE,
  FRAME_LENGTH,
  FRAME_NEEDS_CHECKSUM,
  FRAME_OFFSET,
  FRAME_WORDS,
  GSO_NONE,
  HEADROOM_BYTES,
  INGRESS_ARENA_BYTES,
  MAX_FRAME_BYTES,
  MAX_FRAMES,
  RUN_BAD_CHECKSUM,
  RUN_BYTES,
  RUN_DEVICE,
  RUN_DEVICE_ERRNO,
  RUN_DEVICE_ERRORS,
  RUN_LENGTH,
  RUN_MALFORMED,
  RUN_OFFSET,
  RUN_SEGMENTS,
  RUN_STRIP,
  RUN_WORDS,
  RUN_WRITES,
  RUN_WRITTEN,
  SCRATCH_BYTES,
} from "#abi";
import { MemoryDevice } from "../../../src/device/memory-device.js";
import type { EgressBatch } from "../../../src/packet/egress-batch.js";
import { EAGAIN, ENOBUFS } from "../../../src/packet/errno.js";
import type { IngressBatch } from "../../../src/packet/ingress-batch.js";
import { ETHERTYPE_ARP } from "../../../src/wire/ethernet.js";
import { ICMPV6_NEIGHBOUR_ADVERTISEMENT, icmpv6Type } from "../../../src/wire/icmpv6.js";
import { PROTOCOL_ICMPV6 } from "../../../src/wire/ip-protocol.js";
import {
  LOCATE_COLUMNS,
  LOCATE_ETHERTYPE,
  LOCATE_L4,
  LOCATE_PROTOCOL,
  locateFrame,
} from "../../../src/wire/locate.js";
import { CORPUS, IP_CORPUS } from "./corpus.js";
import { checkIcmpAnswer } from "./icmp-answer.js";
import type { Random } from "./random.js";

const FRAME_ALIGN = 64;

/** A violation of what forwarding promises to devices and underlay. */
export class SoakError extends Error {}

export class SoakDevice extends MemoryDevice {
  /** Frames that forwarding may still read before it gets EAGAIN. */
  pending = 0;
  framesRead = 0;
  /** Packets on the wire that they stand for. */
  packetsRead = 0;
  /** Frames that were written here by forwarding itself: ARP replies, ICMP errors. */
  answersWritten = 0;
  /** The same that the device refused: counted as device-error, in place of the question. */
  refusedNeighbourAnswers = 0;
  refusedErrors = 0;
  segmentsWritten = 0;
  readonly #random: Random;
  readonly #located = new Int32Array(LOCATE_COLUMNS);
  #lastBatch: EgressBatch | undefined;

  constructor(index: number, random: Random, kind: "tap" | "tun" = "tap") {
    super(index, kind);
    this.#random = random;
  }

  override readBatch(batch: EgressBatch, limit: number): number {
    this.settle();
    const wanted = Math.min(limit, MAX_FRAMES, this.pending);
    if (wanted === 0) return -EAGAIN;
    let cursor = SCRATCH_BYTES;
    const lastStart = EGRESS_ARENA_BYTES - HEADROOM_BYTES - MAX_FRAME_BYTES;
    let count = 0;
    while (count < wanted && cursor <= lastStart) {
      cursor = this.#fill(batch, count++, cursor);
    }
    batch.frameCount = count;
    this.pending -= count;
    this.framesRead += count;
    this.#lastBatch = batch;
    return count;
  }

  /** Counts the packets of the last batch, whose headers were located meanwhile. */
  settle(): void {
    const batch = this.#lastBatch;
    if (batch === undefined) return;
    this.#lastBatch = undefined;
    for (let frame = 0; frame < batch.frameCount; frame++) {
      this.packetsRead += batch.wirePackets(frame);
    }
  }

  override writeBatch({ runs, runCount }: IngressBatch): void {
    const random = this.#random;
    for (let at = 0; at < runCount * RUN_WORDS; at += RUN_WORDS) {
      if (runs[at + RUN_DEVICE] !== this.index) continue;
      const offset = runs[at + RUN_OFFSET];
      const inside = offset >= 0 && offset + runs[at + RUN_LENGTH] <= INGRESS_ARENA_BYTES;
      const strip = runs[at + RUN_STRIP];
      if (!inside || strip < 0 || strip > runs[at + RUN_LENGTH]) {
        throw new SoakError(`a run beyond its bytes: strip ${strip} of ${runs[at + RUN_LENGTH]}`);
      }
      let left = runs[at + RUN_SEGMENTS];
      for (const column of [RUN_BAD_CHECKSUM, RUN_MALFORMED, RUN_DEVICE_ERRORS]) {
        const share = random.oneIn(16) ? random.below(left + 1) : 0;
        runs[at + column] = share;
        left -= share;
      }
      runs[at + RUN_DEVICE_ERRNO] = random.oneIn(2) ? EAGAIN : ENOBUFS;
      runs[at + RUN_WRITTEN] = left;
      runs[at + RUN_WRITES] = Math.min(left, 1);
      runs[at + RUN_BYTES] = left * 60;
      this.segmentsWritten += left;
    }
  }

  override write(bytes: Uint8Array, offset: number, length: number): number {
    if (offset < 0 || length < 14 || offset + length > bytes.length) {
      throw new SoakError(`an answer of ${length} bytes at ${offset}`);
    }
    if (this.kind === "tun") {
      const wrong = checkIcmpAnswer(bytes.slice(offset, offset + length));
      if (wrong !== undefined) throw new SoakError(`an answer that is no ICMP error: ${wrong}`);
    }
    if (this.#random.oneIn(20)) {
      const tap = this.kind === "tap";
      if (tap && this.#isNeighbourAnswer(bytes, offset, length)) this.refusedNeighbourAnswers++;
      else this.refusedErrors++;
      return -ENOBUFS;
    }
    this.answersWritten++;
    return 0;
  }

  /** Did the proxy make it? All else is an ICMP error. */
  #isNeighbourAnswer(bytes: Uint8Array, offset: number, length: number): boolean {
    const located = this.#located;
    if (locateFrame(bytes, offset, offset + length, located) !== 0) {
      throw new SoakError("an answer that is malformed");
    }
    if (located[LOCATE_ETHERTYPE] === ETHERTYPE_ARP) return true;
    const icmpv6 = located[LOCATE_PROTOCOL] === PROTOCOL_ICMPV6;
    return icmpv6 && icmpv6Type(bytes, located[LOCATE_L4]) === ICMPV6_NEIGHBOUR_ADVERTISEMENT;
  }

  /** One frame at `cursor`. @returns where the next may begin */
  #fill({ arena, frames }: EgressBatch, row: number, cursor: number): number {
    const random = this.#random;
    const at = cursor + HEADROOM_BYTES;
    const { bytes, gso } = random.pick(this.kind === "tun" ? IP_CORPUS : CORPUS);
    const cut = random.oneIn(12);
    const length = cut ? random.below(bytes.length + 1) : bytes.length;
    // A long superpacket is long for the segmenter: its payload decides nothing here.
    arena.set(length > 2048 ? bytes.subarray(0, 2048) : bytes.subarray(0, length), at);
    if (random.oneIn(3)) random.damage(arena, at, length);
    const words = row * FRAME_WORDS;
    frames.fill(0, words, words + FRAME_WORDS);
    frames[words + FRAME_OFFSET] = at;
    frames[words + FRAME_LENGTH] = length;
    const kind = random.oneIn(40) ? random.below(256) : gso;
    frames[words + FRAME_GSO_TYPE] = kind;
    if (kind !== GSO_NONE) {
      frames[words + FRAME_GSO_SIZE] = random.oneIn(60)
        ? random.below(3)
        : 500 + random.below(1000);
    }
    if (kind !== GSO_NONE || random.oneIn(4)) {
      frames[words + FRAME_FLAGS] = FRAME_NEEDS_CHECKSUM;
      frames[words + FRAME_CSUM_START] = random.oneIn(30) ? random.below(70_000) : 34;
      frames[words + FRAME_CSUM_OFFSET] = random.oneIn(30) ? random.below(70_000) : 6;
    }
    return cursor + Math.ceil((HEADROOM_BYTES + length) / FRAME_ALIGN) * FRAME_ALIGN;
  }
}
