// VXLAN ingress: underlay -> device. Per run (segments that native code proved alike), in this
// order:
//   1. VXLAN flags and VNI -> tunnel; a keepalive (keepalive-responder.ts) ends here
//   2. outer source allowed?
//   3. VXLAN header: checksum to finish, policy group
//   4. inner source MAC: not ours, valid, VLAN tag wanted?
//   5. ECN [RFC 6040]
//   6. learning
//   7. to the device; a merged frame that nobody segmented gets the size to cut it into
// Order of the checks as in the kernel's vxlan_rcv; every drop is counted for each segment of the
// run.

import {
  RUN_ADDRESS,
  RUN_FLAGS,
  RUN_GSO_SIZE,
  RUN_LENGTH,
  RUN_OFFSET,
  RUN_SEGMENT_BYTES,
  RUN_SEGMENTS,
  RUN_SET_CE,
  RUN_STRIP,
  RUN_TOS,
  RUN_TRUNCATED,
  RUN_WORDS,
} from "#abi";
import {
  FDB_ADDED,
  FDB_BUSY,
  FDB_FULL,
  FDB_MOVED,
  FDB_REMOTE_FULL,
  FDB_STATIC_CONFLICT,
} from "../fdb/fdb.js";
import { NO_TUNNEL, TunnelCounter } from "../telemetry/counters.js";
import { DropReasons } from "../telemetry/drop-reasons.js";
import {
  ETHERNET_HEADER_BYTES,
  ETHERTYPE_QINQ,
  ETHERTYPE_VLAN,
  etherType,
} from "../wire/ethernet.js";
import { PROTOCOL_TCP } from "../wire/ip-protocol.js";
import { isKeepalive } from "../wire/keepalive.js";
import {
  LOCATE_COLUMNS,
  LOCATE_END,
  LOCATE_L3,
  LOCATE_PAYLOAD,
  LOCATE_PROTOCOL,
  LOCATE_VERSION,
  locateFrame,
} from "../wire/locate.js";
import { isMulticastMac, isValidSourceMac, macHi, macLoBits } from "../wire/mac.js";
import {
  VXLAN_FLAG_VNI,
  VXLAN_HEADER_BYTES,
  vxlanDontLearn,
  vxlanFlags,
  vxlanHasRemoteChecksum,
  vxlanReservedClean,
  vxlanVni,
} from "../wire/vxlan.js";
import { BUCKET_INGRESS, BumLimit } from "./bum-limit.js";
import {
  ECN_DROP,
  ECN_SET_CE,
  ECN_SET_ECT1,
  ecnMatters,
  ingressEcn,
  innerEcn,
  setEct1,
} from "./ecn.js";
import { GBP_OFF, gbpAdmits } from "./gbp.js";
import type { KeepaliveResponder } from "./keepalive-responder.js";
import { type IngressParts, ReceiveLoop } from "./receive-loop.js";
import { remoteChecksumFits } from "./remote-checksum.js";
import type { VxlanTunnel } from "./vxlan-tunnel.js";

const TRUNCATED = DropReasons.truncated.id;
const BAD_FLAGS = DropReasons.badFlags.id;
const UNKNOWN_VNI = DropReasons.unknownVni.id;
const BAD_REMCSUM = DropReasons.badRemcsum.id;
const GBP_DENIED = DropReasons.gbpDenied.id;
const BUM_LIMIT = DropReasons.bumLimitIngress.id;
const OWN_SOURCE = DropReasons.ownSource.id;
const INVALID_SOURCE_MAC = DropReasons.invalidSourceMac.id;
const STATIC_MAC_MOVED = DropReasons.staticMacMoved.id;
const INNER_VLAN = DropReasons.innerVlan.id;
const INNER_MALFORMED = DropReasons.innerMalformed.id;
const ECN = DropReasons.ecn.id;
const FDB_FULL_EVENT = DropReasons.fdbFull.id;
const FDB_BUSY_EVENT = DropReasons.fdbBusy.id;
const MAC_LIMIT_EVENT = DropReasons.macLimit.id;

const MIN_DATAGRAM_BYTES = VXLAN_HEADER_BYTES + ETHERNET_HEADER_BYTES;
const SOURCE_MAC = 6;

/** Everything that arrives at one UDP port, for all tunnels that share it. */
export class VxlanIngress extends ReceiveLoop {
  readonly #tunnels = new Map<number, VxlanTunnel>();
  readonly #keepalives: KeepaliveResponder;
  /** Of the tunnels that have one, by tunnel index. */
  readonly #limits = new Map<number, BumLimit>();
  readonly #located = new Int32Array(LOCATE_COLUMNS);

  constructor(parts: IngressParts, keepalives: KeepaliveResponder) {
    super(parts);
    this.#keepalives = keepalives;
  }

  /** Demultiplexes this tunnel's VNI to it. */
  add(tunnel: VxlanTunnel): void {
    const { index, bumBuckets, bumLimit_pps } = tunnel;
    this.#tunnels.set(tunnel.vni, tunnel);
    if (bumLimit_pps === 0) return;
    this.#limits.set(index, new BumLimit(bumBuckets, BUCKET_INGRESS, bumLimit_pps));
  }

  protected override decide(run: number, now_s: number): void {
    const { runs, arena } = this.batch;
    const row = run * RUN_WORDS;
    const at = runs[row + RUN_OFFSET];
    const segments = runs[row + RUN_SEGMENTS];
    const truncated = (runs[row + RUN_FLAGS] & RUN_TRUNCATED) !== 0;
    if (truncated || runs[row + RUN_SEGMENT_BYTES] < MIN_DATAGRAM_BYTES) {
      return this.counters.drop(NO_TUNNEL, TRUNCATED, segments);
    }
    if ((vxlanFlags(arena, at) & VXLAN_FLAG_VNI) === 0) return this.#withoutVni(run, now_s);
    const tunnel = this.#tunnels.get(vxlanVni(arena, at));
    if (tunnel === undefined) return this.counters.drop(NO_TUNNEL, UNKNOWN_VNI, segments);
    if (tunnel.strictReserved && !this.#isClean(tunnel, at)) {
      return this.counters.drop(tunnel.index, BAD_FLAGS, segments);
    }
    const remote = this.admit(run, tunnel.index, tunnel.sources, now_s);
    if (remote < 0) return;
    const reason = this.#inspect(tunnel, row, remote, now_s);
    if (reason >= 0) return this.#refuse(tunnel, row, remote, reason);
    runs[row + RUN_STRIP] = VXLAN_HEADER_BYTES;
    this.writer.assign(run, tunnel.device, remote);
  }

  #refuse({ index }: VxlanTunnel, row: number, remote: number, reason: number): void {
    const { runs } = this.batch;
    const segments = runs[row + RUN_SEGMENTS];
    this.counters.dropOf(index, remote, reason, segments);
    // A matter of policy between two administrators: they will ask who it was.
    if (reason === GBP_DENIED) {
      this.events.refusedSource(index, reason, runs, row + RUN_ADDRESS, segments);
    }
  }

  /** No I flag: a keepalive, else a fault. */
  #withoutVni(run: number, now_s: number): void {
    const { runs, arena } = this.batch;
    const at = runs[run * RUN_WORDS + RUN_OFFSET];
    const segments = runs[run * RUN_WORDS + RUN_SEGMENTS];
    if (!isKeepalive(arena, at)) return this.counters.drop(NO_TUNNEL, BAD_FLAGS, segments);
    const tunnel = this.#tunnels.get(vxlanVni(arena, at));
    if (tunnel === undefined) return this.counters.drop(NO_TUNNEL, UNKNOWN_VNI, segments);
    const remote = tunnel.sources.admit(runs, run * RUN_WORDS + RUN_ADDRESS, now_s);
    this.#keepalives.take(this.batch, run, tunnel, remote, now_s);
  }

  #isClean({ gbpId, remcsumRx }: VxlanTunnel, at: number): boolean {
    return vxlanReservedClean(this.batch.arena, at, gbpId !== GBP_OFF, remcsumRx);
  }

  /** Looks at VXLAN header and inner frame. @returns a drop reason, or -1 */
  #inspect(tunnel: VxlanTunnel, row: number, remote: number, now_s: number): number {
    const { runs, arena } = this.batch;
    const header = runs[row + RUN_OFFSET];
    const frame = header + VXLAN_HEADER_BYTES;
    if (tunnel.remcsumRx && vxlanHasRemoteChecksum(arena, header)) {
      const end = header + runs[row + RUN_SEGMENT_BYTES];
      if (!remoteChecksumFits(arena, header, frame, end, this.#located)) return BAD_REMCSUM;
    }
    if (!gbpAdmits(tunnel, arena, header)) return GBP_DENIED;
    const hi = macHi(arena, frame + SOURCE_MAC);
    const lo = macLoBits(arena, frame + SOURCE_MAC);
    if (tunnel.bumLimit_pps > 0 && this.#exceedsLimit(tunnel, row, frame)) return BUM_LIMIT;
    if (hi === tunnel.macHi && lo === tunnel.macLo) return OWN_SOURCE;
    if (!isValidSourceMac(hi, lo)) return INVALID_SOURCE_MAC;
    if (tunnel.dropInnerVlan && this.#isTagged(frame)) return INNER_VLAN;
    const needsLook =
      ecnMatters(runs[row + RUN_TOS]) ||
      (runs[row + RUN_SEGMENTS] === 1 && this.#exceedsMtu(tunnel, row));
    if (needsLook) {
      const reason = this.#look(tunnel, row, frame);
      if (reason >= 0) return reason;
    }
    if (!tunnel.learning || this.#mustNotLearn(tunnel, header)) return -1;
    return this.#learn(tunnel, hi, lo, remote, now_s, runs[row + RUN_SEGMENTS]);
  }

  #mustNotLearn({ gbpId }: VxlanTunnel, header: number): boolean {
    return gbpId !== GBP_OFF && vxlanDontLearn(this.batch.arena, header);
  }

  /** Is it broadcast or multicast, and more of it than the tunnel takes? */
  #exceedsLimit(tunnel: VxlanTunnel, row: number, frame: number): boolean {
    const { runs, arena } = this.batch;
    if (!isMulticastMac(macHi(arena, frame))) return false;
    const limit = this.#limits.get(tunnel.index);
    return limit !== undefined && !limit.take(runs[row + RUN_SEGMENTS], this.now_ms);
  }

  #isTagged(frame: number): boolean {
    const type = etherType(this.batch.arena, frame);
    return type === ETHERTYPE_VLAN || type === ETHERTYPE_QINQ;
  }

  #exceedsMtu(tunnel: VxlanTunnel, row: number): boolean {
    return this.batch.runs[row + RUN_LENGTH] - MIN_DATAGRAM_BYTES > tunnel.mtu_bytes;
  }

  /** The rarer inner checks, which need the headers located. @returns a drop reason, or -1 */
  #look(tunnel: VxlanTunnel, row: number, frame: number): number {
    const { runs, arena } = this.batch;
    const located = this.#located;
    const end = runs[row + RUN_OFFSET] + runs[row + RUN_SEGMENT_BYTES];
    if (locateFrame(arena, frame, end, located) !== 0) return INNER_MALFORMED;
    if (located[LOCATE_VERSION] === 0) return -1;
    const l3 = located[LOCATE_L3];
    const ecn = ingressEcn(runs[row + RUN_TOS], innerEcn(arena, located));
    if (ecn === ECN_DROP) return ECN;
    if (ecn === ECN_SET_CE) runs[row + RUN_FLAGS] |= RUN_SET_CE;
    if (ecn === ECN_SET_ECT1) {
      setEct1(
        arena,
        l3,
        runs[row + RUN_OFFSET] + runs[row + RUN_LENGTH],
        runs[row + RUN_SEGMENT_BYTES],
      );
    }
    // A TCP sender on this machine whose segmentation never ran: cut it as the device's MTU allows.
    // A UDP datagram is one message: without the size it was merged from, it stays whole.
    const payload = located[LOCATE_PAYLOAD];
    if (
      located[LOCATE_PROTOCOL] === PROTOCOL_TCP &&
      payload >= 0 &&
      runs[row + RUN_GSO_SIZE] === 0 &&
      located[LOCATE_END] - l3 > tunnel.mtu_bytes
    ) {
      runs[row + RUN_GSO_SIZE] = Math.max(1, tunnel.mtu_bytes - (payload - l3));
    }
    return -1;
  }

  /** @returns STATIC_MAC_MOVED, or -1: the frames pass whether their source was learned or not */
  #learn(
    tunnel: VxlanTunnel,
    hi: number,
    lo: number,
    remote: number,
    now_s: number,
    segments: number,
  ): number {
    const { index, fdb } = tunnel;
    switch (fdb.learn(hi, lo, remote, now_s, tunnel.maxMacsPerRemote)) {
      case FDB_ADDED:
        this.counters.addTunnel(index, TunnelCounter.learned, 1);
        this.events.learned(index, hi, lo, remote);
        return -1;
      case FDB_MOVED:
        this.counters.addTunnel(index, TunnelCounter.moved, 1);
        this.events.moved(index, hi, lo, remote, fdb.movedFrom);
        return -1;
      case FDB_STATIC_CONFLICT:
        this.events.refusedMac(index, STATIC_MAC_MOVED, remote, hi, lo, segments);
        return STATIC_MAC_MOVED;
      case FDB_FULL:
        this.counters.drop(index, FDB_FULL_EVENT, 1);
        this.events.refusedMac(index, FDB_FULL_EVENT, remote, hi, lo, 1);
        return -1;
      case FDB_REMOTE_FULL:
        this.counters.drop(index, MAC_LIMIT_EVENT, 1);
        this.events.refusedMac(index, MAC_LIMIT_EVENT, remote, hi, lo, 1);
        return -1;
      case FDB_BUSY:
        this.counters.drop(index, FDB_BUSY_EVENT, 1);
        return -1;
      default:
        return -1;
    }
  }
}
