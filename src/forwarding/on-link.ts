// The outer destination of a packet whose route has no next hop: what its own destination says, as
// for the kernel's one-to-many tunnels (rt_nexthop in ip_tunnel_xmit, try_6rd and the
// IPv4-compatible address in ipip6_tunnel_xmit). Only what can be a single host's address on the
// underlay.

import { readI32 } from "../wire/byte-order.js";
import { IPV4_MAPPED } from "../wire/ip-address.js";
import { ipv4DestinationBits } from "../wire/ipv4.js";
import { IPV6_DESTINATION } from "../wire/ipv6.js";

/** 2002::/16 [RFC 3056 § 2]. */
const SIX_TO_FOUR = 0x2002;
/** fe80::/10 */
const LINK_LOCAL = 0x3fa;

/**
 * Fills in `destination`, four words. Hot.
 * @param at of the packet, of IP `version`
 * @param family of the outer header
 * @returns false: the packet's destination tells no outer one
 */
export function onLink(
  bytes: Uint8Array,
  at: number,
  version: number,
  family: number,
  destination: Int32Array,
): boolean {
  if (family === 6) return version === 6 && onLink6(bytes, at + IPV6_DESTINATION, destination);
  const address =
    version === 4 ? ipv4DestinationBits(bytes, at) : embedded(bytes, at + IPV6_DESTINATION);
  destination[0] = 0;
  destination[1] = 0;
  destination[2] = IPV4_MAPPED;
  destination[3] = address;
  return isHost(address);
}

function onLink6(bytes: Uint8Array, at: number, destination: Int32Array): boolean {
  for (let word = 0; word < 4; word++) destination[word] = readI32(bytes, at + 4 * word);
  // No address, loopback, one of IPv4: ::/96 and ::ffff:0:0/96.
  const prefix = destination[2];
  const special =
    (destination[0] | destination[1]) === 0 && (prefix === 0 || prefix === IPV4_MAPPED);
  if (special) return false;
  // A group, or an address of one link, would be another one on the underlay.
  return bytes[at] !== 0xff && destination[0] >>> 22 !== LINK_LOCAL;
}

/** The IPv4 address in a 6to4 or IPv4-compatible address; 0: there is none. */
function embedded(bytes: Uint8Array, at: number): number {
  const first = readI32(bytes, at);
  if (first >>> 16 === SIX_TO_FOUR) return readI32(bytes, at + 2);
  return (first | readI32(bytes, at + 4) | readI32(bytes, at + 8)) === 0
    ? readI32(bytes, at + 12)
    : 0;
}

/** May an IPv4 address be that of one host elsewhere? Not this network, loopback, a group. */
function isHost(address: number): boolean {
  const first = address >>> 24;
  return first !== 0 && first !== 127 && first < 224;
}
