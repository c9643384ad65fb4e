// ICMPv6 [RFC 4443] and neighbour discovery [RFC 4861] as far as a tunnel needs them: types and
// checksums, and what an ND proxy reads and sends (errors: icmpv6-errors.ts). ICMPv6 checksums
// cover the IPv6 header, so ND
// functions take whole IPv6 packets (`at` is the IPv6 header) without extension headers: fragmented
// ND must be ignored [RFC 6980 § 5], others are not in use.

import { readU32, writeU16, writeU32 } from "./byte-order.js";
import { finish, transportSum } from "./checksum.js";
import type { IpAddress } from "./ip-address.js";
import { PROTOCOL_ICMPV6 } from "./ip-protocol.js";
import {
  checkIpv6,
  emitIpv6,
  IPV6_DESTINATION,
  IPV6_HEADER_BYTES,
  IPV6_SOURCE,
  ipv6DestinationWord,
  ipv6HopLimit,
  ipv6NextHeader,
  ipv6PayloadLength,
  ipv6SourceWord,
  readIpv6Address,
  writeIpv6Address,
} from "./ipv6.js";
import { type Mac, macHi, macLo, writeMac } from "./mac.js";

/** Offsets from the ICMPv6 header. */
export const ICMPV6_TYPE = 0;
export const ICMPV6_CODE = 1;
export const ICMPV6_CHECKSUM = 2;
export const ICMPV6_BODY = 4;
export const ICMPV6_ERROR_DATA = 8;
export const ND_FLAGS = 4;
export const ND_TARGET = 8;
export const ND_OPTIONS = 24;

export const ICMPV6_DESTINATION_UNREACHABLE = 1;
export const ICMPV6_PACKET_TOO_BIG = 2;
export const ICMPV6_TIME_EXCEEDED = 3;
export const ICMPV6_PARAMETER_PROBLEM = 4;
export const ICMPV6_ECHO_REQUEST = 128;
export const ICMPV6_NEIGHBOUR_SOLICITATION = 135;
export const ICMPV6_NEIGHBOUR_ADVERTISEMENT = 136;
export const ICMPV6_REDIRECT = 137;

const OPTION_SOURCE_LINK_LAYER = 1;
const OPTION_TARGET_LINK_LAYER = 2;
const LINK_LAYER_OPTION_BYTES = 8;

const FLAG_ROUTER = 0x80;
const FLAG_SOLICITED = 0x40;
const FLAG_OVERRIDE = 0x20;

/** Anything less has been forwarded and is no neighbour's [RFC 4861 § 7.1.1]. */
const ND_HOP_LIMIT = 255;

export function icmpv6Type(bytes: Uint8Array, icmpAt: number): number {
  return bytes[icmpAt + ICMPV6_TYPE];
}

export function icmpv6Code(bytes: Uint8Array, icmpAt: number): number {
  return bytes[icmpAt + ICMPV6_CODE];
}

/** MTU of a packet too big message, in bytes. */
export function icmpv6Mtu(bytes: Uint8Array, icmpAt: number): number {
  return readU32(bytes, icmpAt + ICMPV6_BODY);
}

/** Checksum of the message `icmpAt`..`end` in the IPv6 packet at `ipAt`. */
export function writeIcmpv6Checksum(
  bytes: Uint8Array,
  ipAt: number,
  icmpAt: number,
  end: number,
): void {
  writeU16(bytes, icmpAt + ICMPV6_CHECKSUM, 0);
  const total = transportSum(bytes, ipAt, icmpAt, end, PROTOCOL_ICMPV6);
  writeU16(bytes, icmpAt + ICMPV6_CHECKSUM, finish(total));
}

export function icmpv6ChecksumValid(
  bytes: Uint8Array,
  ipAt: number,
  icmpAt: number,
  end: number,
): boolean {
  return finish(transportSum(bytes, ipAt, icmpAt, end, PROTOCOL_ICMPV6)) === 0;
}

/** True when a message's type, code and checksum lie in `icmpAt`..`end`. */
export function checkIcmpv6(_bytes: Uint8Array, icmpAt: number, end: number): boolean {
  return end - icmpAt >= ICMPV6_BODY;
}

/**
 * One word of the ND target, 0..3; `at` is the IPv6 header of a checked solicitation or
 * advertisement.
 */
export function ndTargetWord(bytes: Uint8Array, at: number, word: number): number {
  return readU32(bytes, at + IPV6_HEADER_BYTES + ND_TARGET + 4 * word);
}

/** Offset of the MAC in a checked solicitation's source link-layer option; -1 when it has none. */
export function ndSourceMacAt(bytes: Uint8Array, at: number): number {
  return linkLayerOptionAt(bytes, at, OPTION_SOURCE_LINK_LAYER);
}

/** Offset of the MAC in a checked advertisement's target link-layer option; -1 when it has none. */
export function ndTargetMacAt(bytes: Uint8Array, at: number): number {
  return linkLayerOptionAt(bytes, at, OPTION_TARGET_LINK_LAYER);
}

function linkLayerOptionAt(bytes: Uint8Array, at: number, type: number): number {
  const end = at + IPV6_HEADER_BYTES + ipv6PayloadLength(bytes, at);
  let p = at + IPV6_HEADER_BYTES + ND_OPTIONS;
  while (p < end) {
    const length_bytes = bytes[p + 1] << 3;
    if (bytes[p] === type && length_bytes === LINK_LAYER_OPTION_BYTES) return p + 2;
    p += length_bytes;
  }
  return -1;
}

/** True when the options fill the message exactly and none has length 0 [RFC 4861 § 4.6]. */
function checkOptions(bytes: Uint8Array, at: number, end: number): boolean {
  let p = at;
  while (p < end) {
    if (end - p < 8 || bytes[p + 1] === 0) return false;
    p += bytes[p + 1] << 3;
  }
  return p === end;
}

/** What solicitations and advertisements have in common [RFC 4861 § 7.1.1, § 7.1.2]. */
function checkNeighbourMessage(bytes: Uint8Array, at: number, end: number, type: number): boolean {
  if (!checkIpv6(bytes, at, end) || ipv6NextHeader(bytes, at) !== PROTOCOL_ICMPV6) return false;
  const icmpAt = at + IPV6_HEADER_BYTES;
  const packetEnd = icmpAt + ipv6PayloadLength(bytes, at);
  return (
    ipv6HopLimit(bytes, at) === ND_HOP_LIMIT &&
    packetEnd - icmpAt >= ND_OPTIONS &&
    icmpv6Type(bytes, icmpAt) === type &&
    icmpv6Code(bytes, icmpAt) === 0 &&
    bytes[icmpAt + ND_TARGET] !== 0xff &&
    checkOptions(bytes, icmpAt + ND_OPTIONS, packetEnd) &&
    icmpv6ChecksumValid(bytes, at, icmpAt, packetEnd)
  );
}

/** True when the source is `::`, as in duplicate address detection. */
export function ndSourceUnspecified(bytes: Uint8Array, at: number): boolean {
  return (
    ipv6SourceWord(bytes, at, 0) === 0 &&
    ipv6SourceWord(bytes, at, 1) === 0 &&
    ipv6SourceWord(bytes, at, 2) === 0 &&
    ipv6SourceWord(bytes, at, 3) === 0
  );
}

/** ff02::1:ff00:0/104 [RFC 4291 § 2.7.1]. */
function toSolicitedNode(bytes: Uint8Array, at: number): boolean {
  return (
    ipv6DestinationWord(bytes, at, 0) === 0xff020000 &&
    ipv6DestinationWord(bytes, at, 1) === 0 &&
    ipv6DestinationWord(bytes, at, 2) === 1 &&
    ipv6DestinationWord(bytes, at, 3) >>> 24 === 0xff
  );
}

/**
 * True when the IPv6 packet `at`..`end` is a valid neighbour solicitation [RFC 4861 § 7.1.1],
 * checksum included.
 */
export function checkNeighbourSolicitation(bytes: Uint8Array, at: number, end: number): boolean {
  if (!checkNeighbourMessage(bytes, at, end, ICMPV6_NEIGHBOUR_SOLICITATION)) return false;
  if (!ndSourceUnspecified(bytes, at)) return true;
  return toSolicitedNode(bytes, at) && ndSourceMacAt(bytes, at) < 0;
}

/**
 * True when the IPv6 packet `at`..`end` is a valid neighbour advertisement [RFC 4861 § 7.1.2],
 * checksum included.
 */
export function checkNeighbourAdvertisement(bytes: Uint8Array, at: number, end: number): boolean {
  if (!checkNeighbourMessage(bytes, at, end, ICMPV6_NEIGHBOUR_ADVERTISEMENT)) return false;
  const solicited = (bytes[at + IPV6_HEADER_BYTES + ND_FLAGS] & FLAG_SOLICITED) !== 0;
  return !(solicited && bytes[at + IPV6_DESTINATION] === 0xff);
}

/** A whole IPv6 packet. */
export interface NeighbourSolicitationRepr {
  source: IpAddress;
  destination: IpAddress;
  target: IpAddress;
  /** The source link-layer option; undefined when the source is `::`. */
  sourceMac: Mac | undefined;
}

/** A whole IPv6 packet. */
export interface NeighbourAdvertisementRepr {
  source: IpAddress;
  destination: IpAddress;
  target: IpAddress;
  /** The target link-layer option. */
  targetMac: Mac | undefined;
  router: boolean;
  solicited: boolean;
  override: boolean;
}

function macAt(bytes: Uint8Array, at: number): Mac | undefined {
  return at < 0 ? undefined : { hi: macHi(bytes, at), lo: macLo(bytes, at) };
}

export function parseNeighbourSolicitation(
  bytes: Uint8Array,
  at: number,
  end: number,
): NeighbourSolicitationRepr | undefined {
  if (!checkNeighbourSolicitation(bytes, at, end)) return undefined;
  return {
    source: readIpv6Address(bytes, at + IPV6_SOURCE),
    destination: readIpv6Address(bytes, at + IPV6_DESTINATION),
    target: readIpv6Address(bytes, at + IPV6_HEADER_BYTES + ND_TARGET),
    sourceMac: macAt(bytes, ndSourceMacAt(bytes, at)),
  };
}

export function parseNeighbourAdvertisement(
  bytes: Uint8Array,
  at: number,
  end: number,
): NeighbourAdvertisementRepr | undefined {
  if (!checkNeighbourAdvertisement(bytes, at, end)) return undefined;
  const flags = bytes[at + IPV6_HEADER_BYTES + ND_FLAGS];
  return {
    source: readIpv6Address(bytes, at + IPV6_SOURCE),
    destination: readIpv6Address(bytes, at + IPV6_DESTINATION),
    target: readIpv6Address(bytes, at + IPV6_HEADER_BYTES + ND_TARGET),
    targetMac: macAt(bytes, ndTargetMacAt(bytes, at)),
    router: (flags & FLAG_ROUTER) !== 0,
    solicited: (flags & FLAG_SOLICITED) !== 0,
    override: (flags & FLAG_OVERRIDE) !== 0,
  };
}

interface NeighbourMessage {
  source: IpAddress;
  destination: IpAddress;
  target: IpAddress;
}

function emitNeighbourMessage(
  message: NeighbourMessage,
  type: number,
  flags: number,
  optionType: number,
  mac: Mac | undefined,
  bytes: Uint8Array,
  at: number,
): number {
  const payload_bytes = ND_OPTIONS + (mac === undefined ? 0 : LINK_LAYER_OPTION_BYTES);
  const icmpAt =
    at +
    emitIpv6(
      {
        trafficClass: 0,
        flowLabel: 0,
        payload_bytes,
        nextHeader: PROTOCOL_ICMPV6,
        hopLimit: ND_HOP_LIMIT,
        source: message.source,
        destination: message.destination,
      },
      bytes,
      at,
    );
  writeU16(bytes, icmpAt + ICMPV6_TYPE, type << 8);
  writeU32(bytes, icmpAt + ND_FLAGS, flags << 24);
  writeIpv6Address(bytes, icmpAt + ND_TARGET, message.target);
  if (mac !== undefined) {
    bytes[icmpAt + ND_OPTIONS] = optionType;
    bytes[icmpAt + ND_OPTIONS + 1] = LINK_LAYER_OPTION_BYTES >>> 3;
    writeMac(bytes, icmpAt + ND_OPTIONS + 2, mac.hi, mac.lo);
  }
  writeIcmpv6Checksum(bytes, at, icmpAt, icmpAt + payload_bytes);
  return IPV6_HEADER_BYTES + payload_bytes;
}

/** Writes a whole IPv6 packet with hop limit 255 [RFC 4861 § 4.3]; returns its bytes, 64 or 72. */
export function emitNeighbourSolicitation(
  repr: NeighbourSolicitationRepr,
  bytes: Uint8Array,
  at: number,
): number {
  const type = ICMPV6_NEIGHBOUR_SOLICITATION;
  return emitNeighbourMessage(repr, type, 0, OPTION_SOURCE_LINK_LAYER, repr.sourceMac, bytes, at);
}

/** Writes a whole IPv6 packet with hop limit 255 [RFC 4861 § 4.4]; returns its bytes, 64 or 72. */
export function emitNeighbourAdvertisement(
  repr: NeighbourAdvertisementRepr,
  bytes: Uint8Array,
  at: number,
): number {
  const type = ICMPV6_NEIGHBOUR_ADVERTISEMENT;
  const flags =
    (repr.router ? FLAG_ROUTER : 0) |
    (repr.solicited ? FLAG_SOLICITED : 0) |
    (repr.override ? FLAG_OVERRIDE : 0);
  return emitNeighbourMessage(
    repr,
    type,
    flags,
    OPTION_TARGET_LINK_LAYER,
    repr.targetMac,
    bytes,
    at,
  );
}
