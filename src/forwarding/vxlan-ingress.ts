// VXLAN ingress: underlay -> device. Per run (segments that native code proved alike), in this
// order:
//   1. VXLAN flags and VNI -> tunnel
//   2. outer source allowed?
//   3. inner source MAC: not ours, valid, VLAN tag wanted?
//   4. ECN [RFC 6040]
//   5. learning
//   6. to the device; a merged frame that nobody segmented gets the size to cut it into
// Order of the checks as in the kernel's vxlan_rcv; every drop is counted for each segment of the
// run.

import {
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
import {
  LOCATE_COLUMNS,
  LOCATE_END,
  LOCATE_L3,
  LOCATE_PAYLOAD,
  LOCATE_PROTOCOL,
  LOCATE_VERSION,
  locateFrame,
} from "../wire/locate.js";
import { isValidSourceMac, macHi, macLoBits } from "../wire/mac.js";
import {
  VXLAN_FLAG_VNI,
  VXLAN_HEADER_BYTES,
  vxlanFlags,
  vxlanReservedClean,
  vxlanVni,
} from "../wire/vxlan.js";
import {
  ECN_DROP,
  ECN_SET_CE,
  ECN_SET_ECT1,
  ecnMatters,
  ingressEcn,
  innerEcn,
  setEct1,
} from "./ecn.js";
import { ReceiveLoop } from "./receive-loop.js";
import type { VxlanTunnel } from "./vxlan-tunnel.js";

const TRUNCATED = DropReasons.truncated.id;
const BAD_FLAGS = DropReasons.badFlags.id;
const UNKNOWN_VNI = DropReasons.unknownVni.id;
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
  readonly #located = new Int32Array(LOCATE_COLUMNS);

  /** Demultiplexes this tunnel's VNI to it. */
  add(tunnel: VxlanTunnel): void {
    this.#tunnels.set(tunnel.vni, tunnel);
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
    if ((vxlanFlags(arena, at) & VXLAN_FLAG_VNI) === 0) {
      return this.counters.drop(NO_TUNNEL, BAD_FLAGS, segments);
    }
    const tunnel = this.#tunnels.get(vxlanVni(arena, at));
    if (tunnel === undefined) return this.counters.drop(NO_TUNNEL, UNKNOWN_VNI, segments);
    if (tunnel.strictReserved && !vxlanReservedClean(arena, at)) {
      return this.counters.drop(tunnel.index, BAD_FLAGS, segments);
    }
    const remote = this.admit(run, tunnel.index, tunnel.sources, now_s);
    if (remote < 0) return;
    const reason = this.#inspect(tunnel, row, remote, now_s);
    if (reason >= 0) return this.counters.drop(tunnel.index, reason, segments);
    runs[row + RUN_STRIP] = VXLAN_HEADER_BYTES;
    this.writer.assign(run, tunnel.device, remote);
  }

  /** Looks at the inner frame. @returns a drop reason, or -1 */
  #inspect(tunnel: VxlanTunnel, row: number, remote: number, now_s: number): number {
    const { runs, arena } = this.batch;
    const frame = runs[row + RUN_OFFSET] + VXLAN_HEADER_BYTES;
    const hi = macHi(arena, frame + SOURCE_MAC);
    const lo = macLoBits(arena, frame + SOURCE_MAC);
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
    return tunnel.learning ? this.#learn(tunnel, hi, lo, remote, now_s) : -1;
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

  /** @returns STATIC_MAC_MOVED, or -1: the frame passes whether its source was learned or not */
  #learn(tunnel: VxlanTunnel, hi: number, lo: number, remote: number, now_s: number): number {
    switch (tunnel.fdb.learn(hi, lo, remote, now_s, tunnel.maxMacsPerRemote)) {
      case FDB_ADDED:
        this.counters.addTunnel(tunnel.index, TunnelCounter.learned, 1);
        return -1;
      case FDB_MOVED:
        this.counters.addTunnel(tunnel.index, TunnelCounter.moved, 1);
        return -1;
      case FDB_STATIC_CONFLICT: {
        // A static entry with a port or VNI of its own: the kernel, too, compares addresses only
        // (vxlan_snoop).
        const fixed = tunnel.fdb.lookup(hi, lo);
        return fixed >= 0 && tunnel.sources.isHostOf(fixed, remote) ? -1 : STATIC_MAC_MOVED;
      }
      case FDB_FULL:
        this.counters.drop(tunnel.index, FDB_FULL_EVENT, 1);
        return -1;
      case FDB_REMOTE_FULL:
        this.counters.drop(tunnel.index, MAC_LIMIT_EVENT, 1);
        return -1;
      case FDB_BUSY:
        this.counters.drop(tunnel.index, FDB_BUSY_EVENT, 1);
        return -1;
      default:
        return -1;
    }
  }
}
