// A host for the files of bench/micro whose device and network cost next to nothing: the same
// frames lie in the arena for ever, every send succeeds, every run is written. Around them are the
// real tables, counters and forwarders, wired up as a data-plane worker does it. Nothing here
// allocates while batches move; there are no failures, those are the tests' business.

import {
  FRAME_GSO_SIZE,
  FRAME_GSO_TYPE,
  FRAME_LENGTH,
  FRAME_OFFSET,
  FRAME_WORDS,
  GSO_NONE,
  GSO_TCPV4,
  HEADROOM_BYTES,
  MAX_FRAMES,
  RECEIVE_SLOT_STRIDE,
  RECEIVE_SLOTS,
  RUN_ADDRESS,
  RUN_BYTES,
  RUN_DEVICE,
  RUN_FAMILY,
  RUN_LENGTH,
  RUN_OFFSET,
  RUN_SEGMENT_BYTES,
  RUN_SEGMENTS,
  RUN_WORDS,
  RUN_WRITES,
  RUN_WRITTEN,
  SCRATCH_BYTES,
  SEND_BYTES,
  SEND_HEADER_BYTES,
  SEND_RESULT,
  SEND_WORDS,
} from "#abi";
import type { Device } from "../../src/device/device.js";
import { EventInbox } from "../../src/events/event-inbox.js";
import { WorkerEvents } from "../../src/events/worker-events.js";
import { Fdb } from "../../src/fdb/fdb.js";
import { FloodLists } from "../../src/fdb/flood-lists.js";
import { bumBuckets } from "../../src/forwarding/bum-limit.js";
import { BumQueue } from "../../src/forwarding/bum-queue.js";
import type { IpipTunnel } from "../../src/forwarding/ipip-tunnel.js";
import { KeepaliveResponder } from "../../src/forwarding/keepalive-responder.js";
import { SourcePolicy } from "../../src/forwarding/source-policy.js";
import { DF_UNSET, type VxlanTunnel } from "../../src/forwarding/vxlan-tunnel.js";
import { RunWriter } from "../../src/forwarding/write-runs.js";
import { Neigh } from "../../src/neigh/neigh.js";
import { EgressBatch } from "../../src/packet/egress-batch.js";
import { IngressBatch } from "../../src/packet/ingress-batch.js";
import { KeepaliveRows } from "../../src/remotes/keepalive-rows.js";
import { REMOTE_FLAG_ALLOWED } from "../../src/remotes/remote-rows.js";
import { RemoteTable } from "../../src/remotes/remote-table.js";
import { RouteReader, RouteTable } from "../../src/routes/route-table.js";
import { Counters, RemoteTotals, WorkerCounters } from "../../src/telemetry/counters.js";
import type { UnderlayReceiver, UnderlaySender } from "../../src/underlay/underlay.js";
import { type IpAddress, ipFromV4 } from "../../src/wire/ip-address.js";

// Options of a tunnel, all as the kernel's defaults have them.
const PLAIN_OPTIONS = {
  ttl: 0,
  tos: 0,
  df: DF_UNSET,
  maxMacsPerRemote: 0,
  rsc: false,
  l2miss: false,
  l3miss: false,
  remcsumTx: false,
  remcsumRx: false,
  gbpId: -1,
  gbpAllow: undefined,
  bumLimit_pps: 0,
} as const;

const PORT = 4789;
export const VNI = 100;
/** 192.168.57.20 and .21: above 2^31, which do not fit V8's small integers when unsigned. */
export const LOCAL = 0xc0a83914;
export const REMOTE = 0xc0a83915;

/** What is read: row n of each batch holds frame n; superpackets are of TCP over IPv4. */
export class StandingDevice implements Device {
  readonly index = 0;
  readonly fd = -1;
  readonly #frames: readonly Uint8Array[];
  readonly #segment_bytes: number;
  #filled = false;

  /**
   * @param frames as many as fit the arena
   * @param segment_bytes what superpackets are to be cut into; 0: they are plain frames
   */
  constructor(frames: readonly Uint8Array[], segment_bytes = 0) {
    this.#frames = frames;
    this.#segment_bytes = segment_bytes;
  }

  readBatch(batch: EgressBatch): number {
    if (!this.#filled) this.#fill(batch);
    batch.frameCount = this.#frames.length;
    return batch.frameCount;
  }

  writeBatch({ runs, runCount }: IngressBatch): void {
    for (let at = 0; at < runCount * RUN_WORDS; at += RUN_WORDS) {
      if (runs[at + RUN_DEVICE] !== this.index) continue;
      runs[at + RUN_WRITTEN] = runs[at + RUN_SEGMENTS]!;
      runs[at + RUN_BYTES] = runs[at + RUN_LENGTH]!;
      runs[at + RUN_WRITES] = 1;
    }
  }

  write(): number {
    return 0;
  }

  #fill(batch: EgressBatch): void {
    let cursor = SCRATCH_BYTES;
    for (const [row, bytes] of this.#frames.entries()) {
      const at = row * FRAME_WORDS;
      batch.arena.set(bytes, cursor + HEADROOM_BYTES);
      batch.frames[at + FRAME_OFFSET] = cursor + HEADROOM_BYTES;
      batch.frames[at + FRAME_LENGTH] = bytes.length;
      batch.frames[at + FRAME_GSO_TYPE] = this.#segment_bytes > 0 ? GSO_TCPV4 : GSO_NONE;
      batch.frames[at + FRAME_GSO_SIZE] = this.#segment_bytes;
      cursor += (HEADROOM_BYTES + bytes.length + 63) & ~63;
    }
    this.#filled = true;
  }
}

/** Every send succeeds as one packet. */
export class StandingSender implements UnderlaySender {
  readonly socketCount = 16;
  readonly fragments = true;

  pathMtu_bytes(): number {
    return -1;
  }

  sendBatch({ sends, sendCount }: EgressBatch): number {
    for (let at = 0; at < sendCount * SEND_WORDS; at += SEND_WORDS) {
      sends[at + SEND_RESULT] = 1;
      sends[at + SEND_BYTES] = sends[at + SEND_HEADER_BYTES]! + 64;
    }
    return 0;
  }
}

/** The same runs in every batch, from REMOTE. */
export class StandingReceiver implements UnderlayReceiver {
  readonly fd = -1;
  readonly #runs: readonly Uint8Array[];
  readonly #segments: number;
  #filled = false;

  /**
   * @param runs at most RECEIVE_SLOTS, each with its encapsulation
   * @param segments of each run, equally long
   */
  constructor(runs: readonly Uint8Array[], segments = 1) {
    this.#runs = runs;
    this.#segments = segments;
  }

  receiveBatch(batch: IngressBatch): number {
    if (!this.#filled) this.#fill(batch);
    const { runs } = batch;
    batch.runCount = this.#runs.length;
    for (let at = 0; at < batch.runCount * RUN_WORDS; at += RUN_WORDS) runs[at + RUN_DEVICE] = -1;
    return batch.runCount;
  }

  #fill({ arena, runs }: IngressBatch): void {
    for (const [row, bytes] of this.#runs.entries()) {
      const at = row * RUN_WORDS;
      arena.set(bytes, row * RECEIVE_SLOT_STRIDE);
      runs[at + RUN_OFFSET] = row * RECEIVE_SLOT_STRIDE;
      runs[at + RUN_LENGTH] = bytes.length;
      runs[at + RUN_SEGMENT_BYTES] = bytes.length / this.#segments;
      runs[at + RUN_SEGMENTS] = this.#segments;
      runs[at + RUN_FAMILY] = 4;
      runs.set([0, 0, 0xffff, REMOTE], at + RUN_ADDRESS);
    }
    this.#filled = true;
  }
}

/** Tables, counters and batches of one worker, and the tunnels that use them. */
export class StandingHost {
  readonly batch = new EgressBatch();
  readonly ingressBatch = new IngressBatch();
  readonly remotes = RemoteTable.create({ maxTunnels: 1, maxRemotes: 16 });
  readonly counters: WorkerCounters;
  readonly events: WorkerEvents;
  readonly writer: RunWriter;
  readonly keepalives: KeepaliveResponder;
  readonly queue = new BumQueue();

  constructor() {
    const counters = Counters.create({ workers: 1, maxTunnels: 1, maxRemotes: 16 });
    this.counters = new WorkerCounters(counters.sharedState(), 0);
    this.keepalives = new KeepaliveResponder({
      ...{ rows: KeepaliveRows.create(1, 16), remotes: this.remotes, counters: this.counters },
      totals: new RemoteTotals(counters.sharedState()),
    });
    this.events = new WorkerEvents(new EventInbox(1, 1).workerState(0), this.counters);
    this.writer = new RunWriter(this.ingressBatch, this.counters);
  }

  /** A remote of the tunnel, as configured ones are. @returns its row */
  remote(address: number, port: number, vni: number): number {
    return this.remotes.acquire(0, 0, 0, 0xffff, address, port, vni, REMOTE_FLAG_ALLOWED);
  }

  vxlan(device: Device): { tunnel: VxlanTunnel; remote: number } {
    this.remotes.defineTunnel(0, PORT, VNI);
    const remote = this.remote(REMOTE, PORT, VNI);
    const tunnel: VxlanTunnel = {
      ...{ index: 0, vni: VNI, macHi: 0x0200, macLo: 1, mtu_bytes: 1450, pathMtu_bytes: 1450 },
      ...{
        learning: true,
        proxy: false,
        strictReserved: false,
        ...PLAIN_OPTIONS,
        dropInnerVlan: false,
      },
      sources: new SourcePolicy(0, "known", this.remotes),
      fdb: Fdb.create(65_536),
      neigh: Neigh.create(16),
      flood: FloodLists.create(),
      bumBuckets: bumBuckets(PLAIN_OPTIONS.bumLimit_pps, 0),
      device,
      datagrams: { sendDatagram: () => 0 },
    };
    return { tunnel, remote };
  }

  /** One-to-many: the outer destination comes from a route. */
  ipip(device: Device): IpipTunnel {
    const remote = this.remote(REMOTE, 0, 0);
    const routes = new RouteTable(1024);
    const prefix = { ip: ipFromV4(0xc0a90000), family: 4, length: 16 } as const;
    routes.set({ prefix, hops: [{ remote, weight: 1 }] });
    return this.#ipip(device, routes, 4, ipFromV4(LOCAL));
  }

  /** Over IPv6, and the default route of IPv6 has several next hops. */
  ip6tnl(device: Device): IpipTunnel {
    const network = { w0: 0xfd57_0000, w1: 0x8000_0000, w2: 0x8000_0000 };
    const hops = [1, 2, 3].map((n) => {
      const { w0, w1, w2 } = network;
      const remote = this.remotes.acquire(
        0,
        w0,
        w1,
        w2,
        0xf000_0000 + n,
        0,
        0,
        REMOTE_FLAG_ALLOWED,
      );
      return { remote, weight: n };
    });
    const routes = new RouteTable(1024);
    const any = { w0: 0, w1: 0, w2: 0, w3: 0 };
    routes.set({ prefix: { ip: any, family: 6, length: 0 }, hops });
    return this.#ipip(device, routes, 6, { ...network, w3: 0xffff_ffff });
  }

  #ipip(device: Device, routes: RouteTable, family: 4 | 6, local: IpAddress): IpipTunnel {
    const v6 = family === 6;
    return {
      ...{ index: 0, family, local, remote: undefined, remoteRow: -1, carries4: !v6, carries6: v6 },
      ...{ ttl: v6 ? 0 : 64, tos: v6 ? -1 : 0, pmtudisc: false },
      ...{ mtu_bytes: v6 ? 1460 : 1480, underlayMtu_bytes: 1500 },
      sources: new SourcePolicy(0, "known", this.remotes),
      routes: new RouteReader(routes.sharedState()),
      device,
    };
  }
}

/** Frames of a batch and runs of a receive. */
export const FRAMES = MAX_FRAMES;
export const RUNS = RECEIVE_SLOTS;
