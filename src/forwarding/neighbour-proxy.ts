// ARP and neighbour-discovery proxy of a VXLAN tunnel (`proxy: true`): answers from the neigh table
// instead of flooding the question. As in the kernel (arp_reduce, neigh_reduce) every ARP packet
// and every neighbour solicitation is consumed here, answered or not: what the table does not know
// is counted as l3miss, and reported.
//
// It runs once per question, not per packet, so building the answer may allocate.

import type { WorkerEvents } from "../events/worker-events.js";
import {
  NEIGH_RESULT_FLAGS,
  NEIGH_RESULT_HI,
  NEIGH_RESULT_LO,
  NEIGH_RESULT_WORDS,
  NEIGH_ROUTER,
} from "../neigh/neigh.js";
import type { EgressBatch } from "../packet/egress-batch.js";
import { TunnelCounter, type WorkerCounters } from "../telemetry/counters.js";
import { DropReasons } from "../telemetry/drop-reasons.js";
import { ARP_REPLY, ARP_REQUEST, emitArp, parseArp } from "../wire/arp.js";
import {
  ETHERTYPE_ARP,
  ethernetSourceHi,
  ethernetSourceLo,
  writeEthernetDestination,
  writeEthernetSource,
} from "../wire/ethernet.js";
import {
  emitNeighbourAdvertisement,
  ICMPV6_NEIGHBOUR_SOLICITATION,
  icmpv6Type,
  ndSourceUnspecified,
  parseNeighbourSolicitation,
} from "../wire/icmpv6.js";
import { ipFromV4, isMulticastIp } from "../wire/ip-address.js";
import { PROTOCOL_ICMPV6 } from "../wire/ip-protocol.js";
import {
  LOCATE_ETHERTYPE,
  LOCATE_L3,
  LOCATE_L4,
  LOCATE_PROTOCOL,
  LOCATE_VERSION,
} from "../wire/locate.js";
import type { VxlanTunnel } from "./vxlan-tunnel.js";

const DEVICE_ERROR = DropReasons.deviceError.id;
const L3MISS = DropReasons.l3miss.id;
/** Longest answer: Ethernet with two VLAN tags, IPv6, neighbour advertisement with option. */
const ANSWER_BYTES = 128;
/** ff02::1 [RFC 4291 § 2.7.1]. */
const ALL_NODES = { w0: 0xff020000, w1: 0, w2: 0, w3: 1 };

export class NeighbourProxy {
  readonly #tunnel: VxlanTunnel;
  readonly #counters: WorkerCounters;
  readonly #events: WorkerEvents;
  readonly #found = new Int32Array(NEIGH_RESULT_WORDS);

  constructor(tunnel: VxlanTunnel, counters: WorkerCounters, events: WorkerEvents) {
    this.#tunnel = tunnel;
    this.#counters = counters;
    this.#events = events;
  }

  /** Is this frame one that the proxy takes out of the way? Hot. */
  consumes(arena: Uint8Array, located: Int32Array): boolean {
    if (located[LOCATE_ETHERTYPE] === ETHERTYPE_ARP) return true;
    return (
      located[LOCATE_VERSION] === 6 &&
      located[LOCATE_PROTOCOL] === PROTOCOL_ICMPV6 &&
      located[LOCATE_L4] >= 0 &&
      icmpv6Type(arena, located[LOCATE_L4]) === ICMPV6_NEIGHBOUR_SOLICITATION
    );
  }

  /** Answers the question in the frame `at`..`end` through the device, or counts an l3miss. */
  answer(batch: EgressBatch, at: number, end: number, located: Int32Array): void {
    const out = batch.allocateScratch(ANSWER_BYTES);
    const l3 = located[LOCATE_L3];
    const arp = located[LOCATE_ETHERTYPE] === ETHERTYPE_ARP;
    const bytes = out < 0 ? 0 : this.#emit(batch.arena, at, l3, end, out, arp);
    if (out >= 0) batch.releaseScratch(out);
    if (bytes === 0) return this.#counters.drop(this.#tunnel.index, L3MISS, 1);
    if (this.#tunnel.device.write(batch.arena, out, bytes) < 0) {
      return this.#counters.drop(this.#tunnel.index, DEVICE_ERROR, 1);
    }
    const field = arp ? TunnelCounter.arpReplies : TunnelCounter.ndReplies;
    this.#counters.addTunnel(this.#tunnel.index, field, 1);
  }

  /**
   * Link-layer header (VLAN tags as they were) and answer. @returns bytes, or 0 when there is none
   */
  #emit(arena: Uint8Array, at: number, l3: number, end: number, out: number, arp: boolean): number {
    const header = l3 - at;
    arena.copyWithin(out, at, l3);
    const body = arp
      ? this.#emitArp(arena, l3, end, out + header)
      : this.#emitAdvertisement(arena, l3, end, out + header);
    if (body === 0) return 0;
    writeEthernetDestination(arena, out, ethernetSourceHi(arena, at), ethernetSourceLo(arena, at));
    writeEthernetSource(arena, out, this.#found[NEIGH_RESULT_HI], this.#found[NEIGH_RESULT_LO]);
    return header + body;
  }

  #emitArp(arena: Uint8Array, l3: number, end: number, out: number): number {
    const request = parseArp(arena, l3, end);
    if (request === undefined || request.operation !== ARP_REQUEST) return 0;
    const target = ipFromV4(request.targetIp);
    if (isMulticastIp(target) || request.targetIp === request.senderIp) return 0;
    if (!this.#lookup(target)) return 0;
    return emitArp(
      {
        operation: ARP_REPLY,
        senderMac: this.#mac(),
        senderIp: request.targetIp,
        targetMac: request.senderMac,
        targetIp: request.senderIp,
      },
      arena,
      out,
    );
  }

  #emitAdvertisement(arena: Uint8Array, l3: number, end: number, out: number): number {
    const question = parseNeighbourSolicitation(arena, l3, end);
    if (question === undefined || !this.#lookup(question.target)) return 0;
    // A question from `::` (duplicate address detection) is answered to all nodes, unsolicited [RFC
    // 4861 § 7.2.4].
    const anonymous = ndSourceUnspecified(arena, l3);
    const destination = anonymous ? ALL_NODES : question.source;
    return emitNeighbourAdvertisement(
      {
        source: question.target,
        destination,
        target: question.target,
        targetMac: this.#mac(),
        router: (this.#found[NEIGH_RESULT_FLAGS] & NEIGH_ROUTER) !== 0,
        solicited: !anonymous,
        override: true,
      },
      arena,
      out,
    );
  }

  #lookup({ w0, w1, w2, w3 }: { w0: number; w1: number; w2: number; w3: number }): boolean {
    if (this.#tunnel.neigh.lookup(w0, w1, w2, w3, this.#found)) return true;
    this.#events.l3miss(this.#tunnel.index, w0, w1, w2, w3);
    return false;
  }

  #mac(): { hi: number; lo: number } {
    return { hi: this.#found[NEIGH_RESULT_HI], lo: this.#found[NEIGH_RESULT_LO] >>> 0 };
  }
}
