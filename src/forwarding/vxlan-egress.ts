// VXLAN egress: device -> underlay. Per frame, once per superpacket:
//   1. locate headers; a superpacket's offsets go into its row for the segmenter
//   2. ARP and neighbour solicitations, when the tunnel is a proxy (neighbour-proxy.ts)
//   3. outer header: source port by flow hash, TOS, TTL, DF (outer-header.ts)
//   4. FDB lookup of the destination MAC: a remote, or a flood list (flooder.ts): its own, which a
//      multicast MAC may have, else the one of the all-zero MAC; a router's MAC may give way to
//      that of the next hop (route-short-circuit.ts)
//   5. does it fit the path? VXLAN header, send list (vxlan-sends.ts)
// Then the batch is sent. Payload is not touched here.

import { FRAME_GSO_TYPE, FRAME_LENGTH, FRAME_OFFSET, FRAME_WORDS, GSO_NONE } from "#abi";
import { DEFAULT_LIST } from "../fdb/flood-lists.js";
import type { EgressBatch } from "../packet/egress-batch.js";
import { TunnelCounter, type WorkerCounters } from "../telemetry/counters.js";
import { DropReasons } from "../telemetry/drop-reasons.js";
import { ETHERNET_HEADER_BYTES } from "../wire/ethernet.js";
import { LOCATE_COLUMNS, locateFrame } from "../wire/locate.js";
import { isListMac, isMulticastMac, macHi, macLoBits } from "../wire/mac.js";
import { Flooder } from "./flooder.js";
import { NeighbourProxy } from "./neighbour-proxy.js";
import { OuterHeader } from "./outer-header.js";
import { RouteShortCircuit } from "./route-short-circuit.js";
import { markSuperpacket } from "./superpacket.js";
import { type VxlanEgressParts, VxlanSends } from "./vxlan-sends.js";
import type { VxlanTunnel } from "./vxlan-tunnel.js";

const RUNT_FRAME = DropReasons.runtFrame.id;
const MALFORMED = DropReasons.malformed.id;
const GSO_UNSUPPORTED = DropReasons.gsoUnsupported.id;

export class VxlanEgress {
  readonly #tunnel: VxlanTunnel;
  readonly #batch: EgressBatch;
  readonly #counters: WorkerCounters;
  readonly #sends: VxlanSends;
  readonly #flooder: Flooder;
  readonly #proxy: NeighbourProxy;
  readonly #shortCircuit: RouteShortCircuit;
  readonly #outer: OuterHeader;
  readonly #located = new Int32Array(LOCATE_COLUMNS);

  constructor(parts: VxlanEgressParts) {
    const { tunnel, batch, counters } = parts;
    this.#tunnel = tunnel;
    this.#batch = batch;
    this.#counters = counters;
    this.#sends = new VxlanSends(parts);
    this.#flooder = new Flooder(parts, this.#sends);
    this.#proxy = new NeighbourProxy(tunnel, counters, parts.events);
    this.#shortCircuit = new RouteShortCircuit(tunnel, counters, parts.events);
    this.#outer = new OuterHeader(tunnel, parts.sender.socketCount);
  }

  /**
   * Moves at most `limit` frames; what goes to many remotes may wait in the worker's queue.
   * @param now_ms of `monotonicMilliseconds`
   * @returns packets on the wire that they stand for, or -errno (-EAGAIN: there was none)
   */
  run(limit: number, now_ms: number): number {
    const count = this.#tunnel.device.readBatch(this.#batch, limit);
    if (count <= 0) return count;
    this.#batch.beginSends();
    this.#flooder.refresh(now_ms);
    let packets = 0;
    for (let frame = 0; frame < count; frame++) {
      this.#decide(frame);
      packets += this.#batch.wirePackets(frame);
    }
    this.#sends.flush();
    return packets;
  }

  #decide(frame: number): void {
    const { arena, frames } = this.#batch;
    const row = frame * FRAME_WORDS;
    const at = frames[row + FRAME_OFFSET];
    const end = at + frames[row + FRAME_LENGTH];
    if (end - at < ETHERNET_HEADER_BYTES) return this.#drop(RUNT_FRAME, frame);
    const located = this.#located;
    if (locateFrame(arena, at, end, located) !== 0) return this.#drop(MALFORMED, frame);
    if (frames[row + FRAME_GSO_TYPE] !== GSO_NONE) {
      if (!markSuperpacket(this.#batch, frame, located)) return this.#drop(GSO_UNSUPPORTED, frame);
      this.#counters.addTunnel(this.#tunnel.index, TunnelCounter.egressSuperpackets, 1);
    }
    if (this.#tunnel.proxy && this.#proxy.consumes(arena, located)) {
      return this.#proxy.answer(this.#batch, at, end, located);
    }
    this.#outer.decide(this.#batch, frame, at, located);
    let hi = macHi(arena, at);
    let lo = macLoBits(arena, at);
    let found = this.#tunnel.fdb.lookup(hi, lo);
    if (found >= 0 && this.#tunnel.rsc && this.#isRerouted(frame, at)) {
      hi = macHi(arena, at);
      lo = macLoBits(arena, at);
      found = this.#tunnel.fdb.lookup(hi, lo);
    }
    const listed = isListMac(hi, lo);
    if (found >= 0 && !listed) return this.#sends.send(frame, at, found, this.#outer);
    const list = found < 0 ? DEFAULT_LIST : found;
    this.#flooder.flood(frame, at, this.#outer, isMulticastMac(hi), list);
  }

  /** Is the frame, whose FDB entry was found, for a router, and now for the router's next hop? */
  #isRerouted(frame: number, at: number): boolean {
    const { arena } = this.#batch;
    if (!this.#tunnel.fdb.foundRouter() || isMulticastMac(macHi(arena, at))) return false;
    const packets = this.#batch.wirePackets(frame);
    return this.#shortCircuit.reroutes(arena, at, this.#located, packets);
  }

  #drop(reason: number, frame: number): void {
    this.#counters.drop(this.#tunnel.index, reason, this.#batch.wirePackets(frame));
  }
}
