// Segmentation and grouping: one call of `encapSendUdp`. Its sockets are /dev/null, which the
// kernel refuses before it looks at a message (ENOTSOCK): so all of the work in user space is done
// and paid for, and of the kernel only one refused system call per message of at most 64 KiB. What
// that is, the first row shows. One row sends to a socket on loopback that discards, to compare.

import { closeSync, openSync } from "node:fs";
import {
  FRAME_GSO_SIZE,
  FRAME_GSO_TYPE,
  FRAME_L3,
  FRAME_L4,
  FRAME_LENGTH,
  FRAME_OFFSET,
  FRAME_PAYLOAD,
  FRAME_WORDS,
  GSO_NONE,
  GSO_TCPV4,
  GSO_TCPV6,
  GSO_UDP_L4,
  HEADROOM_BYTES,
  native,
  REMOTE_ADDRESS,
  REMOTE_FAMILY,
  REMOTE_PORT,
  REMOTE_WORDS,
  SCRATCH_BYTES,
  SOCKET_SEND_ONLY,
} from "#native";
import { EgressBatch } from "../../src/packet/egress-batch.js";
import { VXLAN_HEADER_BYTES, writeVxlan } from "../../src/wire/vxlan.js";
import { makeFrame } from "./frames.js";
import { type Case, type Family, measureCases } from "./harness.js";

const LOOPBACK = 0x7f000001;
const SEGMENT_BYTES = 1_400;

/** A batch of `count` frames to one remote, and what sends it through a descriptor. */
function makeSender(count: number, payload_bytes: number, gsoType: number) {
  const batch = new EgressBatch();
  const remotes = new Int32Array(REMOTE_WORDS);
  const handle = native.egressCreate(batch.arena, batch.frames, batch.sends, remotes);
  if (typeof handle === "number") throw new Error(`egressCreate: ${handle}`);
  let cursor = SCRATCH_BYTES;
  for (let row = 0; row < count; row++) {
    const protocol = gsoType === GSO_TCPV4 || gsoType === GSO_TCPV6 ? "tcp" : "udp";
    const version = gsoType === GSO_TCPV6 ? 6 : 4;
    const { bytes, l3, l4, payload } = makeFrame({ version, protocol, payload_bytes, flow: row });
    const offset = cursor + HEADROOM_BYTES;
    batch.arena.set(bytes, offset);
    writeVxlan(batch.arena, offset - VXLAN_HEADER_BYTES, 100);
    cursor = (offset + bytes.length + 63) & ~63;
    const frame = batch.frames.subarray(row * FRAME_WORDS, (row + 1) * FRAME_WORDS);
    frame[FRAME_OFFSET] = offset;
    frame[FRAME_LENGTH] = bytes.length;
    frame[FRAME_GSO_TYPE] = gsoType;
    frame[FRAME_GSO_SIZE] = gsoType === GSO_NONE ? 0 : SEGMENT_BYTES;
    frame[FRAME_L3] = l3;
    frame[FRAME_L4] = l4;
    frame[FRAME_PAYLOAD] = payload;
    batch.addSend(row, 0, 0, offset - VXLAN_HEADER_BYTES, VXLAN_HEADER_BYTES, 0, 0);
  }
  const send = (fd: number): Case["run"] => {
    const sockets = Int32Array.of(fd);
    return (calls) => {
      let failed = 0;
      for (let i = 0; i < calls; i++) failed += native.encapSendUdp(handle, sockets, count, 0);
      return failed;
    };
  };
  const sendTo = (port: number): void => {
    remotes[REMOTE_FAMILY] = 4;
    remotes[REMOTE_ADDRESS + 3] = LOOPBACK;
    remotes[REMOTE_PORT] = port;
  };
  return { send, sendTo };
}

/** A UDP socket on loopback with a filter that discards whatever arrives. */
function openDiscarding(): number {
  const address = Int32Array.of(0, 0, 0, LOOPBACK);
  const fd = native.udpOpen(4, address, 0, "", SOCKET_SEND_ONLY, 1 << 20);
  if (fd < 0) throw new Error(`udpOpen: ${fd}`);
  return fd;
}

const WHOLE = 64_400;

function* cases(refusing: number, discarding: number): Generator<Case> {
  const run = (count: number, bytes: number, gsoType: number) =>
    makeSender(count, bytes, gsoType).send(refusing);
  yield { name: "1 frame of 64 bytes", run: run(1, 64, GSO_NONE) };
  yield { name: "256 frames of 64 bytes to one remote", run: run(256, 64, GSO_NONE) };
  yield { name: "64 frames of 1,400 bytes to one remote", run: run(64, 1_400, GSO_NONE) };
  yield { name: "TCP over IPv4, 64,400 bytes, 46 segments", run: run(1, WHOLE, GSO_TCPV4) };
  yield { name: "TCP over IPv6, 64,400 bytes, 46 segments", run: run(1, WHOLE, GSO_TCPV6) };
  yield { name: "UDP over IPv4, 64,400 bytes, 46 segments", run: run(1, WHOLE, GSO_UDP_L4) };
  const { send, sendTo } = makeSender(1, WHOLE, GSO_TCPV4);
  sendTo(native.socketPort(discarding));
  yield { name: "TCP over IPv4, 46 segments, sent over loopback", run: send(discarding) };
}

export const family: Family = {
  about: "one call of encapSendUdp, ns",
  measure: (report) => {
    const refusing = openSync("/dev/null", "w");
    const discarding = openDiscarding();
    measureCases(cases(refusing, discarding), report);
    native.descriptorClose(discarding);
    closeSync(refusing);
  },
};
