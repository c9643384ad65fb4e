// The end of egress: sends a batch's send list, tries again where a second way exists, counts what
// came of it.
//
// A send that fails is never lost without a reason:
// - EIO: the egress device has no transmit checksum offload, which UDP_SEGMENT needs
//   (net/ipv4/udp.c, udp_send_skb). Segmentation is turned off for that remote and the send
//   repeated one datagram at a time.
// - EMSGSIZE, with UDP_SEGMENT before 2025 also EINVAL: a datagram exceeds the path MTU. The send
//   is repeated one datagram at a time, which IP fragments, as with the kernel's vxlan ("df
//   unset"); and the sender of a superpacket is told by ICMP what would fit, so that it need not
//   come to that again. Where nothing may be fragmented (IPIP) the frame is dropped and its sender
//   told.
// - EAGAIN, ENOBUFS: the socket or the device queue stayed full; dropped and counted, as a NIC
//   does.
// A repeated superpacket is sent from its start: segments that had left before the failure arrive
// twice.

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
import { EAGAIN, EINVAL, EIO, EMSGSIZE, ENOBUFS } from "../packet/errno.js";
import { REMOTE_FLAG_NO_GSO } from "../remotes/remote-rows.js";
import type { RemoteTable } from "../remotes/remote-table.js";
import { RemoteCounter, TunnelCounter, type WorkerCounters } from "../telemetry/counters.js";
import { DropReasons } from "../telemetry/drop-reasons.js";
import type { UnderlaySender } from "../underlay/underlay.js";

const TOO_BIG = DropReasons.tooBig.id;
const UNDERLAY_BUSY = DropReasons.underlayBusy.id;
const UNDERLAY_ERROR = DropReasons.underlayError.id;

/** Which failures are worth a second try: all, only a missing offload, none (it was the second). */
const REPEAT_ALL = 2;
const REPEAT_EIO = 1;
const REPEAT_NONE = 0;

/** Tells the sender of a frame that it was too big. */
export interface TooBigAnswerer {
  /**
   * Answers by ICMP, unless the frame would have fitted.
   * @param frame row of the frame in the batch
   * @param send row of the send list that failed: which remote, behind which header
   */
  answerTooBig(frame: number, send: number): void;
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
    batch.sendCount = this.#settle(tunnel, answerer, sender.fragments ? REPEAT_ALL : REPEAT_EIO);
    if (batch.sendCount > 0) {
      sender.sendBatch(batch);
      this.#settle(tunnel, answerer, REPEAT_NONE);
    }
    batch.beginSends();
  }

  /** Counts results. @returns sends to repeat, moved to the front of the list */
  #settle(tunnel: number, answerer: TooBigAnswerer, repeatable: number): number {
    const { sends, sendCount } = this.#batch;
    let repeat = 0;
    for (let row = 0; row < sendCount; row++) {
      const at = row * SEND_WORDS;
      const result = sends[at + SEND_RESULT];
      if (result > 0) {
        const inner_bytes = sends[at + SEND_BYTES] - result * sends[at + SEND_HEADER_BYTES];
        this.#countSent(tunnel, sends[at + SEND_REMOTE], result, inner_bytes);
      } else if (result < 0) {
        if (this.#canRepeat(row, -result, repeatable, answerer)) {
          this.#batch.moveSend(row, repeat++);
        } else {
          this.#countFailed(tunnel, row, -result, answerer);
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

  #canRepeat(row: number, errno: number, repeatable: number, answerer: TooBigAnswerer): boolean {
    const { sends } = this.#batch;
    const at = row * SEND_WORDS;
    if (repeatable === REPEAT_NONE || (sends[at + SEND_FLAGS] & SEND_NO_GSO) !== 0) return false;
    if (errno === EIO) {
      const remote = sends[at + SEND_REMOTE];
      if (remote >= 0) this.#remotes.setFlags(remote, REMOTE_FLAG_NO_GSO);
    } else if (repeatable === REPEAT_ALL && (errno === EMSGSIZE || errno === EINVAL)) {
      if (this.#isSuperpacket(sends[at + SEND_FRAME])) this.#answer(row, answerer);
    } else {
      return false;
    }
    sends[at + SEND_FLAGS] |= SEND_NO_GSO;
    return true;
  }

  #isSuperpacket(frame: number): boolean {
    return this.#batch.frames[frame * FRAME_WORDS + FRAME_GSO_TYPE] !== GSO_NONE;
  }

  #countFailed(tunnel: number, row: number, errno: number, answerer: TooBigAnswerer): void {
    const { sends } = this.#batch;
    const packets = this.#batch.wirePackets(sends[row * SEND_WORDS + SEND_FRAME]);
    const remote = sends[row * SEND_WORDS + SEND_REMOTE];
    if (errno === EMSGSIZE) {
      this.#counters.dropOf(tunnel, remote, TOO_BIG, packets);
      this.#answer(row, answerer);
    } else if (errno === EAGAIN || errno === ENOBUFS) {
      this.#counters.dropOf(tunnel, remote, UNDERLAY_BUSY, packets);
    } else {
      this.#counters.dropOf(tunnel, remote, UNDERLAY_ERROR, packets);
    }
  }

  #answer(row: number, answerer: TooBigAnswerer): void {
    const frame = this.#batch.sends[row * SEND_WORDS + SEND_FRAME];
    if (frame !== this.#answered) answerer.answerTooBig(frame, row);
    this.#answered = frame;
  }
}
