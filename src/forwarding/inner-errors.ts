// ICMP errors to those whose packets got lost in an IPIP tunnel, written to its TUN device. The
// packet in question may be whole, or as much of it as somebody quoted. What an error of the
// underlay means is tunnel-errors.ts; who is told, and of what, the caller decides.
//
// The answer bears the packet's own destination as source, as in too-big.ts: an address behind the
// tunnel passes the host's reverse-path filter, one of the host's own would be taken for a forgery.

import type { UnreachableRows } from "../remotes/unreachable-rows.js";
import { REACHABLE } from "../remotes/unreachable-rows.js";
import { monotonicSeconds } from "../shared-memory/clock.js";
import { TunnelCounter, type WorkerCounters } from "../telemetry/counters.js";
import { DropReasons } from "../telemetry/drop-reasons.js";
import {
  emitFragmentationNeeded,
  emitIcmpError,
  ICMP_CODE_TTL_EXCEEDED,
  ICMP_DESTINATION_UNREACHABLE,
  ICMP_TIME_EXCEEDED,
} from "../wire/icmp.js";
import { ICMPV6_DESTINATION_UNREACHABLE, ICMPV6_TIME_EXCEEDED } from "../wire/icmpv6.js";
import { emitIcmpv6Error, emitPacketTooBig } from "../wire/icmpv6-errors.js";
import {
  IPV4_HEADER_BYTES,
  ipv4Destination,
  ipv4DontFragment,
  ipv4TotalLength,
} from "../wire/ipv4.js";
import {
  IPV6_DESTINATION,
  IPV6_HEADER_BYTES,
  IPV6_MIN_MTU_BYTES,
  ipv6PayloadLength,
  readIpv6Address,
} from "../wire/ipv6.js";
import type { IpipTunnel } from "./ipip-tunnel.js";
import { PerSecond } from "./per-second.js";
import { innerCode4, isRelayed } from "./tunnel-errors.js";

/** Answers of one worker about one tunnel per second (kernel: net.ipv4.icmp_msgs_per_sec). */
export const UNREACHABLE_ANSWERS_PER_S = 1000;

/** Longest answer: an IPv6 packet of the minimum MTU. */
const ANSWER_BYTES = IPV6_MIN_MTU_BYTES;
/** Code of ICMPv6 destination unreachable [RFC 4443 § 3.1]. */
const CODE_ADDRESS_UNREACHABLE = 3;
/** ff00::/8 */
const IPV6_GROUP_BYTE = 0xff;
/** Code of ICMPv6 time exceeded. */
const CODE_HOP_LIMIT_EXCEEDED = 0;

const DEVICE_ERROR = DropReasons.deviceError.id;

export class InnerErrors {
  readonly #tunnel: IpipTunnel;
  readonly #counters: WorkerCounters;
  readonly #rows: UnreachableRows;
  readonly #limit = new PerSecond(UNREACHABLE_ANSWERS_PER_S);
  readonly #out = new Uint8Array(ANSWER_BYTES);

  constructor(tunnel: IpipTunnel, rows: UnreachableRows, counters: WorkerCounters) {
    this.#tunnel = tunnel;
    this.#rows = rows;
    this.#counters = counters;
  }

  /**
   * Hot: tells the sender of a packet that is about to leave that its remote was unreachable just
   * now, if somebody before it should have been told and could not be. The packet leaves all the
   * same: that is how a tunnel recovers.
   * @param row of the remote; negative: it has none
   */
  tellIfOwed(row: number, bytes: Uint8Array, at: number, end: number): void {
    if (row >= 0 && this.#rows.isOwed(row)) this.#tellOwed(row, bytes, at, end);
  }

  #tellOwed(row: number, bytes: Uint8Array, at: number, end: number): void {
    const now_s = monotonicSeconds();
    const kind = this.#rows.takeOwed(row, now_s);
    if (kind !== REACHABLE) this.unreachable(kind, bytes, at, end, now_s);
  }

  /**
   * Tells the sender of the packet `at`..`end` that its destination cannot be reached. @returns
   * whether it was told
   */
  unreachable(kind: number, bytes: Uint8Array, at: number, end: number, now_s: number): boolean {
    if (!isRelayed(kind) || !this.#mayWrite(bytes, at, end, now_s)) return false;
    const out = this.#out;
    const { family } = this.#tunnel;
    if (bytes[at] >>> 4 === 4) {
      const type = ICMP_DESTINATION_UNREACHABLE;
      const code = innerCode4(family, kind);
      const source = ipv4Destination(bytes, at);
      return this.#write(emitIcmpError(type, code, 0, bytes, at, end, source, out, 0));
    }
    const type = ICMPV6_DESTINATION_UNREACHABLE;
    const source = readIpv6Address(bytes, at + IPV6_DESTINATION);
    const code = CODE_ADDRESS_UNREACHABLE;
    return this.#write(emitIcmpv6Error(type, code, bytes, at, end, source, out, 0));
  }

  /**
   * Tells the sender of the packet `at`..`end` that its TTL or hop limit ended in the tunnel, which
   * takes it from the inner header (`ttl: inherit`). @returns whether it was told
   */
  timeExceeded(bytes: Uint8Array, at: number, end: number, now_s: number): boolean {
    if (!this.#mayWrite(bytes, at, end, now_s)) return false;
    const out = this.#out;
    if (bytes[at] >>> 4 === 4) {
      const type = ICMP_TIME_EXCEEDED;
      const code = ICMP_CODE_TTL_EXCEEDED;
      const source = ipv4Destination(bytes, at);
      return this.#write(emitIcmpError(type, code, 0, bytes, at, end, source, out, 0));
    }
    const type = ICMPV6_TIME_EXCEEDED;
    const source = readIpv6Address(bytes, at + IPV6_DESTINATION);
    const code = CODE_HOP_LIMIT_EXCEEDED;
    return this.#write(emitIcmpv6Error(type, code, bytes, at, end, source, out, 0));
  }

  /**
   * Tells the sender of the packet `at`..`end` how long a packet may be, if it is longer and must
   * not be fragmented. @param path_bytes the longest outer packet that fits
   */
  tooBig(path_bytes: number, bytes: Uint8Array, at: number, end: number, now_s: number): boolean {
    if (!this.#mayWrite(bytes, at, end, now_s)) return false;
    const out = this.#out;
    const header_bytes = this.#tunnel.family === 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
    const mtu_bytes = path_bytes - header_bytes;
    if (bytes[at] >>> 4 === 4) {
      if (!ipv4DontFragment(bytes, at) || ipv4TotalLength(bytes, at) <= mtu_bytes) return false;
      const source = ipv4Destination(bytes, at);
      return this.#write(emitFragmentationNeeded(bytes, at, end, source, mtu_bytes, out, 0));
    }
    // To a group it would be allowed [RFC 4443 § 2.4 (e)], but from whom?
    if (bytes[at + IPV6_DESTINATION] === IPV6_GROUP_BYTE) return false;
    const v6Mtu_bytes = Math.max(IPV6_MIN_MTU_BYTES, mtu_bytes);
    if (IPV6_HEADER_BYTES + ipv6PayloadLength(bytes, at) <= v6Mtu_bytes) return false;
    const source = readIpv6Address(bytes, at + IPV6_DESTINATION);
    return this.#write(emitPacketTooBig(bytes, at, end, source, v6Mtu_bytes, out, 0));
  }

  /** Are there enough bytes to look at, of a packet that the tunnel carries, and is it time? */
  #mayWrite(bytes: Uint8Array, at: number, end: number, now_s: number): boolean {
    const version = bytes[at] >>> 4;
    const four = version === 4 && this.#tunnel.carries4 && end - at >= IPV4_HEADER_BYTES;
    const six = version === 6 && this.#tunnel.carries6 && end - at >= IPV6_HEADER_BYTES;
    return (four || six) && this.#limit.take(now_s);
  }

  /** @param length of the answer in `#out`, 0: none is allowed */
  #write(length: number): boolean {
    if (length === 0) return false;
    const { index, device } = this.#tunnel;
    if (device.write(this.#out, 0, length) < 0) {
      this.#counters.drop(index, DEVICE_ERROR, 1);
      return false;
    }
    this.#counters.addTunnel(index, TunnelCounter.icmpErrors, 1);
    return true;
  }
}
