// Which kernel features are in force: probed at start, each can be turned off in the config
// (`offloads`). A feature that is missing costs speed, never correctness.

import {
  native,
  OFFLOAD_CHECKSUM,
  OFFLOAD_TSO_ECN,
  OFFLOAD_TSO4,
  OFFLOAD_TSO6,
  OFFLOAD_USO4,
  OFFLOAD_USO6,
} from "#native";
import type { OffloadsConfig } from "../config/effective.js";
import type { OffloadState } from "../control/target.js";
import { errnoName } from "./errno-error.js";

export const TSO = OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_TSO_ECN;
export const USO = OFFLOAD_USO4 | OFFLOAD_USO6;
const TURNED_OFF = "turned off in the config";
const UDP_SEGMENT = 0;
const UDP_GRO = 1;

/**
 * The offloads of the daemon: what sockets and devices are opened with, and what `culvert status`
 * shows.
 */
export class Offloads {
  /** Why a feature is not in force, by its name. */
  readonly #reasons = new Map<string, string>();
  /** Kinds of device that were tested. */
  readonly #tested = new Set<number>();
  readonly udpSegment: boolean;
  readonly udpGro: boolean;
  #device: number;

  /** Asks the kernel about sockets; devices are asked one by one by `enableOn`. */
  constructor(config: OffloadsConfig) {
    this.udpSegment = this.#probeSocket("udp_segment", config.udp_segment, UDP_SEGMENT);
    this.udpGro = this.#probeSocket("udp_gro", config.udp_gro, UDP_GRO);
    this.#device = this.#wanted(config);
  }

  /**
   * Turns the wanted offloads on for a device, leaving out what its kernel does not know.
   * @param fd a queue of the device
   * @returns OFFLOAD_* mask in force
   */
  enableOn(fd: number): number {
    for (const [mask, name] of [
      [USO, "uso"],
      [TSO, "tso"],
      [OFFLOAD_CHECKSUM, "tun_checksum"],
    ] as const) {
      const result = native.tuntapSetOffload(fd, this.#device);
      if (result >= 0) return this.#device;
      if ((this.#device & mask) === 0) continue;
      this.withdraw(mask, name, `the kernel refused it: ${errnoName(result)}`);
    }
    native.tuntapSetOffload(fd, this.#device);
    return this.#device;
  }

  /**
   * Says yes once for each kind of device: what a kernel does to superpackets it does on all
   * devices of a kind, so one of them is tested.
   */
  claimSelfTest(kind: number): boolean {
    const first = !this.#tested.has(kind);
    this.#tested.add(kind);
    return first;
  }

  /** Takes an offload out of force for all devices opened from now on. */
  withdraw(mask: number, name: "tso" | "uso" | "tun_checksum", reason: string): void {
    this.#device &= ~mask;
    this.#reasons.set(name, reason);
  }

  report(): Record<string, OffloadState> {
    const inForce: Record<string, boolean> = {
      tso: (this.#device & TSO) !== 0,
      uso: (this.#device & USO) !== 0,
      tun_checksum: (this.#device & OFFLOAD_CHECKSUM) !== 0,
      udp_segment: this.udpSegment,
      udp_gro: this.udpGro,
    };
    return Object.fromEntries(
      Object.entries(inForce).map(([name, enabled]) => {
        const reason = this.#reasons.get(name);
        return [name, reason === undefined ? { enabled } : { enabled, reason }];
      }),
    );
  }

  /** One line for the log: `tso uso tun_checksum udp_segment -udp_gro`. */
  summary(): string {
    return Object.entries(this.report())
      .map(([name, { enabled }]) => (enabled ? name : `-${name}`))
      .join(" ");
  }

  /** TSO and USO build on checksum offload (tun(4) refuses them without it). */
  #wanted({ tun_checksum, tso, uso }: OffloadsConfig): number {
    if (!tun_checksum) this.#reasons.set("tun_checksum", TURNED_OFF);
    if (!tso || !tun_checksum) this.#reasons.set("tso", TURNED_OFF);
    if (!uso || !tun_checksum) this.#reasons.set("uso", TURNED_OFF);
    if (!tun_checksum) return 0;
    return OFFLOAD_CHECKSUM | (tso ? TSO : 0) | (uso ? USO : 0);
  }

  #probeSocket(name: string, wanted: boolean, option: number): boolean {
    if (!wanted) {
      this.#reasons.set(name, TURNED_OFF);
      return false;
    }
    const result = native.udpProbe(option);
    if (result < 0) this.#reasons.set(name, `the kernel refused it: ${errnoName(result)}`);
    return result >= 0;
  }
}
