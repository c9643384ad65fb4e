// IPIP egress: device -> underlay [RFC 2003], [RFC 4213], [RFC 2473]. Per packet, once per
// superpacket:
//   1. inner IPv4 or IPv6 as the mode has it, whole, TTL not used up
//   2. outer destination: the tunnel's remote, or the next hop of the longest matching route, or (a
//      route without next hop) what the inner destination says, as for the kernel's one-to-many
//      tunnels (`onLink`)
//   3. never an outer packet of this tunnel again: its route leads through the tunnel
//   4. outer header into the headroom (ipip-header.ts)
//   5. a sender is told that the remote was unreachable, if one before it could not be
//   6. does it fit the path? Send list (ipip-sends.ts)
// Then the batch is sent. Payload is not touched here.

import { FRAME_GSO_TYPE, FRAME_LENGTH, FRAME_OFFSET, FRAME_WORDS, GSO_NONE } from "#abi";
import type { EgressBatch } from "../packet/egress-batch.js";
import { REMOTE_ADDRESS, REMOTE_WORDS } from "../remotes/remote-rows.js";
import { FIRST_GROUP, NO_ROUTE, ON_LINK } from "../routes/route-table.js";
import { TunnelCounter, type WorkerCounters } from "../telemetry/counters.js";
import { DropReasons } from "../telemetry/drop-reasons.js";
import { readI32 } from "../wire/byte-order.js";
import { flowHash } from "../wire/flow-hash.js";
import { IPV4_MAPPED } from "../wire/ip-address.js";
import { PROTOCOL_IPIP, PROTOCOL_IPV6 } from "../wire/ip-protocol.js";
import { IPV4_DESTINATION, IPV4_SOURCE, ipv4DestinationBits, ipv4Ttl } from "../wire/ipv4.js";
import { IPV6_DESTINATION, IPV6_SOURCE, ipv6HopLimit } from "../wire/ipv6.js";
import { LOCATE_COLUMNS, LOCATE_PROTOCOL, LOCATE_VERSION, locatePacket } from "../wire/locate.js";
import type { InnerErrors } from "./inner-errors.js";
import { IpipHeader } from "./ipip-header.js";
import { type IpipEgressParts, IpipSends } from "./ipip-sends.js";
import type { IpipTunnel } from "./ipip-tunnel.js";
import { onLink } from "./on-link.js";
import { markSuperpacket } from "./superpacket.js";

const MALFORMED = DropReasons.malformed.id;
const NOT_IP = DropReasons.notIp.id;
const NO_ROUTE_REASON = DropReasons.noRoute.id;
const ROUTING_LOOP = DropReasons.routingLoop.id;
const TTL_EXPIRED = DropReasons.ttlExpired.id;
const GSO_UNSUPPORTED = DropReasons.gsoUnsupported.id;

/** 20 bits [RFC 6437]. */
const FLOW_LABEL_MASK = 0xfffff;

export class IpipEgress {
  readonly #tunnel: IpipTunnel;
  readonly #batch: EgressBatch;
  readonly #counters: WorkerCounters;
  readonly #inner: InnerErrors;
  readonly #header: IpipHeader;
  readonly #sends: IpipSends;
  readonly #located = new Int32Array(LOCATE_COLUMNS);
  readonly #remoteRows: Int32Array;
  readonly #local: Int32Array;
  /** Is the outer source the route's, so that our own packets are not known by it? */
  readonly #anyLocal: boolean;
  /** Outer destination of the packet in hand: four words. */
  readonly #destination = new Int32Array(4);

  constructor(parts: IpipEgressParts) {
    const { tunnel } = parts;
    const { w0, w1, w2, w3 } = tunnel.local;
    this.#tunnel = tunnel;
    this.#batch = parts.batch;
    this.#counters = parts.counters;
    this.#remoteRows = parts.remotes.rows;
    this.#local = Int32Array.of(w0, w1, w2, w3);
    this.#anyLocal = w3 === 0 && tunnel.family === 4;
    this.#inner = parts.inner;
    this.#header = new IpipHeader(tunnel);
    this.#sends = new IpipSends(parts, this.#header.bytes);
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
    this.#sends.flush();
    return packets;
  }

  /** @returns a drop reason, or -1: the packet has been dealt with */
  #decide(frame: number): number {
    const { arena, frames } = this.#batch;
    const row = frame * FRAME_WORDS;
    const at = frames[row + FRAME_OFFSET];
    const end = at + frames[row + FRAME_LENGTH];
    const located = this.#located;
    if (locatePacket(arena, at, end, located) !== 0) return MALFORMED;
    const version = located[LOCATE_VERSION];
    const nested = this.#isNested();
    if (nested && this.#isFromHere(at)) return ROUTING_LOOP;
    if (version === 4 ? !this.#tunnel.carries4 : !this.#tunnel.carries6) return NOT_IP;
    if ((version === 4 ? ipv4Ttl(arena, at) : ipv6HopLimit(arena, at)) === 0) return TTL_EXPIRED;
    if (frames[row + FRAME_GSO_TYPE] !== GSO_NONE) {
      if (!markSuperpacket(this.#batch, frame, located)) return GSO_UNSUPPORTED;
      this.#counters.addTunnel(this.#tunnel.index, TunnelCounter.egressSuperpackets, 1);
    }
    const remote = this.#remoteOf(at, version);
    if (!this.#address(at, version, remote)) return NO_ROUTE_REASON;
    if (this.#isLocal() || (nested && this.#anyLocal && this.#isForRemote(at))) return ROUTING_LOOP;
    const label = this.#tunnel.family === 6 ? flowHash(arena, at, located) & FLOW_LABEL_MASK : 0;
    this.#header.write(arena, at, end, version, this.#destination, label);
    this.#inner.tellIfOwed(remote, arena, at, end);
    this.#sends.send(frame, at, remote);
    return -1;
  }

  /** The row of the remote that a packet goes to, ON_LINK or NO_ROUTE. */
  #remoteOf(at: number, version: number): number {
    const { remoteRow, routes } = this.#tunnel;
    if (remoteRow >= 0) return remoteRow;
    const { arena } = this.#batch;
    const found =
      version === 4
        ? routes.lookup4(ipv4DestinationBits(arena, at))
        : routes.lookup6(
            readI32(arena, at + IPV6_DESTINATION),
            readI32(arena, at + IPV6_DESTINATION + 4),
            readI32(arena, at + IPV6_DESTINATION + 8),
            readI32(arena, at + IPV6_DESTINATION + 12),
          );
    if (found < FIRST_GROUP) return found;
    return routes.pick(found, flowHash(arena, at, this.#located));
  }

  /** Fills the outer destination in. @returns false when there is none */
  #address(at: number, version: number, remote: number): boolean {
    const destination = this.#destination;
    if (remote === NO_ROUTE) return false;
    if (remote === ON_LINK) {
      return onLink(this.#batch.arena, at, version, this.#tunnel.family, destination);
    }
    const address = remote * REMOTE_WORDS + REMOTE_ADDRESS;
    for (let word = 0; word < 4; word++) destination[word] = this.#remoteRows[address + word];
    return true;
  }

  /** Does the packet in hand carry an IP packet itself? */
  #isNested(): boolean {
    const protocol = this.#located[LOCATE_PROTOCOL];
    return protocol === PROTOCOL_IPIP || protocol === PROTOCOL_IPV6;
  }

  /** Has a packet the tunnel's own address as source? */
  #isFromHere(at: number): boolean {
    return this.#hasAddress(at, IPV4_SOURCE, IPV6_SOURCE, this.#local);
  }

  /** Has a packet its own outer destination as destination? */
  #isForRemote(at: number): boolean {
    return this.#hasAddress(at, IPV4_DESTINATION, IPV6_DESTINATION, this.#destination);
  }

  #hasAddress(at: number, offset4: number, offset6: number, address: Int32Array): boolean {
    const { arena } = this.#batch;
    if (this.#located[LOCATE_VERSION] === 4) {
      return address[2] === IPV4_MAPPED && readI32(arena, at + offset4) === address[3];
    }
    for (let word = 0; word < 4; word++) {
      if (readI32(arena, at + offset6 + 4 * word) !== address[word]) return false;
    }
    return true;
  }

  /** Is the outer destination the tunnel's own address? */
  #isLocal(): boolean {
    const local = this.#local;
    const destination = this.#destination;
    return (
      destination[3] === local[3] &&
      destination[2] === local[2] &&
      destination[1] === local[1] &&
      destination[0] === local[0]
    );
  }
}
