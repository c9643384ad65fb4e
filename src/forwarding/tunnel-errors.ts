// What an ICMP error about an outer packet says of the tunnel, and what the sender of the inner
// packet is told of it [RFC 2003 § 4, RFC 2473 § 8, RFC 4213 § 3.4]. Two tables, no state; packets
// that are too big are not in them.

import {
  HOST_UNREACHABLE,
  NET_UNREACHABLE,
  PORT_UNREACHABLE,
  PROHIBITED,
  PROTOCOL_UNREACHABLE,
  REACHABLE,
  TTL_EXCEEDED,
} from "../remotes/unreachable-rows.js";
import {
  ICMP_CODE_HOST_UNREACHABLE,
  ICMP_CODE_NET_UNREACHABLE,
  ICMP_CODE_TTL_EXCEEDED,
  ICMP_DESTINATION_UNREACHABLE,
  ICMP_TIME_EXCEEDED,
} from "../wire/icmp.js";
import {
  ICMPV6_DESTINATION_UNREACHABLE,
  ICMPV6_PARAMETER_PROBLEM,
  ICMPV6_TIME_EXCEEDED,
} from "../wire/icmpv6.js";

/**
 * By code of ICMP destination unreachable [RFC 792, RFC 1812 § 5.2.7.1]; those that are not here
 * (fragmentation needed, source route failed) say nothing of whether the remote can be reached.
 */
const UNREACHABLE_V4 = new Map<number, number>([
  [0, NET_UNREACHABLE],
  [1, HOST_UNREACHABLE],
  [2, PROTOCOL_UNREACHABLE],
  [3, PORT_UNREACHABLE],
  [6, NET_UNREACHABLE], // unknown
  [7, HOST_UNREACHABLE], // unknown
  [8, HOST_UNREACHABLE], // source host isolated
  [9, PROHIBITED], // network
  [10, PROHIBITED], // host
  [11, NET_UNREACHABLE], // for this TOS
  [12, HOST_UNREACHABLE], // for this TOS
  [13, PROHIBITED], // by filtering
  [14, PROHIBITED], // host precedence violation
  [15, PROHIBITED], // precedence cutoff
]);

/** By code of ICMPv6 destination unreachable [RFC 4443 § 3.1]. */
const UNREACHABLE_V6 = new Map<number, number>([
  [0, NET_UNREACHABLE], // no route
  [1, PROHIBITED],
  [2, HOST_UNREACHABLE], // beyond the scope of the source address
  [3, HOST_UNREACHABLE],
  [4, PORT_UNREACHABLE],
  [5, PROHIBITED], // source address failed a policy
  [6, PROHIBITED], // reject route
]);

/** Of parameter problem: a next header that nobody there takes. */
const CODE_UNRECOGNIZED_NEXT_HEADER = 1;

/**
 * @param family of the outer packet
 * @returns a kind of unreachable (remotes/unreachable-rows.ts); REACHABLE: the error says nothing
 * of that
 */
export function unreachableKind(family: number, type: number, code: number): number {
  if (family === 4) {
    if (type === ICMP_DESTINATION_UNREACHABLE) return UNREACHABLE_V4.get(code) ?? REACHABLE;
    const expired = type === ICMP_TIME_EXCEEDED && code === ICMP_CODE_TTL_EXCEEDED;
    return expired ? TTL_EXCEEDED : REACHABLE;
  }
  if (type === ICMPV6_DESTINATION_UNREACHABLE) return UNREACHABLE_V6.get(code) ?? REACHABLE;
  if (type === ICMPV6_TIME_EXCEEDED && code === 0) return TTL_EXCEEDED;
  const refused = type === ICMPV6_PARAMETER_PROBLEM && code === CODE_UNRECOGNIZED_NEXT_HEADER;
  return refused ? PROTOCOL_UNREACHABLE : REACHABLE;
}

/**
 * Is the inner sender told? Not of a port: the outer header has none, and a host whose kernel has
 * no tunnel says so although a raw socket there got the packet [RFC 2003 § 4.1].
 */
export function isRelayed(kind: number): boolean {
  return kind !== REACHABLE && kind !== PORT_UNREACHABLE;
}

/**
 * Code of the destination unreachable that an inner IPv4 sender gets: that of the network where a
 * router of an IPv4 underlay said so [RFC 2003 § 4.1]; to all else the tunnel is a link whose host
 * is not there [RFC 2003 § 4.4, RFC 2473 § 8.3]. Inner IPv6 knows one: address unreachable.
 * @param family of the outer packet
 */
export function innerCode4(family: number, kind: number): number {
  const network = family === 4 && kind === NET_UNREACHABLE;
  return network ? ICMP_CODE_NET_UNREACHABLE : ICMP_CODE_HOST_UNREACHABLE;
}
