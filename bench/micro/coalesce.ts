// Coalescing: one call of `decapWriteBatch`, checksums verified, segments joined, superpackets
// written to /dev/null, which takes them without copying. Joining changes the headers of the first
// segment in place, so each turn puts them back before the call: that is part of the figures.

import { closeSync, openSync } from "node:fs";
import {
  DEVICE_TAP,
  native,
  OFFLOAD_CHECKSUM,
  OFFLOAD_TSO4,
  OFFLOAD_TSO6,
  OFFLOAD_USO4,
  RECEIVE_SLOT_STRIDE,
  RUN_DEVICE,
  RUN_LENGTH,
  RUN_OFFSET,
  RUN_SEGMENT_BYTES,
  RUN_SEGMENTS,
  RUN_STRIP,
  RUN_WORDS,
  RUN_WRITES,
} from "#native";
import { IngressBatch } from "../../src/packet/ingress-batch.js";
import { VXLAN_HEADER_BYTES } from "../../src/wire/vxlan.js";
import { type FrameSpec, makeFrame } from "./frames.js";
import { type Case, type Family, measureCases } from "./harness.js";

const OFFLOADS = OFFLOAD_CHECKSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_USO4;
/** Enough for every header that is changed, VXLAN first. */
const HEADER_BYTES = 128;

interface Runs extends Omit<FrameSpec, "flow"> {
  readonly runs: number;
  readonly segments: number;
}

/** Runs of one flow each in the slots of a batch, and what writes them to a descriptor. */
function makeWriter({ runs: count, segments, ...spec }: Runs, fd: number): Case["run"] {
  const { arena, runs } = new IngressBatch();
  const handle = native.ingressCreate(arena, runs);
  if (typeof handle === "number") throw new Error(`ingressCreate: ${handle}`);
  const headers: Uint8Array[] = [];
  for (let row = 0; row < count; row++) {
    const slot = row * RECEIVE_SLOT_STRIDE;
    let length = 0;
    for (let segment = 0; segment < segments; segment++) {
      const sequence = 1 + segment * spec.payload_bytes;
      const { bytes } = makeFrame({ ...spec, flow: row, sequence });
      arena.set(bytes, slot + length + VXLAN_HEADER_BYTES);
      length += VXLAN_HEADER_BYTES + bytes.length;
    }
    const run = runs.subarray(row * RUN_WORDS, (row + 1) * RUN_WORDS);
    run[RUN_OFFSET] = slot;
    run[RUN_LENGTH] = length;
    run[RUN_SEGMENT_BYTES] = length / segments;
    run[RUN_SEGMENTS] = segments;
    run[RUN_STRIP] = VXLAN_HEADER_BYTES;
    run[RUN_DEVICE] = 0;
    headers.push(arena.slice(slot, slot + HEADER_BYTES));
  }
  const write = (): number => {
    for (let row = 0; row < count; row++) arena.set(headers[row]!, row * RECEIVE_SLOT_STRIDE);
    return native.decapWriteBatch(handle, fd, 0, DEVICE_TAP, OFFLOADS, 0, count);
  };
  write();
  if (runs[RUN_WRITES] !== 1) throw new Error(`a run took ${runs[RUN_WRITES]} writes`);
  return (calls) => {
    let written = 0;
    for (let i = 0; i < calls; i++) written += write();
    return written;
  };
}

function* cases(fd: number): Generator<Case> {
  const add = (name: string, runs: Runs): Case => ({ name, run: makeWriter(runs, fd) });
  const small = { version: 4, protocol: "udp", payload_bytes: 64 } as const;
  const full = { protocol: "tcp", payload_bytes: 1_400, segments: 44, runs: 1 } as const;
  yield add("1 run of 1 frame, UDP, 64 bytes", { ...small, runs: 1, segments: 1 });
  yield add("32 runs of 1 frame, UDP, 64 bytes", { ...small, runs: 32, segments: 1 });
  yield add("1 run of 44 segments, TCP over IPv4, 1,400 bytes", { ...full, version: 4 });
  yield add("1 run of 44 segments, TCP over IPv6, 1,400 bytes", { ...full, version: 6 });
  yield add("1 run of 44 datagrams, UDP over IPv4, 1,400 bytes", {
    ...{ ...full, version: 4, protocol: "udp" },
  });
}

export const family: Family = {
  about: "one call of decapWriteBatch, ns",
  measure: (report) => {
    const fd = openSync("/dev/null", "w");
    measureCases(cases(fd), report);
    closeSync(fd);
  },
};
