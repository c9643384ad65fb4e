// Answers for frames that exceed the path of a VXLAN tunnel: ICMP "fragmentation needed" or ICMPv6
// "packet too big", in an Ethernet frame back to the sender. Frames that are not IP, IPv4 without
// DF, and multicast get none.
//
// The answer bears the frame's own destination, MAC and IP, as source: whoever it comes from, the
// sender matches it by the packet quoted in it, and an address behind the tunnel passes
// reverse-path filters. A group or broadcast address cannot be a source [RFC 4291 § 2.7], [RFC 1122
// § 3.2.2]: no answer then.

import { FRAME_LENGTH, FRAME_OFFSET, FRAME_WORDS } from "#abi";
import type { EgressBatch } from "../packet/egress-batch.js";
import { TunnelCounter, type WorkerCounters } from "../telemetry/counters.js";
import { DropReasons } from "../telemetry/drop-reasons.js";
import {
  ethernetDestinationHi,
  ethernetDestinationLo,
  ethernetSourceHi,
  ethernetSourceLo,
  writeEthernetDestination,
  writeEthernetSource,
} from "../wire/ethernet.js";
import { emitFragmentationNeeded } from "../wire/icmp.js";
import { emitPacketTooBig } from "../wire/icmpv6.js";
import { ipv4Destination, ipv4DontFragment } from "../wire/ipv4.js";
import { IPV6_DESTINATION, IPV6_MIN_MTU_BYTES, readIpv6Address } from "../wire/ipv6.js";
import { LOCATE_COLUMNS, LOCATE_L3, LOCATE_VERSION, locateFrame } from "../wire/locate.js";
import { isMulticastMac } from "../wire/mac.js";
import type { VxlanTunnel } from "./vxlan-tunnel.js";

/** Longest answer: Ethernet with two VLAN tags and an IPv6 packet of the minimum MTU. */
const ANSWER_BYTES = 1304;

const DEVICE_ERROR = DropReasons.deviceError.id;

const located = new Int32Array(LOCATE_COLUMNS);

/**
 * @param frame row of the frame in the batch
 * @param mtu_bytes the longest inner packet that fits; a frame that does fit gets no answer
 */
export function answerTooBigFrame(
  batch: EgressBatch,
  frame: number,
  mtu_bytes: number,
  tunnel: VxlanTunnel,
  counters: WorkerCounters,
): void {
  const row = frame * FRAME_WORDS;
  const at = batch.frames[row + FRAME_OFFSET];
  const end = at + batch.frames[row + FRAME_LENGTH];
  if (locateFrame(batch.arena, at, end, located) !== 0) return;
  if (isMulticastMac(ethernetDestinationHi(batch.arena, at))) return;
  if (batch.longestFrame_bytes(frame) - (located[LOCATE_L3] - at) <= mtu_bytes) return;
  const out = batch.allocateScratch(ANSWER_BYTES);
  if (out < 0) return;
  batch.releaseScratch(out); // written and given to the device before anything else is allocated
  const arena = batch.arena;
  const l3 = located[LOCATE_L3];
  const header = l3 - at;
  let body = 0;
  if (located[LOCATE_VERSION] === 4 && ipv4DontFragment(arena, l3)) {
    const source = ipv4Destination(arena, l3);
    body = emitFragmentationNeeded(arena, l3, end, source, mtu_bytes, arena, out + header);
  } else if (located[LOCATE_VERSION] === 6) {
    const v6Mtu_bytes = Math.max(IPV6_MIN_MTU_BYTES, mtu_bytes);
    const source = readIpv6Address(arena, l3 + IPV6_DESTINATION);
    body = emitPacketTooBig(arena, l3, end, source, v6Mtu_bytes, arena, out + header);
  }
  if (body === 0) return;
  arena.copyWithin(out, at, l3);
  writeEthernetDestination(arena, out, ethernetSourceHi(arena, at), ethernetSourceLo(arena, at));
  const hi = ethernetDestinationHi(arena, at);
  writeEthernetSource(arena, out, hi, ethernetDestinationLo(arena, at));
  if (tunnel.device.write(arena, out, header + body) < 0) {
    return counters.drop(tunnel.index, DEVICE_ERROR, 1);
  }
  counters.addTunnel(tunnel.index, TunnelCounter.icmpErrors, 1);
}
