// Keepalives (wire/keepalive.ts) that arrive at the VXLAN port: a request is answered at once, an
// answer is noted for the main thread, which asks. They pass by FDB and device, and count as
// keepalives, not as packets of the tunnel. Sources that may not send frames get no answer; one
// that may gets a bounded number of them, never longer than what it sent.
//
// It runs a few times per remote and minute, so it may allocate.

import { RUN_ADDRESS, RUN_FAMILY, RUN_LENGTH, RUN_OFFSET, RUN_SEGMENTS, RUN_WORDS } from "#abi";
import type { IngressBatch } from "../packet/ingress-batch.js";
import type { KeepaliveRows } from "../remotes/keepalive-rows.js";
import type { RemoteTable } from "../remotes/remote-table.js";
import { monotonicMicroseconds } from "../shared-memory/clock.js";
import { type RemoteTotals, TunnelCounter, type WorkerCounters } from "../telemetry/counters.js";
import { DropReasons } from "../telemetry/drop-reasons.js";
import {
  emitKeepalive,
  KEEPALIVE_BYTES,
  KEEPALIVE_REPLY,
  KEEPALIVE_REQUEST,
  type KeepaliveRepr,
  parseKeepalive,
} from "../wire/keepalive.js";
import type { VxlanTunnel } from "./vxlan-tunnel.js";

const IGNORED = DropReasons.keepaliveIgnored.id;

export interface ResponderParts {
  readonly rows: KeepaliveRows;
  readonly remotes: RemoteTable;
  readonly totals: RemoteTotals;
  readonly counters: WorkerCounters;
}

export class KeepaliveResponder {
  readonly #parts: ResponderParts;
  readonly #reply = new Uint8Array(KEEPALIVE_BYTES);

  constructor(parts: ResponderParts) {
    this.#parts = parts;
  }

  /**
   * Takes one keepalive.
   * @param run row of the batch that it stands in, one datagram
   * @param remote row of its sender, who was admitted
   */
  take(batch: IngressBatch, run: number, tunnel: VxlanTunnel, remote: number, now_s: number): void {
    const at = batch.runs[run * RUN_WORDS + RUN_OFFSET];
    const end = at + batch.runs[run * RUN_WORDS + RUN_LENGTH];
    const keepalive = parseKeepalive(batch.arena, at, end);
    const { counters } = this.#parts;
    const taken =
      keepalive?.kind === KEEPALIVE_REQUEST
        ? this.#answer(batch, run, tunnel, remote, keepalive, now_s)
        : keepalive !== undefined && this.#note(tunnel, remote, keepalive);
    if (!taken) {
      return counters.drop(tunnel.index, IGNORED, batch.runs[run * RUN_WORDS + RUN_SEGMENTS]);
    }
    counters.addTunnel(tunnel.index, TunnelCounter.keepalivesReceived, 1);
  }

  /** @returns false: too many requests */
  #answer(
    { runs }: IngressBatch,
    run: number,
    tunnel: VxlanTunnel,
    remote: number,
    request: KeepaliveRepr,
    now_s: number,
  ): boolean {
    const { rows, remotes, totals, counters } = this.#parts;
    const { replyPort, replyVni } = request;
    if (replyPort === 0 || !rows.mayReply(remote, now_s)) return false;
    const at = run * RUN_WORDS;
    const w = at + RUN_ADDRESS;
    // Frames to it may be counted for a row with a port or VNI of its own.
    const { index } = tunnel;
    const own = remotes.find(
      index,
      runs[w],
      runs[w + 1],
      runs[w + 2],
      runs[w + 3],
      replyPort,
      replyVni,
    );
    const reply = {
      ...request,
      ...{ vni: replyVni, kind: KEEPALIVE_REPLY, instance: rows.instance },
      ...{ sent: totals.sent(own < 0 ? remote : own), arrived: totals.arrived(remote) },
    };
    emitKeepalive(reply, this.#reply, 0);
    const family = runs[at + RUN_FAMILY];
    if (tunnel.datagrams.sendDatagram(family, runs, w, replyPort, this.#reply) >= 0) {
      counters.addTunnel(index, TunnelCounter.keepalivesSent, 1);
    }
    return true;
  }

  /** @returns false: nobody asked */
  #note(tunnel: VxlanTunnel, remote: number, reply: KeepaliveRepr): boolean {
    const now_us = monotonicMicroseconds();
    const { rows, remotes, totals } = this.#parts;
    // The token is the row that was asked; its base row is that of the sender.
    const asked = reply.token;
    if (asked >= remotes.maxRemotes || remotes.base(asked) !== remote) return false;
    if (reply.vni !== tunnel.vni || !rows.take(asked, reply.nonce, reply.sequence)) return false;
    rows.note(asked, {
      sequence: reply.sequence,
      rtt_us: Math.max(0, now_us - reply.time_us),
      instance: reply.instance,
      ...{ peerSent: reply.sent, peerArrived: reply.arrived },
      ownArrived: totals.arrived(remote),
    });
    return true;
  }
}
