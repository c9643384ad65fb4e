// Frames of a TAP and packets of a TUN that exceed the path of their tunnel. May one be fragmented
// behind its outer header, or is its sender told: ICMP "fragmentation needed" or ICMPv6 "packet too
// big", on a TAP in an Ethernet frame back to it, as the kernel does on bridge ports
// (skb_tunnel_check_pmtu)? What happens to the frame is decided by the caller.
//
// The answer bears the frame's own destination, MAC and IP, as source: whoever it comes from, the
// sender matches it by the packet quoted in it, and an address behind the tunnel passes
// reverse-path filters. A group or broadcast address cannot be a source [RFC 4291 § 2.7], [RFC 1122
// § 3.2.2]: no answer then.

import { FRAME_LENGTH, FRAME_OFFSET, FRAME_WORDS } from "#abi";
import type { Device } from "../device/device.js";
import type { EgressBatch } from "../packet/egress-batch.js";
import { monotonicSeconds } from "../shared-memory/clock.js";
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
import { emitPacketTooBig } from "../wire/icmpv6-errors.js";
import { IPV4_DESTINATION, ipv4Destination, ipv4DontFragment, ipv4Version } from "../wire/ipv4.js";
import { IPV6_DESTINATION, IPV6_MIN_MTU_BYTES, readIpv6Address } from "../wire/ipv6.js";
import { LOCATE_COLUMNS, LOCATE_L3, LOCATE_VERSION, type locateFrame } from "../wire/locate.js";
import { isMulticastMac } from "../wire/mac.js";
import { PerSecond } from "./per-second.js";

/** Longest answer: Ethernet with two VLAN tags and an IPv6 packet of the minimum MTU. */
const ANSWER_BYTES = 1304;

/** Answers of one worker about one tunnel per second (kernel: net.ipv4.icmp_msgs_per_sec). */
export const TOO_BIG_ANSWERS_PER_S = 1000;

/** 224/4, and 240/4 with the limited broadcast in it. */
const FIRST_GROUP_BYTE = 224;
/** ff00::/8 */
const GROUP_BYTE6 = 0xff;

const DEVICE_ERROR = DropReasons.deviceError.id;

/** What is asked of a tunnel. */
interface Sending {
  readonly index: number;
  readonly device: Device;
}

export class TooBig {
  readonly #tunnel: Sending;
  readonly #batch: EgressBatch;
  readonly #counters: WorkerCounters;
  readonly #locate: typeof locateFrame;
  readonly #located = new Int32Array(LOCATE_COLUMNS);
  readonly #limit = new PerSecond(TOO_BIG_ANSWERS_PER_S);
  /** Frame answered last: one that is flooded may be too big for many. */
  #answered = -1;

  /** @param locate for what the device gives: `locateFrame` or `locatePacket` */
  constructor(
    tunnel: Sending,
    batch: EgressBatch,
    counters: WorkerCounters,
    locate: typeof locateFrame,
  ) {
    this.#tunnel = tunnel;
    this.#batch = batch;
    this.#counters = counters;
    this.#locate = locate;
  }

  /** Frames that come from now on are others. */
  beginBatch(): void {
    this.#answered = -1;
  }

  /**
   * May a frame that exceeds its path leave in fragments, as far as the frame is concerned? Not
   * IPv4 with DF, nor IPv6 whose sender can make it shorter; but what goes to a group, where nobody
   * can be told.
   */
  mayFragment(frame: number): boolean {
    const { arena, frames } = this.#batch;
    const at = frames[frame * FRAME_WORDS + FRAME_OFFSET];
    const end = at + frames[frame * FRAME_WORDS + FRAME_LENGTH];
    const located = this.#located;
    if (this.#locate(arena, at, end, located) !== 0) return true;
    const l3 = located[LOCATE_L3];
    if (isToGroup(arena, at, l3)) return true;
    if (located[LOCATE_VERSION] === 4) return !ipv4DontFragment(arena, l3);
    if (located[LOCATE_VERSION] !== 6) return true;
    return this.#batch.longestFrame_bytes(frame) - (l3 - at) <= IPV6_MIN_MTU_BYTES;
  }

  /**
   * Tells the sender of a frame that `mayFragment` denied, once; beyond TOO_BIG_ANSWERS_PER_S not.
   * @param longest_bytes the longest frame that fits
   */
  answer(frame: number, longest_bytes: number): void {
    if (frame === this.#answered) return;
    this.#answered = frame;
    if (!this.#limit.take(monotonicSeconds())) return;
    const { arena, frames } = this.#batch;
    const at = frames[frame * FRAME_WORDS + FRAME_OFFSET];
    const end = at + frames[frame * FRAME_WORDS + FRAME_LENGTH];
    if (this.#locate(arena, at, end, this.#located) !== 0) return;
    const out = this.#batch.allocateScratch(ANSWER_BYTES);
    if (out < 0) return;
    this.#batch.releaseScratch(out); // written and given to the device before anything else is allocated
    const length = this.#write(at, end, longest_bytes, out);
    if (length === 0) return;
    const { index, device } = this.#tunnel;
    if (device.write(arena, out, length) < 0) return this.#counters.drop(index, DEVICE_ERROR, 1);
    this.#counters.addTunnel(index, TunnelCounter.icmpErrors, 1);
  }

  /** Writes the answer at `out`. @returns its bytes, 0: none is allowed */
  #write(at: number, end: number, longest_bytes: number, out: number): number {
    const { arena } = this.#batch;
    const l3 = this.#located[LOCATE_L3];
    const header = l3 - at;
    const mtu_bytes = longest_bytes - header;
    let body = 0;
    if (this.#located[LOCATE_VERSION] === 4) {
      const source = ipv4Destination(arena, l3);
      body = emitFragmentationNeeded(arena, l3, end, source, mtu_bytes, arena, out + header);
    } else {
      const v6Mtu_bytes = Math.max(IPV6_MIN_MTU_BYTES, mtu_bytes);
      const source = readIpv6Address(arena, l3 + IPV6_DESTINATION);
      body = emitPacketTooBig(arena, l3, end, source, v6Mtu_bytes, arena, out + header);
    }
    if (body === 0 || header === 0) return body;
    arena.copyWithin(out, at, l3);
    writeEthernetDestination(arena, out, ethernetSourceHi(arena, at), ethernetSourceLo(arena, at));
    const hi = ethernetDestinationHi(arena, at);
    writeEthernetSource(arena, out, hi, ethernetDestinationLo(arena, at));
    return header + body;
  }
}

/** Is the frame at `at`, or the packet where no Ethernet header is (`l3` equals `at`), for many? */
function isToGroup(bytes: Uint8Array, at: number, l3: number): boolean {
  if (l3 > at) return isMulticastMac(ethernetDestinationHi(bytes, at));
  if (ipv4Version(bytes, at) === 4) return bytes[at + IPV4_DESTINATION] >= FIRST_GROUP_BYTE;
  return bytes[at + IPV6_DESTINATION] === GROUP_BYTE6;
}
