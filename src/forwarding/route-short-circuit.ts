// Route short circuit (`rsc`): a frame for the MAC of a router, whose packet is for a neighbour
// that the tunnel knows, goes straight to that neighbour. Its MACs become what the router would
// have made of them: destination the neighbour's, source the router's. As in the kernel
// (vxlan_core.c, route_shortcircuit) the inner TTL is not touched, only IPv4 and IPv6 behind
// untagged Ethernet are looked at, and where no neighbour is known the frame goes on to the
// router. Hot: no allocation.

import type { WorkerEvents } from "../events/worker-events.js";
import { NEIGH_RESULT_HI, NEIGH_RESULT_LO, NEIGH_RESULT_WORDS } from "../neigh/neigh.js";
import { TunnelCounter, type WorkerCounters } from "../telemetry/counters.js";
import { DropReasons } from "../telemetry/drop-reasons.js";
import { readI32 } from "../wire/byte-order.js";
import { writeEthernetDestination, writeEthernetSource } from "../wire/ethernet.js";
import { IPV4_MAPPED } from "../wire/ip-address.js";
import { ipv4DestinationBits } from "../wire/ipv4.js";
import { IPV6_DESTINATION } from "../wire/ipv6.js";
import { LOCATE_L3, LOCATE_VERSION, LOCATE_VLAN_TAGS } from "../wire/locate.js";
import { macHi, macLoBits } from "../wire/mac.js";
import type { VxlanTunnel } from "./vxlan-tunnel.js";

const RSC_L3MISS = DropReasons.rscMiss.id;

export class RouteShortCircuit {
  readonly #tunnel: VxlanTunnel;
  readonly #counters: WorkerCounters;
  readonly #events: WorkerEvents;
  readonly #neigh = new Int32Array(NEIGH_RESULT_WORDS);

  constructor(tunnel: VxlanTunnel, counters: WorkerCounters, events: WorkerEvents) {
    this.#tunnel = tunnel;
    this.#counters = counters;
    this.#events = events;
  }

  /**
   * Rewrites the MACs of the frame at `at`, which is for a router.
   * @param packets on the wire that it stands for
   * @returns true: it has another destination MAC now
   */
  reroutes(arena: Uint8Array, at: number, located: Int32Array, packets: number): boolean {
    const version = located[LOCATE_VERSION];
    if (version === 0 || located[LOCATE_VLAN_TAGS] !== 0) return false;
    const l3 = located[LOCATE_L3];
    const known =
      version === 4
        ? this.#lookup(0, 0, IPV4_MAPPED, ipv4DestinationBits(arena, l3), packets)
        : this.#lookupIpv6(arena, l3 + IPV6_DESTINATION, packets);
    if (!known) return false;
    const hi = macHi(arena, at);
    const lo = macLoBits(arena, at);
    const nextHi = this.#neigh[NEIGH_RESULT_HI];
    const nextLo = this.#neigh[NEIGH_RESULT_LO];
    if (nextHi === hi && nextLo === lo) return false;
    writeEthernetSource(arena, at, hi, lo);
    writeEthernetDestination(arena, at, nextHi, nextLo);
    this.#counters.addTunnel(this.#tunnel.index, TunnelCounter.shortCircuits, packets);
    return true;
  }

  #lookupIpv6(arena: Uint8Array, at: number, packets: number): boolean {
    const w2 = readI32(arena, at + 8);
    const w3 = readI32(arena, at + 12);
    return this.#lookup(readI32(arena, at), readI32(arena, at + 4), w2, w3, packets);
  }

  #lookup(w0: number, w1: number, w2: number, w3: number, packets: number): boolean {
    if (this.#tunnel.neigh.lookup(w0, w1, w2, w3, this.#neigh)) return true;
    this.#counters.drop(this.#tunnel.index, RSC_L3MISS, packets);
    this.#events.l3miss(this.#tunnel.index, w0, w1, w2, w3);
    return false;
  }
}
