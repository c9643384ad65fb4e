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
  noRoute: reason("egress", "no-route", "No route of the tunnel covers the inner destination."),
  noRemotes: reason("egress", "no-remotes", "A frame to be flooded met an empty flood list."),
  /** Kernel: "circular route", tx_errors and collisions. */
  routingLoop: reason("egress", "routing-loop", "The outer packet would enter the tunnel again."),
  /** RFC 2003 section 5.1, RFC 1191, RFC 8201: answered with frag-needed or Packet Too Big. */
  tooBig: reason("egress", "too-big", "The packet may not be fragmented and exceeds the path MTU."),
  /** RFC 2003 section 3.1: a packet with TTL 0 is never encapsulated. */
  ttlExpired: reason("egress", "ttl-expired", "The inner TTL or hop limit is used up."),
  notIp: reason("egress", "not-ip", "The device gave a packet that is not IPv4."),
  underlayBusy: reason("egress", "underlay-busy", "The socket's send buffer was full (EAGAIN)."),
  underlayError: reason("egress", "underlay-error", "The kernel refused to send the outer packet."),
  gsoUnsupported: reason("egress", "gso-unsupported", "A superpacket of a kind we cannot segment."),

  // Ingress: underlay -> device.
  truncated: reason("ingress", "truncated", "The datagram is too short, or longer than a slot."),
  /** RFC 7348 section 5: the I flag MUST be set. */
  badFlags: reason("ingress", "bad-flags", "The VXLAN header has no I flag, or forbidden bits."),
  unknownVni: reason("ingress", "unknown-vni", "No tunnel has this VNI."),
  foreignSource: reason("ingress", "foreign-source", "The outer source is no configured remote."),
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
  /** The kernel's GRO and broken senders: IP protocol 4 whose outer header makes no sense. */
  notIpip: reason("ingress", "not-ipip", "The outer packet is no valid IP-in-IP packet."),
  innerNotIp: reason("ingress", "inner-not-ip", "What IP-in-IP carried is not IPv4."),
  /** RFC 2003 section 3.1: discarded after decapsulation. */
  ttlZero: reason("ingress", "ttl-zero", "The inner TTL is 0."),
  noTunnel: reason("ingress", "no-tunnel", "No IPIP tunnel takes packets with these addresses."),
  deviceBusy: reason("ingress", "device-busy", "The device's queue was full (EAGAIN)."),
  deviceError: reason("ingress", "device-error", "The device refused the frame; is it up?"),
});

/** Every reason, in the order of ids. */
export const DROP_REASONS: readonly DropReason[] = Object.freeze(Object.values(DropReasons));
