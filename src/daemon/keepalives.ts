// Asks every remote of the VXLAN tunnels now and then whether it is there (`keepalive_s`), and
// makes of the answers: up or down, round-trip time, loss both ways. Only a culvert daemon answers;
// of others nothing more is known than without (state "unknown"). Workers answer and note answers
// (forwarding/keepalive-responder.ts); this is the side that asks and judges.
//
// Loss is what one end says it sent less what the other says has arrived, over the last
// LOSS_WINDOW answers. It is an estimate: packets on their way count as lost until they arrive, so
// less than one window's jitter is noise, and it is clamped to 0..1. A packet that arrived and was
// dropped there for a reason is not lost: the other end's counters have it.

import { randomBytes } from "node:crypto";
import type { KeepaliveAnswer, KeepaliveRows } from "../remotes/keepalive-rows.js";
import {
  REMOTE_ADDRESS,
  REMOTE_BASE,
  REMOTE_FLAGS,
  REMOTE_REFERENCES,
  REMOTE_STATE,
  REMOTE_TUNNEL,
  REMOTE_WORDS,
} from "../remotes/remote-rows.js";
import type { RemoteTable } from "../remotes/remote-table.js";
import { monotonicMicroseconds } from "../shared-memory/clock.js";
import { type RemoteTotals, TunnelCounter, type WorkerCounters } from "../telemetry/counters.js";
import type { DatagramSender } from "../underlay/underlay.js";
import { isMulticastIp } from "../wire/ip-address.js";
import { emitKeepalive, KEEPALIVE_BYTES, KEEPALIVE_REQUEST } from "../wire/keepalive.js";
import type { TunnelRuntime, VxlanRuntime } from "./tunnel.js";

const TICK_MS = 250;
/** Questions per second, to all remotes together: with many, each is asked less often. */
export const KEEPALIVES_PER_S = 100;
/** How often new and vanished remotes are looked for. */
const REFRESH_MS = 1000;
/** Questions without an answer after which a remote that was up is down. */
export const DOWN_AFTER = 3;
/** Answers over which loss is told. */
export const LOSS_WINDOW = 6;
/** Weight of the newest round-trip time in the smoothed one [RFC 6298 § 2]. */
const RTT_WEIGHT = 1 / 8;

export type PeerState = "up" | "down" | "unknown";

export interface PeerHealth {
  readonly state: PeerState;
  /** Smoothed; null: not up. */
  readonly rtt_us: number | null;
  /** Of packets to it, 0..1; null: none were sent, or it does not tell. */
  readonly lossEgress: number | null;
  /** Of packets from it. */
  readonly lossIngress: number | null;
}

/** A remote has begun or ceased to answer. */
export interface PeerChange {
  readonly tunnel: VxlanRuntime;
  /** Row of the remote. */
  readonly remote: number;
  readonly state: "up" | "down";
}

export interface KeepaliveParts {
  readonly tunnels: readonly TunnelRuntime[];
  readonly remotes: RemoteTable;
  readonly rows: KeepaliveRows;
  readonly totals: RemoteTotals;
  /** A block that no worker counts in. */
  readonly counters: WorkerCounters;
  /** What sends from a tunnel's address. */
  readonly datagrams: (tunnel: VxlanRuntime) => DatagramSender;
  readonly onChange: (change: PeerChange) => void;
  /** 0..1; for tests. */
  readonly random?: () => number;
}

interface Sample {
  readonly ownSent: number;
  readonly answer: KeepaliveAnswer;
}

interface Peer {
  readonly row: number;
  readonly tunnel: VxlanRuntime;
  /** Tells whether the row is still the same remote. */
  readonly identity: string;
  readonly nonce: number;
  sequence: number;
  due_ms: number;
  /** Packets sent to it when the open question was asked; undefined: none is open. */
  askedSent: number | undefined;
  missed: number;
  state: PeerState;
  rtt_us: number;
  samples: Sample[];
}

export class Keepalives {
  readonly #parts: KeepaliveParts;
  readonly #random: () => number;
  readonly #peers = new Map<number, Peer>();
  readonly #bytes = new Uint8Array(KEEPALIVE_BYTES);
  /** Of the last question to anybody: an answer to a row's former remote is not taken for one. */
  #sequence = 0;
  #refreshed_ms = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: KeepaliveParts) {
    this.#parts = parts;
    this.#random = parts.random ?? Math.random;
  }

  start(): void {
    this.#timer = setInterval(() => this.run(monotonicMicroseconds() / 1000), TICK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Notes answers, asks the remotes that are due. @param now_ms of the monotonic clock */
  run(now_ms: number): void {
    if (now_ms - this.#refreshed_ms >= REFRESH_MS) {
      this.#refreshed_ms = now_ms;
      this.#refresh(now_ms);
    }
    for (const peer of this.#peers.values()) {
      this.#collect(peer);
      if (peer.due_ms <= now_ms) this.#ask(peer, now_ms);
    }
  }

  /** What is known of a remote; undefined: it is not asked. */
  health(row: number): PeerHealth | undefined {
    const peer = this.#peers.get(row);
    if (peer === undefined) return undefined;
    this.#collect(peer);
    const loss = lossOf(peer.samples);
    const known = peer.state === "up" ? loss : { egress: null, ingress: null };
    return {
      state: peer.state,
      rtt_us: peer.state === "up" ? peer.rtt_us : null,
      lossEgress: known.egress,
      // What others that end in the same row send cannot be told apart.
      lossIngress: this.#parts.remotes.base(row) === row ? known.ingress : null,
    };
  }

  /** Finds remotes that are new, forgets those that are gone. */
  #refresh(now_ms: number): void {
    const { remotes, tunnels } = this.#parts;
    const { rows, maxRemotes } = remotes;
    const throughBase = referencesThroughBase(rows, maxRemotes);
    for (let row = 0; row < maxRemotes; row++) {
      const at = row * REMOTE_WORDS;
      const tunnel = tunnels[rows[at + REMOTE_TUNNEL]];
      const asked =
        rows[at + REMOTE_STATE] !== 0 &&
        tunnel?.type === "vxlan" &&
        tunnel.config.keepalive_s > 0 &&
        !isMulticastRow(rows, at) &&
        // Kept for senders only: nothing is sent to it.
        !(throughBase[row] > 0 && throughBase[row] === rows[at + REMOTE_REFERENCES]);
      if (!asked) this.#peers.delete(row);
      else this.#meet(row, tunnel, rows.subarray(at + REMOTE_TUNNEL, at + REMOTE_FLAGS), now_ms);
    }
  }

  /** @param words of the row that say who it is: tunnel, family, address, port, VNI */
  #meet(row: number, tunnel: VxlanRuntime, words: Int32Array, now_ms: number): void {
    const identity = words.join();
    if (this.#peers.get(row)?.identity === identity) return;
    this.#peers.set(row, {
      ...{ row, tunnel, identity, sequence: 0, missed: 0, rtt_us: 0, samples: [] },
      ...{ nonce: randomBytes(4).readUInt32BE(), state: "unknown", askedSent: undefined },
      due_ms: now_ms + this.#random() * Math.max(REFRESH_MS, this.#round_ms()),
    });
  }

  #ask(peer: Peer, now_ms: number): void {
    const { remotes, rows, totals, counters, datagrams } = this.#parts;
    if (peer.askedSent !== undefined) this.#miss(peer);
    const { row, tunnel, nonce } = peer;
    const interval_ms = Math.max(tunnel.config.keepalive_s * 1000, this.#round_ms());
    // The second one comes at any time, so that remotes that came together are asked apart.
    peer.due_ms = now_ms + interval_ms * (peer.sequence === 0 ? this.#random() : 1);
    const learned = remotes.rows[row * REMOTE_WORDS + REMOTE_REFERENCES] === 0;
    // A stranger's address may be forged: who never answered is not asked for ever.
    if (learned && peer.state === "unknown" && peer.missed >= DOWN_AFTER) return;
    this.#sequence = (this.#sequence + 1) >>> 0 || 1;
    peer.sequence = this.#sequence;
    peer.askedSent = totals.sent(row);
    rows.ask(row, nonce, peer.sequence);
    const base = remotes.base(row);
    const request = {
      ...{ vni: remotes.vni(row), kind: KEEPALIVE_REQUEST, nonce, sequence: peer.sequence },
      ...{ replyPort: tunnel.config.port, replyVni: tunnel.config.vni, token: row },
      ...{ instance: rows.instance, sent: peer.askedSent, arrived: totals.arrived(base) },
      time_us: monotonicMicroseconds(),
    };
    emitKeepalive(request, this.#bytes, 0);
    const at = row * REMOTE_WORDS + REMOTE_ADDRESS;
    const port = remotes.port(row);
    const family = remotes.family(row);
    if (datagrams(tunnel).sendDatagram(family, remotes.rows, at, port, this.#bytes) < 0) return;
    counters.addTunnel(tunnel.index, TunnelCounter.keepalivesSent, 1);
  }

  /** How long it takes to ask everybody once. */
  #round_ms(): number {
    return (this.#peers.size / KEEPALIVES_PER_S) * 1000;
  }

  #miss(peer: Peer): void {
    peer.askedSent = undefined;
    peer.missed++;
    if (peer.missed < DOWN_AFTER || peer.state !== "up") return;
    peer.state = "down";
    this.#parts.onChange({ tunnel: peer.tunnel, remote: peer.row, state: "down" });
  }

  /** Takes the answer to the open question, when it is there. */
  #collect(peer: Peer): void {
    const ownSent = peer.askedSent;
    if (ownSent === undefined) return;
    const answer = this.#parts.rows.answerTo(peer.row, peer.sequence);
    if (answer === undefined) return;
    peer.askedSent = undefined;
    peer.missed = 0;
    const first = peer.state !== "up";
    peer.rtt_us = first
      ? answer.rtt_us
      : Math.round(peer.rtt_us + RTT_WEIGHT * (answer.rtt_us - peer.rtt_us));
    const last = peer.samples.at(-1);
    // Started anew: its counts began again.
    if (last !== undefined && last.answer.instance !== answer.instance) peer.samples = [];
    peer.samples.push({ ownSent, answer });
    if (peer.samples.length > LOSS_WINDOW) peer.samples.shift();
    if (!first) return;
    peer.state = "up";
    this.#parts.onChange({ tunnel: peer.tunnel, remote: peer.row, state: "up" });
  }
}

/** For each row: references that other rows hold, those that have it as base row. */
function referencesThroughBase(rows: Int32Array, count: number): Int32Array {
  const references = new Int32Array(count);
  for (let at = 0; at < count * REMOTE_WORDS; at += REMOTE_WORDS) {
    const base = rows[at + REMOTE_BASE];
    if (rows[at + REMOTE_STATE] !== 0 && base >= 0)
      references[base] += rows[at + REMOTE_REFERENCES];
  }
  return references;
}

function isMulticastRow(rows: Int32Array, at: number): boolean {
  const word = (i: number) => rows[at + REMOTE_ADDRESS + i] >>> 0;
  return isMulticastIp({ w0: word(0), w1: word(1), w2: word(2), w3: word(3) });
}

function lossOf(samples: readonly Sample[]): { egress: number | null; ingress: number | null } {
  const [first] = samples;
  const last = samples.at(-1);
  if (first === undefined || last === undefined) return { egress: null, ingress: null };
  const a = first.answer;
  const b = last.answer;
  return {
    egress: share(last.ownSent - first.ownSent, b.peerArrived - a.peerArrived),
    ingress: share(b.peerSent - a.peerSent, b.ownArrived - a.ownArrived),
  };
}

/** What is missing of `sent`, clamped; null when nothing was sent. */
function share(sent: number, arrived: number): number | null {
  if (sent <= 0) return null;
  return Math.min(1, Math.max(0, 1 - arrived / sent));
}
