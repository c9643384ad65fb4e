// What the network says of IPIP packets: errors from inside the tunnel, which wait in the error
// queue of the raw socket that receives their protocol [RFC 2003 § 4, RFC 2473 § 8, RFC 4213 §
// 3.4]. Per error, in this order:
//   1. the quote is a packet of ours: protocol, our address, a remote (or an on-link destination)
//   2. too big: the path is remembered, and the sender of the inner packet told
//   3. unreachable: remembered with the remote for a while (remotes/unreachable-rows.ts), and the
//      sender told; where too little is quoted for that, the next packet's sender (InnerErrors)
// Whoever knows our addresses may forge such messages: what they claim stops no packet, and so many
// are looked at per second. What cannot be believed, or says nothing of the path, is counted.

import {
  ERROR_ADDRESS,
  ERROR_CODE,
  ERROR_ERRNO,
  ERROR_OFFENDER,
  ERROR_QUOTED,
  ERROR_TYPE,
  ERROR_WORDS,
  MAX_ERRORS,
  QUOTE_BYTES,
} from "#abi";
import { EMSGSIZE } from "../packet/errno.js";
import { setPathMtuOf } from "../remotes/path-mtu.js";
import type { RemoteTable } from "../remotes/remote-table.js";
import { REACHABLE, TTL_EXCEEDED, type UnreachableRows } from "../remotes/unreachable-rows.js";
import { ON_LINK } from "../routes/route-table.js";
import { NO_TUNNEL, type WorkerCounters } from "../telemetry/counters.js";
import { DropReasons } from "../telemetry/drop-reasons.js";
import type { UnderlayErrors } from "../underlay/underlay.js";
import { readI32 } from "../wire/byte-order.js";
import { IPV4_MAPPED } from "../wire/ip-address.js";
import {
  IPV4_HEADER_BYTES,
  ipv4DestinationBits,
  ipv4FragmentOffset,
  ipv4HeaderLength,
  ipv4Protocol,
  ipv4SourceBits,
  ipv4TotalLength,
  ipv4Version,
} from "../wire/ipv4.js";
import {
  IPV6_DESTINATION,
  IPV6_HEADER_BYTES,
  IPV6_SOURCE,
  ipv6PayloadLength,
  ipv6Version,
  walkIpv6Extensions,
  walkIsLaterFragment,
  walkOffset,
  walkProtocol,
} from "../wire/ipv6.js";
import type { InnerErrors } from "./inner-errors.js";
import type { IpipTunnel } from "./ipip-tunnel.js";
import { onLink } from "./on-link.js";
import { LOOKED_UP_PER_S } from "./path-errors.js";
import { PerSecond } from "./per-second.js";
import { isRelayed, unreachableKind } from "./tunnel-errors.js";
import type { TunnelLookup } from "./tunnel-lookup.js";

const PEER_UNREACHABLE = DropReasons.peerUnreachable.id;
const ICMP_IGNORED = DropReasons.icmpIgnored.id;

/** The quote is no packet of ours. */
const FOREIGN = -1;
/** The quote is a later fragment of one: nothing of the inner packet can be told. */
const LATER_FRAGMENT = -2;
/** Behind the inner header a sender finds by so much which of its packets is meant [RFC 792]. */
const QUOTED_PAYLOAD_BYTES = 8;

/** Words of `#quoted`: outer source and destination of a quote. */
const SOURCE = 0;
const DESTINATION = 4;

export interface IpipErrorsParts {
  /** What the socket receives: outer family and protocol. */
  readonly family: 4 | 6;
  readonly protocol: number;
  /** Tunnels that carry what the protocol does. */
  readonly tunnels: TunnelLookup;
  /** By number of the tunnel. */
  readonly answers: ReadonlyMap<number, InnerErrors>;
  readonly remotes: RemoteTable;
  readonly unreachable: UnreachableRows;
  readonly counters: WorkerCounters;
}

/** The errors of one raw socket. */
export class IpipErrors {
  readonly #parts: IpipErrorsParts;
  readonly #rows = new Int32Array(MAX_ERRORS * ERROR_WORDS);
  readonly #quotes = new Uint8Array(MAX_ERRORS * QUOTE_BYTES);
  readonly #quoted = new Int32Array(8);
  /** Outer destination that an inner packet says: four words. */
  readonly #outer = new Int32Array(4);
  readonly #lookUps = new PerSecond(LOOKED_UP_PER_S);

  constructor(parts: IpipErrorsParts) {
    this.#parts = parts;
    if (parts.family === 6) return;
    this.#quoted[SOURCE + 2] = IPV4_MAPPED;
    this.#quoted[DESTINATION + 2] = IPV4_MAPPED;
  }

  /** Takes at most MAX_ERRORS errors. @returns how many there were, or -errno */
  drain(source: UnderlayErrors, now_s: number): number {
    const count = source.take(this.#rows, this.#quotes);
    for (let error = 0; error < count; error++) {
      if (this.#lookUps.take(now_s)) this.#look(source, error, now_s);
      else this.#parts.counters.drop(NO_TUNNEL, ICMP_IGNORED, 1);
    }
    return count;
  }

  #look(source: UnderlayErrors, error: number, now_s: number): void {
    const at = error * QUOTE_BYTES;
    const end = at + this.#rows[error * ERROR_WORDS + ERROR_QUOTED];
    const { family, counters } = this.#parts;
    const inner = family === 4 ? this.#outer4(at, end) : this.#outer6(at, end);
    const tunnel = inner === FOREIGN ? undefined : this.#tunnel();
    if (tunnel === undefined) return counters.drop(NO_TUNNEL, ICMP_IGNORED, 1);
    const remote = this.#remote(tunnel);
    if (remote < 0 && !this.#isOnLink(tunnel, inner, end)) {
      return counters.drop(tunnel.index, ICMP_IGNORED, 1);
    }
    if (this.#rows[error * ERROR_WORDS + ERROR_ERRNO] === EMSGSIZE) {
      this.#tooBig(source, error, tunnel, inner, end, now_s);
    } else {
      this.#unreachable(error, tunnel, remote, inner, end, now_s);
    }
  }

  /**
   * Reads the outer addresses of an IPv4 quote. @returns where the inner packet begins, FOREIGN or
   * LATER_FRAGMENT
   */
  #outer4(at: number, end: number): number {
    const quotes = this.#quotes;
    if (end - at < IPV4_HEADER_BYTES || ipv4Version(quotes, at) !== 4) return FOREIGN;
    if (ipv4Protocol(quotes, at) !== this.#parts.protocol) return FOREIGN;
    const header_bytes = ipv4HeaderLength(quotes, at);
    if (header_bytes < IPV4_HEADER_BYTES) return FOREIGN;
    const quoted = this.#quoted;
    quoted[SOURCE + 3] = ipv4SourceBits(quotes, at);
    quoted[DESTINATION + 3] = ipv4DestinationBits(quotes, at);
    return ipv4FragmentOffset(quotes, at) === 0 ? at + header_bytes : LATER_FRAGMENT;
  }

  /** The same for IPv6. */
  #outer6(at: number, end: number): number {
    const quotes = this.#quotes;
    if (end - at < IPV6_HEADER_BYTES || ipv6Version(quotes, at) !== 6) return FOREIGN;
    const walk = walkIpv6Extensions(quotes, at, end);
    if (walk < 0 || walkProtocol(walk) !== this.#parts.protocol) return FOREIGN;
    const quoted = this.#quoted;
    for (let word = 0; word < 4; word++) {
      quoted[SOURCE + word] = readI32(quotes, at + IPV6_SOURCE + 4 * word);
      quoted[DESTINATION + word] = readI32(quotes, at + IPV6_DESTINATION + 4 * word);
    }
    return walkIsLaterFragment(walk) ? LATER_FRAGMENT : at + walkOffset(walk);
  }

  /** The tunnel that sends from the quote's source to its destination. */
  #tunnel(): IpipTunnel | undefined {
    const { family, tunnels } = this.#parts;
    const quoted = this.#quoted;
    if (family === 4) return tunnels.find4(quoted[SOURCE + 3], quoted[DESTINATION + 3]);
    return tunnels.find6(quoted, SOURCE, quoted, DESTINATION);
  }

  /** The row of the quote's destination, or a negative number. */
  #remote(tunnel: IpipTunnel): number {
    if (tunnel.remote !== undefined) return tunnel.remoteRow;
    const quoted = this.#quoted;
    return this.#parts.remotes.findSender(
      tunnel.index,
      quoted[DESTINATION],
      quoted[DESTINATION + 1],
      quoted[DESTINATION + 2],
      quoted[DESTINATION + 3],
    );
  }

  /** Does the inner destination say the outer one, by a route without next hop? */
  #isOnLink({ family, routes }: IpipTunnel, inner: number, end: number): boolean {
    const quotes = this.#quotes;
    const quoted = this.#quoted;
    if (inner < 0 || end - inner < IPV4_HEADER_BYTES) return false;
    const version = ipv4Version(quotes, inner);
    if (version === 6 ? end - inner < IPV6_HEADER_BYTES : version !== 4) return false;
    const outer = this.#outer;
    if (!onLink(quotes, inner, version, family, outer)) return false;
    for (let word = 0; word < 4; word++) {
      if (outer[word] !== quoted[DESTINATION + word]) return false;
    }
    if (version === 4) return routes.lookup4(ipv4DestinationBits(quotes, inner)) === ON_LINK;
    const word = (n: number) => readI32(quotes, inner + IPV6_DESTINATION + 4 * n);
    return routes.lookup6(word(0), word(1), word(2), word(3)) === ON_LINK;
  }

  /**
   * The kernel has judged the message (net.ipv4.route.min_pmtu): what it holds now counts, not what
   * the message said. Where this host itself refused the packet, sending failed and egress has told
   * the sender.
   */
  #tooBig(
    source: UnderlayErrors,
    error: number,
    { index }: IpipTunnel,
    inner: number,
    end: number,
    now_s: number,
  ): void {
    const row = error * ERROR_WORDS;
    const rows = this.#rows;
    const w0 = rows[row + ERROR_ADDRESS];
    const w1 = rows[row + ERROR_ADDRESS + 1];
    const w2 = rows[row + ERROR_ADDRESS + 2];
    const w3 = rows[row + ERROR_ADDRESS + 3];
    const path_bytes = source.pathMtu_bytes(w0, w1, w2, w3);
    if (path_bytes <= 0) return;
    setPathMtuOf(this.#parts.remotes.rows, w0, w1, w2, w3, path_bytes);
    if (inner < 0 || this.#isOurs(row + ERROR_OFFENDER)) return;
    this.#parts.answers.get(index)?.tooBig(path_bytes, this.#quotes, inner, end, now_s);
  }

  #unreachable(
    error: number,
    tunnel: IpipTunnel,
    remote: number,
    inner: number,
    end: number,
    now_s: number,
  ): void {
    const rows = this.#rows;
    const row = error * ERROR_WORDS;
    const { family, counters, unreachable, answers } = this.#parts;
    const kind = unreachableKind(family, rows[row + ERROR_TYPE], rows[row + ERROR_CODE]);
    if (kind === REACHABLE) return counters.drop(tunnel.index, ICMP_IGNORED, 1);
    const answer = answers.get(tunnel.index);
    if (kind === TTL_EXCEEDED && tunnel.ttl === 0) {
      // The inner packet's own TTL ended, as traceroute wants it: the remote is not to blame.
      if (inner >= 0) answer?.timeExceeded(this.#quotes, inner, end, now_s);
      return;
    }
    counters.drop(tunnel.index, PEER_UNREACHABLE, 1);
    const enough = inner >= 0 && this.#showsPacket(inner, end);
    if (enough) answer?.unreachable(kind, this.#quotes, inner, end, now_s);
    if (remote < 0) return;
    // The error about the first fragment shows more than that about a later one.
    const owed = isRelayed(kind) && !enough && inner !== LATER_FRAGMENT;
    unreachable.note(remote, kind, owed, now_s, rows, row + ERROR_OFFENDER);
  }

  /** Is enough quoted of the inner packet for its sender to be found, and to know it? */
  #showsPacket(inner: number, end: number): boolean {
    const quotes = this.#quotes;
    const there_bytes = end - inner;
    if (there_bytes < IPV4_HEADER_BYTES) return false;
    if (ipv4Version(quotes, inner) === 4) {
      const needed_bytes = ipv4HeaderLength(quotes, inner) + QUOTED_PAYLOAD_BYTES;
      return there_bytes >= Math.min(needed_bytes, ipv4TotalLength(quotes, inner));
    }
    if (there_bytes < IPV6_HEADER_BYTES) return false;
    const payload_bytes = Math.min(QUOTED_PAYLOAD_BYTES, ipv6PayloadLength(quotes, inner));
    return there_bytes >= IPV6_HEADER_BYTES + payload_bytes;
  }

  /** Is the address in `#rows` from `at` on the quote's source? */
  #isOurs(at: number): boolean {
    for (let word = 0; word < 4; word++) {
      if (this.#rows[at + word] !== this.#quoted[SOURCE + word]) return false;
    }
    return true;
  }
}
