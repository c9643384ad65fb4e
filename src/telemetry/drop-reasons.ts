// The one list of why packets are dropped (and of events worth a count that drop nothing).
// Counters, metrics and `culvert counters` are made from it. A name never changes its meaning:
// dashboards and scripts hold on to it.

export interface DropReason {
  /**
   * Position in counter blocks: dense from 0, in the order of the list. May change from version to
   * version.
   */
  readonly id: number;
  /** Stable, kebab-case, the same word for one reason whatever the direction. */
  readonly name: string;
  readonly direction: "egress" | "ingress";
  /** "event": the packet went on. */
  readonly kind: "drop" | "event";
  /** One sentence for people. */
  readonly meaning: string;
}

let nextId = 0;

function reason(
  direction: DropReason["direction"],
  name: string,
  meaning: string,
  kind: DropReason["kind"] = "drop",
): DropReason {
  return Object.freeze({ id: nextId++, name, direction, kind, meaning });
}

/** Every reason by its name in code. The data path takes `.id` once, when its module is loaded. */
export const DropReasons = Object.freeze({
  // Egress: device -> underlay.
  runtFrame: reason("egress", "runt-frame", "The frame is shorter than an Ethernet header."),
  malformed: reason("egress", "malformed", "A header of the frame contradicts its length."),
  /** Kernel: vxlan_xmit, tx_dropped and an l2miss notification. */
  l2miss: reason("egress", "l2miss", "No FDB entry for the destination MAC and no flood list."),
  /** Kernel: arp_reduce and neigh_reduce of vxlan with `proxy`. */
  l3miss: reason("egress", "l3miss", "The ARP/ND proxy knows no neighbour with this address."),
  /** Kernel: route_shortcircuit, an l3miss notification. */
  rscMiss: reason(
    "egress",
    "rsc-miss",
    "A frame for a router went to it: no neighbour with its inner destination is known.",
    "event",
  ),
  noRoute: reason(
    "egress",
    "no-route",
    "No route of the tunnel covers the inner destination, or its next hops cannot be used.",
  ),
  bumLimitEgress: reason("egress", "bum-limit", "A frame to be flooded exceeds bum_limit_pps."),
  bumQueueFull: reason(
    "egress",
    "bum-queue-full",
    "A frame to be flooded to many remotes found the queue of such frames full.",
  ),
  noRemotes: reason(
    "egress",
    "no-remotes",
    "A frame to be flooded met an empty flood list, or its remote went while it waited.",
  ),
  /** Kernel: "circular route", tx_errors and collisions. */
  routingLoop: reason("egress", "routing-loop", "The outer packet would enter the tunnel again."),
  /** RFC 2003 section 5.1, RFC 1191, RFC 8201: answered with frag-needed or Packet Too Big. */
  tooBig: reason("egress", "too-big", "The packet may not be fragmented and exceeds the path MTU."),
  /** RFC 2003 section 3.1: a packet with TTL 0 is never encapsulated. */
  ttlExpired: reason("egress", "ttl-expired", "The inner TTL or hop limit is used up."),
  notIp: reason(
    "egress",
    "not-ip",
    "The device gave a packet of an IP version that the tunnel does not carry.",
  ),
  underlayBusy: reason("egress", "underlay-busy", "The socket's send buffer was full (EAGAIN)."),
  underlayError: reason("egress", "underlay-error", "The kernel refused to send the outer packet."),
  /** ICMP about what was sent: the packet itself was counted as sent. */
  peerUnreachable: reason(
    "egress",
    "peer-unreachable",
    "ICMP said that a remote cannot be reached, or has no socket or tunnel there.",
    "event",
  ),
  icmpIgnored: reason(
    "egress",
    "icmp-ignored",
    "An ICMP error was about no packet of a tunnel, said nothing of the path, or was one too many.",
    "event",
  ),
  gsoUnsupported: reason("egress", "gso-unsupported", "A superpacket of a kind we cannot segment."),

  // Ingress: underlay -> device.
  truncated: reason("ingress", "truncated", "The datagram is too short, or longer than a slot."),
  /** RFC 7348 section 5: the I flag MUST be set. */
  badFlags: reason("ingress", "bad-flags", "The VXLAN header has no I flag, or forbidden bits."),
  unknownVni: reason("ingress", "unknown-vni", "No tunnel has this VNI."),
  foreignSource: reason("ingress", "foreign-source", "The outer source is no configured remote."),
  /** Kernel: ip_handle_martian_source, as far as packets get to a raw socket at all. */
  martianSource: reason(
    "ingress",
    "martian-source",
    "The outer source cannot be a peer: multicast, loopback, unspecified, or our own address.",
  ),
  /** draft-smith-vxlan-group-policy; `gbp: { allow }`. */
  gbpDenied: reason("ingress", "gbp-denied", "Frames of this policy group are not allowed."),
  /** Kernel: vxlan_remcsum, with `remcsum_rx`. */
  badRemcsum: reason(
    "ingress",
    "bad-remcsum",
    "The checksum to finish (RCO) is not that of the inner TCP or UDP header.",
  ),
  /** No drop: keepalives are no packets of the tunnel. */
  keepaliveIgnored: reason(
    "ingress",
    "keepalive-ignored",
    "A keepalive was malformed, from a foreign source, not asked for, or one too many.",
    "event",
  ),
  remotesFull: reason(
    "ingress",
    "remotes-full",
    "The outer source is welcome, but cannot be remembered: the table is full or in use.",
  ),
  /** Kernel: vxlan_set_mac, "ignore packet loops". */
  ownSource: reason("ingress", "own-source", "The inner source MAC is our own: a loop."),
  /** Kernel: is_valid_ether_addr in vxlan_snoop (SKB_DROP_REASON_MAC_INVALID_SOURCE). */
  invalidSourceMac: reason(
    "ingress",
    "invalid-source-mac",
    "The inner source MAC is multicast or all zero.",
  ),
  /** Kernel: vxlan_snoop (SKB_DROP_REASON_VXLAN_ENTRY_EXISTS). */
  staticMacMoved: reason(
    "ingress",
    "static-mac-moved",
    "The inner source MAC has a static FDB entry with another remote.",
  ),
  /** RFC 7348 section 6.1, when the tunnel says `inner_vlan: drop`. */
  innerVlan: reason(
    "ingress",
    "inner-vlan",
    "The inner frame has a VLAN tag, which is not wanted.",
  ),
  bumLimitIngress: reason(
    "ingress",
    "bum-limit",
    "A broadcast or multicast frame exceeds bum_limit_pps.",
  ),
  innerMalformed: reason("ingress", "inner-malformed", "An inner header contradicts its length."),
  innerChecksum: reason("ingress", "inner-checksum", "An inner checksum is wrong."),
  /** RFC 6040 section 4.2. */
  ecn: reason("ingress", "ecn", "The outer header says CE, the inner one cannot carry it."),
  fdbFull: reason("ingress", "fdb-full", "A MAC was not learned: max_entries is reached.", "event"),
  macLimit: reason(
    "ingress",
    "mac-limit",
    "A MAC was not learned: its remote has max_macs_per_remote.",
    "event",
  ),
  fdbBusy: reason("ingress", "fdb-busy", "A MAC was not learned: the FDB was in use.", "event"),
  eventsLost: reason(
    "ingress",
    "events-lost",
    "Nobody was told of an event (a MAC learned, a miss ...): too many at once.",
    "event",
  ),
  /** Broken senders: an outer header that contradicts its length or the socket's protocol. */
  notIpip: reason("ingress", "not-ipip", "The outer packet is no valid IP-in-IP packet."),
  innerNotIp: reason(
    "ingress",
    "inner-not-ip",
    "The inner packet is not of the IP version that the outer protocol number (4, 41) says.",
  ),
  /** RFC 2003 section 3.1: discarded after decapsulation. */
  ttlZero: reason("ingress", "ttl-zero", "The inner TTL or hop limit is 0."),
  /** Kernel: udp_gro_receive with NETIF_F_GRO_UDP_FWD; a UDP GSO packet of a peer over veth. */
  mergedUdp: reason(
    "ingress",
    "merged-udp",
    "UDP datagrams came joined, and their size is lost: ethtool -K DEV rx-udp-gro-forwarding off, " +
      "or tx-udp-segmentation off where the sender is on the same machine.",
  ),
  noTunnel: reason("ingress", "no-tunnel", "No IPIP tunnel takes packets with these addresses."),
  deviceBusy: reason("ingress", "device-busy", "The device's queue was full (EAGAIN)."),
  deviceError: reason("ingress", "device-error", "The device refused the frame; is it up?"),
});

/** Every reason, in the order of ids. */
export const DROP_REASONS: readonly DropReason[] = Object.freeze(Object.values(DropReasons));

/** Whose packets a block of counters is about; "none": packets that belong to no tunnel. */
export type CountedFor = "vxlan" | "ipip" | "none";

const D = DropReasons;
/** Why the forwarding code of IPIP drops; all other reasons are those of VXLAN. */
const IPIP_REASONS: readonly DropReason[] = [
  ...[D.malformed, D.noRoute, D.routingLoop, D.tooBig, D.ttlExpired, D.notIp],
  ...[D.underlayBusy, D.underlayError, D.gsoUnsupported],
  ...[D.foreignSource, D.martianSource, D.remotesFull],
  ...[D.innerMalformed, D.innerChecksum, D.ecn, D.innerNotIp, D.ttlZero, D.mergedUdp],
  ...[D.deviceBusy, D.deviceError, D.peerUnreachable, D.icmpIgnored],
];
/** What is known of a packet before it has a tunnel, and of an error whose remote is gone. */
const STRAY_REASONS: readonly DropReason[] = [
  ...[D.truncated, D.badFlags, D.unknownVni, D.notIpip, D.noTunnel, D.peerUnreachable],
  D.icmpIgnored,
];
const NOT_VXLAN: readonly DropReason[] = [
  ...[D.noRoute, D.routingLoop, D.ttlExpired, D.notIp],
  ...[D.martianSource, D.innerNotIp, D.ttlZero, D.mergedUdp],
  ...[D.truncated, D.unknownVni, D.notIpip, D.noTunnel, D.icmpIgnored],
];

/** Can packets of such a tunnel be dropped for this reason at all? */
export function canHappen(reason: DropReason, where: CountedFor): boolean {
  if (where === "none") return STRAY_REASONS.includes(reason);
  return where === "ipip" ? IPIP_REASONS.includes(reason) : !NOT_VXLAN.includes(reason);
}

/**
 * Reasons that are counted per remote as well: where the packet was to go, or came from, was known
 * by then. Each costs 8 bytes for every remote and worker.
 */
export const REMOTE_DROP_REASONS: readonly DropReason[] = Object.freeze([
  ...[D.tooBig, D.underlayBusy, D.underlayError],
  ...[D.gbpDenied, D.badRemcsum, D.ownSource, D.invalidSourceMac, D.staticMacMoved],
  ...[
    D.innerVlan,
    D.bumLimitIngress,
    D.innerMalformed,
    D.innerNotIp,
    D.ttlZero,
    D.mergedUdp,
    D.innerChecksum,
    D.ecn,
  ],
  ...[D.deviceBusy, D.deviceError],
]);
