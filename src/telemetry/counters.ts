// Packet counters in shared memory: per tunnel, per remote, and for packets that belong to no
// tunnel. Counts only; names for people and metrics are made elsewhere from TunnelCounter and
// drop-reasons.ts.
//
// Theory of operation. Every worker has its own block for every tunnel and every remote, so each
// number has one writer and needs no atomic operation; the main thread sums over the workers when
// somebody asks. Numbers are doubles: exact up to 2^53, and aligned, so that no 64-bit machine
// shows half of one. Workers only ever add; when a remote row gets a new owner, the main thread
// notes where its sums stand (`restartRemote`) and subtracts that from then on. This note is the
// main thread's own: exactly one `Counters` reads.
import assert from "node:assert/strict";
import { MAX_REMOTES, MAX_TUNNELS } from "../shared-memory/limits.js";
import { DROP_REASONS, REMOTE_DROP_REASONS } from "./drop-reasons.js";

/**
 * Fields of a tunnel's block. Packets are packets on the wire (segments), superpackets count apart.
 */
export const TunnelCounter = {
  egressPackets: 0,
  egressBytes: 1,
  ingressPackets: 2,
  ingressBytes: 3,
  egressSuperpackets: 4,
  ingressSuperpackets: 5,
  floods: 6,
  learned: 7,
  moved: 8,
  arpReplies: 9,
  ndReplies: 10,
  icmpErrors: 11,
  keepalivesSent: 12,
  keepalivesReceived: 13,
  shortCircuits: 14,
  fragmented: 15,
} as const;
export type TunnelCounter = (typeof TunnelCounter)[keyof typeof TunnelCounter];

/** Fields of a remote's block. */
export const RemoteCounter = {
  egressPackets: 0,
  egressBytes: 1,
  ingressPackets: 2,
  ingressBytes: 3,
} as const;
export type RemoteCounter = (typeof RemoteCounter)[keyof typeof RemoteCounter];

const DROPS = Object.keys(TunnelCounter).length;
/** Doubles of a cache line: blocks start on one, so that workers do not share lines. */
const LINE_DOUBLES = 8;
const TUNNEL_DOUBLES = roundUp(DROPS + DROP_REASONS.length);
const REMOTE_DROPS = Object.keys(RemoteCounter).length;
const REMOTE_DOUBLES = roundUp(REMOTE_DROPS + REMOTE_DROP_REASONS.length);
/** Per drop reason: its place in a remote's block, or -1. */
const REMOTE_PLACES = Int32Array.from(DROP_REASONS, (reason) => {
  const place = REMOTE_DROP_REASONS.indexOf(reason);
  return place < 0 ? -1 : REMOTE_DROPS + place;
});
/** Places of those that are drops of packets that had arrived. */
const INGRESS_PLACES = REMOTE_DROP_REASONS.filter(({ direction }) => direction === "ingress").map(
  ({ id }) => REMOTE_PLACES[id],
);

/** The tunnel index for packets that belong to none, such as those with an unknown VNI. */
export const NO_TUNNEL = -1;

export interface CountersLimits {
  /** Data-plane workers. */
  readonly workers: number;
  /** 1..MAX_TUNNELS, which it is unless given. */
  readonly maxTunnels?: number;
  /** 1..MAX_REMOTES, which it is unless given. */
  readonly maxRemotes?: number;
}

export interface CountersState {
  readonly workers: number;
  readonly maxTunnels: number;
  readonly maxRemotes: number;
  /** [worker][tunnel, the first being "no tunnel"][TUNNEL_DOUBLES] */
  readonly tunnels: SharedArrayBuffer;
  /** [worker][remote][REMOTE_DOUBLES]; pages that are never touched cost address space only */
  readonly remotes: SharedArrayBuffer;
}

/** Sums over all workers since the tunnel's start. */
export interface TunnelCounts {
  readonly fields: { readonly [Name in keyof typeof TunnelCounter]: number };
  /** One number per drop reason, by its id. */
  readonly drops: readonly number[];
}

export interface RemoteCounts {
  readonly egressPackets: number;
  readonly egressBytes: number;
  readonly ingressPackets: number;
  readonly ingressBytes: number;
}

/** The counters of one worker; nobody else may write to them. Its methods run per packet. */
export class WorkerCounters {
  readonly #tunnels: Float64Array;
  readonly #remotes: Float64Array;

  constructor(state: CountersState, worker: number) {
    assert(Number.isInteger(worker) && worker >= 0 && worker < state.workers);
    const tunnels = (state.maxTunnels + 1) * TUNNEL_DOUBLES;
    const remotes = roundUp(state.maxRemotes * REMOTE_DOUBLES);
    this.#tunnels = new Float64Array(state.tunnels, worker * tunnels * 8, tunnels);
    this.#remotes = new Float64Array(state.remotes, worker * remotes * 8, remotes);
  }

  /** @param tunnel index or NO_TUNNEL. @param count how many, or bytes */
  addTunnel(tunnel: number, field: TunnelCounter, count: number): void {
    this.#tunnels[(tunnel + 1) * TUNNEL_DOUBLES + field] += count;
  }

  /**
   * @param tunnel index or NO_TUNNEL. @param reasonId `id` of a DropReason. @param packets on the
   * wire
   */
  drop(tunnel: number, reasonId: number, packets: number): void {
    this.#tunnels[(tunnel + 1) * TUNNEL_DOUBLES + DROPS + reasonId] += packets;
  }

  /**
   * Counts a drop for the tunnel and for the remote.
   * @param remote row of the remote table, or -1: not known. @param reasonId of a DropReason
   */
  dropOf(tunnel: number, remote: number, reasonId: number, packets: number): void {
    this.drop(tunnel, reasonId, packets);
    const place = REMOTE_PLACES[reasonId];
    if (remote >= 0 && place >= 0) this.#remotes[remote * REMOTE_DOUBLES + place] += packets;
  }

  /** @param remote row of the remote table */
  addRemote(remote: number, field: RemoteCounter, count: number): void {
    this.#remotes[remote * REMOTE_DOUBLES + field] += count;
  }
}

/**
 * What crossed the underlay between us and a remote, for comparing with what the remote says: sums
 * over all workers that never go back. For any thread.
 */
export class RemoteTotals {
  readonly #remotes: Float64Array;
  readonly #stride: number;

  constructor(state: CountersState) {
    this.#remotes = new Float64Array(state.remotes);
    this.#stride = this.#remotes.length / state.workers;
  }

  /** Packets that the kernel took for the remote. */
  sent(remote: number): number {
    return this.#sum(remote * REMOTE_DOUBLES + RemoteCounter.egressPackets);
  }

  /** Packets that arrived from the remote, those that were dropped here among them. */
  arrived(remote: number): number {
    const start = remote * REMOTE_DOUBLES;
    let sum = this.#sum(start + RemoteCounter.ingressPackets);
    for (const place of INGRESS_PLACES) sum += this.#sum(start + place);
    return sum;
  }

  #sum(first: number): number {
    let sum = 0;
    for (let at = first; at < this.#remotes.length; at += this.#stride) sum += this.#remotes[at];
    return sum;
  }
}

/** The main thread's view: sums. */
export class Counters {
  readonly #state: CountersState;
  readonly #tunnels: Float64Array;
  readonly #remotes: Float64Array;
  readonly #remoteStarts: Float64Array;

  private constructor(state: CountersState) {
    this.#state = state;
    this.#tunnels = new Float64Array(state.tunnels);
    this.#remotes = new Float64Array(state.remotes);
    this.#remoteStarts = new Float64Array(this.#remotes.length / state.workers);
  }

  static create({
    workers,
    maxTunnels = MAX_TUNNELS,
    maxRemotes = MAX_REMOTES,
  }: CountersLimits): Counters {
    assert(workers >= 1 && maxTunnels >= 1 && maxRemotes >= 1);
    const tunnelDoubles = (maxTunnels + 1) * TUNNEL_DOUBLES;
    const remoteDoubles = roundUp(maxRemotes * REMOTE_DOUBLES);
    return new Counters({
      workers,
      maxTunnels,
      maxRemotes,
      tunnels: new SharedArrayBuffer(workers * tunnelDoubles * 8),
      remotes: new SharedArrayBuffer(workers * remoteDoubles * 8),
    });
  }

  /** For workers: `WorkerCounters` takes it. */
  sharedState(): CountersState {
    return this.#state;
  }

  /** Sums of a tunnel (or NO_TUNNEL). */
  tunnel(tunnel: number): TunnelCounts {
    const start = (tunnel + 1) * TUNNEL_DOUBLES;
    const sums = this.#sums(this.#tunnels, start, TUNNEL_DOUBLES);
    const fields = Object.entries(TunnelCounter).map(([name, field]) => [name, sums[field]]);
    return {
      fields: Object.fromEntries(fields) as TunnelCounts["fields"],
      drops: sums.slice(DROPS, DROPS + DROP_REASONS.length),
    };
  }

  /** Sums of a remote since its last `restartRemote`. */
  remote(remote: number): RemoteCounts {
    const since = this.#sinceRestart(remote, 0, REMOTE_DROPS);
    return {
      egressPackets: since[RemoteCounter.egressPackets],
      egressBytes: since[RemoteCounter.egressBytes],
      ingressPackets: since[RemoteCounter.ingressPackets],
      ingressBytes: since[RemoteCounter.ingressBytes],
    };
  }

  /** The same for its drops: one number for each of REMOTE_DROP_REASONS, in its order. */
  remoteDrops(remote: number): number[] {
    return this.#sinceRestart(remote, REMOTE_DROPS, REMOTE_DROP_REASONS.length);
  }

  /** Lets a remote's counts begin at 0, when its row gets a new remote. */
  restartRemote(remote: number): void {
    const start = remote * REMOTE_DOUBLES;
    this.#remoteStarts.set(this.#sums(this.#remotes, start, REMOTE_DOUBLES), start);
  }

  #sinceRestart(remote: number, first: number, length: number): number[] {
    const start = remote * REMOTE_DOUBLES + first;
    const sums = this.#sums(this.#remotes, start, length);
    return sums.map((sum, i) => sum - this.#remoteStarts[start + i]);
  }

  #sums(blocks: Float64Array, start: number, length: number): number[] {
    const perWorker = blocks.length / this.#state.workers;
    return Array.from({ length }, (_, i) => {
      let sum = 0;
      for (let at = start + i; at < blocks.length; at += perWorker) sum += blocks[at];
      return sum;
    });
  }
}

function roundUp(doubles: number): number {
  return Math.ceil(doubles / LINE_DOUBLES) * LINE_DOUBLES;
}
