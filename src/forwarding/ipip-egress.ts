// IPIP egress: device -> underlay [RFC 2003]. Per packet, once per superpacket:
//   1. inner IPv4, whole, TTL not used up
//   2. outer destination: the tunnel's remote, or the next hop of the longest matching route, or (a
//      route without next hop) the inner destination, as the kernel's one-to-many ipip does
//   3. too big for the underlay: answered when the sender said "don't fragment"
//   4. outer header into the headroom; length, identification and checksum are the kernel's
//      (raw(7), IP_HDRINCL)
// DF of the outer header is that of the inner one [RFC 2003 § 3.1]: a packet that may be fragmented
// inside the tunnel is better off than one that vanishes there.

import {
  FRAME_GSO_TYPE,
  FRAME_LENGTH,
  FRAME_OFFSET,
  FRAME_WORDS,
  GSO_NONE,
  SEND_HEADER,
  SEND_WORDS,
} from "#abi";
import type { EgressBatch } from "../packet/egress-batch.js";
import { REMOTE_ADDRESS, REMOTE_WORDS } from "../remotes/remote-rows.js";
import type { RemoteTable } from "../remotes/remote-table.js";
import { FIRST_GROUP, NO_ROUTE, ON_LINK } from "../routes/route-table.js";
import { TunnelCounter, type WorkerCounters } from "../telemetry/counters.js";
import { DropReasons } from "../telemetry/drop-reasons.js";
import type { UnderlaySender } from "../underlay/underlay.js";
import { flowHash } from "../wire/flow-hash.js";
import { emitFragmentationNeeded } from "../wire/icmp.js";
import { IPV4_MAPPED } from "../wire/ip-address.js";
import { PROTOCOL_IPIP } from "../wire/ip-protocol.js";
import {
  IPV4_HEADER_BYTES,
  ipv4Destination,
  ipv4DestinationBits,
  ipv4DontFragment,
  ipv4Tos,
  ipv4Ttl,
  writeIpv4Header,
} from "../wire/ipv4.js";
import { LOCATE_COLUMNS, LOCATE_VERSION, locatePacket } from "../wire/locate.js";
import { ECN_MASK } from "./ecn.js";
import type { IpipTunnel } from "./ipip-tunnel.js";
import { SendList, type TooBigHandler } from "./send-list.js";
import { markSuperpacket } from "./superpacket.js";

const MALFORMED = DropReasons.malformed.id;
const NOT_IP = DropReasons.notIp.id;
const NO_ROUTE_REASON = DropReasons.noRoute.id;
const ROUTING_LOOP = DropReasons.routingLoop.id;
const TOO_BIG = DropReasons.tooBig.id;
const TTL_EXPIRED = DropReasons.ttlExpired.id;
const DEVICE_ERROR = DropReasons.deviceError.id;
const GSO_UNSUPPORTED = DropReasons.gsoUnsupported.id;
/** An ICMP error quotes at most so much that it is no longer than this [RFC 1812 § 4.3.2.3]. */
const ICMP_ERROR_BYTES = 576;

export interface IpipEgressParts {
  readonly tunnel: IpipTunnel;
  readonly batch: EgressBatch;
  readonly remotes: RemoteTable;
  readonly sender: UnderlaySender;
  readonly counters: WorkerCounters;
}

export class IpipEgress implements TooBigHandler {
  readonly #tunnel: IpipTunnel;
  readonly #batch: EgressBatch;
  readonly #sender: UnderlaySender;
  readonly #counters: WorkerCounters;
  readonly #sends: SendList;
  readonly #located = new Int32Array(LOCATE_COLUMNS);
  readonly #remotes: RemoteTable;
  /** Outer source; 0: the kernel fills in the route's [raw(7)]. */
  readonly #local: number;

  constructor(parts: IpipEgressParts) {
    this.#tunnel = parts.tunnel;
    this.#batch = parts.batch;
    this.#remotes = parts.remotes;
    this.#local = parts.tunnel.local.w3 | 0;
    this.#sender = parts.sender;
    this.#counters = parts.counters;
    this.#sends = new SendList(parts.batch, parts.remotes, parts.counters);
  }

  /**
   * Moves at most `limit` packets.
   * @returns packets on the wire that they stand for, or -errno (-EAGAIN: there was none)
   */
  run(limit: number): number {
    const count = this.#tunnel.device.readBatch(this.#batch, limit);
    if (count <= 0) return count;
    this.#batch.beginSends();
    let packets = 0;
    for (let frame = 0; frame < count; frame++) {
      const reason = this.#decide(frame);
      const framePackets = this.#batch.wirePackets(frame);
      packets += framePackets;
      if (reason >= 0) this.#counters.drop(this.#tunnel.index, reason, framePackets);
    }
    this.#sends.flush(this.#sender, this.#tunnel.index, this);
    return packets;
  }

  /** From SendList: a packet did not fit the path, and a raw socket does not fragment. */
  tooBig(frame: number, send: number): boolean {
    const header = this.#batch.sends[send * SEND_WORDS + SEND_HEADER];
    const outer = ipv4Destination(this.#batch.arena, header);
    const path_bytes = this.#sender.pathMtu_bytes(0, 0, IPV4_MAPPED, outer);
    const device_bytes = this.#tunnel.underlayMtu_bytes;
    this.#tellTooBig(frame, path_bytes < 0 ? device_bytes : Math.min(device_bytes, path_bytes));
    return false;
  }

  /**
   * Tells the sender of a packet that exceeds the path how long it may be [RFC 2003 § 5.1]. The
   * answer bears the packet's own destination as source: an address behind the tunnel passes the
   * host's reverse-path filter, one of the host's own would be taken for a forgery.
   */
  #tellTooBig(frame: number, path_bytes: number): void {
    const { arena, frames } = this.#batch;
    const at = frames[frame * FRAME_WORDS + FRAME_OFFSET];
    const end = at + frames[frame * FRAME_WORDS + FRAME_LENGTH];
    if (!ipv4DontFragment(arena, at)) return;
    const out = this.#batch.allocateScratch(ICMP_ERROR_BYTES);
    if (out < 0) return;
    const mtu_bytes = path_bytes - IPV4_HEADER_BYTES;
    const source = ipv4Destination(arena, at);
    const bytes = emitFragmentationNeeded(arena, at, end, source, mtu_bytes, arena, out);
    this.#batch.releaseScratch(out);
    if (bytes === 0) return;
    if (this.#tunnel.device.write(arena, out, bytes) < 0) {
      return this.#counters.drop(this.#tunnel.index, DEVICE_ERROR, 1);
    }
    this.#counters.addTunnel(this.#tunnel.index, TunnelCounter.icmpErrors, 1);
  }

  /** @returns a drop reason, or -1: the packet is in the send list */
  #decide(frame: number): number {
    const { arena, frames } = this.#batch;
    const row = frame * FRAME_WORDS;
    const at = frames[row + FRAME_OFFSET];
    const end = at + frames[row + FRAME_LENGTH];
    const located = this.#located;
    if (locatePacket(arena, at, end, located) !== 0) return MALFORMED;
    if (located[LOCATE_VERSION] !== 4) return NOT_IP;
    if (ipv4Ttl(arena, at) === 0) return TTL_EXPIRED;
    if (frames[row + FRAME_GSO_TYPE] !== GSO_NONE) {
      if (!markSuperpacket(this.#batch, frame, located)) return GSO_UNSUPPORTED;
      this.#counters.addTunnel(this.#tunnel.index, TunnelCounter.egressSuperpackets, 1);
    }
    const inner = ipv4DestinationBits(arena, at);
    let remote = this.#tunnel.remoteRow;
    if (remote < 0) {
      const { routes } = this.#tunnel;
      remote = routes.lookup4(inner);
      if (remote >= FIRST_GROUP) remote = routes.pick(remote, flowHash(arena, at, located));
      if (remote === NO_ROUTE) return NO_ROUTE_REASON;
    }
    const outer =
      remote === ON_LINK ? inner : this.#remotes.rows[remote * REMOTE_WORDS + REMOTE_ADDRESS + 3];
    if (outer === this.#local) return ROUTING_LOOP;
    if (
      this.#batch.longestFrame_bytes(frame) >
      this.#tunnel.underlayMtu_bytes - IPV4_HEADER_BYTES
    ) {
      this.#tellTooBig(frame, this.#tunnel.underlayMtu_bytes);
      return TOO_BIG;
    }
    this.#encapsulate(at, end, outer);
    this.#batch.addSend(frame, remote, 0, at - IPV4_HEADER_BYTES, IPV4_HEADER_BYTES, 0, 0);
    return -1;
  }

  #encapsulate(at: number, end: number, outer: number): void {
    const arena = this.#batch.arena;
    const header = at - IPV4_HEADER_BYTES;
    writeIpv4Header(
      arena,
      header,
      ipv4Tos(arena, at) & ECN_MASK,
      Math.min(0xffff, end - header),
      ipv4DontFragment(arena, at),
      this.#tunnel.ttl === 0 ? ipv4Ttl(arena, at) : this.#tunnel.ttl,
      PROTOCOL_IPIP,
      this.#local,
      outer,
    );
  }
}
