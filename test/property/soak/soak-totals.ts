// What a soak has counted, over all of its data planes.

import { type Counters, NO_TUNNEL } from "../../../src/telemetry/counters.js";
import { DROP_REASONS } from "../../../src/telemetry/drop-reasons.js";
import { SoakError } from "./soak-device.js";

export interface SoakTotals {
  /** Frames that the device gave, and datagrams that the underlay gave. */
  frames: number;
  datagrams: number;
  /** Packets on the wire that they stand for. */
  egressPackets: number;
  ingressPackets: number;
  sent: number;
  written: number;
  answered: number;
  /** ICMP errors of IPIP tunnels. */
  icmpErrors: number;
  /** By direction and reason. */
  drops: Record<string, number>;
  hosts: number;
}

/** Everything that the first tunnel and none dropped; added to the totals by reason. */
export function dropsOf(
  counters: Counters,
  direction: "egress" | "ingress",
  totals: SoakTotals,
): number {
  let sum = 0;
  for (const tunnel of [0, NO_TUNNEL]) {
    const { drops } = counters.tunnel(tunnel);
    for (const reason of DROP_REASONS) {
      const count = drops[reason.id];
      if (reason.direction !== direction || reason.kind !== "drop" || count === 0) continue;
      const name = `${direction} ${reason.name}`;
      totals.drops[name] = (totals.drops[name] ?? 0) + count;
      sum += count;
    }
  }
  return sum;
}

export function equal(what: string, a: number, b: number): void {
  if (a !== b) throw new SoakError(`${what}: ${a} is not ${b}`);
}
