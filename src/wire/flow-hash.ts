// A hash of the inner flow, for what must keep one flow on one path: the outer source port [RFC
// 7348 § 5], the worker's queue. Addresses, protocol and ports; no ports for fragments, so that all
// fragments of one datagram hash alike. Hot path: no allocation, never reads past `end`, takes
// malformed input without complaint. It spreads flows; it is no defence against someone who chooses
// ports to make them collide.

import { readI32, readU16 } from "./byte-order.js";
import {
  checkEthernet,
  ETHERNET_DESTINATION,
  ETHERNET_SOURCE,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
} from "./ethernet.js";
import { PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP } from "./ip-protocol.js";
import {
  checkIpv4,
  ipv4DestinationBits,
  ipv4HeaderLength,
  ipv4IsFragment,
  ipv4Protocol,
  ipv4SourceBits,
  ipv4TotalLength,
} from "./ipv4.js";
import {
  checkIpv6,
  IPV6_DESTINATION,
  IPV6_HEADER_BYTES,
  IPV6_SOURCE,
  ipv6NextHeader,
  ipv6PayloadLength,
  walkIpv6Extensions,
  walkIsFragment,
  walkOffset,
  walkProtocol,
} from "./ipv6.js";
import { macHi, macLoBits } from "./mac.js";
import { contentTypeOffset } from "./vlan.js";

/** Any odd number will do; the golden ratio's fraction has well-spread bits. */
const SEED = 0x9e3779b9 | 0;
/** Both ports, the first four bytes of TCP, UDP and SCTP. */
const PORTS_BYTES = 4;

/**
 * Flow hash of the Ethernet frame `at`..`end`, 31 bits, which V8 never makes an object of; VLAN
 * tags are skipped.
 */
export function frameFlowHash(bytes: Uint8Array, at: number, end: number): number {
  if (!checkEthernet(bytes, at, end)) return finalize(SEED);
  const typeAt = contentTypeOffset(bytes, at, end);
  const type = typeAt < 0 ? 0 : readU16(bytes, typeAt);
  if (type === ETHERTYPE_IPV4 && checkIpv4(bytes, typeAt + 2, end)) {
    return hashIpv4(bytes, typeAt + 2);
  }
  if (type === ETHERTYPE_IPV6 && checkIpv6(bytes, typeAt + 2, end)) {
    return hashIpv6(bytes, typeAt + 2);
  }
  const destination = at + ETHERNET_DESTINATION;
  const source = at + ETHERNET_SOURCE;
  let hash = mix(SEED, (macHi(bytes, destination) << 16) | macHi(bytes, source));
  hash = mix(hash, macLoBits(bytes, destination));
  hash = mix(hash, macLoBits(bytes, source));
  return finalize(mix(hash, type));
}

/**
 * Flow hash of the bare IP packet `at`..`end`, 31 bits: the same as of a frame that holds
 * the packet.
 */
export function packetFlowHash(bytes: Uint8Array, at: number, end: number): number {
  if (checkIpv4(bytes, at, end)) return hashIpv4(bytes, at);
  if (checkIpv6(bytes, at, end)) return hashIpv6(bytes, at);
  return finalize(SEED);
}

/** The packet at `at` has been checked. */
function hashIpv4(bytes: Uint8Array, at: number): number {
  const protocol = ipv4Protocol(bytes, at);
  let hash = mix(SEED, ipv4SourceBits(bytes, at));
  hash = mix(hash, ipv4DestinationBits(bytes, at));
  hash = mix(hash, protocol);
  const l4At = at + ipv4HeaderLength(bytes, at);
  const packetEnd = at + ipv4TotalLength(bytes, at);
  if (!ipv4IsFragment(bytes, at) && hasPorts(protocol) && packetEnd - l4At >= PORTS_BYTES) {
    hash = mix(hash, readI32(bytes, l4At));
  }
  return finalize(hash);
}

/** The packet at `at` has been checked. */
function hashIpv6(bytes: Uint8Array, at: number): number {
  let hash = SEED;
  for (let word = 0; word < 16; word += 4) {
    hash = mix(hash, readI32(bytes, at + IPV6_SOURCE + word));
    hash = mix(hash, readI32(bytes, at + IPV6_DESTINATION + word));
  }
  const packetEnd = at + IPV6_HEADER_BYTES + ipv6PayloadLength(bytes, at);
  const walk = walkIpv6Extensions(bytes, at, packetEnd);
  if (walk < 0) return finalize(mix(hash, ipv6NextHeader(bytes, at)));
  // Behind the fragment header the first fragment may show more extension headers than the later
  // ones do: the protocol found would differ, so fragments hash by their addresses alone.
  if (walkIsFragment(walk)) return finalize(hash);
  const protocol = walkProtocol(walk);
  hash = mix(hash, protocol);
  const l4At = at + walkOffset(walk);
  if (hasPorts(protocol) && packetEnd - l4At >= PORTS_BYTES) hash = mix(hash, readI32(bytes, l4At));
  return finalize(hash);
}

function hasPorts(protocol: number): boolean {
  return protocol === PROTOCOL_TCP || protocol === PROTOCOL_UDP || protocol === PROTOCOL_SCTP;
}

/**
 * Takes one 32-bit word in: a multiply spreads it upwards, the rotation brings high bits down
 * again.
 */
function mix(hash: number, word: number): number {
  const k = Math.imul(hash ^ word, 0x85ebca6b);
  return Math.imul((k << 15) | (k >>> 17), 0xc2b2ae35) ^ (k >>> 13);
}

/**
 * Makes every bit depend on every other, so that the low bits (and a modulo) are as good as the
 * high ones.
 */
function finalize(hash: number): number {
  let h = hash ^ (hash >>> 16);
  h = Math.imul(h, 0x7feb352d);
  h ^= h >>> 15;
  h = Math.imul(h, 0x846ca68b);
  return (h ^ (h >>> 16)) >>> 1;
}
