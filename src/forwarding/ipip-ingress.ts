// IPIP ingress: underlay -> device [RFC 2003]. Per received packet, in this order:
//   1. a whole outer IPv4 header of protocol 4
//   2. tunnel by outer addresses, in the kernel's order: local and remote, remote, local, wildcard
//      (ip_tunnel_lookup)
//   3. outer source allowed?
//   4. inner IPv4, TTL not 0; ECN [RFC 6040]
//   5. to the device
// The kernel's GRO may have merged many packets into one of up to 64 KiB before the raw socket sees
// it, its transport checksum reduced to the pseudo-header sum: such a packet goes on as a
// superpacket, cut as the MTU allows.

import {
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
import { PROTOCOL_IPIP, PROTOCOL_TCP } from "../wire/ip-protocol.js";
import {
  checkIpv4,
  IPV4_HEADER_BYTES,
  ipv4DestinationBits,
  ipv4HeaderLength,
  ipv4Protocol,
  ipv4SourceBits,
  ipv4Tos,
  ipv4TotalLength,
  ipv4Ttl,
} from "../wire/ipv4.js";
import {
  LOCATE_COLUMNS,
  LOCATE_END,
  LOCATE_PAYLOAD,
  LOCATE_PROTOCOL,
  LOCATE_VERSION,
  locatePacket,
} from "../wire/locate.js";
import { ECN_DROP, ECN_SET_CE, ECN_SET_ECT1, ingressEcn, setEct1 } from "./ecn.js";
import type { IpipTunnel } from "./ipip-tunnel.js";
import { ReceiveLoop } from "./receive-loop.js";

const TRUNCATED = DropReasons.truncated.id;
const NOT_IPIP = DropReasons.notIpip.id;
const NO_TUNNEL_REASON = DropReasons.noTunnel.id;
const INNER_NOT_IP = DropReasons.innerNotIp.id;
const INNER_MALFORMED = DropReasons.innerMalformed.id;
const TTL_ZERO = DropReasons.ttlZero.id;
const ECN = DropReasons.ecn.id;

/** Everything that arrives as IP protocol 4, for all IPIP tunnels. */
export class IpipIngress extends ReceiveLoop {
  /** Tunnels with a remote before those without: the first match is the most specific. */
  readonly #tunnels: IpipTunnel[] = [];
  readonly #located = new Int32Array(LOCATE_COLUMNS);

  add(tunnel: IpipTunnel): void {
    this.#tunnels.push(tunnel);
    const specific = ({ remote }: IpipTunnel) => Number(remote !== undefined);
    this.#tunnels.sort((a, b) => specific(b) - specific(a));
  }

  protected override decide(run: number, now_s: number): void {
    const { runs, arena } = this.batch;
    const row = run * RUN_WORDS;
    const at = runs[row + RUN_OFFSET];
    const end = at + runs[row + RUN_LENGTH];
    const counters = this.counters;
    if ((runs[row + RUN_FLAGS] & RUN_TRUNCATED) !== 0 || end - at < IPV4_HEADER_BYTES) {
      return counters.drop(NO_TUNNEL, TRUNCATED, 1);
    }
    if (!checkIpv4(arena, at, end) || ipv4Protocol(arena, at) !== PROTOCOL_IPIP) {
      return counters.drop(NO_TUNNEL, NOT_IPIP, 1);
    }
    const tunnel = this.#find(ipv4DestinationBits(arena, at), ipv4SourceBits(arena, at));
    if (tunnel === undefined) return counters.drop(NO_TUNNEL, NO_TUNNEL_REASON, 1);
    const remote = this.admit(run, tunnel.index, tunnel.sources, now_s);
    if (remote < 0) return;
    const reason = this.#inspect(tunnel, row, at + ipv4HeaderLength(arena, at));
    if (reason >= 0) return counters.dropOf(tunnel.index, remote, reason, 1);
    this.writer.assign(run, tunnel.device, remote);
  }

  #find(local: number, remote: number): IpipTunnel | undefined {
    for (let i = 0; i < this.#tunnels.length; i++) {
      const tunnel = this.#tunnels[i];
      if (tunnel.remote !== undefined && (tunnel.remote.w3 | 0) !== remote) continue;
      if ((tunnel.local.w3 | 0) === local || tunnel.local.w3 === 0) return tunnel;
    }
    return undefined;
  }

  /** Looks at the inner packet and prepares its row. @returns a drop reason, or -1 */
  #inspect(tunnel: IpipTunnel, row: number, inner: number): number {
    const { runs, arena } = this.batch;
    const at = runs[row + RUN_OFFSET];
    const end = at + ipv4TotalLength(arena, at);
    const located = this.#located;
    if (locatePacket(arena, inner, end, located) !== 0) return INNER_MALFORMED;
    if (located[LOCATE_VERSION] !== 4) return INNER_NOT_IP;
    if (ipv4Ttl(arena, inner) === 0) return TTL_ZERO;
    const ecn = ingressEcn(runs[row + RUN_TOS], ipv4Tos(arena, inner));
    if (ecn === ECN_DROP) return ECN;
    if (ecn === ECN_SET_CE) runs[row + RUN_FLAGS] |= RUN_SET_CE;
    if (ecn === ECN_SET_ECT1) setEct1(arena, inner, end, end - inner);
    runs[row + RUN_LENGTH] = end - at;
    runs[row + RUN_SEGMENT_BYTES] = end - at;
    runs[row + RUN_STRIP] = inner - at;
    const payload = located[LOCATE_PAYLOAD];
    const tcp = located[LOCATE_PROTOCOL] === PROTOCOL_TCP;
    if (tcp && payload >= 0 && located[LOCATE_END] - inner > tunnel.mtu_bytes) {
      runs[row + RUN_GSO_SIZE] = Math.max(1, tunnel.mtu_bytes - (payload - inner));
    }
    return -1;
  }
}
