// What the daemon offers to the control socket: the interface that the server calls and the client
// mirrors, and the shapes that cross the socket. Types only, so that a command loads nothing to
// know them. Field names are the JSON names; units stand last. Addresses are text here
// ("10.57.4.21", "02:00:00:00:00:0b"), never on the data path.

import type {
  DirectRouteStatus,
  RouteDecision,
  RouteEntry,
  RouteGet,
  RoutePage,
  RoutePageQuery,
  RouteProblems,
  RouteQuery,
  RouteTunnelStatus,
} from "./route-target.js";

/** Packets and bytes of one direction since the daemon started; bytes are inner (overlay) bytes. */
export interface Traffic {
  packets: number;
  bytes: number;
}

/** One offload or kernel feature: whether it is in force and, when it is not, why. */
export interface OffloadState {
  enabled: boolean;
  /**
   * "turned off in the config", "EINVAL from the self-test" ...; absent when there is nothing to
   * say.
   */
  reason?: string | undefined;
}

/** A share of packets that got lost on the way, 0..1, each way; null: not known. */
export interface Loss {
  /** From us to the peer. */
  egress: number | null;
  ingress: number | null;
}

/** What ICMP says of the way to a peer. */
export interface UnreachableStatus {
  /** "host-unreachable", "port-unreachable" ...: UNREACHABLE_NAMES of remotes/unreachable-rows.ts. */
  error: string;
  /** Router or host that said it last; null: not known. */
  from: string | null;
  s_ago: number;
  /** How often it was said since the peer could last be reached. */
  count: number;
}

/** A peer that a tunnel sends to or has heard from. */
export interface RemoteStatus {
  address: string;
  port?: number | undefined;
  vni?: number | undefined;
  /** Seconds since its last valid packet, keepalives included; null when it was never heard. */
  last_seen_s_ago: number | null;
  /**
   * "up": it answers keepalives, as only culvert does; "down": it no longer does; "unknown": it
   * never did, or is not asked. VXLAN only, as are the next three.
   */
  state?: "up" | "down" | "unknown" | undefined;
  /** Smoothed round-trip time of keepalives, the daemons' own work included; null: not up. */
  rtt_us?: number | null | undefined;
  /** Over the last keepalives: an estimate. */
  loss?: Loss | undefined;
  /** MACs that the FDB has behind it. */
  macs?: number | undefined;
  /** Largest outer packet that reaches it unfragmented, as far as is known. */
  pmtu_bytes: number;
  /** Absent: nobody said so lately, or it has been heard since. */
  unreachable?: UnreachableStatus | undefined;
  /** Short words: "flood", "learned", "group" (a multicast group), "no-gso" ... */
  flags: string[];
  egress: Traffic;
  ingress: Traffic;
}

export interface TunnelStatus {
  name: string;
  type: "vxlan" | "ipip";
  vni?: number | undefined;
  /** Of ipip: what is carried in what. */
  mode?: "ipip" | "sit" | "ipip6" | "ip6ip6" | "any" | undefined;
  /** Outer source: "0.0.0.0" is any. */
  local: string;
  /** Underlay device that its sockets are bound to; absent: none. */
  dev?: string | undefined;
  /** Outer destination of a point-to-point tunnel (ipip). */
  remote?: string | undefined;
  port?: number | undefined;
  mtu_bytes: number;
  mac?: string | undefined;
  up: boolean;
  /** With prefix length: "192.168.10.1/24". */
  addresses: string[];
  remotes: RemoteStatus[];
  fdb_entries: number;
  neigh_entries: number;
  /** Prefixes in use. */
  route_entries: number;
  /** Routes of the kernel over the device that are not in use; absent: there are none. */
  route_problems?: RouteProblems | undefined;
  /** Routes that leave without encapsulation; absent for a tunnel without `direct`. */
  direct_routes?: DirectRouteStatus[] | undefined;
  /** Absent: there are none. */
  notices?: Notice[] | undefined;
}

/** Something on this host that gets in the way of a tunnel. */
export interface Notice {
  /** What was found. */
  what: string;
  /** What it does to the tunnel. */
  consequence: string;
  /** A command, or what to do. */
  cure: string;
}

export interface StatusReport {
  version: string;
  pid: number;
  uptime_s: number;
  workers: number;
  /** By feature: tso, uso, tun_checksum, udp_segment, udp_gro. */
  offloads: Record<string, OffloadState>;
  /** Those with a device. */
  tunnels: TunnelStatus[];
  route_tunnels: RouteTunnelStatus[];
}

/**
 * One drop reason with its one-sentence meaning; reasons that never happened are listed with count
 * 0, unless packets of such a tunnel cannot be dropped for them.
 */
export interface DropCount {
  direction: "egress" | "ingress";
  reason: string;
  meaning: string;
  count: number;
}

/**
 * Something worth a count that dropped nothing: a MAC learned, an ARP reply, an entry that found no
 * room.
 */
export interface EventCount {
  event: string;
  meaning: string;
  count: number;
}

/** Drops of packets to or from one peer. */
export type PeerDropCount = Omit<DropCount, "meaning">;

/** Traffic with one peer of a tunnel. */
export interface PeerCounters {
  address: string;
  port?: number | undefined;
  vni?: number | undefined;
  egress: Traffic;
  ingress: Traffic;
  /** What happened, only; drops before the peer was known are among the tunnel's alone. */
  drops: PeerDropCount[];
}

export interface TunnelCounters {
  name: string;
  egress: Traffic;
  ingress: Traffic;
  drops: DropCount[];
  events: EventCount[];
  peers: PeerCounters[];
}

export interface CountersReport {
  tunnels: TunnelCounters[];
  /** Drops that belong to no tunnel, such as an unknown VNI. */
  drops: DropCount[];
}

/** How long an entry lives: "permanent" and "static" for good, "dynamic" until it ages. */
export type FdbStateWord = "permanent" | "static" | "dynamic";

/** Entries that match every given field; no field given: all entries. */
export interface FdbQuery {
  dev?: string | undefined;
  mac?: string | undefined;
  dst?: string | undefined;
  /** One of these. */
  states?: FdbStateWord[] | undefined;
}

/** A part of what matches; the first one without `from`. */
export interface FdbPageQuery extends FdbQuery {
  /** `next` of the page before. */
  from?: number | undefined;
}

export interface FdbPage {
  /** May be empty although more follows: a page is bounded by what it looks through, too. */
  entries: FdbEntry[];
  /** Where the next page begins; absent: this was the last one. */
  next?: number | undefined;
}

export interface FdbEntry {
  dev: string;
  mac: string;
  dst: string;
  /** Only when it differs from the tunnel's own port. */
  port?: number | undefined;
  /** Only when it differs from the tunnel's own VNI. */
  vni?: number | undefined;
  /** Of a multicast group: the device on which it is joined. */
  via?: string | undefined;
  /** What was learned is "dynamic". */
  state: FdbStateWord;
  /** NTF_ROUTER; absent: no. */
  router?: true | undefined;
  /** NTF_EXT_LEARNED: a controller keeps the entry, it does not age; absent: no. */
  extern_learn?: true | undefined;
  /** Seconds since a frame from this MAC was last received; frames towards it are not tracked. */
  used_s: number;
  /** Seconds since the entry last changed or was confirmed. */
  updated_s: number;
}

/** Words and meaning of `bridge fdb OP MAC dev DEV dst DST [port PORT] [vni VNI]`, bridge(8). */
export interface FdbChange {
  op: "add" | "append" | "replace" | "del";
  dev: string;
  mac: string;
  dst?: string | undefined;
  port?: number | undefined;
  vni?: number | undefined;
  /** "permanent" unless given; as with bridge(8), the next three say nothing to `del`. */
  state?: FdbStateWord | undefined;
  router?: boolean | undefined;
  extern_learn?: boolean | undefined;
}

export interface FdbFlush {
  dev: string;
  mac?: string | undefined;
  dst?: string | undefined;
  port?: number | undefined;
  vni?: number | undefined;
  /** One of these. */
  states?: FdbStateWord[] | undefined;
  /** true: permanent and static entries only; false: the others only; absent: both. */
  permanent?: boolean | undefined;
  router?: boolean | undefined;
  extern_learn?: boolean | undefined;
}

/** Changes to make one after the other, at most MAX_BATCH_CHANGES. */
export interface Batch<Change> {
  changes: Change[];
  /** Go on after a change that is refused; else the rest is left undone. */
  force?: boolean | undefined;
}

export interface BatchFailure {
  /** Of the change in the batch, from 0. */
  index: number;
  code: string;
  message: string;
  hint?: string | undefined;
}

export interface BatchResult {
  /** Changes that were made. */
  done: number;
  /** In order; without `force` at most one. */
  failures: BatchFailure[];
}

export interface NeighQuery {
  dev?: string | undefined;
  ip?: string | undefined;
  /** Entries of this state only. */
  state?: NeighStateWord | undefined;
}

export interface NeighEntry {
  dev: string;
  ip: string;
  /** Absent while it is not resolved. */
  mac?: string | undefined;
  /** NUD state as ip-neighbour(8) prints it. */
  state: "PERMANENT" | "REACHABLE" | "STALE" | "FAILED" | "INCOMPLETE" | "NOARP";
  /** NTF_ROUTER: advertisements for it carry the R flag; absent: no. */
  router?: true | undefined;
}

/** The states that an entry may be given; neither ages. */
export type NeighStateWord = "permanent" | "noarp";

/** Words and meaning of `ip neigh OP IP [lladdr MAC] dev DEV`, ip-neighbour(8). */
export interface NeighChange {
  op: "add" | "replace" | "del";
  dev: string;
  ip: string;
  /** Needed by add and replace. */
  mac?: string | undefined;
  /** "permanent" unless given. */
  state?: NeighStateWord | undefined;
  router?: boolean | undefined;
}

export interface NeighFlush {
  dev: string;
  ip?: string | undefined;
  /** One of these. */
  states?: NeighStateWord[] | undefined;
  router?: boolean | undefined;
  /** true: permanent entries only; false: the others only; absent: both. */
  permanent?: boolean | undefined;
}

export interface FlushResult {
  removed: number;
}

/**
 * Implemented by the daemon. Every method returns at once (tables are in memory) and throws
 * CulvertError for what it refuses: an unknown device, an entry that exists, a full table. The
 * arguments have passed validation: MACs are lower case, addresses parse, numbers are in range;
 * whether they make sense together is for the target to say.
 */
export interface ControlTarget {
  status(): StatusReport;
  counters(): CountersReport;
  fdbShow(query: FdbQuery): FdbEntry[];
  fdbPage(query: FdbPageQuery): FdbPage;
  fdbChange(change: FdbChange): void;
  fdbBatch(batch: Batch<FdbChange>): BatchResult;
  fdbFlush(query: FdbFlush): FlushResult;
  neighShow(query: NeighQuery): NeighEntry[];
  neighChange(change: NeighChange): void;
  neighBatch(batch: Batch<NeighChange>): BatchResult;
  neighFlush(query: NeighFlush): FlushResult;
  routeShow(query: RouteQuery): RouteEntry[];
  routePage(query: RoutePageQuery): RoutePage;
  routeGet(query: RouteGet): RouteDecision;
}

/** What the server needs of a log; a pino logger has this shape. */
export interface ControlLog {
  debug(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Body of every answer with status 4xx or 5xx. */
export interface ErrorBody {
  error: { code: string; message: string; hint?: string | undefined };
}
