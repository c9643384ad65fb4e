// A device in memory, for whole daemons without root: frames pushed here are read by forwarding,
// runs written by forwarding come out as frames. It has no offloads: no superpackets in, none out,
// checksums not looked at.

import {
  EGRESS_ARENA_BYTES,
  FRAME_LENGTH,
  FRAME_OFFSET,
  FRAME_WORDS,
  HEADROOM_BYTES,
  MAX_FRAME_BYTES,
  RUN_BYTES,
  RUN_DEVICE,
  RUN_FLAGS,
  RUN_LENGTH,
  RUN_OFFSET,
  RUN_SEGMENT_BYTES,
  RUN_SET_CE,
  RUN_STRIP,
  RUN_WORDS,
  RUN_WRITES,
  RUN_WRITTEN,
  SCRATCH_BYTES,
} from "#abi";
import type { EgressBatch } from "../packet/egress-batch.js";
import { EAGAIN } from "../packet/errno.js";
import type { IngressBatch } from "../packet/ingress-batch.js";
import { writeIpv4Checksum } from "../wire/ipv4.js";
import {
  LOCATE_COLUMNS,
  LOCATE_L3,
  LOCATE_VERSION,
  locateFrame,
  locatePacket,
} from "../wire/locate.js";
import type { Device } from "./device.js";

const FRAME_ALIGN = 64;

export class MemoryDevice implements Device {
  readonly fd = -1;
  /** Frames that the host has sent and forwarding has not read yet. */
  readonly toRead: Uint8Array[] = [];
  /** Frames that forwarding has written. */
  readonly written: Uint8Array[] = [];

  /** @param kind "tap": frames are Ethernet; "tun": they are IP packets */
  constructor(
    readonly index: number,
    readonly kind: "tap" | "tun" = "tap",
  ) {}

  readBatch(batch: EgressBatch, limit: number): number {
    let count = 0;
    let cursor = SCRATCH_BYTES;
    // A batch ends where the longest frame would no longer fit, as with the real devices.
    const lastStart = EGRESS_ARENA_BYTES - HEADROOM_BYTES - MAX_FRAME_BYTES;
    while (count < limit && this.toRead.length > 0 && cursor <= lastStart) {
      const frame = this.toRead.shift()!;
      const at = count++ * FRAME_WORDS;
      const row = batch.frames.subarray(at, at + FRAME_WORDS).fill(0);
      row[FRAME_OFFSET] = cursor + HEADROOM_BYTES;
      row[FRAME_LENGTH] = frame.length;
      batch.arena.set(frame, cursor + HEADROOM_BYTES);
      cursor += Math.ceil((HEADROOM_BYTES + frame.length) / FRAME_ALIGN) * FRAME_ALIGN;
    }
    batch.frameCount = count;
    return count === 0 ? -EAGAIN : count;
  }

  writeBatch(batch: IngressBatch): void {
    const { runs, arena } = batch;
    for (let at = 0; at < batch.runCount * RUN_WORDS; at += RUN_WORDS) {
      if (runs[at + RUN_DEVICE] !== this.index) continue;
      const strip = runs[at + RUN_STRIP];
      const end = runs[at + RUN_OFFSET] + runs[at + RUN_LENGTH];
      for (let from = runs[at + RUN_OFFSET]; from < end; from += runs[at + RUN_SEGMENT_BYTES]) {
        const to = Math.min(end, from + runs[at + RUN_SEGMENT_BYTES]);
        const frame = arena.slice(from + strip, to);
        if ((runs[at + RUN_FLAGS] & RUN_SET_CE) !== 0) this.#setCongestion(frame);
        this.written.push(frame);
        runs[at + RUN_WRITTEN]++;
        runs[at + RUN_WRITES]++;
        runs[at + RUN_BYTES] += to - from - strip;
      }
    }
  }

  write(bytes: Uint8Array, offset: number, length: number): number {
    this.written.push(bytes.slice(offset, offset + length));
    return 0;
  }

  /** Marks Congestion Experienced in the IP header; frames that are not IP stay as they are. */
  #setCongestion(frame: Uint8Array): void {
    const located = new Int32Array(LOCATE_COLUMNS);
    const locate = this.kind === "tap" ? locateFrame : locatePacket;
    if (locate(frame, 0, frame.length, located) !== 0) return;
    const l3 = located[LOCATE_L3];
    if (located[LOCATE_VERSION] === 6) frame[l3 + 1] |= 0x30;
    if (located[LOCATE_VERSION] !== 4) return;
    frame[l3 + 1] |= 0x03;
    writeIpv4Checksum(frame, l3);
  }
}
