// Numbers of the rtnetlink interface: linux/netlink.h, linux/rtnetlink.h, linux/if_link.h,
// linux/if_addr.h, linux/neighbour.h. Only what this folder uses; names are the kernel's, grouped
// by what they belong to.

/** Message types every netlink family shares. */
export const Nlmsg = { noop: 1, error: 2, done: 3, overrun: 4 } as const;

/**
 * nlmsghdr.nlmsg_flags. `replace` to `append` hold for NEW requests, `dump` for GET, `capped` on
 * for acks.
 */
export const NlmFlag = {
  request: 0x1,
  multi: 0x2,
  ack: 0x4,
  dumpInterrupted: 0x10,
  replace: 0x100,
  exclusive: 0x200,
  create: 0x400,
  append: 0x800,
  dump: 0x300,
  ackCapped: 0x100,
  ackAttributes: 0x200,
} as const;

/** Attributes of an extended acknowledgement. */
export const NlmsgErrAttribute = { text: 1 } as const;

export const Rtm = {
  newLink: 16,
  deleteLink: 17,
  getLink: 18,
  newAddress: 20,
  deleteAddress: 21,
  getAddress: 22,
  newRoute: 24,
  deleteRoute: 25,
  getRoute: 26,
  newNeighbour: 28,
  deleteNeighbour: 29,
  getNeighbour: 30,
  newRule: 32,
  deleteRule: 33,
  deleteNexthop: 105,
} as const;

/** `bridge` is what forwarding entries of devices (fdb) go by. */
export const AddressFamily = { unspecified: 0, inet: 2, bridge: 7, inet6: 10 } as const;

/** Multicast groups of rtnetlink, as bits of sockaddr_nl.nl_groups. */
export const RtnetlinkGroup = {
  link: 1 << 0,
  neighbour: 1 << 2,
  ipv4Address: 1 << 4,
  ipv4Route: 1 << 6,
  ipv4Rule: 1 << 7,
  ipv6Address: 1 << 8,
  ipv6Route: 1 << 10,
  ipv6Rule: 1 << 18,
  nexthop: 1 << 31,
} as const;

export const IffFlag = { up: 0x1, loopback: 0x8 } as const;

export const LinkAttribute = {
  address: 1,
  name: 3,
  mtu: 4,
  master: 10,
  linkInfo: 18,
  familySpecific: 26,
  group: 27,
  extendedMask: 29,
  alternativeName: 53,
} as const;
/** Inside `familySpecific`, by address family. */
export const Inet6LinkAttribute = { addressGenerationMode: 8 } as const;
/** IN6_ADDR_GEN_MODE_NONE (linux/if_link.h). */
export const noAddressGeneration = 1;
export const LinkInfoAttribute = { kind: 1, data: 2 } as const;
/** IFLA_EXT_MASK: leave the statistics out of the answer. */
export const skipStatistics = 1 << 3;

export const VxlanAttribute = {
  id: 1,
  link: 3,
  local: 4,
  port: 15,
  group6: 16,
  local6: 17,
  collectMetadata: 25,
} as const;

/** IFLA_IPTUN_*, of the kinds ipip, sit and ip6tnl (linux/if_tunnel.h). */
export const IpTunnelAttribute = { local: 2, remote: 3, protocol: 9 } as const;

export const IfaAttribute = { address: 1, local: 2, broadcast: 4, flags: 8 } as const;
export const IfaFlag = {
  temporary: 0x01,
  noDad: 0x02,
  dadFailed: 0x08,
  deprecated: 0x20,
  tentative: 0x40,
  permanent: 0x80,
} as const;

export const RouteAttribute = {
  destination: 1,
  outputInterface: 4,
  gateway: 5,
  priority: 6,
  preferredSource: 7,
  metrics: 8,
  multipath: 9,
  table: 15,
  via: 18,
  encapType: 21,
  encap: 22,
  nexthopId: 30,
} as const;
/** enum lwtunnel_encap_types (linux/lwtunnel.h): where a route says what to encapsulate in. */
export const EncapType = { ip: 2, ip6: 4 } as const;
/** LWTUNNEL_IP_DST and LWTUNNEL_IP6_DST. */
export const EncapAttribute = { destination: 2 } as const;
export const RouteMetric = { mtu: 2 } as const;
export const RouteTable = { main: 254, local: 255 } as const;
/** `culvert`: of plain routes that a daemon sets, see docs/configuration.md; nobody else's. */
export const RouteProtocol = { unspecified: 0, static: 4, culvert: 94 } as const;
export const RouteScope = { universe: 0, link: 253, host: 254, nowhere: 255 } as const;
/** rtmsg.rtm_type. The types up to `multicast` deliver packets, those after it refuse them. */
export const RouteType = { unspecified: 0, unicast: 1, local: 2, multicast: 5 } as const;
/** rtmsg.rtm_flags and rtnexthop.rtnh_flags; `cloned` is of the former alone. */
export const RouteFlag = { dead: 1, onlink: 4, cloned: 0x200 } as const;

export const NeighbourAttribute = {
  destination: 1,
  linkLayerAddress: 2,
  cacheInfo: 3,
  port: 6,
  vni: 7,
  interfaceIndex: 8,
} as const;
/** ndmsg.ndm_flags. */
export const NeighbourFlag = { self: 0x02, externLearn: 0x10, router: 0x80 } as const;
export const NeighbourState = {
  none: 0x00,
  incomplete: 0x01,
  reachable: 0x02,
  stale: 0x04,
  delay: 0x08,
  probe: 0x10,
  failed: 0x20,
  noArp: 0x40,
  permanent: 0x80,
} as const;
