// Frames of one VXLAN tunnel on their way to remotes: the VXLAN header in front, a row in the send
// list, the answer to whoever sent what does not fit the path. Where a frame goes was decided
// before.

import { MAX_SENDS, SEND_NO_GSO, SEND_REMOTE, SEND_WORDS } from "#abi";
import type { EgressBatch } from "../packet/egress-batch.js";
import { REMOTE_FLAG_NO_GSO } from "../remotes/remote-rows.js";
import type { RemoteTable } from "../remotes/remote-table.js";
import type { WorkerCounters } from "../telemetry/counters.js";
import type { UnderlaySender } from "../underlay/underlay.js";
import {
  VXLAN_HEADER_BYTES,
  VXLAN_OVERHEAD_V4_BYTES,
  VXLAN_OVERHEAD_V6_BYTES,
  writeVxlan,
} from "../wire/vxlan.js";
import type { BumQueue } from "./bum-queue.js";
import type { OuterHeader } from "./outer-header.js";
import { SendList, type TooBigAnswerer } from "./send-list.js";
import { answerTooBigFrame } from "./too-big.js";
import type { VxlanTunnel } from "./vxlan-tunnel.js";

export interface VxlanEgressParts {
  readonly tunnel: VxlanTunnel;
  readonly batch: EgressBatch;
  readonly remotes: RemoteTable;
  readonly sender: UnderlaySender;
  readonly counters: WorkerCounters;
  /** false: one datagram per message, always (no UDP_SEGMENT in this kernel, or turned off). */
  readonly udpSegment: boolean;
  /** Where frames to many remotes wait, shared by the tunnels of a worker. */
  readonly queue: BumQueue;
  /** Sends as `sender` does, from the queue's batch. */
  readonly queueSender: UnderlaySender;
}

export class VxlanSends implements TooBigAnswerer {
  readonly #tunnel: VxlanTunnel;
  readonly #batch: EgressBatch;
  readonly #remotes: RemoteTable;
  readonly #sender: UnderlaySender;
  readonly #counters: WorkerCounters;
  readonly #sends: SendList;
  readonly #defaultFlags: number;

  constructor(parts: VxlanEgressParts) {
    this.#tunnel = parts.tunnel;
    this.#batch = parts.batch;
    this.#remotes = parts.remotes;
    this.#sender = parts.sender;
    this.#counters = parts.counters;
    this.#sends = new SendList(parts.batch, parts.remotes, parts.counters);
    this.#defaultFlags = parts.udpSegment ? 0 : SEND_NO_GSO;
  }

  /** Sends the frame at `at`, which has one destination: the header lies in its headroom. Hot. */
  send(frame: number, at: number, remote: number, outer: OuterHeader): void {
    const header = at - VXLAN_HEADER_BYTES;
    writeVxlan(this.#batch.arena, header, this.#remotes.vni(remote));
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
    writeVxlan(batch.arena, shared, this.#tunnel.vni);
    for (let i = first; i < first + count; i++) {
      const remote = members[i];
      const vni = this.#remotes.vni(remote);
      this.#makeRoom();
      let header = shared;
      if (vni !== this.#tunnel.vni) {
        header = batch.allocateScratch(VXLAN_HEADER_BYTES);
        if (header < 0) {
          this.flush();
          header = batch.allocateScratch(VXLAN_HEADER_BYTES);
        }
        writeVxlan(batch.arena, header, vni);
      }
      this.#add(frame, remote, header, outer);
    }
  }

  /** Sends and counts what has gathered. */
  flush(): void {
    this.#sends.flush(this.#sender, this.#tunnel.index, this);
  }

  /** From SendList: a frame did not fit the path. */
  answerTooBig(frame: number, send: number): void {
    const remotes = this.#remotes;
    const remote = this.#batch.sends[send * SEND_WORDS + SEND_REMOTE];
    const path_bytes = this.#sender.pathMtu_bytes(
      remotes.addressWord(remote, 0),
      remotes.addressWord(remote, 1),
      remotes.addressWord(remote, 2),
      remotes.addressWord(remote, 3),
    );
    const overhead_bytes =
      remotes.family(remote) === 6 ? VXLAN_OVERHEAD_V6_BYTES : VXLAN_OVERHEAD_V4_BYTES;
    const fits_bytes = this.#tunnel.pathMtu_bytes;
    const mtu_bytes =
      path_bytes < 0 ? fits_bytes : Math.min(fits_bytes, path_bytes - overhead_bytes);
    answerTooBigFrame(this.#batch, frame, mtu_bytes, this.#tunnel, this.#counters);
  }

  #add(frame: number, remote: number, header: number, { socket, tos }: OuterHeader): void {
    const noGso = (this.#remotes.flags(remote) & REMOTE_FLAG_NO_GSO) !== 0;
    const flags = noGso ? SEND_NO_GSO : this.#defaultFlags;
    this.#batch.addSend(frame, remote, socket, header, VXLAN_HEADER_BYTES, tos, flags);
  }

  /**
   * Room for one send. Before its header is put into scratch: sending gives all scratch back, so
   * that a header written before would be overwritten by the next ones.
   */
  #makeRoom(): void {
    if (this.#batch.sendCount === MAX_SENDS) this.flush();
  }
}
