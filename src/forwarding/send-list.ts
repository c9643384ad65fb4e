// The end of egress: sends a batch's send list, tries again where a second way exists, counts what came of it.
//
// A send that fails is never lost without a reason:
// - EIO: the egress device has no transmit checksum offload, which UDP_SEGMENT needs (net/ipv4/udp.c, udp_send_skb).
//   Segmentation is turned off for that remote and the send repeated one datagram at a time.
// - EMSGSIZE: a datagram exceeds the path. Frames that were only grouped are repeated alone, where IP may fragment
//   them; a superpacket, or a frame that failed alone, is answered with an ICMP error from inside the tunnel.
// - EAGAIN, ENOBUFS: the socket or the device queue stayed full; dropped and counted, as a NIC does.

import {
  FRAME_GSO_TYPE,
  FRAME_WORDS,
  GSO_NONE,
  SEND_BYTES,
  SEND_FLAGS,
  SEND_FRAME,
  SEND_HEADER_BYTES,
  SEND_NO_GSO,
  SEND_REMOTE,
  SEND_RESULT,
  SEND_WORDS,
} from "#abi";
import type { EgressBatch } from "../packet/egress-batch.js";
import { REMOTE_FLAG_NO_GSO } from "../remotes/remote-rows.js";
import type { RemoteTable } from "../remotes/remote-table.js";
import { RemoteCounter, TunnelCounter, type WorkerCounters } from "../telemetry/counters.js";
import { DropReasons } from "../telemetry/drop-reasons.js";
import type { UnderlaySender } from "../underlay/underlay.js";

const EIO = 5;
const EAGAIN = 11;
const EMSGSIZE = 90;
const ENOBUFS = 105;

const TOO_BIG = DropReasons.tooBig.id;
const UNDERLAY_BUSY = DropReasons.underlayBusy.id;
const UNDERLAY_ERROR = DropReasons.underlayError.id;

/** Tells the sender of a frame that it was too big. */
export interface TooBigAnswerer {
  /** @param frame row of the frame in the batch */
  answerTooBig(frame: number): void;
}

export class SendList {
  readonly #batch: EgressBatch;
  readonly #remotes: RemoteTable;
  readonly #counters: WorkerCounters;
  /** Frame answered last: of one that was flooded many sends may fail, one after the other. */
  #answered = -1;

  constructor(batch: EgressBatch, remotes: RemoteTable, counters: WorkerCounters) {
    this.#batch = batch;
    this.#remotes = remotes;
    this.#counters = counters;
  }

  /** Sends and counts everything in the send list and empties it. */
  flush(sender: UnderlaySender, tunnel: number, answerer: TooBigAnswerer): void {
    const batch = this.#batch;
    if (batch.sendCount === 0) return;
    this.#answered = -1;
    sender.sendBatch(batch);
    batch.sendCount = this.#settle(tunnel, answerer, true);
    if (batch.sendCount > 0) {
      sender.sendBatch(batch);
      this.#settle(tunnel, answerer, false);
    }
    batch.beginSends();
  }

  /** Counts results. @returns sends to repeat, moved to the front of the list */
  #settle(tunnel: number, answerer: TooBigAnswerer, mayRepeat: boolean): number {
    const { sends, sendCount } = this.#batch;
    let repeat = 0;
    for (let row = 0; row < sendCount; row++) {
      const at = row * SEND_WORDS;
      const result = sends[at + SEND_RESULT];
      if (result > 0) {
        const inner_bytes = sends[at + SEND_BYTES] - result * sends[at + SEND_HEADER_BYTES];
        this.#countSent(tunnel, sends[at + SEND_REMOTE], result, inner_bytes);
      } else if (result < 0) {
        if (mayRepeat && this.#canRepeat(at, -result)) {
          this.#batch.moveSend(row, repeat++);
        } else {
          this.#countFailed(tunnel, at, -result, answerer);
        }
      }
    }
    return repeat;
  }

  #countSent(tunnel: number, remote: number, packets: number, bytes: number): void {
    const counters = this.#counters;
    counters.addTunnel(tunnel, TunnelCounter.egressPackets, packets);
    counters.addTunnel(tunnel, TunnelCounter.egressBytes, bytes);
    if (remote < 0) return;
    counters.addRemote(remote, RemoteCounter.egressPackets, packets);
    counters.addRemote(remote, RemoteCounter.egressBytes, bytes);
  }

  #canRepeat(at: number, errno: number): boolean {
    const sends = this.#batch.sends;
    if ((sends[at + SEND_FLAGS] & SEND_NO_GSO) !== 0) return false;
    if (errno === EIO) {
      const remote = sends[at + SEND_REMOTE];
      if (remote >= 0) this.#remotes.setFlags(remote, REMOTE_FLAG_NO_GSO);
    } else if (errno !== EMSGSIZE || this.#isSuperpacket(sends[at + SEND_FRAME])) {
      return false;
    }
    sends[at + SEND_FLAGS] |= SEND_NO_GSO;
    return true;
  }

  #isSuperpacket(frame: number): boolean {
    return this.#batch.frames[frame * FRAME_WORDS + FRAME_GSO_TYPE] !== GSO_NONE;
  }

  #countFailed(tunnel: number, at: number, errno: number, answerer: TooBigAnswerer): void {
    if (errno === EMSGSIZE) {
      this.#counters.drop(tunnel, TOO_BIG, 1);
      const frame = this.#batch.sends[at + SEND_FRAME];
      if (frame !== this.#answered) answerer.answerTooBig(frame);
      this.#answered = frame;
    } else if (errno === EAGAIN || errno === ENOBUFS) {
      this.#counters.drop(tunnel, UNDERLAY_BUSY, 1);
    } else {
      this.#counters.drop(tunnel, UNDERLAY_ERROR, 1);
    }
  }
}
