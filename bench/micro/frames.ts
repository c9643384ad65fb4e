// Frames for the files of bench/micro, made by the emitters of src/wire: right lengths and
// checksums, each of another flow and MAC, so that no two turns of a loop do the same.

import {
  ETHERNET_HEADER_BYTES,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  emitEthernet,
} from "../../src/wire/ethernet.js";
import { PROTOCOL_TCP, PROTOCOL_UDP } from "../../src/wire/ip-protocol.js";
import { emitIpv4 } from "../../src/wire/ipv4.js";
import { emitIpv6 } from "../../src/wire/ipv6.js";
import type { Mac } from "../../src/wire/mac.js";
import { emitTcp, TCP_FLAG_ACK, writeTcpChecksum } from "../../src/wire/tcp.js";
import { emitUdp, writeUdpChecksum } from "../../src/wire/udp.js";

export interface FrameSpec {
  readonly version: 4 | 6;
  readonly protocol: "tcp" | "udp";
  readonly payload_bytes: number;
  /** Which of many flows and MACs. */
  readonly flow: number;
  readonly sequence?: number;
}

export interface Frame {
  readonly bytes: Uint8Array;
  /** Offsets in `bytes`. */
  readonly l3: number;
  readonly l4: number;
  readonly payload: number;
}

/** Locally administered; the low words above 2^31, which do not fit V8's small integers. */
export function sourceMac(flow: number): Mac {
  return { hi: 0x0200, lo: 0xfe000000 + flow };
}

export function destinationMac(flow: number): Mac {
  return { hi: 0x0200, lo: 0xff000000 + flow };
}

function emitNetwork(spec: FrameSpec, bytes: Uint8Array, at: number, payload_bytes: number) {
  const protocol = spec.protocol === "tcp" ? PROTOCOL_TCP : PROTOCOL_UDP;
  if (spec.version === 6) {
    const source = { w0: 0xfd000000, w1: 0, w2: 0, w3: spec.flow };
    const destination = { w0: 0xfd000000, w1: 1, w2: 0, w3: spec.flow };
    const repr = { trafficClass: 0, flowLabel: spec.flow, nextHeader: protocol, hopLimit: 64 };
    return emitIpv6({ ...repr, payload_bytes, source, destination }, bytes, at);
  }
  return emitIpv4(
    {
      ...{ tos: 0, identification: spec.flow, dontFragment: true, moreFragments: false },
      ...{ fragmentOffset_bytes: 0, ttl: 64, protocol, payload_bytes },
      source: 0xc0a80000 + spec.flow,
      destination: 0xc0a90000 + spec.flow,
    },
    bytes,
    at,
  );
}

/** An Ethernet frame of TCP (20 bytes of header) or UDP. */
export function makeFrame(spec: FrameSpec): Frame {
  const { flow, payload_bytes } = spec;
  const bytes = new Uint8Array(ETHERNET_HEADER_BYTES + 40 + 20 + payload_bytes);
  const etherType = spec.version === 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
  const macs = { source: sourceMac(flow), destination: destinationMac(flow) };
  const l3 = emitEthernet({ ...macs, etherType }, bytes, 0);
  const headerBytes = spec.protocol === "tcp" ? 20 : 8;
  const l4 = l3 + emitNetwork(spec, bytes, l3, headerBytes + payload_bytes);
  const ports = { sourcePort: 32768 + (flow & 0x3fff), destinationPort: 5201 };
  const payload = l4 + headerBytes;
  for (let i = 0; i < payload_bytes; i++) bytes[payload + i] = i * 31 + flow;
  if (spec.protocol === "udp") {
    emitUdp({ ...ports, payload_bytes }, bytes, l4);
    writeUdpChecksum(bytes, l3, l4);
  } else {
    const state = { acknowledgement: 1, flags: TCP_FLAG_ACK, window: 512, urgent: 0 };
    const options = new Uint8Array(0);
    emitTcp({ ...ports, ...state, sequence: spec.sequence ?? 1, options }, bytes, l4);
    writeTcpChecksum(bytes, l3, l4, payload + payload_bytes);
  }
  return { bytes: bytes.slice(0, payload + payload_bytes), l3, l4, payload };
}

/** Frames in one array, `stride` bytes from start to start. */
export interface Tiles {
  readonly arena: Uint8Array;
  readonly stride: number;
  readonly frame_bytes: number;
}

/** A power of two. */
export const TILES = 64;

/** TILES equally long frames, from `skip` on (to leave out their Ethernet headers). */
export function tile(spec: Omit<FrameSpec, "flow">, skip = 0): Tiles {
  const frames = Array.from({ length: TILES }, (_, flow) => makeFrame({ ...spec, flow }));
  const frame_bytes = frames[0]!.bytes.length - skip;
  const stride = (frame_bytes + 63) & ~63;
  const arena = new Uint8Array(TILES * stride);
  for (const [i, { bytes }] of frames.entries()) arena.set(bytes.subarray(skip), i * stride);
  return { arena, stride, frame_bytes };
}
