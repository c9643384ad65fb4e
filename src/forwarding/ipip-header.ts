// The outer header of an IPIP packet: IPv4 [RFC 2003 § 3.1, RFC 4213 § 3.5] or IPv6 [RFC 2473 § 6].
// TOS, TTL and DF by the rules of ip-tunnel(8), ECN always copied [RFC 6040 § 4.1]. What the kernel
// fills in of an IPv4 header that it is given (raw(7)) is left to it: length, identification,
// checksum, and a source of zero. Decides no destination.

import { PROTOCOL_IPIP, PROTOCOL_IPV6 } from "../wire/ip-protocol.js";
import {
  IPV4_HEADER_BYTES,
  ipv4DontFragment,
  ipv4Tos,
  ipv4Ttl,
  writeIpv4Header,
} from "../wire/ipv4.js";
import {
  IPV6_HEADER_BYTES,
  ipv6HopLimit,
  ipv6TrafficClass,
  writeIpv6Header,
} from "../wire/ipv6.js";
import { ECN_MASK } from "./ecn.js";
import type { IpipSettings } from "./ipip-tunnel.js";

const INHERIT_TOS = -1;
const INHERIT_TTL = 0;
/** What the length fields of both families hold; more is cut up or refused by the kernel. */
const MAX_LENGTH_BYTES = 0xffff;

export class IpipHeader {
  /** In front of each packet. */
  readonly bytes: number;
  readonly #v6: boolean;
  readonly #tos: number;
  readonly #ttl: number;
  readonly #pmtudisc: boolean;
  readonly #local: Int32Array;

  constructor({ family, tos, ttl, pmtudisc, local }: IpipSettings) {
    this.bytes = family === 6 ? IPV6_HEADER_BYTES : IPV4_HEADER_BYTES;
    this.#v6 = family === 6;
    this.#tos = tos;
    this.#ttl = ttl;
    this.#pmtudisc = pmtudisc;
    this.#local = Int32Array.of(local.w0, local.w1, local.w2, local.w3);
  }

  /**
   * Writes the header of the packet `at`..`end` in front of it. Hot.
   * @param version of the packet, 4 or 6
   * @param destination four words
   * @param flowLabel of an IPv6 header [RFC 6438]
   */
  write(
    arena: Uint8Array,
    at: number,
    end: number,
    version: number,
    destination: Int32Array,
    flowLabel: number,
  ): void {
    const inner4 = version === 4;
    const innerTos = inner4 ? ipv4Tos(arena, at) : ipv6TrafficClass(arena, at);
    const tos = this.#tos === INHERIT_TOS ? innerTos : this.#tos | (innerTos & ECN_MASK);
    let ttl = this.#ttl;
    if (ttl === INHERIT_TTL) ttl = inner4 ? ipv4Ttl(arena, at) : ipv6HopLimit(arena, at);
    const protocol = inner4 ? PROTOCOL_IPIP : PROTOCOL_IPV6;
    const header = at - this.bytes;
    if (this.#v6) {
      const length = Math.min(MAX_LENGTH_BYTES, end - at);
      const source = this.#local;
      writeIpv6Header(arena, header, tos, flowLabel, length, protocol, ttl, source, destination);
      return;
    }
    // Without path MTU discovery IPv6 inside leaves DF clear [RFC 4213 § 3.2.1].
    const df = this.#pmtudisc || (inner4 && ipv4DontFragment(arena, at));
    const length = Math.min(MAX_LENGTH_BYTES, end - header);
    const source = this.#local[3];
    writeIpv4Header(arena, header, tos, length, df, ttl, protocol, source, destination[3]);
  }
}
