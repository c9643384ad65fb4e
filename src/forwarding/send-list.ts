// The end of egress: sends a batch's send list, tries again where a second way exists, counts what
// came of it.
//
// A send that fails is never lost without a reason:
// - EIO: the egress device has no transmit checksum offload, which UDP_SEGMENT needs
//   (net/ipv4/udp.c, udp_send_skb). Segmentation is turned off for that remote and the send
//   repeated one datagram at a time.
// - EMSGSIZE, with UDP_SEGMENT before 2025 also EINVAL: a datagram exceeds the path MTU, which was
//   not known. Whoever made the list says what becomes of the frame: repeated one datagram at a
//   time, because it fits (of several in one message another did not) or because it may be
//   fragmented; or dropped and its sender told by ICMP.
// - EAGAIN, ENOBUFS: the socket or the device queue stayed full; dropped and counted, as a NIC
//   does.
// Segments of a superpacket that left although others failed count as sent, only the others as
// dropped. A repeated superpacket is sent from its start: such segments arrive, and count, twice.

import {
  SEND_BYTES,
  SEND_FLAGS,
  SEND_FRAGMENTS,
  SEND_FRAME,
  SEND_HEADER_BYTES,
  SEND_NO_GSO,
  SEND_PARTLY,
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

/** Decides what becomes of a frame that did not fit the path. */
export interface TooBigHandler {
  /**
   * May the frame be sent again, one datagram at a time? If it may not, its sender has been told.
   * @param frame row of the frame in the batch
   * @param send row of the send list that failed: which remote, behind which header
   */
  tooBig(frame: number, send: number): boolean;
}

export class SendList {
  readonly #batch: EgressBatch;
  readonly #remotes: RemoteTable;
  readonly #counters: WorkerCounters;

  constructor(batch: EgressBatch, remotes: RemoteTable, counters: WorkerCounters) {
    this.#batch = batch;
    this.#remotes = remotes;
    this.#counters = counters;
  }

  /** Sends and counts everything in the send list and empties it. */
  flush(sender: UnderlaySender, tunnel: number, handler: TooBigHandler): void {
    const batch = this.#batch;
    if (batch.sendCount === 0) return;
    sender.sendBatch(batch);
    batch.sendCount = this.#settle(tunnel, handler, sender.fragments ? REPEAT_ALL : REPEAT_EIO);
    if (batch.sendCount > 0) {
      sender.sendBatch(batch);
      this.#settle(tunnel, handler, REPEAT_NONE);
    }
    batch.beginSends();
  }

  /** Counts results. @returns sends to repeat, moved to the front of the list */
  #settle(tunnel: number, handler: TooBigHandler, repeatable: number): number {
    const { sends, sendCount } = this.#batch;
    let repeat = 0;
    for (let row = 0; row < sendCount; row++) {
      const at = row * SEND_WORDS;
      const result = sends[at + SEND_RESULT];
      const sent = result < 0 ? sends[at + SEND_PARTLY] : result;
      if (sent > 0) {
        const inner_bytes = sends[at + SEND_BYTES] - sent * sends[at + SEND_HEADER_BYTES];
        this.#countSent(tunnel, sends[at + SEND_REMOTE], sent, inner_bytes);
        if ((sends[at + SEND_FLAGS] & SEND_FRAGMENTS) !== 0) {
          this.#counters.addTunnel(tunnel, TunnelCounter.fragmented, sent);
        }
      }
      if (result >= 0) continue;
      if (this.#canRepeat(row, -result, repeatable, handler)) {
        this.#batch.moveSend(row, repeat++);
      } else {
        this.#countFailed(tunnel, row, -result, sent);
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

  /** May a failed send be tried a second way? What it takes for that is done. */
  #canRepeat(row: number, errno: number, repeatable: number, handler: TooBigHandler): boolean {
    const { sends } = this.#batch;
    const at = row * SEND_WORDS;
    const alone = (sends[at + SEND_FLAGS] & SEND_NO_GSO) !== 0;
    if (errno === EIO && repeatable !== REPEAT_NONE && !alone) {
      const remote = sends[at + SEND_REMOTE];
      if (remote >= 0) this.#remotes.setFlags(remote, REMOTE_FLAG_NO_GSO);
    } else if (errno === EMSGSIZE || (errno === EINVAL && repeatable === REPEAT_ALL && !alone)) {
      const mayRepeat = handler.tooBig(sends[at + SEND_FRAME], row);
      if (!mayRepeat || repeatable !== REPEAT_ALL || alone) return false;
    } else {
      return false;
    }
    sends[at + SEND_FLAGS] |= SEND_NO_GSO;
    return true;
  }

  /** @param sent packets of it that left all the same */
  #countFailed(tunnel: number, row: number, errno: number, sent: number): void {
    const { sends } = this.#batch;
    const packets = this.#batch.wirePackets(sends[row * SEND_WORDS + SEND_FRAME]) - sent;
    const remote = sends[row * SEND_WORDS + SEND_REMOTE];
    if (errno === EMSGSIZE) {
      this.#counters.dropOf(tunnel, remote, TOO_BIG, packets);
    } else if (errno === EAGAIN || errno === ENOBUFS) {
      this.#counters.dropOf(tunnel, remote, UNDERLAY_BUSY, packets);
    } else {
      this.#counters.dropOf(tunnel, remote, UNDERLAY_ERROR, packets);
    }
  }
}
