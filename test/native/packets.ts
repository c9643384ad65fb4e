// Inner packets for the tests of native code, made with the emitters of src/wire: what a device
// would hand over, and what its segments must look like. Every checksum comes from src/wire, so
// equal bytes mean right checksums.

import { writeU16 } from "../../src/wire/byte-order.js";
import {
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  ETHERTYPE_QINQ,
  ETHERTYPE_VLAN,
  emitEthernet,
} from "../../src/wire/ethernet.js";
import { PROTOCOL_TCP, PROTOCOL_UDP } from "../../src/wire/ip-protocol.js";
import {
  emitIpv4,
  IPV4_HEADER_BYTES,
  writeIpv4Checksum,
  writeIpv4TotalLength,
} from "../../src/wire/ipv4.js";
import { emitIpv6 } from "../../src/wire/ipv6.js";
import {
  emitTcp,
  TCP_CHECKSUM,
  TCP_FLAG_ACK,
  TCP_FLAG_FIN,
  TCP_FLAG_PSH,
  writeTcpChecksum,
} from "../../src/wire/tcp.js";
import { emitUdp, UDP_CHECKSUM, UDP_HEADER_BYTES, writeUdpChecksum } from "../../src/wire/udp.js";
import { emitVlan } from "../../src/wire/vlan.js";

export const TCP_FLAG_ECE = 0x40;
export const TCP_FLAG_CWR = 0x80;

export interface PacketSpec {
  readonly version: 4 | 6;
  readonly protocol: "tcp" | "udp";
  readonly payload: Uint8Array;
  /** False: a bare IP packet, as a TUN device gives it. */
  readonly ethernet?: boolean;
  readonly sourceMac?: number;
  /** VLAN tags, outermost first; the first of two is a service tag. */
  readonly vlans?: readonly number[];
  readonly tos?: number;
  readonly ttl?: number;
  readonly identification?: number;
  readonly dontFragment?: boolean;
  /** IPv4 options, a multiple of 4 bytes. */
  readonly ipOptions?: Uint8Array;
  readonly source?: number;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  readonly sequence?: number;
  readonly acknowledgement?: number;
  readonly flags?: number;
  readonly window?: number;
  readonly urgent?: number;
  readonly tcpOptions?: Uint8Array;
}

export interface Packet {
  readonly bytes: Uint8Array;
  /** Offsets in `bytes`. */
  readonly l3: number;
  readonly l4: number;
  readonly payload: number;
}

const empty = new Uint8Array(0);

function emitLink(spec: PacketSpec, bytes: Uint8Array): number {
  if (spec.ethernet === false) return 0;
  const vlans = spec.vlans ?? [];
  const last = spec.version === 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
  const types = vlans.map((_, n) =>
    vlans.length === 2 && n === 0 ? ETHERTYPE_QINQ : ETHERTYPE_VLAN,
  );
  const destination = { hi: 0x0200, lo: 0x0000000b };
  const source = { hi: 0x0200, lo: spec.sourceMac ?? 0x0000000a };
  let at = emitEthernet({ destination, source, etherType: types[0] ?? last }, bytes, 0);
  for (const [n, id] of vlans.entries()) {
    const etherType = types[n + 1] ?? last;
    at += emitVlan({ priority: 3, dropEligible: false, id, etherType }, bytes, at);
  }
  return at;
}

function emitNetwork(spec: PacketSpec, bytes: Uint8Array, at: number, l4Bytes: number): number {
  const protocol = spec.protocol === "tcp" ? PROTOCOL_TCP : PROTOCOL_UDP;
  if (spec.version === 6) {
    const repr = {
      trafficClass: spec.tos ?? 0,
      flowLabel: 0x12345,
      payload_bytes: l4Bytes,
      nextHeader: protocol,
      hopLimit: spec.ttl ?? 64,
      source: { w0: 0xfd570000, w1: 0, w2: 0, w3: spec.source ?? 10 },
      destination: { w0: 0xfd570000, w1: 0, w2: 0, w3: 11 },
    };
    return emitIpv6(repr, bytes, at);
  }
  const options = spec.ipOptions ?? empty;
  const repr = {
    tos: spec.tos ?? 0,
    identification: spec.identification ?? 1,
    dontFragment: spec.dontFragment ?? true,
    moreFragments: false,
    fragmentOffset_bytes: 0,
    ttl: spec.ttl ?? 64,
    protocol,
    source: 0xc0a80a00 + (spec.source ?? 10),
    destination: 0xc0a80b0a,
    payload_bytes: l4Bytes,
  };
  emitIpv4(repr, bytes, at);
  bytes.set(options, at + IPV4_HEADER_BYTES);
  const header_bytes = IPV4_HEADER_BYTES + options.length;
  bytes[at] = 0x40 | (header_bytes >> 2);
  writeIpv4TotalLength(bytes, at, header_bytes + l4Bytes);
  writeIpv4Checksum(bytes, at);
  return header_bytes;
}

function emitTransport(spec: PacketSpec, bytes: Uint8Array, at: number): number {
  const sourcePort = spec.sourcePort ?? 40000;
  const destinationPort = spec.destinationPort ?? 5201;
  if (spec.protocol === "udp") {
    return emitUdp({ sourcePort, destinationPort, payload_bytes: spec.payload.length }, bytes, at);
  }
  const repr = {
    sourcePort,
    destinationPort,
    sequence: spec.sequence ?? 1000,
    acknowledgement: spec.acknowledgement ?? 2000,
    flags: spec.flags ?? TCP_FLAG_ACK,
    window: spec.window ?? 512,
    urgent: spec.urgent ?? 0,
    options: spec.tcpOptions ?? empty,
  };
  return emitTcp(repr, bytes, at);
}

/** The packet with every length and checksum right. */
export function buildPacket(spec: PacketSpec): Packet {
  const bytes = new Uint8Array(14 + 8 + 60 + 60 + spec.payload.length);
  const l3 = emitLink(spec, bytes);
  const l4Header_bytes =
    spec.protocol === "tcp" ? 20 + (spec.tcpOptions?.length ?? 0) : UDP_HEADER_BYTES;
  const l4 = l3 + emitNetwork(spec, bytes, l3, l4Header_bytes + spec.payload.length);
  const payload = l4 + emitTransport(spec, bytes, l4);
  const end = payload + spec.payload.length;
  bytes.set(spec.payload, payload);
  if (spec.protocol === "tcp") writeTcpChecksum(bytes, l3, l4, end);
  else writeUdpChecksum(bytes, l3, l4);
  return { bytes: bytes.slice(0, end), l3, l4, payload };
}

/**
 * What segmentation must make of the packet: the same specification, cut at `gsoSize` payload
 * bytes.
 */
export function segmentSpecs(spec: PacketSpec, gsoSize: number): PacketSpec[] {
  const count = Math.ceil(spec.payload.length / gsoSize);
  return Array.from({ length: count }, (_, n) => {
    let flags = spec.flags ?? TCP_FLAG_ACK;
    if (n < count - 1) flags &= ~(TCP_FLAG_FIN | TCP_FLAG_PSH);
    if (n > 0) flags &= ~TCP_FLAG_CWR;
    return {
      ...spec,
      flags,
      payload: spec.payload.slice(n * gsoSize, (n + 1) * gsoSize),
      identification: ((spec.identification ?? 1) + n) & 0xffff,
      sequence: ((spec.sequence ?? 1000) + n * gsoSize) >>> 0,
    };
  });
}

export function segmentPackets(spec: PacketSpec, gsoSize: number): Uint8Array[] {
  return segmentSpecs(spec, gsoSize).map((segment) => buildPacket(segment).bytes);
}

/** Where the transport checksum of a packet stands, from the start of the L4 header. */
export function checksumOffset(spec: PacketSpec): number {
  return spec.protocol === "tcp" ? TCP_CHECKSUM : UDP_CHECKSUM;
}

/**
 * The packet as its sender leaves it to an offload: in the checksum field the sum of the pseudo
 * header alone.
 */
export function withPartialChecksum(spec: PacketSpec): Packet {
  const packet = buildPacket(spec);
  const { bytes, l3, l4 } = packet;
  const addresses = spec.version === 4 ? { at: l3 + 12, length: 8 } : { at: l3 + 8, length: 32 };
  let total = (spec.protocol === "tcp" ? PROTOCOL_TCP : PROTOCOL_UDP) + (bytes.length - l4);
  for (let p = addresses.at; p < addresses.at + addresses.length; p += 2) {
    total += (bytes[p] << 8) | bytes[p + 1];
  }
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  writeU16(bytes, l4 + checksumOffset(spec), total);
  return packet;
}

/** `length` bytes that differ from place to place and, with `seed`, from payload to payload. */
export function patternBytes(length: number, seed = 1): Uint8Array {
  let state = (seed * 2654435761) >>> 0 || 1;
  return Uint8Array.from({ length }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state & 0xff;
  });
}
