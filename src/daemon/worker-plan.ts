// What the main thread tells a data-plane worker at its start: descriptors, numbers and shared
// memory, nothing else. Structured-clonable; the worker makes its forwarding objects from it.

import type { WorkerEventsState } from "../events/worker-events.js";
import type { FdbState } from "../fdb/fdb.js";
import type { FloodListsState } from "../fdb/flood-lists.js";
import type { IpipSettings } from "../forwarding/ipip-tunnel.js";
import type { AllowedSources } from "../forwarding/source-policy.js";
import type { VxlanSettings } from "../forwarding/vxlan-tunnel.js";
import type { NeighState } from "../neigh/neigh.js";
import type { KeepaliveRowsState } from "../remotes/keepalive-rows.js";
import type { RemoteTableState } from "../remotes/remote-table.js";
import type { RouteTableState } from "../routes/route-table.js";
import type { CountersState } from "../telemetry/counters.js";
import type { IpAddress } from "../wire/ip-address.js";

/** One queue of a device. */
export interface DevicePlan {
  readonly name: string;
  readonly fd: number;
  readonly kind: number;
  readonly offloads: number;
}

export interface VxlanTunnelPlan extends VxlanSettings {
  readonly device: DevicePlan;
  readonly allow: AllowedSources;
  readonly fdb: FdbState;
  readonly neigh: NeighState;
  readonly flood: FloodListsState;
  /** Buckets of `bumLimit_pps` (bum-limit.ts). */
  readonly bumBuckets: SharedArrayBuffer;
  /** Underlay device that the sockets are bound to, or "". */
  readonly dev: string;
  /** Descriptors of the sending sockets: one pool or two, see `UdpSender`. */
  readonly sendSockets: readonly number[];
  /** Sockets of one pool. */
  readonly socketCount: number;
  /** Of outer IPv6 headers; 0: as the sockets choose. */
  readonly flowLabel: number;
  /** Descriptor of the receiving socket, shared by the tunnels of one address and port. */
  readonly receiveSocket: number;
  /** Descriptor of the socket that receives for the tunnel's multicast group; -1: not this worker. */
  readonly groupSocket: number;
  readonly udpSegment: boolean;
}

export interface IpipTunnelPlan extends IpipSettings {
  readonly device: DevicePlan;
  readonly allow: AllowedSources;
  readonly routes: RouteTableState;
  /** Underlay device that the sending sockets are bound to, or "". */
  readonly dev: string;
  /** Descriptors by RAW_*, see `RawSender`. */
  readonly sendSockets: readonly number[];
}

/** A raw socket that receives. */
export interface IpipReceiverPlan {
  readonly fd: number;
  /** Of the outer header. */
  readonly family: 4 | 6;
  /** Of the outer header: 4 carries IPv4, 41 IPv6. */
  readonly protocol: number;
  /** Address that it is bound to; unspecified: it receives for every tunnel of its family. */
  readonly local: IpAddress;
}

export interface WorkerPlan {
  readonly worker: number;
  readonly wakeFd: number;
  /** 0: never. */
  readonly busyPoll_us: number;
  readonly remotes: RemoteTableState;
  readonly keepalives: KeepaliveRowsState;
  /** Of `UnreachableRows`. */
  readonly unreachable: SharedArrayBuffer;
  readonly counters: CountersState;
  readonly events: WorkerEventsState;
  readonly vxlan: readonly VxlanTunnelPlan[];
  readonly ipip: readonly IpipTunnelPlan[];
  /**
   * Sockets that receive, one per local address and protocol. Only worker 0 has them: of two raw
   * sockets with the same address each would get every packet.
   */
  readonly ipipReceivers: readonly IpipReceiverPlan[];
}

/** What a worker tells the main thread. */
export type WorkerMessage =
  | { readonly kind: "ready" }
  | { readonly kind: "source-lost"; readonly name: string; readonly errno: number }
  | { readonly kind: "stopped" };
