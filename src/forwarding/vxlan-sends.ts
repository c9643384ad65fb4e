// Frames of one VXLAN tunnel on their way to remotes: the VXLAN header in front, a row in the send
// list. Where a frame goes was decided before; here it is found out whether it fits the path there.
//
// A frame that does not (its longest segment) is never fragmented behind its sender's back: where
// it says that it may not be fragmented (DF, IPv6), it is dropped and its sender told what fits.
// Another one leaves in fragments, one datagram per message, unless the outer DF forbids it.

import {
  MAX_SENDS,
  SEND_FLAGS,
  SEND_FRAGMENTS,
  SEND_NO_GSO,
  SEND_PARTIAL_CHECKSUM,
  SEND_REMOTE,
  SEND_SOCKET,
  SEND_WORDS,
} from "#abi";
import type { WorkerEvents } from "../events/worker-events.js";
import type { EgressBatch } from "../packet/egress-batch.js";
import { setPathMtu } from "../remotes/path-mtu.js";
import { REMOTE_FLAG_NO_GSO } from "../remotes/remote-rows.js";
import type { RemoteTable } from "../remotes/remote-table.js";
import type { WorkerCounters } from "../telemetry/counters.js";
import { DropReasons } from "../telemetry/drop-reasons.js";
import type { UnderlaySender } from "../underlay/underlay.js";
import { ETHERNET_HEADER_BYTES } from "../wire/ethernet.js";
import { locateFrame } from "../wire/locate.js";
import {
  VXLAN_HEADER_BYTES,
  VXLAN_OVERHEAD_V4_BYTES,
  VXLAN_OVERHEAD_V6_BYTES,
} from "../wire/vxlan.js";
import type { BumQueue } from "./bum-queue.js";
import type { OuterHeader } from "./outer-header.js";
import { SendList, type TooBigHandler } from "./send-list.js";
import { TooBig } from "./too-big.js";
import { NO_REMOTE_CHECKSUM, VxlanHeader } from "./vxlan-header.js";
import { DF_SET, type VxlanTunnel } from "./vxlan-tunnel.js";

const TOO_BIG = DropReasons.tooBig.id;

export interface VxlanEgressParts {
  readonly tunnel: VxlanTunnel;
  readonly batch: EgressBatch;
  readonly remotes: RemoteTable;
  readonly sender: UnderlaySender;
  readonly counters: WorkerCounters;
  readonly events: WorkerEvents;
  /** false: one datagram per message, always (no UDP_SEGMENT in this kernel, or turned off). */
  readonly udpSegment: boolean;
  /** Where frames to many remotes wait, shared by the tunnels of a worker. */
  readonly queue: BumQueue;
  /** Sends as `sender` does, from the queue's batch. */
  readonly queueSender: UnderlaySender;
}

export class VxlanSends implements TooBigHandler {
  readonly #tunnel: VxlanTunnel;
  readonly #batch: EgressBatch;
  readonly #remotes: RemoteTable;
  readonly #sender: UnderlaySender;
  readonly #counters: WorkerCounters;
  readonly #sends: SendList;
  readonly #tooBig: TooBig;
  readonly #header: VxlanHeader;
  readonly #defaultFlags: number;

  constructor(parts: VxlanEgressParts) {
    this.#tunnel = parts.tunnel;
    this.#batch = parts.batch;
    this.#remotes = parts.remotes;
    this.#sender = parts.sender;
    this.#counters = parts.counters;
    this.#sends = new SendList(parts.batch, parts.remotes, parts.counters);
    this.#tooBig = new TooBig(parts.tunnel, parts.batch, parts.counters, locateFrame);
    this.#header = new VxlanHeader(parts.tunnel, parts.remotes);
    this.#defaultFlags = parts.udpSegment ? 0 : SEND_NO_GSO;
  }

  /** Sends the frame at `at`, which has one destination: the header lies in its headroom. Hot. */
  send(frame: number, at: number, remote: number, outer: OuterHeader): void {
    const header = at - VXLAN_HEADER_BYTES;
    this.#header.write(this.#batch.arena, header, remote, outer.rco);
    this.#makeRoom();
    this.#add(frame, remote, header, outer);
  }

  /**
   * Head-end replication: one send per member of the list, all from the same payload bytes.
   * @param members rows of the remote table, `count` of them from `first` on
   */
  replicate(
    frame: number,
    at: number,
    members: Int32Array,
    first: number,
    count: number,
    outer: OuterHeader,
  ): void {
    const batch = this.#batch;
    const shared = at - VXLAN_HEADER_BYTES;
    this.#header.writeCommon(batch.arena, shared, outer.rco);
    for (let i = first; i < first + count; i++) {
      const remote = members[i];
      this.#makeRoom();
      let header = shared;
      if (!this.#header.isCommon(remote)) {
        header = batch.allocateScratch(VXLAN_HEADER_BYTES);
        if (header < 0) {
          this.flush();
          header = batch.allocateScratch(VXLAN_HEADER_BYTES);
        }
        this.#header.write(batch.arena, header, remote, outer.rco);
      }
      const added = this.#add(frame, remote, header, outer);
      if (!added && header !== shared) batch.releaseScratch(header);
    }
  }

  /** Sends and counts what has gathered. */
  flush(): void {
    this.#sends.flush(this.#sender, this.#tunnel.index, this);
    this.#tooBig.beginBatch();
  }

  /** From SendList: a frame did not fit a path that was smaller than known. */
  tooBig(frame: number, send: number): boolean {
    const { sends } = this.#batch;
    const remotes = this.#remotes;
    const remote = sends[send * SEND_WORDS + SEND_REMOTE];
    const path_bytes = this.#sender.pathMtu_bytes(
      remotes.addressWord(remote, 0),
      remotes.addressWord(remote, 1),
      remotes.addressWord(remote, 2),
      remotes.addressWord(remote, 3),
    );
    if (path_bytes > 0) setPathMtu(remotes.rows, remote, path_bytes);
    const longest_bytes = this.#longestFrame_bytes(remote);
    if (this.#batch.longestFrame_bytes(frame) <= longest_bytes) return true;
    if (!this.#tooBig.mayFragment(frame)) {
      this.#tooBig.answer(frame, longest_bytes);
      return false;
    }
    const socket = sends[send * SEND_WORDS + SEND_SOCKET];
    if (this.#tunnel.df === DF_SET || socket >= this.#sender.socketCount) return false;
    sends[send * SEND_WORDS + SEND_FLAGS] |= SEND_FRAGMENTS;
    return true;
  }

  /** @returns false when the frame is too long for the remote's path, which has been counted */
  #add(frame: number, remote: number, header: number, outer: OuterHeader): boolean {
    const noGso = (this.#remotes.flags(remote) & REMOTE_FLAG_NO_GSO) !== 0;
    let flags = noGso ? SEND_NO_GSO : this.#defaultFlags;
    if (outer.rco !== NO_REMOTE_CHECKSUM) flags |= SEND_PARTIAL_CHECKSUM;
    const longest_bytes = this.#longestFrame_bytes(remote);
    if (outer.frame_bytes > longest_bytes) {
      if (!this.#mayExceed(frame, remote, longest_bytes, outer)) return false;
      flags |= SEND_NO_GSO | SEND_FRAGMENTS;
    }
    const { socket, tos, ttl } = outer;
    return this.#batch.addSend(frame, remote, socket, header, VXLAN_HEADER_BYTES, tos, flags, ttl);
  }

  /** The longest frame that a remote's path takes whole; until that is known, the underlay's MTU. */
  #longestFrame_bytes(remote: number): number {
    const path_bytes = this.#remotes.pathMtu(remote);
    if (path_bytes === 0) return this.#tunnel.pathMtu_bytes + ETHERNET_HEADER_BYTES;
    const v6 = this.#remotes.family(remote) === 6;
    const overhead_bytes = v6 ? VXLAN_OVERHEAD_V6_BYTES : VXLAN_OVERHEAD_V4_BYTES;
    return path_bytes - overhead_bytes + ETHERNET_HEADER_BYTES;
  }

  /** May a frame leave in fragments? If not, it is counted, and its sender told if that helps. */
  #mayExceed(frame: number, remote: number, longest_bytes: number, outer: OuterHeader): boolean {
    const mayFragment = this.#tooBig.mayFragment(frame);
    if (mayFragment && !outer.dontFragment) return true;
    if (!mayFragment) this.#tooBig.answer(frame, longest_bytes);
    const packets = this.#batch.wirePackets(frame);
    this.#counters.dropOf(this.#tunnel.index, remote, TOO_BIG, packets);
    return false;
  }

  /**
   * Room for one send. Before its header is put into scratch: sending gives all scratch back, so
   * that a header written before would be overwritten by the next ones.
   */
  #makeRoom(): void {
    if (this.#batch.sendCount === MAX_SENDS) this.flush();
  }
}
