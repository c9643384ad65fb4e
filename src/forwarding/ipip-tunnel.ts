// What the data plane knows of one IPIP tunnel [RFC 2003]: its addresses, its policy and its
// routes. Plain data, made once per worker from what the daemon sends; the tables are shared
// memory.

import type { Device } from "../device/device.js";
import type { RouteTable } from "../routes/route-table.js";
import type { SourcePolicy } from "./source-policy.js";

/** What is a number; the rest is memory and a device. */
export interface IpipSettings {
  /** Number of the tunnel in counters, remotes and RUN_DEVICE. */
  readonly index: number;
  /** Outer source, signed 32 bits as the data path reads them (`ipv4SourceBits`). */
  readonly local: number;
  /** Outer destination of every packet, signed; 0: the routes decide (one-to-many). */
  readonly remote: number;
  /** Row of `remote`; -1 when the routes decide. */
  readonly remoteRow: number;
  /** Outer TTL; 0: the inner one. */
  readonly ttl: number;
  readonly mtu_bytes: number;
  /** MTU of the underlay device: an outer packet is not longer. */
  readonly underlayMtu_bytes: number;
}

export interface IpipTunnel extends IpipSettings {
  readonly sources: SourcePolicy;
  readonly routes: RouteTable;
  readonly device: Device;
}
