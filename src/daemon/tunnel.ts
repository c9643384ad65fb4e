// What the main thread keeps of each tunnel: its config with every `auto` resolved, its
// descriptors, and its tables. Plain data and table set-up; opening is open-tunnel.ts, showing and
// changing is control/.

import type { IpipTunnelConfig, VxlanTunnelConfig } from "../config/effective.js";
import { Fdb } from "../fdb/fdb.js";
import { FloodLists } from "../fdb/flood-lists.js";
import { bumBuckets } from "../forwarding/bum-limit.js";
import { Neigh } from "../neigh/neigh.js";
import type { RemoteTable } from "../remotes/remote-table.js";
import { RouteTable } from "../routes/route-table.js";
import { monotonicMilliseconds } from "../shared-memory/clock.js";
import { MAX_REMOTES } from "../shared-memory/limits.js";
import { type IpAddress, isIpv4 } from "../wire/ip-address.js";
import { IPV4_HEADER_BYTES } from "../wire/ipv4.js";
import { IPV6_HEADER_BYTES } from "../wire/ipv6.js";
import type { Mac } from "../wire/mac.js";
import { VXLAN_OVERHEAD_V4_BYTES, VXLAN_OVERHEAD_V6_BYTES } from "../wire/vxlan.js";

/** One queue of the device per worker. */
export interface DeviceQueues {
  readonly name: string;
  readonly ifindex: number;
  readonly fds: readonly number[];
  readonly kind: number;
  /** OFFLOAD_* in force. */
  readonly offloads: number;
  readonly mtu_bytes: number;
}

interface CommonTunnel {
  /** Number of the tunnel in remotes, counters and runs. */
  readonly index: number;
  readonly local: IpAddress;
  readonly underlayMtu_bytes: number;
  /** Longest inner IP packet that fits the underlay's MTU unfragmented, bytes. */
  readonly pathMtu_bytes: number;
  readonly device: DeviceQueues;
}

export interface VxlanRuntime extends CommonTunnel {
  readonly type: "vxlan";
  readonly config: VxlanTunnelConfig;
  readonly mac: Mac;
  readonly fdb: Fdb;
  readonly neigh: Neigh;
  readonly flood: FloodLists;
  /** Buckets of `bum_limit_pps`, shared by the workers (bum-limit.ts). */
  readonly bumBuckets: SharedArrayBuffer;
  /** Receiving sockets, one per worker. */
  readonly receivers: readonly number[];
  /** Socket that receives for the multicast group; -1: there is none. */
  readonly groupReceiver: number;
  /** Sending sockets of each worker: a pool, with `df: inherit` followed by one that sets DF. */
  readonly senders: readonly (readonly number[])[];
  /** Sockets of one pool. */
  readonly socketCount: number;
  readonly udpSegment: boolean;
}

export interface IpipRuntime extends CommonTunnel {
  readonly type: "ipip";
  readonly config: IpipTunnelConfig;
  readonly routes: RouteTable;
  /** Outer destination of a point-to-point tunnel; undefined for one-to-many. */
  readonly remote: IpAddress | undefined;
  /** Row of the remote of a point-to-point tunnel, -1 for one-to-many. */
  readonly remoteRow: number;
  /** Sending sockets of each worker, by RAW_*. */
  readonly senders: readonly (readonly number[])[];
}

export type TunnelRuntime = VxlanRuntime | IpipRuntime;

/**
 * What a tunnel leaves of the underlay's MTU for an inner IP packet, by its type and the family of
 * its local address: VXLAN 50 or 70 bytes less, IPIP 20 or 40.
 */
export function pathMtu_bytes(
  type: "vxlan" | "ipip",
  local: IpAddress,
  underlayMtu_bytes: number,
): number {
  if (type === "ipip") {
    return underlayMtu_bytes - (isIpv4(local) ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES);
  }
  return underlayMtu_bytes - (isIpv4(local) ? VXLAN_OVERHEAD_V4_BYTES : VXLAN_OVERHEAD_V6_BYTES);
}

/** Neighbours of a tunnel that answers for them (`proxy`, `rsc`). */
export const MAX_NEIGHBOURS = 65_536;
/** Neighbours of any other tunnel, which the host alone uses: one per remote that there can be. */
export const MAX_HOST_NEIGHBOURS = MAX_REMOTES;
/** Routes per IPIP tunnel. */
export const MAX_ROUTES = 131_072;

/** New tables for a VXLAN tunnel. */
export function vxlanTables(config: VxlanTunnelConfig, remotes: RemoteTable) {
  return {
    fdb: Fdb.create(config.max_entries, remotes.macs),
    neigh: Neigh.create(config.proxy || config.rsc ? MAX_NEIGHBOURS : MAX_HOST_NEIGHBOURS),
    flood: FloodLists.create(),
    bumBuckets: bumBuckets(config.bum_limit_pps, monotonicMilliseconds()),
  };
}

export function ipipTables(): { routes: RouteTable } {
  return { routes: new RouteTable(MAX_ROUTES) };
}
