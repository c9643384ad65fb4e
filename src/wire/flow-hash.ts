// A hash of the inner flow, for what must keep one flow on one path: the outer source port [RFC
// 7348 § 5], the worker's queue. Addresses, protocol and ports; fragments by their addresses alone,
// so that all fragments of one datagram hash alike. Hot path: no allocation, and no second look for
// headers that were located already. It spreads flows; it is no defence against someone who chooses
// ports to make them collide.

import { readI32 } from "./byte-order.js";
import { ETHERNET_DESTINATION, ETHERNET_SOURCE } from "./ethernet.js";
import { PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP } from "./ip-protocol.js";
import { ipv4DestinationBits, ipv4SourceBits } from "./ipv4.js";
import { IPV6_DESTINATION, IPV6_SOURCE } from "./ipv6.js";
import {
  LOCATE_ETHERTYPE,
  LOCATE_FLAGS,
  LOCATE_FRAGMENT,
  LOCATE_L3,
  LOCATE_L4,
  LOCATE_PAYLOAD,
  LOCATE_PROTOCOL,
  LOCATE_VERSION,
} from "./locate.js";
import { macHi, macLoBits } from "./mac.js";

/** Any odd number will do; the golden ratio's fraction has well-spread bits. */
const SEED = 0x9e3779b9 | 0;

/**
 * Flow hash of the Ethernet frame at `at` or of a bare IP packet, whose layers `locateFrame` or
 * `locatePacket` found right. 31 bits, which V8 never makes an object of.
 */
export function flowHash(bytes: Uint8Array, at: number, located: Int32Array): number {
  const version = located[LOCATE_VERSION];
  if (version === 0) return finalize(hashStations(bytes, at, located[LOCATE_ETHERTYPE]));
  const l3 = located[LOCATE_L3];
  let hash = SEED;
  if (version === 4) {
    hash = mix(hash, ipv4SourceBits(bytes, l3));
    hash = mix(hash, ipv4DestinationBits(bytes, l3));
  } else {
    for (let word = 0; word < 16; word += 4) {
      hash = mix(hash, readI32(bytes, l3 + IPV6_SOURCE + word));
      hash = mix(hash, readI32(bytes, l3 + IPV6_DESTINATION + word));
    }
  }
  // Behind the fragment header the first fragment may show more extension headers than the later
  // ones do: not even the protocol is the same for all of them.
  if ((located[LOCATE_FLAGS] & LOCATE_FRAGMENT) !== 0) return finalize(hash);
  const protocol = located[LOCATE_PROTOCOL];
  hash = mix(hash, protocol);
  if (located[LOCATE_PAYLOAD] >= 0 && hasPorts(protocol)) {
    hash = mix(hash, readI32(bytes, located[LOCATE_L4]));
  }
  return finalize(hash);
}

/** Of a frame that is not IP: both MACs and the ethertype. */
function hashStations(bytes: Uint8Array, at: number, type: number): number {
  const destination = at + ETHERNET_DESTINATION;
  const source = at + ETHERNET_SOURCE;
  let hash = mix(SEED, (macHi(bytes, destination) << 16) | macHi(bytes, source));
  hash = mix(hash, macLoBits(bytes, destination));
  hash = mix(hash, macLoBits(bytes, source));
  return mix(hash, type);
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
