// IPIP ingress: underlay -> device [RFC 2003, RFC 4213, RFC 2473]. One of these per raw socket: an
// outer family, an outer protocol (4 carries IPv4, 41 IPv6). Per received packet, in this order:
//   1. IPv4: a whole outer header of that protocol. Of IPv6 the kernel keeps the header: the
//      destination is the socket's address, source and traffic class came beside the packet
//   2. tunnel by outer addresses, in the kernel's order (tunnel-lookup.ts)
//   3. outer source possible at all, and allowed?
//   4. inner packet: version as the protocol says, lengths, TTL not 0; ECN [RFC 6040]
//   5. to the device
// The kernel's GRO may have merged many packets into one of up to 64 KiB before the raw socket sees
// it, its transport checksum reduced to the pseudo-header sum. TCP goes on as a superpacket, cut as
// merged-size.ts says; UDP datagrams that lost their size that way are dropped, since one joined
// datagram is not what was sent.

import {
  RUN_ADDRESS,
  RUN_FLAGS,
  RUN_GSO_SIZE,
  RUN_LENGTH,
  RUN_OFFSET,
  RUN_SEGMENT_BYTES,
  RUN_SET_CE,
  RUN_STRIP,
  RUN_TOS,
  RUN_TRUNCATED,
  RUN_WORDS,
} from "#abi";
import { NO_TUNNEL } from "../telemetry/counters.js";
import { DropReasons } from "../telemetry/drop-reasons.js";
import { finish, isPseudoHeaderSum, transportSum } from "../wire/checksum.js";
import { flowHash } from "../wire/flow-hash.js";
import { IPV4_MAPPED, type IpAddress } from "../wire/ip-address.js";
import { PROTOCOL_IPIP, PROTOCOL_TCP, PROTOCOL_UDP } from "../wire/ip-protocol.js";
import {
  checkIpv4,
  IPV4_HEADER_BYTES,
  ipv4DestinationBits,
  ipv4HeaderLength,
  ipv4Protocol,
  ipv4SourceBits,
  ipv4TotalLength,
  ipv4Ttl,
} from "../wire/ipv4.js";
import { IPV6_HEADER_BYTES, ipv6HopLimit } from "../wire/ipv6.js";
import {
  LOCATE_COLUMNS,
  LOCATE_END,
  LOCATE_L4,
  LOCATE_PAYLOAD,
  LOCATE_PROTOCOL,
  locatePacket,
} from "../wire/locate.js";
import { TCP_FLAG_PSH, tcpChecksum, tcpFlags } from "../wire/tcp.js";
import { udpChecksum } from "../wire/udp.js";
import { ECN_DROP, ECN_SET_CE, ECN_SET_ECT1, ingressEcn, innerEcn, setEct1 } from "./ecn.js";
import type { IpipTunnel } from "./ipip-tunnel.js";
import type { MergedSizes } from "./merged-size.js";
import { type IngressParts, ReceiveLoop } from "./receive-loop.js";
import type { TunnelLookup } from "./tunnel-lookup.js";

const TRUNCATED = DropReasons.truncated.id;
const NOT_IPIP = DropReasons.notIpip.id;
const NO_TUNNEL_REASON = DropReasons.noTunnel.id;
const MARTIAN_SOURCE = DropReasons.martianSource.id;
const INNER_NOT_IP = DropReasons.innerNotIp.id;
const INNER_MALFORMED = DropReasons.innerMalformed.id;
const TTL_ZERO = DropReasons.ttlZero.id;
const MERGED_UDP = DropReasons.mergedUdp.id;
const ECN = DropReasons.ecn.id;

/** What a raw socket receives. */
export interface IpipEndpoint {
  /** Of the outer header. */
  readonly family: 4 | 6;
  /** Outer protocol: 4 (PROTOCOL_IPIP) or 41 (PROTOCOL_IPV6). */
  readonly protocol: number;
  /** Outer destination; unspecified: every local address. */
  readonly local: IpAddress;
}

/** Everything that arrives at one raw socket, for all tunnels with its address and protocol. */
export class IpipIngress extends ReceiveLoop {
  readonly #endpoint: IpipEndpoint;
  /** The socket's address, four words. */
  readonly #local: Int32Array;
  readonly #innerVersion: 4 | 6;
  readonly #tunnels: TunnelLookup;
  readonly #sizes: MergedSizes;
  readonly #located = new Int32Array(LOCATE_COLUMNS);

  /**
   * @param tunnels those that carry what the socket's protocol does
   * @param sizes what the worker knows of its flows
   */
  constructor(
    parts: IngressParts,
    endpoint: IpipEndpoint,
    tunnels: TunnelLookup,
    sizes: MergedSizes,
  ) {
    super(parts);
    const { w0, w1, w2, w3 } = endpoint.local;
    this.#endpoint = endpoint;
    this.#local = Int32Array.of(w0, w1, w2, w3);
    this.#innerVersion = endpoint.protocol === PROTOCOL_IPIP ? 4 : 6;
    this.#tunnels = tunnels;
    this.#sizes = sizes;
  }

  protected override decide(run: number, now_s: number): void {
    const { runs, arena } = this.batch;
    const row = run * RUN_WORDS;
    const at = runs[row + RUN_OFFSET];
    const end = at + runs[row + RUN_LENGTH];
    const counters = this.counters;
    if ((runs[row + RUN_FLAGS] & RUN_TRUNCATED) !== 0) {
      return counters.drop(NO_TUNNEL, TRUNCATED, 1);
    }
    if (this.#endpoint.family === 6) {
      const tunnel = this.#tunnels.find6(this.#local, 0, runs, row + RUN_ADDRESS);
      const martian = isMartian6(runs, row + RUN_ADDRESS, this.#local);
      return this.#deliver(run, tunnel, martian, at, end, now_s);
    }
    if (end - at < IPV4_HEADER_BYTES) return counters.drop(NO_TUNNEL, TRUNCATED, 1);
    if (!checkIpv4(arena, at, end) || ipv4Protocol(arena, at) !== this.#endpoint.protocol) {
      return counters.drop(NO_TUNNEL, NOT_IPIP, 1);
    }
    const local = ipv4DestinationBits(arena, at);
    const source = ipv4SourceBits(arena, at);
    const tunnel = this.#tunnels.find4(local, source);
    const inner = at + ipv4HeaderLength(arena, at);
    const martian = source === local || isMartian4(source, local);
    this.#deliver(run, tunnel, martian, inner, at + ipv4TotalLength(arena, at), now_s);
  }

  /** @param martian can the outer source not be a peer's? */
  #deliver(
    run: number,
    tunnel: IpipTunnel | undefined,
    martian: boolean,
    inner: number,
    end: number,
    now_s: number,
  ): void {
    const counters = this.counters;
    if (tunnel === undefined) return counters.drop(NO_TUNNEL, NO_TUNNEL_REASON, 1);
    const row = run * RUN_WORDS;
    if (martian) {
      counters.drop(tunnel.index, MARTIAN_SOURCE, 1);
      const { runs } = this.batch;
      return this.events.refusedSource(tunnel.index, MARTIAN_SOURCE, runs, row + RUN_ADDRESS, 1);
    }
    const remote = this.admit(run, tunnel.index, tunnel.sources, now_s);
    if (remote < 0) return;
    const reason = this.#inspect(tunnel, row, inner, end, now_s);
    if (reason >= 0) return counters.dropOf(tunnel.index, remote, reason, 1);
    this.writer.assign(run, tunnel.device, remote);
  }

  /** Looks at the inner packet `inner`..`end` and prepares its row. @returns a drop reason, or -1 */
  #inspect(tunnel: IpipTunnel, row: number, inner: number, end: number, now_s: number): number {
    const { runs, arena } = this.batch;
    const located = this.#located;
    if (end <= inner) return INNER_MALFORMED;
    const version = arena[inner] >>> 4;
    if (version !== this.#innerVersion) return INNER_NOT_IP;
    if (locatePacket(arena, inner, end, located) !== 0) return INNER_MALFORMED;
    const ttl = version === 4 ? ipv4Ttl(arena, inner) : ipv6HopLimit(arena, inner);
    if (ttl === 0) return TTL_ZERO;
    const innerEnd = located[LOCATE_END];
    runs[row + RUN_GSO_SIZE] = 0;
    if (located[LOCATE_PAYLOAD] >= 0) {
      const protocol = located[LOCATE_PROTOCOL];
      if (protocol === PROTOCOL_UDP && this.#isMergedUdp(tunnel, inner)) return MERGED_UDP;
      if (protocol === PROTOCOL_TCP) {
        runs[row + RUN_GSO_SIZE] = this.#segmentSize(tunnel, inner, now_s);
      }
    }
    const ecn = ingressEcn(runs[row + RUN_TOS], innerEcn(arena, located));
    if (ecn === ECN_DROP) return ECN;
    if (ecn === ECN_SET_CE) runs[row + RUN_FLAGS] |= RUN_SET_CE;
    if (ecn === ECN_SET_ECT1) setEct1(arena, inner, innerEnd, innerEnd - inner);
    const at = runs[row + RUN_OFFSET];
    runs[row + RUN_LENGTH] = innerEnd - at;
    runs[row + RUN_SEGMENT_BYTES] = innerEnd - at;
    runs[row + RUN_STRIP] = inner - at;
    return -1;
  }

  /**
   * The size to cut a located TCP packet into should it be a merged one, which native code tells by
   * its checksum; and what the packet teaches of its flow.
   */
  #segmentSize(tunnel: IpipTunnel, inner: number, now_s: number): number {
    const { arena } = this.batch;
    const located = this.#located;
    const l4 = located[LOCATE_L4];
    const end = located[LOCATE_END];
    const payload_bytes = end - located[LOCATE_PAYLOAD];
    if (payload_bytes === 0) return 0;
    const sizes = this.#sizes;
    const flow = flowHash(arena, inner, located);
    const pushed = (tcpFlags(arena, l4) & TCP_FLAG_PSH) !== 0;
    const checksum = tcpChecksum(arena, l4);
    if (!isPseudoHeaderSum(arena, inner, l4, end, PROTOCOL_TCP, checksum)) {
      sizes.proof(flow, payload_bytes, pushed, now_s);
      return 0;
    }
    const fits_bytes = Math.max(1, tunnel.mtu_bytes - (located[LOCATE_PAYLOAD] - inner));
    if (payload_bytes <= fits_bytes && !pushed) sizes.hint(flow, payload_bytes, now_s);
    const known_bytes = sizes.size(flow);
    return known_bytes === 0 ? fits_bytes : Math.min(known_bytes, fits_bytes);
  }

  /**
   * Is a located UDP packet longer than anything that can arrive whole, and its checksum left to an
   * offload? One that the kernel put together from fragments has a complete checksum.
   */
  #isMergedUdp(tunnel: IpipTunnel, inner: number): boolean {
    const { arena } = this.batch;
    const l4 = this.#located[LOCATE_L4];
    const end = this.#located[LOCATE_END];
    const outer_bytes = this.#endpoint.family === 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
    const longest_bytes = Math.max(tunnel.mtu_bytes, tunnel.underlayMtu_bytes - outer_bytes);
    if (end - inner <= longest_bytes) return false;
    const checksum = udpChecksum(arena, l4);
    if (!isPseudoHeaderSum(arena, inner, l4, end, PROTOCOL_UDP, checksum)) return false;
    return finish(transportSum(arena, inner, l4, end, PROTOCOL_UDP)) !== 0;
  }
}

/** Multicast, broadcast, 0/8, or 127/8 from outside [RFC 1122 § 3.2.1.3]. */
function isMartian4(source: number, own: number): boolean {
  const first = source >>> 24;
  if (first === 127) return own >>> 24 !== 127;
  return first === 0 || first >>> 4 === 14 || source >>> 0 === 0xffffffff;
}

/** Multicast, ::, ::1, IPv4-mapped or our own; the address in `words` from `at` on. */
function isMartian6(words: Int32Array, at: number, own: Int32Array): boolean {
  const w0 = words[at];
  const w1 = words[at + 1];
  const w2 = words[at + 2];
  const w3 = words[at + 3];
  if (w0 >>> 24 === 0xff) return true;
  if ((w0 | w1) === 0 && (w2 === IPV4_MAPPED || (w2 === 0 && w3 >>> 0 <= 1))) return true;
  return ((w0 ^ own[0]) | (w1 ^ own[1]) | (w2 ^ own[2]) | (w3 ^ own[3])) === 0;
}
