// Frames and packets for the forwarding tests, put together by the emitters of src/wire, and the
// addresses they use.

import { emitArp } from "../../../src/wire/arp.js";
import { writeU16 } from "../../../src/wire/byte-order.js";
import { pseudoHeaderSumV4, pseudoHeaderSumV6 } from "../../../src/wire/checksum.js";
import {
  ETHERNET_HEADER_BYTES,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  ETHERTYPE_VLAN,
  emitEthernet,
} from "../../../src/wire/ethernet.js";
import { emitNeighbourSolicitation } from "../../../src/wire/icmpv6.js";
import { type IpAddress, parseIp } from "../../../src/wire/ip-address.js";
import {
  PROTOCOL_IPIP,
  PROTOCOL_IPV6,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from "../../../src/wire/ip-protocol.js";
import { emitIpv4 } from "../../../src/wire/ipv4.js";
import { emitIpv6 } from "../../../src/wire/ipv6.js";
import { type Mac, parseMac } from "../../../src/wire/mac.js";
import { emitTcp, TCP_FLAG_ACK, writeTcpChecksum } from "../../../src/wire/tcp.js";
import { emitUdp, writeUdpChecksum } from "../../../src/wire/udp.js";
import { emitVlan } from "../../../src/wire/vlan.js";
import { emitVxlan } from "../../../src/wire/vxlan.js";

export function ip(text: string): IpAddress {
  const parsed = parseIp(text);
  if (parsed === undefined) throw new Error(`not an address: ${text}`);
  return parsed;
}

/** An IPv4 address as unsigned number. */
export const v4 = (text: string): number => ip(text).w3;

export function mac(text: string): Mac {
  const parsed = parseMac(text);
  if (parsed === undefined) throw new Error(`not a MAC: ${text}`);
  return parsed;
}

export const MAC_A = "02:00:00:00:00:0a";
export const MAC_B = "02:00:00:00:00:0b";
export const BROADCAST = "ff:ff:ff:ff:ff:ff";

export function join(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function emit(length: number, write: (bytes: Uint8Array) => void): Uint8Array {
  const bytes = new Uint8Array(length);
  write(bytes);
  return bytes;
}

export function ethernet(
  destination: string,
  source: string,
  etherType: number,
  payload: Uint8Array,
): Uint8Array {
  const repr = { destination: mac(destination), source: mac(source), etherType };
  return join(
    emit(ETHERNET_HEADER_BYTES, (bytes) => emitEthernet(repr, bytes, 0)),
    payload,
  );
}

/** The frame with an 802.1Q tag behind its MACs. */
export function tagged(frame: Uint8Array, id: number): Uint8Array {
  const etherType = (frame[12] << 8) | frame[13];
  const repr = { priority: 0, dropEligible: false, id, etherType };
  const tag = emit(4, (bytes) => emitVlan(repr, bytes, 0));
  const outer = Uint8Array.of(ETHERTYPE_VLAN >> 8, ETHERTYPE_VLAN & 0xff);
  return join(frame.slice(0, 12), outer, tag, frame.slice(14));
}

export interface PacketOptions {
  source?: string;
  destination?: string;
  sourcePort?: number;
  /** TOS or traffic class. */
  tos?: number;
  ttl?: number;
  dontFragment?: boolean;
  /** Of UDP or TCP. */
  payload_bytes?: number;
  /** The transport checksum is only the pseudo-header sum, as offloads leave it. */
  partial?: boolean;
  /** Of TCP; ACK unless given. */
  flags?: number;
}

/** What is left of a transport checksum when an offload is to complete it. */
function leavePartial(bytes: Uint8Array, l4: number, protocol: number): void {
  const length = bytes.length - l4;
  const pseudo = bytes[0] >>> 4 === 4 ? pseudoHeaderSumV4 : pseudoHeaderSumV6;
  writeU16(bytes, l4 + (protocol === PROTOCOL_TCP ? 16 : 6), pseudo(bytes, 0, protocol, length));
}

function writeUdp(bytes: Uint8Array, header_bytes: number, options: PacketOptions): void {
  const payload_bytes = bytes.length - header_bytes - 8;
  const ports = { sourcePort: options.sourcePort ?? 4000, destinationPort: 5000 };
  emitUdp({ ...ports, payload_bytes }, bytes, header_bytes);
  for (let i = header_bytes + 8; i < bytes.length; i++) bytes[i] = i;
  writeUdpChecksum(bytes, 0, header_bytes);
  if (options.partial) leavePartial(bytes, header_bytes, PROTOCOL_UDP);
}

/** A segment without options. */
function writeTcp(bytes: Uint8Array, header_bytes: number, options: PacketOptions): void {
  const ports = { sourcePort: options.sourcePort ?? 4000, destinationPort: 5000 };
  const flags = options.flags ?? TCP_FLAG_ACK;
  const state = { sequence: 1, acknowledgement: 1, flags, window: 100, urgent: 0 };
  emitTcp({ ...ports, ...state, options: new Uint8Array() }, bytes, header_bytes);
  for (let i = header_bytes + 20; i < bytes.length; i++) bytes[i] = i;
  writeTcpChecksum(bytes, 0, header_bytes, bytes.length);
  if (options.partial) leavePartial(bytes, header_bytes, PROTOCOL_TCP);
}

function writeIpv4(bytes: Uint8Array, protocol: number, options: PacketOptions): void {
  const repr = {
    tos: options.tos ?? 0,
    identification: 7,
    dontFragment: options.dontFragment ?? false,
    moreFragments: false,
    fragmentOffset_bytes: 0,
    ttl: options.ttl ?? 64,
    protocol,
    source: v4(options.source ?? "192.168.10.10"),
    destination: v4(options.destination ?? "192.168.11.10"),
    payload_bytes: bytes.length - 20,
  };
  emitIpv4(repr, bytes, 0);
}

/** A whole IPv4 packet that carries UDP. */
export function ipv4Udp(options: PacketOptions = {}): Uint8Array {
  return emit(28 + (options.payload_bytes ?? 30), (bytes) => {
    writeIpv4(bytes, PROTOCOL_UDP, options);
    writeUdp(bytes, 20, options);
  });
}

/** A whole IPv4 packet that carries a TCP segment. */
export function ipv4Tcp(options: PacketOptions = {}): Uint8Array {
  return emit(40 + (options.payload_bytes ?? 30), (bytes) => {
    writeIpv4(bytes, PROTOCOL_TCP, options);
    writeTcp(bytes, 20, options);
  });
}

function writeIpv6(bytes: Uint8Array, nextHeader: number, options: PacketOptions): void {
  const repr = {
    trafficClass: options.tos ?? 0,
    flowLabel: 0,
    payload_bytes: bytes.length - 40,
    nextHeader,
    hopLimit: options.ttl ?? 64,
    source: ip(options.source ?? "fd00::10"),
    destination: ip(options.destination ?? "fd00::11"),
  };
  emitIpv6(repr, bytes, 0);
}

/** A whole IPv6 packet that carries UDP. */
export function ipv6Udp(options: PacketOptions = {}): Uint8Array {
  return emit(48 + (options.payload_bytes ?? 30), (bytes) => {
    writeIpv6(bytes, PROTOCOL_UDP, options);
    writeUdp(bytes, 40, options);
  });
}

/** A whole IPv6 packet that carries a TCP segment. */
export function ipv6Tcp(options: PacketOptions = {}): Uint8Array {
  return emit(60 + (options.payload_bytes ?? 30), (bytes) => {
    writeIpv6(bytes, PROTOCOL_TCP, options);
    writeTcp(bytes, 40, options);
  });
}

/** IPv4 in Ethernet, from MAC_A to MAC_B unless told. */
export function frame4(options: PacketOptions = {}, to = MAC_B, from = MAC_A): Uint8Array {
  return ethernet(to, from, ETHERTYPE_IPV4, ipv4Udp(options));
}

/** IPv6 in Ethernet, from MAC_A to MAC_B unless told. */
export function frame6(options: PacketOptions = {}, to = MAC_B, from = MAC_A): Uint8Array {
  return ethernet(to, from, ETHERTYPE_IPV6, ipv6Udp(options));
}

/** A broadcast ARP packet from MAC_A. */
export function arpFrame(operation: 1 | 2, senderIp: string, targetIp: string): Uint8Array {
  const repr = {
    operation,
    senderMac: mac(MAC_A),
    senderIp: v4(senderIp),
    targetMac: { hi: 0, lo: 0 },
    targetIp: v4(targetIp),
  };
  const packet = emit(28, (bytes) => emitArp(repr, bytes, 0));
  return ethernet(BROADCAST, MAC_A, ETHERTYPE_ARP, packet);
}

/**
 * A neighbour solicitation from MAC_A to the target's solicited-node group; `::` asks for an
 * address of its own.
 */
export function solicitationFrame(source: string, target: string): Uint8Array {
  const low = ip(target).w3 & 0xffffff;
  const destination = { w0: 0xff020000, w1: 0, w2: 1, w3: (0xff000000 | low) >>> 0 };
  const sourceMac = source === "::" ? undefined : mac(MAC_A);
  const repr = { source: ip(source), destination, target: ip(target), sourceMac };
  const packet = emit(sourceMac === undefined ? 64 : 72, (bytes) =>
    emitNeighbourSolicitation(repr, bytes, 0),
  );
  return ethernet("33:33:ff:00:00:01", MAC_A, ETHERTYPE_IPV6, packet);
}

export function vxlanHeader(vni: number): Uint8Array {
  return emit(8, (bytes) => emitVxlan({ vni }, bytes, 0));
}

export interface OuterOptions {
  source?: string;
  destination?: string;
  tos?: number;
  dontFragment?: boolean;
  ttl?: number;
  protocol?: number;
}

/** An inner packet behind an outer IPv4 header of protocol 4. */
export function ipip(inner: Uint8Array, options: OuterOptions = {}): Uint8Array {
  const header = emit(20, (bytes) =>
    emitIpv4(
      {
        tos: options.tos ?? 0,
        identification: 0,
        dontFragment: options.dontFragment ?? false,
        moreFragments: false,
        fragmentOffset_bytes: 0,
        ttl: options.ttl ?? 64,
        protocol: options.protocol ?? 4,
        source: v4(options.source ?? "10.57.4.21"),
        destination: v4(options.destination ?? "10.57.4.20"),
        payload_bytes: inner.length,
      },
      bytes,
      0,
    ),
  );
  return join(header, inner);
}

/** An inner packet behind an outer IPv6 header, of next header 4 or 41 as its version says. */
export function ip6ip(inner: Uint8Array, options: OuterOptions = {}): Uint8Array {
  const header = emit(40, (bytes) => {
    const repr = {
      trafficClass: options.tos ?? 0,
      flowLabel: 0,
      payload_bytes: inner.length,
      nextHeader: options.protocol ?? (inner[0] >>> 4 === 4 ? PROTOCOL_IPIP : PROTOCOL_IPV6),
      hopLimit: options.ttl ?? 64,
      source: ip(options.source ?? "fd57::21"),
      destination: ip(options.destination ?? "fd57::20"),
    };
    emitIpv6(repr, bytes, 0);
  });
  return join(header, inner);
}
