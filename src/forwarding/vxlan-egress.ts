// VXLAN egress: device -> underlay. Per frame, once per superpacket:
//   1. locate headers; a superpacket's offsets go into its row for the segmenter
//   2. ARP and neighbour solicitations, when the tunnel is a proxy
//   3. FDB lookup of the destination MAC: a remote, or the flood list (BUM, unknown unicast)
//   4. outer source port by flow hash, outer TOS by ECN
//   5. VXLAN header into the headroom, send list
// Then SendList sends the batch. Payload is not touched here.

import {
  FRAME_GSO_TYPE,
  FRAME_LENGTH,
  FRAME_OFFSET,
  FRAME_WORDS,
  GSO_NONE,
  MAX_SENDS,
  SEND_NO_GSO,
  SEND_REMOTE,
  SEND_WORDS,
} from "#abi";
import type { EgressBatch } from "../packet/egress-batch.js";
import { REMOTE_FLAG_NO_GSO } from "../remotes/remote-rows.js";
import type { RemoteTable } from "../remotes/remote-table.js";
import { MAX_FLOOD_REMOTES } from "../shared-memory/limits.js";
import { TunnelCounter, type WorkerCounters } from "../telemetry/counters.js";
import { DropReasons } from "../telemetry/drop-reasons.js";
import type { UnderlaySender } from "../underlay/underlay.js";
import { ETHERNET_HEADER_BYTES } from "../wire/ethernet.js";
import { flowHash } from "../wire/flow-hash.js";
import { LOCATE_COLUMNS, locateFrame } from "../wire/locate.js";
import { isMulticastMac, macHi, macLoBits } from "../wire/mac.js";
import {
  VXLAN_HEADER_BYTES,
  VXLAN_OVERHEAD_V4_BYTES,
  VXLAN_OVERHEAD_V6_BYTES,
  writeVxlan,
} from "../wire/vxlan.js";
import { innerEcn } from "./ecn.js";
import { NeighbourProxy } from "./neighbour-proxy.js";
import { SendList, type TooBigAnswerer } from "./send-list.js";
import { markSuperpacket } from "./superpacket.js";
import { answerTooBigFrame } from "./too-big.js";
import type { VxlanTunnel } from "./vxlan-tunnel.js";

const RUNT_FRAME = DropReasons.runtFrame.id;
const MALFORMED = DropReasons.malformed.id;
const L2MISS = DropReasons.l2miss.id;
const NO_REMOTES = DropReasons.noRemotes.id;
const GSO_UNSUPPORTED = DropReasons.gsoUnsupported.id;

export interface VxlanEgressParts {
  readonly tunnel: VxlanTunnel;
  readonly batch: EgressBatch;
  readonly remotes: RemoteTable;
  readonly sender: UnderlaySender;
  readonly counters: WorkerCounters;
  /** false: one datagram per message, always (no UDP_SEGMENT in this kernel, or turned off). */
  readonly udpSegment: boolean;
}

export class VxlanEgress implements TooBigAnswerer {
  readonly #tunnel: VxlanTunnel;
  readonly #batch: EgressBatch;
  readonly #remotes: RemoteTable;
  readonly #sender: UnderlaySender;
  readonly #counters: WorkerCounters;
  readonly #sends: SendList;
  readonly #proxy: NeighbourProxy;
  readonly #defaultFlags: number;
  readonly #located = new Int32Array(LOCATE_COLUMNS);
  readonly #floodList = new Int32Array(MAX_FLOOD_REMOTES);
  #floodVersion = -1;
  #floodCount = 0;

  constructor(parts: VxlanEgressParts) {
    this.#tunnel = parts.tunnel;
    this.#batch = parts.batch;
    this.#remotes = parts.remotes;
    this.#sender = parts.sender;
    this.#counters = parts.counters;
    this.#sends = new SendList(parts.batch, parts.remotes, parts.counters);
    this.#proxy = new NeighbourProxy(parts.tunnel, parts.counters);
    this.#defaultFlags = parts.udpSegment ? 0 : SEND_NO_GSO;
  }

  /**
   * Moves at most `limit` frames.
   * @returns packets on the wire that they stand for, or -errno (-EAGAIN: there was none)
   */
  run(limit: number): number {
    const count = this.#tunnel.device.readBatch(this.#batch, limit);
    if (count <= 0) return count;
    this.#batch.beginSends();
    this.#refreshFloodList();
    let packets = 0;
    for (let frame = 0; frame < count; frame++) {
      this.#decide(frame);
      packets += this.#batch.wirePackets(frame);
    }
    this.#flush();
    return packets;
  }

  /** From SendList: a frame did not fit the path. */
  answerTooBig(frame: number, send: number): void {
    const remotes = this.#remotes;
    const remote = this.#batch.sends[send * SEND_WORDS + SEND_REMOTE];
    const path_bytes = this.#sender.pathMtu_bytes(
      remotes.addressWord(remote, 0),
      remotes.addressWord(remote, 1),
      remotes.addressWord(remote, 2),
      remotes.addressWord(remote, 3),
    );
    const overhead_bytes =
      remotes.family(remote) === 6 ? VXLAN_OVERHEAD_V6_BYTES : VXLAN_OVERHEAD_V4_BYTES;
    const fits_bytes = this.#tunnel.pathMtu_bytes;
    const mtu_bytes =
      path_bytes < 0 ? fits_bytes : Math.min(fits_bytes, path_bytes - overhead_bytes);
    answerTooBigFrame(this.#batch, frame, mtu_bytes, this.#tunnel, this.#counters);
  }

  #flush(): void {
    this.#sends.flush(this.#sender, this.#tunnel.index, this);
  }

  #refreshFloodList(): void {
    const version = this.#tunnel.flood.version();
    if (version === this.#floodVersion) return;
    this.#floodCount = this.#tunnel.flood.snapshot(this.#floodList);
    this.#floodVersion = version;
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
    const hi = macHi(arena, at);
    const remote = isMulticastMac(hi) ? -1 : this.#tunnel.fdb.lookup(hi, macLoBits(arena, at));
    // ECN is copied, DSCP is not [RFC 6040 § 4.1], as with the kernel's `tos 0`.
    const tos = innerEcn(arena, located);
    const socket = flowHash(arena, at, located) & (this.#sender.socketCount - 1);
    if (remote >= 0) return this.#sendTo(remote, frame, at, socket, tos);
    this.#flood(frame, at, socket, tos, isMulticastMac(hi));
  }

  #sendTo(remote: number, frame: number, at: number, socket: number, tos: number): void {
    const batch = this.#batch;
    const header = at - VXLAN_HEADER_BYTES;
    writeVxlan(batch.arena, header, this.#remotes.vni(remote));
    this.#makeRoom();
    this.#add(frame, remote, socket, header, tos);
  }

  #add(frame: number, remote: number, socket: number, header: number, tos: number): void {
    const noGso = (this.#remotes.flags(remote) & REMOTE_FLAG_NO_GSO) !== 0;
    const flags = noGso ? SEND_NO_GSO : this.#defaultFlags;
    this.#batch.addSend(frame, remote, socket, header, VXLAN_HEADER_BYTES, tos, flags);
  }

  /**
   * Room for one send. Before its header is put into scratch: sending gives all scratch back, so
   * that a header written before would be overwritten by the next ones.
   */
  #makeRoom(): void {
    if (this.#batch.sendCount === MAX_SENDS) this.#flush();
  }

  /**
   * Head-end replication: one send per member of the flood list, all from the same payload bytes.
   */
  #flood(frame: number, at: number, socket: number, tos: number, multicast: boolean): void {
    if (this.#floodCount === 0) return this.#drop(multicast ? NO_REMOTES : L2MISS, frame);
    const batch = this.#batch;
    const shared = at - VXLAN_HEADER_BYTES;
    writeVxlan(batch.arena, shared, this.#tunnel.vni);
    for (let i = 0; i < this.#floodCount; i++) {
      const remote = this.#floodList[i];
      const vni = this.#remotes.vni(remote);
      this.#makeRoom();
      let header = shared;
      if (vni !== this.#tunnel.vni) {
        header = batch.allocateScratch(VXLAN_HEADER_BYTES);
        if (header < 0) {
          this.#flush();
          header = batch.allocateScratch(VXLAN_HEADER_BYTES);
        }
        writeVxlan(batch.arena, header, vni);
      }
      this.#add(frame, remote, socket, header, tos);
    }
    this.#counters.addTunnel(this.#tunnel.index, TunnelCounter.floods, 1);
  }

  #drop(reason: number, frame: number): void {
    this.#counters.drop(this.#tunnel.index, reason, this.#batch.wirePackets(frame));
  }
}
