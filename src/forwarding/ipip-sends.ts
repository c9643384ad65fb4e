// Packets of one IPIP tunnel on their way to remotes: does one fit the path there, and if not, does
// it leave in fragments or is its sender told? Rows of the send list. Where a packet goes was
// decided before; its outer header is ipip-header.ts.
//
// A packet that says that it may not be fragmented (IPv4 with DF; IPv6, unless every link carries
// it) is dropped and its sender told what fits [RFC 2003 § 5.1], [RFC 4213 § 3.2]. Any other leaves
// through a socket whose outer header the kernel writes and fragments, also where the tunnel sets
// DF (`pmtudisc`): nobody would tell its sender that it was lost.

import {
  RAW_FRAGMENTS_IPV4,
  RAW_FRAGMENTS_IPV6,
  RAW_HEADER_INCLUDED,
  SEND_FLAGS,
  SEND_FRAGMENTS,
  SEND_HEADER,
  SEND_REMOTE,
  SEND_SOCKET,
  SEND_WORDS,
} from "#abi";
import type { EgressBatch } from "../packet/egress-batch.js";
import { setPathMtu } from "../remotes/path-mtu.js";
import type { RemoteTable } from "../remotes/remote-table.js";
import type { WorkerCounters } from "../telemetry/counters.js";
import { DropReasons } from "../telemetry/drop-reasons.js";
import type { UnderlaySender } from "../underlay/underlay.js";
import { readU32 } from "../wire/byte-order.js";
import { IPV4_MAPPED } from "../wire/ip-address.js";
import { ipv4Destination, ipv4Version } from "../wire/ipv4.js";
import { IPV6_DESTINATION } from "../wire/ipv6.js";
import { locatePacket } from "../wire/locate.js";
import type { InnerErrors } from "./inner-errors.js";
import type { IpipTunnel } from "./ipip-tunnel.js";
import { SendList, type TooBigHandler } from "./send-list.js";
import { TooBig } from "./too-big.js";

const TOO_BIG = DropReasons.tooBig.id;

export interface IpipEgressParts {
  readonly tunnel: IpipTunnel;
  readonly batch: EgressBatch;
  readonly remotes: RemoteTable;
  readonly sender: UnderlaySender;
  readonly counters: WorkerCounters;
  /** Tells senders what became of packets before theirs. */
  readonly inner: InnerErrors;
}

export class IpipSends implements TooBigHandler {
  readonly #tunnel: IpipTunnel;
  readonly #batch: EgressBatch;
  readonly #remotes: RemoteTable;
  readonly #sender: UnderlaySender;
  readonly #counters: WorkerCounters;
  readonly #sends: SendList;
  readonly #tooBig: TooBig;
  readonly #header_bytes: number;

  /** @param header_bytes of the outer header */
  constructor(parts: IpipEgressParts, header_bytes: number) {
    const { tunnel, batch, remotes, counters } = parts;
    this.#tunnel = tunnel;
    this.#batch = batch;
    this.#remotes = remotes;
    this.#sender = parts.sender;
    this.#counters = counters;
    this.#sends = new SendList(batch, remotes, counters);
    this.#tooBig = new TooBig(tunnel, batch, counters, locatePacket);
    this.#header_bytes = header_bytes;
  }

  /**
   * Takes the packet at `at`, whose outer header lies in front of it; one that is too long for its
   * path is counted, and its sender told if that helps. Hot.
   * @param remote its row; negative: the destination is no remote
   */
  send(frame: number, at: number, remote: number): void {
    const longest_bytes = this.#longestPacket_bytes(remote);
    let socket = RAW_HEADER_INCLUDED;
    let flags = 0;
    if (this.#batch.longestFrame_bytes(frame) > longest_bytes) {
      socket = this.#fragmentSocket(frame, at, longest_bytes);
      if (socket < 0) {
        const packets = this.#batch.wirePackets(frame);
        return this.#counters.dropOf(this.#tunnel.index, remote, TOO_BIG, packets);
      }
      flags = SEND_FRAGMENTS;
    }
    const header_bytes = this.#header_bytes;
    this.#batch.addSend(frame, remote, socket, at - header_bytes, header_bytes, 0, flags);
  }

  /** Sends and counts what has gathered. */
  flush(): void {
    this.#sends.flush(this.#sender, this.#tunnel.index, this);
    this.#tooBig.beginBatch();
  }

  /** From SendList: a packet did not fit a path that was smaller than known. */
  tooBig(frame: number, send: number): boolean {
    const { arena, sends } = this.#batch;
    const row = send * SEND_WORDS;
    if (sends[row + SEND_SOCKET] !== RAW_HEADER_INCLUDED) return false; // longer than IP can be
    const header = sends[row + SEND_HEADER];
    const path_bytes = this.#pathMtu_bytes(arena, header);
    const remote = sends[row + SEND_REMOTE];
    if (remote >= 0 && path_bytes > 0) setPathMtu(this.#remotes.rows, remote, path_bytes);
    const known_bytes = path_bytes > 0 ? path_bytes : this.#tunnel.underlayMtu_bytes;
    const longest_bytes = known_bytes - this.#header_bytes;
    if (this.#batch.longestFrame_bytes(frame) <= longest_bytes) return true;
    const socket = this.#fragmentSocket(frame, header + this.#header_bytes, longest_bytes);
    if (socket < 0) return false;
    sends[row + SEND_SOCKET] = socket;
    sends[row + SEND_FLAGS] |= SEND_FRAGMENTS;
    return true;
  }

  /** The longest packet that a path takes whole; until that is known, the underlay's MTU. Hot. */
  #longestPacket_bytes(remote: number): number {
    const path_bytes = remote < 0 ? 0 : this.#remotes.pathMtu(remote);
    return (path_bytes === 0 ? this.#tunnel.underlayMtu_bytes : path_bytes) - this.#header_bytes;
  }

  /** What the kernel holds for the path to the destination in an outer header. */
  #pathMtu_bytes(arena: Uint8Array, header: number): number {
    if (ipv4Version(arena, header) === 4) {
      return this.#sender.pathMtu_bytes(0, 0, IPV4_MAPPED, ipv4Destination(arena, header));
    }
    const word = (n: number) => readU32(arena, header + IPV6_DESTINATION + 4 * n);
    return this.#sender.pathMtu_bytes(word(0), word(1), word(2), word(3));
  }

  /**
   * The socket for the fragments of a packet that is too long; -1: it may have none, and its sender
   * has been told.
   */
  #fragmentSocket(frame: number, at: number, longest_bytes: number): number {
    if (!this.#tooBig.mayFragment(frame)) {
      this.#tooBig.answer(frame, longest_bytes);
      return -1;
    }
    return ipv4Version(this.#batch.arena, at) === 4 ? RAW_FRAGMENTS_IPV4 : RAW_FRAGMENTS_IPV6;
  }
}
