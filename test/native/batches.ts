// The two batches of a worker with their native state, for tests: a Sender that fills frames and
// the send list by hand, a Receiver that gives runs as objects. Sockets are real ones on loopback;
// `Descriptors` closes them.

import {
  type EgressHandle,
  FRAME_CSUM_OFFSET,
  FRAME_CSUM_START,
  FRAME_FLAGS,
  FRAME_GSO_SIZE,
  FRAME_GSO_TYPE,
  FRAME_L3,
  FRAME_L4,
  FRAME_LENGTH,
  FRAME_OFFSET,
  FRAME_PAYLOAD,
  FRAME_WORDS,
  HEADROOM_BYTES,
  type IngressHandle,
  native,
  REMOTE_ADDRESS,
  REMOTE_FAMILY,
  REMOTE_PORT,
  REMOTE_WORDS,
  RUN_FAMILY,
  RUN_FLAGS,
  RUN_GSO_SIZE,
  RUN_LENGTH,
  RUN_OFFSET,
  RUN_PORT,
  RUN_SEGMENT_BYTES,
  RUN_SEGMENTS,
  RUN_TOS,
  RUN_WORDS,
  SCRATCH_BYTES,
  SEND_BYTES,
  SEND_RESULT,
  SEND_WORDS,
} from "#native";
import { EgressBatch } from "../../src/packet/egress-batch.js";
import { IngressBatch } from "../../src/packet/ingress-batch.js";
import { isIpv4, parseIp } from "../../src/wire/ip-address.js";
import { VXLAN_HEADER_BYTES, writeVxlan } from "../../src/wire/vxlan.js";
import type { Packet } from "./packets.js";

/** Large enough that a test's traffic never waits for its reader. */
const buffer_bytes = 4 * 1024 * 1024;

export const LOOPBACK = "127.0.0.1";
export const LOOPBACK_V6 = "::1";

export interface FrameFields {
  readonly gsoType?: number;
  readonly gsoSize?: number;
  readonly l3?: number;
  readonly l4?: number;
  readonly payload?: number;
  readonly flags?: number;
  readonly csumStart?: number;
  readonly csumOffset?: number;
}

export interface SendFields {
  readonly remote?: number;
  readonly socket?: number;
  readonly tos?: number;
  readonly ttl?: number;
  readonly flags?: number;
  /** Arena offset of the header; in front of the frame unless given. */
  readonly header?: number;
  readonly headerBytes?: number;
}

/** Words of an address as sockets and remotes take it: IPv4 in the last, the others 0. */
export function addressWords(address: string): { family: 4 | 6; words: number[] } {
  const ip = parseIp(address)!;
  if (isIpv4(ip)) return { family: 4, words: [0, 0, 0, ip.w3] };
  return { family: 6, words: [ip.w0, ip.w1, ip.w2, ip.w3] };
}

export class Sender {
  readonly batch = new EgressBatch();
  readonly remotes = new Int32Array(64 * REMOTE_WORDS);
  readonly handle: EgressHandle;
  #cursor = SCRATCH_BYTES;
  #remoteCount = 0;

  constructor() {
    const { arena, frames, sends } = this.batch;
    const handle = native.egressCreate(arena, frames, sends, this.remotes);
    if (typeof handle === "number") throw new Error(`egressCreate: ${handle}`);
    this.handle = handle;
  }

  addRemote(address: string, port: number): number {
    const row = this.#remoteCount++;
    const at = row * REMOTE_WORDS;
    const { family, words } = addressWords(address);
    this.remotes[at + REMOTE_FAMILY] = family;
    this.remotes.set(words, at + REMOTE_ADDRESS);
    this.remotes[at + REMOTE_PORT] = port;
    return row;
  }

  /**
   * Puts a frame into the arena behind its headroom, a VXLAN header in front of it; answers its
   * row.
   */
  addFrame(bytes: Uint8Array, vni: number, fields: FrameFields = {}): number {
    const row = this.batch.frameCount++;
    const offset = this.#cursor + HEADROOM_BYTES;
    this.batch.arena.set(bytes, offset);
    writeVxlan(this.batch.arena, offset - VXLAN_HEADER_BYTES, vni);
    this.#cursor += (HEADROOM_BYTES + bytes.length + 63) & ~63;
    const frame = this.frame(row);
    frame.fill(0);
    frame[FRAME_OFFSET] = offset;
    frame[FRAME_LENGTH] = bytes.length;
    frame[FRAME_FLAGS] = fields.flags ?? 0;
    frame[FRAME_GSO_TYPE] = fields.gsoType ?? 0;
    frame[FRAME_GSO_SIZE] = fields.gsoSize ?? 0;
    frame[FRAME_CSUM_START] = fields.csumStart ?? 0;
    frame[FRAME_CSUM_OFFSET] = fields.csumOffset ?? 0;
    frame[FRAME_L3] = fields.l3 ?? 0;
    frame[FRAME_L4] = fields.l4 ?? 0;
    frame[FRAME_PAYLOAD] = fields.payload ?? 0;
    return row;
  }

  addSuperpacket(packet: Packet, gsoType: number, gsoSize: number, vni = 100): number {
    const { bytes, l3, l4, payload } = packet;
    return this.addFrame(bytes, vni, { gsoType, gsoSize, l3, l4, payload });
  }

  addSend(frame: number, fields: SendFields = {}): number {
    const header = fields.header ?? this.frame(frame)[FRAME_OFFSET] - VXLAN_HEADER_BYTES;
    const added = this.batch.addSend(
      frame,
      fields.remote ?? 0,
      fields.socket ?? 0,
      header,
      fields.headerBytes ?? VXLAN_HEADER_BYTES,
      fields.tos ?? 0,
      fields.flags ?? 0,
      fields.ttl ?? 0,
    );
    if (!added) throw new Error("the send list is full");
    return this.batch.sendCount - 1;
  }

  /** Adds a plain frame and its send. */
  add(bytes: Uint8Array, fields: SendFields = {}, vni = 100): number {
    return this.addSend(this.addFrame(bytes, vni), fields);
  }

  frame(row: number): Int32Array {
    return this.batch.frames.subarray(row * FRAME_WORDS, (row + 1) * FRAME_WORDS);
  }

  /** Sends the list and begins a new batch; the results stay readable until then. */
  flush(
    sockets: readonly number[],
    flowLabel = 0,
  ): { failed: number; results: number[]; bytes: number[] } {
    const failed = native.encapSendUdp(
      this.handle,
      Int32Array.from(sockets),
      this.batch.sendCount,
      flowLabel,
    );
    const rows = Array.from({ length: this.batch.sendCount }, (_, row) => row * SEND_WORDS);
    const results = rows.map((at) => this.batch.sends[at + SEND_RESULT]);
    const bytes = rows.map((at) => this.batch.sends[at + SEND_BYTES]);
    this.begin();
    return { failed, results, bytes };
  }

  begin(): void {
    this.batch.beginSends();
    this.batch.frameCount = 0;
    this.#cursor = SCRATCH_BYTES;
  }
}

export interface Run {
  readonly bytes: Uint8Array;
  readonly segments: number;
  readonly segment_bytes: number;
  readonly family: number;
  readonly port: number;
  readonly tos: number;
  readonly flags: number;
  readonly gsoSize: number;
}

export class Receiver {
  readonly batch = new IngressBatch();
  readonly handle: IngressHandle;

  constructor() {
    const handle = native.ingressCreate(this.batch.arena, this.batch.runs);
    if (typeof handle === "number") throw new Error(`ingressCreate: ${handle}`);
    this.handle = handle;
  }

  /** The runs of one receive, or -errno. */
  tryReceive(fd: number, limit = 32, raw = 0): Run[] | number {
    const count = native.receiveBatch(this.handle, fd, limit, raw);
    if (count < 0) return count;
    this.batch.runCount = count;
    return Array.from({ length: count }, (_, row) => this.run(row));
  }

  /** The runs of one receive; what was sent over loopback is there when the send returns. */
  receive(fd: number, limit = 32, raw = 0): Run[] {
    const runs = this.tryReceive(fd, limit, raw);
    if (typeof runs === "number") throw new Error(`receiveBatch: ${runs}`);
    return runs;
  }

  run(row: number): Run {
    const words = this.batch.runs.subarray(row * RUN_WORDS, (row + 1) * RUN_WORDS);
    const offset = words[RUN_OFFSET];
    return {
      bytes: this.batch.arena.slice(offset, offset + words[RUN_LENGTH]),
      segments: words[RUN_SEGMENTS],
      segment_bytes: words[RUN_SEGMENT_BYTES],
      family: words[RUN_FAMILY],
      port: words[RUN_PORT],
      tos: words[RUN_TOS],
      flags: words[RUN_FLAGS],
      gsoSize: words[RUN_GSO_SIZE],
    };
  }
}

/** The datagrams that a run stands for, encapsulation header included. */
export function segmentsOf(run: Run): Uint8Array[] {
  const count = Math.ceil(run.bytes.length / run.segment_bytes);
  return Array.from({ length: count }, (_, n) =>
    run.bytes.slice(n * run.segment_bytes, (n + 1) * run.segment_bytes),
  );
}

/** Native descriptors of one test, closed together. */
export class Descriptors {
  readonly #open: number[] = [];

  /** Takes over what a native call returned; throws when that was an error. */
  take(result: number, what: string): number {
    if (result < 0) throw new Error(`${what}: ${result}`);
    this.#open.push(result);
    return result;
  }

  /** A UDP socket on loopback and its port. */
  udp(address = LOOPBACK, flags = 0): { fd: number; port: number } {
    const { family, words } = addressWords(address);
    const opened = native.udpOpen(family, Int32Array.from(words), 0, "", flags, buffer_bytes);
    const fd = this.take(opened, "udpOpen");
    return { fd, port: native.socketPort(fd) };
  }

  close(fd: number): void {
    this.#open.splice(this.#open.indexOf(fd), 1);
    native.descriptorClose(fd);
  }

  closeAll(): void {
    for (const fd of this.#open.splice(0)) native.descriptorClose(fd);
  }
}

/** `packet` behind a VXLAN header. */
export function encapsulated(packet: Uint8Array, vni = 100): Uint8Array {
  const bytes = new Uint8Array(VXLAN_HEADER_BYTES + packet.length);
  writeVxlan(bytes, 0, vni);
  bytes.set(packet, VXLAN_HEADER_BYTES);
  return bytes;
}
