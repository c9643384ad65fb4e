// What the data plane knows of one IPIP tunnel [RFC 2003]: its addresses, its policy and its
// routes. Plain data, made once per worker from what the daemon sends; the tables are shared
// memory.

import type { Device } from "../device/device.js";
import type { RouteReader } from "../routes/route-table.js";
import type { IpAddress } from "../wire/ip-address.js";
import type { SourcePolicy } from "./source-policy.js";

/** What is a number; the rest is memory and a device. */
export interface IpipSettings {
  /** Number of the tunnel in counters, remotes and RUN_DEVICE. */
  readonly index: number;
  /** Of the outer header. */
  readonly family: 4 | 6;
  /** Outer source; unspecified (IPv4 only): the route's, and every local address is taken. */
  readonly local: IpAddress;
  /** Outer destination of every packet; undefined: the routes decide (one-to-many). */
  readonly remote: IpAddress | undefined;
  /** Row of `remote`; -1 when the routes decide. */
  readonly remoteRow: number;
  /** Does it carry IPv4? */
  readonly carries4: boolean;
  /** Does it carry IPv6? */
  readonly carries6: boolean;
  /** Outer TTL or hop limit; 0: the inner one. */
  readonly ttl: number;
  /** Outer TOS or traffic class without its ECN bits; -1: the inner one. */
  readonly tos: number;
  /** DF on every outer packet; false: as the inner one has it. */
  readonly pmtudisc: boolean;
  readonly mtu_bytes: number;
  /** MTU of the underlay device: an outer packet is not longer. */
  readonly underlayMtu_bytes: number;
}

export interface IpipTunnel extends IpipSettings {
  readonly sources: SourcePolicy;
  readonly routes: RouteReader;
  readonly device: Device;
}
