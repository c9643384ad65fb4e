// What the data plane knows of one VXLAN tunnel: its identity, its policy and its tables. Plain
// data, made once per worker from what the daemon sends; the tables are shared memory.

import type { Device } from "../device/device.js";
import type { Fdb } from "../fdb/fdb.js";
import type { FloodList } from "../fdb/flood-list.js";
import type { Neigh } from "../neigh/neigh.js";
import type { SourcePolicy } from "./source-policy.js";

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
  readonly learning: boolean;
  readonly proxy: boolean;
  /** Drop frames whose reserved VXLAN bits are not zero. */
  readonly strictReserved: boolean;
  /** Drop frames with an inner VLAN tag [RFC 7348 § 6.1]. */
  readonly dropInnerVlan: boolean;
}

export interface VxlanTunnel extends VxlanSettings {
  readonly sources: SourcePolicy;
  readonly fdb: Fdb;
  readonly neigh: Neigh;
  readonly flood: FloodList;
  readonly device: Device;
}
