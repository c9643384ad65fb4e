// A device in memory, for whole daemons without root: frames pushed here are read by forwarding, runs written by
// forwarding come out as frames. It has no offloads: no superpackets in, none out.

import {
  FRAME_LENGTH,
  FRAME_OFFSET,
  FRAME_WORDS,
  HEADROOM_BYTES,
  RUN_BYTES,
  RUN_DEVICE,
  RUN_LENGTH,
  RUN_OFFSET,
  RUN_SEGMENT_BYTES,
  RUN_STRIP,
  RUN_WORDS,
  RUN_WRITES,
  RUN_WRITTEN,
  SCRATCH_BYTES,
} from "#abi";
import type { EgressBatch } from "../packet/egress-batch.js";
import type { IngressBatch } from "../packet/ingress-batch.js";
import type { Device } from "./device.js";

const EAGAIN = 11;
const FRAME_ALIGN = 64;

export class MemoryDevice implements Device {
  readonly fd = -1;
  /** Frames that the host has sent and forwarding has not read yet. */
  readonly toRead: Uint8Array[] = [];
  /** Frames that forwarding has written. */
  readonly written: Uint8Array[] = [];

  constructor(readonly index: number) {}

  readBatch(batch: EgressBatch, limit: number): number {
    const count = Math.min(limit, this.toRead.length);
    let cursor = SCRATCH_BYTES;
    for (let i = 0; i < count; i++) {
      const frame = this.toRead.shift()!;
      const row = batch.frames.subarray(i * FRAME_WORDS, (i + 1) * FRAME_WORDS).fill(0);
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
        this.written.push(arena.slice(from + strip, to));
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
}
