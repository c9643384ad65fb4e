// What the data plane knows of one VXLAN tunnel: its identity, its policy and its tables. Plain
// data, made once per worker from what the daemon sends; the tables are shared memory.

import type { Device } from "../device/device.js";
import type { Fdb } from "../fdb/fdb.js";
import type { FloodLists } from "../fdb/flood-lists.js";
import type { Neigh } from "../neigh/neigh.js";
import type { DatagramSender } from "../underlay/underlay.js";
import type { SourcePolicy } from "./source-policy.js";

export const DF_UNSET = 0;
export const DF_SET = 1;
export const DF_INHERIT = 2;

/** What is number or switch; the rest is memory and a device. */
export interface VxlanSettings {
  /** Number of the tunnel in counters, remotes and RUN_DEVICE. */
  readonly index: number;
  readonly vni: number;
  /** The device's own MAC: frames that come back with it as source are a loop. */
  readonly macHi: number;
  /** Signed 32 bits, as the data path reads them (`macLoBits`). */
  readonly macLo: number;
  /** MTU of the device, bytes of an inner IP packet. */
  readonly mtu_bytes: number;
  /** Longest inner IP packet that fits the underlay's MTU unfragmented, bytes. */
  readonly pathMtu_bytes: number;
  /** Outer TTL or hop limit; 0: the route's, -1: the inner packet's. */
  readonly ttl: number;
  /** Outer TOS or traffic class without ECN; -1: the inner packet's. */
  readonly tos: number;
  /** DF_UNSET, DF_SET or DF_INHERIT. */
  readonly df: number;
  readonly learning: boolean;
  /** MACs learned from one remote; 0: no limit. */
  readonly maxMacsPerRemote: number;
  readonly proxy: boolean;
  /** Drop frames whose reserved VXLAN bits are not zero. */
  readonly strictReserved: boolean;
  /** Drop frames with an inner VLAN tag [RFC 7348 § 6.1]. */
  readonly dropInnerVlan: boolean;
  /** Route short circuit (kernel: `rsc`). */
  readonly rsc: boolean;
  /** Report destination MACs that the FDB does not know. */
  readonly l2miss: boolean;
  /** Report neighbours that the proxy does not know. */
  readonly l3miss: boolean;
  /** Remote checksum offload: leave inner checksums to the peer; finish those that it leaves. */
  readonly remcsumTx: boolean;
  readonly remcsumRx: boolean;
  /** Group-based policy: the group of our frames; -1: off. */
  readonly gbpId: number;
  /** Groups whose frames are taken; undefined: all. */
  readonly gbpAllow: readonly number[] | undefined;
  /** Frames per second to flood, each way; 0: no limit. */
  readonly bumLimit_pps: number;
}

export interface VxlanTunnel extends VxlanSettings {
  readonly sources: SourcePolicy;
  readonly fdb: Fdb;
  readonly neigh: Neigh;
  readonly flood: FloodLists;
  /** What `bumLimit_pps` leaves (bum-limit.ts), shared by the workers. */
  readonly bumBuckets: SharedArrayBuffer;
  readonly device: Device;
  /** Sends keepalives from the tunnel's address. */
  readonly datagrams: DatagramSender;
}
