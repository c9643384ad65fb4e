// What `GET /v1/monitor` streams: one JSON object per line. Types and names only, so that a command
// loads nothing to know them. Field names are the JSON names.

/** What can be listened to. */
export const MONITOR_KINDS = ["fdb", "neigh", "miss", "peer"] as const;
export type MonitorKind = (typeof MONITOR_KINDS)[number];

interface TimedEvent {
  /** Since the epoch, with fractions. */
  time_ms: number;
  dev: string;
}

/** A forwarding entry came to be or changed ("new"), or is gone. */
export interface FdbEvent extends TimedEvent {
  kind: "fdb";
  op: "new" | "del";
  mac: string;
  /** Absent when the remote is no longer known. */
  dst?: string | undefined;
  /** Only when it differs from the tunnel's own port. */
  port?: number | undefined;
  /** Only when it differs from the tunnel's own VNI. */
  vni?: number | undefined;
  /** As bridge(8) has them; a learned entry is "reachable", one that was aged out "stale". */
  state: "permanent" | "static" | "reachable" | "stale";
  router?: true | undefined;
  extern_learn?: true | undefined;
  /** Where a MAC was that moved. */
  from?: string | undefined;
}

export interface NeighEvent extends TimedEvent {
  kind: "neigh";
  op: "new" | "del";
  ip: string;
  mac: string;
  state: "PERMANENT" | "NOARP";
  router?: true | undefined;
}

/** Either a destination MAC without an FDB entry (l2miss) or an address without neighbour. */
export interface MissEvent extends TimedEvent {
  kind: "miss";
  mac?: string | undefined;
  ip?: string | undefined;
}

export interface PeerEvent extends TimedEvent {
  kind: "peer";
  /** Outer address; "others": sources beyond those that are told apart. */
  address: string;
  /**
   * "seen": its first packet, or the first after silence. "silent": nothing came for `silent_s`.
   * "up", "down": its keepalives say so. "refused": something from it was, `count` times since the
   * last such event, for `reason`, a name of the drop reasons.
   */
  change: "seen" | "silent" | "up" | "down" | "refused";
  silent_s?: number | undefined;
  reason?: string | undefined;
  count?: number | undefined;
}

export type MonitorEvent = FdbEvent | NeighEvent | MissEvent | PeerEvent;

/** Lines that are no events. */
export type MonitorNotice =
  /** So many events are missing here: the client was too slow, or there were too many. */
  | { kind: "lost"; time_ms: number; count: number }
  /** Keeps the connection from looking dead. */
  | { kind: "heartbeat" }
  /** The daemon stops; the stream ends. */
  | { kind: "stopping" };

export type MonitorLine = MonitorEvent | MonitorNotice;

/** Nothing given: all kinds, all devices. */
export interface MonitorQuery {
  kinds?: readonly MonitorKind[] | undefined;
  dev?: string | undefined;
}

export interface MonitorListener {
  /** Must not throw. */
  event(event: MonitorEvent): void;
  /** So many events went by untold. */
  lost(count: number): void;
}

/** Where the events of the control socket come from. */
export interface MonitorSource {
  /**
   * Tells `listener` of what the query asks for. Throws CulvertError for an unknown device.
   * @returns what ends it
   */
  monitor(query: MonitorQuery, listener: MonitorListener): () => void;
}

/** Now, for `time_ms`. */
export function eventTime_ms(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 1000) / 1000;
}
