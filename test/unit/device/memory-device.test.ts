// The memory device keeps the contract of the real ones: rows, headroom, the arena's end, marks on
// the inner header.

import { describe, expect, it } from "vitest";
import {
  EGRESS_ARENA_BYTES,
  FRAME_GSO_TYPE,
  FRAME_LENGTH,
  FRAME_OFFSET,
  FRAME_WORDS,
  HEADROOM_BYTES,
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
import { MemoryDevice } from "../../../src/device/memory-device.js";
import { EgressBatch } from "../../../src/packet/egress-batch.js";
import { IngressBatch } from "../../../src/packet/ingress-batch.js";
import { ipv4ChecksumValid, ipv4Tos } from "../../../src/wire/ipv4.js";
import { ipv6TrafficClass } from "../../../src/wire/ipv6.js";
import { arpFrame, frame6, ipv4Udp, join, tagged } from "../forwarding/frames.js";

const frameOf = ({ arena, frames }: EgressBatch, row: number): Uint8Array => {
  const at = frames[row * FRAME_WORDS + FRAME_OFFSET];
  return arena.slice(at, at + frames[row * FRAME_WORDS + FRAME_LENGTH]);
};

describe("readBatch", () => {
  it("puts frames behind their headroom, none over another, rows clean", () => {
    const device = new MemoryDevice(0);
    const batch = new EgressBatch();
    batch.frames.fill(-1);
    const frames = [1, 64, 65, 1500, 0].map((length, i) => new Uint8Array(length).fill(i + 1));
    device.toRead.push(...frames);
    expect(device.readBatch(batch, 256)).toBe(5);
    expect(batch.frameCount).toBe(5);
    expect(frames.map((_, row) => frameOf(batch, row))).toEqual(frames);
    const offsets = frames.map((_, row) => batch.frames[row * FRAME_WORDS + FRAME_OFFSET]);
    expect(offsets[0]).toBe(SCRATCH_BYTES + HEADROOM_BYTES);
    for (const [row, offset] of offsets.slice(1).entries()) {
      expect(offset - HEADROOM_BYTES).toBeGreaterThanOrEqual(offsets[row] + frames[row].length);
    }
    expect(batch.frames[FRAME_GSO_TYPE]).toBe(0);
  });

  it("ends at the limit, and says EAGAIN when there is nothing", () => {
    const device = new MemoryDevice(0);
    const batch = new EgressBatch();
    device.toRead.push(new Uint8Array(14), new Uint8Array(14));
    expect([1, 1, 1].map((limit) => device.readBatch(batch, limit))).toEqual([1, 1, -11]);
    expect(batch.frameCount).toBe(0);
  });

  it("ends where the arena does and goes on with the next batch", () => {
    const device = new MemoryDevice(0);
    const batch = new EgressBatch();
    for (let i = 0; i < 40; i++) device.toRead.push(new Uint8Array(65_000).fill(i));
    let read = 0;
    for (
      let count = device.readBatch(batch, 256);
      count > 0;
      count = device.readBatch(batch, 256)
    ) {
      for (let row = 0; row < count; row++) {
        const at = batch.frames[row * FRAME_WORDS + FRAME_OFFSET];
        expect(at + 65_000).toBeLessThanOrEqual(EGRESS_ARENA_BYTES);
        expect(batch.arena[at]).toBe(read + row);
      }
      read += count;
    }
    expect(read).toBe(40);
  });
});

describe("writeBatch", () => {
  function written(device: MemoryDevice, bytes: Uint8Array, columns: Record<number, number>) {
    const batch = new IngressBatch();
    batch.arena.set(bytes, 100);
    batch.runs[RUN_OFFSET] = 100;
    batch.runs[RUN_LENGTH] = bytes.length;
    batch.runs[RUN_SEGMENT_BYTES] = bytes.length;
    for (const [column, value] of Object.entries(columns)) batch.runs[Number(column)] = value;
    batch.runs[RUN_WORDS + RUN_DEVICE] = -1;
    batch.runCount = 2;
    device.writeBatch(batch);
    return batch.runs;
  }

  it("cuts a run into its segments, strips each, and fills the result columns", () => {
    const device = new MemoryDevice(3);
    const columns = { [RUN_DEVICE]: 3, [RUN_STRIP]: 2, [RUN_SEGMENT_BYTES]: 4 };
    const runs = written(device, Uint8Array.of(0, 0, 1, 2, 0, 0, 3, 4, 0, 0, 5), columns);
    expect(device.written.map((frame) => [...frame])).toEqual([[1, 2], [3, 4], [5]]);
    expect([RUN_WRITTEN, RUN_WRITES, RUN_BYTES].map((column) => runs[column])).toEqual([3, 3, 5]);
  });

  it("leaves the runs of other devices, and dropped ones, alone", () => {
    const device = new MemoryDevice(3);
    for (const other of [-1, 0, 4]) {
      const runs = written(device, Uint8Array.of(1, 2), { [RUN_DEVICE]: other });
      expect(runs[RUN_WRITTEN]).toBe(0);
    }
    expect(device.written).toEqual([]);
  });

  it("marks Congestion Experienced: IPv4 with checksum, IPv6, behind a VLAN tag, bare packets", () => {
    const mark = { [RUN_DEVICE]: 0, [RUN_FLAGS]: RUN_SET_CE };
    const tap = new MemoryDevice(0);
    const tun = new MemoryDevice(0, "tun");
    written(tun, ipv4Udp({ tos: 0xb9 }), mark);
    expect(ipv4Tos(tun.written[0], 0)).toBe(0xbb);
    expect(ipv4ChecksumValid(tun.written[0], 0)).toBe(true);
    written(tap, tagged(frame6({ tos: 0xba }), 5), mark);
    expect(ipv6TrafficClass(tap.written[0], 18)).toBe(0xbb);
    const arp = arpFrame(1, "192.168.10.1", "192.168.10.2");
    written(tap, arp, mark);
    expect(tap.written[1]).toEqual(arp);
  });
});

describe("write", () => {
  it("takes a copy of the bytes it is given", () => {
    const device = new MemoryDevice(0);
    const bytes = join(Uint8Array.of(9, 9), Uint8Array.of(1, 2, 3), Uint8Array.of(9));
    expect(device.write(bytes, 2, 3)).toBe(0);
    bytes.fill(0);
    expect([...device.written[0]]).toEqual([1, 2, 3]);
  });
});
