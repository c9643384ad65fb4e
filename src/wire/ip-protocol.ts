// IP protocol numbers (IPv4 protocol, IPv6 next header) that culvert looks at [IANA
// protocol-numbers].

export const PROTOCOL_ICMP = 1;
/** IPv4 in IPv4 or IPv6 [RFC 2003], [RFC 2473]. */
export const PROTOCOL_IPIP = 4;
export const PROTOCOL_TCP = 6;
export const PROTOCOL_UDP = 17;
/** IPv6 in IPv4 or IPv6 [RFC 4213]. */
export const PROTOCOL_IPV6 = 41;
export const PROTOCOL_ICMPV6 = 58;
export const PROTOCOL_SCTP = 132;
/** Reserved; to the kernel a socket that only sends [raw(7)]. */
export const PROTOCOL_RAW = 255;
