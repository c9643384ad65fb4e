// A host of the forwarding tests: VXLAN and IPIP tunnels on memory devices and a memory network,
// with real tables and counters, wired up as a data-plane worker does it.

import { MAX_FRAMES, RECEIVE_SLOTS } from "#abi";
import { MemoryDevice } from "../../../src/device/memory-device.js";
import { EventInbox } from "../../../src/events/event-inbox.js";
import { WorkerEvents } from "../../../src/events/worker-events.js";
import { Fdb } from "../../../src/fdb/fdb.js";
import { FloodLists } from "../../../src/fdb/flood-lists.js";
import { bumBuckets } from "../../../src/forwarding/bum-limit.js";
import { BumQueue } from "../../../src/forwarding/bum-queue.js";
import { InnerErrors } from "../../../src/forwarding/inner-errors.js";
import { IpipEgress } from "../../../src/forwarding/ipip-egress.js";
import { IpipIngress } from "../../../src/forwarding/ipip-ingress.js";
import type { IpipSettings, IpipTunnel } from "../../../src/forwarding/ipip-tunnel.js";
import { KeepaliveResponder } from "../../../src/forwarding/keepalive-responder.js";
import { MergedSizes } from "../../../src/forwarding/merged-size.js";
import {
  type AllowedSources,
  peerRoutes,
  SourcePolicy,
} from "../../../src/forwarding/source-policy.js";
import { TunnelLookup } from "../../../src/forwarding/tunnel-lookup.js";
import { VxlanEgress } from "../../../src/forwarding/vxlan-egress.js";
import { VxlanIngress } from "../../../src/forwarding/vxlan-ingress.js";
import {
  DF_UNSET,
  type VxlanSettings,
  type VxlanTunnel,
} from "../../../src/forwarding/vxlan-tunnel.js";
import { RunWriter } from "../../../src/forwarding/write-runs.js";
import { Neigh } from "../../../src/neigh/neigh.js";
import { EgressBatch } from "../../../src/packet/egress-batch.js";
import { EAGAIN } from "../../../src/packet/errno.js";
import { IngressBatch } from "../../../src/packet/ingress-batch.js";
import { KeepaliveRows } from "../../../src/remotes/keepalive-rows.js";
import { REMOTE_FLAG_ALLOWED } from "../../../src/remotes/remote-rows.js";
import { RemoteTable } from "../../../src/remotes/remote-table.js";
import { UnreachableRows } from "../../../src/remotes/unreachable-rows.js";
import { RouteReader, RouteTable } from "../../../src/routes/route-table.js";
import {
  Counters,
  NO_TUNNEL,
  RemoteTotals,
  WorkerCounters,
} from "../../../src/telemetry/counters.js";
import { DROP_REASONS } from "../../../src/telemetry/drop-reasons.js";
import {
  type MemoryNetwork,
  type MemoryReceiver,
  rawArrival,
  rawDatagram,
} from "../../../src/underlay/memory-underlay.js";
import type { UnderlaySender } from "../../../src/underlay/underlay.js";
import { type IpAddress, isIpv4 } from "../../../src/wire/ip-address.js";
import { PROTOCOL_IPIP, PROTOCOL_IPV6 } from "../../../src/wire/ip-protocol.js";
import { ip, mac } from "./frames.js";

export const HOST_A = "10.57.4.20";
export const HOST_B = "10.57.4.21";
export const HOST_C = "10.57.4.22";
export const PORT = 4789;
export const VNI = 100;
export const NOW_S = 1000;

type VxlanPolicy = Omit<VxlanSettings, "index" | "vni" | "macHi" | "macLo">;

/** How a tunnel forwards unless a test says otherwise. */
const PLAIN_POLICY: VxlanPolicy = {
  mtu_bytes: 1450,
  pathMtu_bytes: 1450,
  ttl: 0,
  tos: 0,
  df: DF_UNSET,
  learning: true,
  maxMacsPerRemote: 0,
  proxy: false,
  strictReserved: false,
  dropInnerVlan: false,
  rsc: false,
  l2miss: false,
  l3miss: false,
  remcsumTx: false,
  remcsumRx: false,
  gbpId: -1,
  gbpAllow: undefined,
  bumLimit_pps: 0,
};

export interface VxlanOptions extends Partial<VxlanPolicy> {
  vni?: number;
  port?: number;
  /** The device's own MAC. */
  mac?: string;
  allow?: AllowedSources;
  maxEntries?: number;
  /** Sending sockets: source ports 50000 and up. */
  sockets?: number;
  udpSegment?: boolean;
  device?: MemoryDevice;
  sender?: UnderlaySender;
}

type IpipPolicy = Omit<IpipSettings, "index" | "local" | "remote" | "remoteRow">;

/** The same for IPIP: IPv4 in IPv4. */
const PLAIN_IPIP: IpipPolicy = {
  ...{ family: 4, carries4: true, carries6: false, ttl: 64, tos: 0, pmtudisc: true },
  ...{ mtu_bytes: 1480, underlayMtu_bytes: 1500 },
};

export interface IpipOptions extends Partial<IpipPolicy> {
  /** The host's address unless given. */
  local?: string;
  remote?: string;
  allow?: AllowedSources;
  device?: MemoryDevice;
  sender?: UnderlaySender;
}

export interface ArrivalOptions {
  /** Outer source. */
  from?: string;
  port?: number;
  tos?: number;
  segment_bytes?: number;
  now_s?: number;
}

export interface RawOptions {
  /** Outer protocol, 4 unless given. */
  protocol?: number;
  now_s?: number;
}

interface RawSocket {
  readonly receiver: MemoryReceiver;
  ingress?: IpipIngress;
}

/** Moves one batch. @returns what was moved, or -errno */
type Step = (now_s: number) => number;

export interface VxlanSide {
  readonly tunnel: VxlanTunnel;
  readonly device: MemoryDevice;
  readonly egress: VxlanEgress;
}

export interface IpipSide {
  readonly tunnel: IpipTunnel;
  readonly device: MemoryDevice;
  readonly egress: IpipEgress;
  readonly routes: RouteTable;
}

export class MemoryHost {
  readonly counters: Counters;
  readonly remotes: RemoteTable;
  readonly keepalives = KeepaliveRows.create(0x1a2b3c4d, 64);
  readonly unreachable: UnreachableRows;
  readonly batch = new EgressBatch();
  readonly ingressBatch = new IngressBatch();
  readonly queue = new BumQueue();
  /** Nothing is wanted and nobody reads, unless a test does. */
  readonly inbox = new EventInbox(1, 4);
  readonly #worker: WorkerCounters;
  readonly #events: WorkerEvents;
  readonly #writer: RunWriter;
  readonly #steps: Step[] = [];
  readonly #ports = new Map<number, VxlanIngress>();
  readonly #address: IpAddress;
  readonly mergedSizes = new MergedSizes();
  readonly #ipips: IpipTunnel[] = [];
  /** By family and protocol. */
  readonly #raw = new Map<string, RawSocket>();
  #tunnels = 0;

  constructor(
    readonly network: MemoryNetwork,
    address: string,
    maxRemotes = 64,
  ) {
    this.#address = ip(address);
    this.counters = Counters.create({ workers: 1, maxTunnels: 4, maxRemotes });
    this.remotes = RemoteTable.create({ maxTunnels: 4, maxRemotes });
    this.unreachable = UnreachableRows.create(this.remotes.rows, maxRemotes);
    this.#worker = new WorkerCounters(this.counters.sharedState(), 0);
    this.#events = new WorkerEvents(this.inbox.workerState(0), this.#worker);
    this.#writer = new RunWriter(this.ingressBatch, this.#worker);
  }

  vxlan(options: VxlanOptions = {}): VxlanSide {
    const index = this.#tunnels++;
    const { vni = VNI, port = PORT, allow = "known", maxEntries = 64, sockets = 4 } = options;
    this.remotes.defineTunnel(index, port, vni);
    const device = options.device ?? new MemoryDevice(index);
    const own = mac(options.mac ?? "02:00:00:00:00:01");
    const tunnel: VxlanTunnel = {
      index,
      macHi: own.hi,
      macLo: own.lo | 0,
      ...PLAIN_POLICY,
      ...options,
      vni,
      sources: new SourcePolicy(index, allow, this.remotes),
      fdb: Fdb.create(maxEntries, this.remotes.macs),
      neigh: Neigh.create(16),
      flood: FloodLists.create(),
      bumBuckets: bumBuckets(options.bumLimit_pps ?? PLAIN_POLICY.bumLimit_pps, NOW_S * 1000),
      device,
      datagrams: this.network.datagrams(this.#address, 50_000),
    };
    const ports = Array.from({ length: sockets }, (_, i) => 50_000 + i);
    const { batch, remotes } = this;
    const sender =
      options.sender ?? this.network.udpSender(this.#address, ports, this.remotes.rows);
    const egress = new VxlanEgress({
      ...{ tunnel, batch, remotes, sender, counters: this.#worker, events: this.#events },
      ...{ udpSegment: options.udpSegment ?? true, queue: this.queue, queueSender: sender },
    });
    this.#steps.push((now_s) => egress.run(MAX_FRAMES, now_s * 1000));
    this.#ingress(port).add(tunnel);
    return { tunnel, device, egress };
  }

  ipip(options: IpipOptions = {}): IpipSide {
    const index = this.#tunnels++;
    const { local, remote, allow = "known", sender: given, ...policy } = options;
    this.remotes.defineTunnel(index, 0, 0);
    const device = options.device ?? new MemoryDevice(index, "tun");
    const routes = new RouteTable(64);
    const settings: IpipSettings = {
      ...{ ...PLAIN_IPIP, ...policy, index },
      local: local === undefined ? this.#address : ip(local),
      remote: remote === undefined ? undefined : ip(remote),
      remoteRow: remote === undefined ? -1 : this.remote(index, remote, 0, 0),
    };
    const reader = new RouteReader(routes.sharedState());
    const sources = new SourcePolicy(index, allow, this.remotes, peerRoutes(settings, reader));
    const tunnel: IpipTunnel = { ...settings, device, sources, routes: reader };
    const { batch, remotes } = this;
    const sender = given ?? this.network.rawSender();
    const egress = new IpipEgress({
      ...{ tunnel, batch, remotes, sender, counters: this.#worker },
      inner: new InnerErrors(tunnel, this.unreachable, this.#worker),
    });
    this.#steps.push(() => egress.run(MAX_FRAMES));
    this.#receiveFor(tunnel);
    return { tunnel, device, egress, routes };
  }

  /** A configured remote of a tunnel. @returns its row */
  remote(tunnel: number, address: string, port = PORT, vni = VNI): number {
    const { w0, w1, w2, w3 } = ip(address);
    return this.remotes.acquire(tunnel, w0, w1, w2, w3, port, vni, REMOTE_FLAG_ALLOWED);
  }

  /** Adds a route with its gateway as remote. */
  route({ tunnel, routes }: IpipSide, prefix: string, length: number, gateway?: string): number {
    const remote = gateway === undefined ? -1 : this.remote(tunnel.index, gateway, 0, 0);
    const hops = remote < 0 ? [] : [{ remote, weight: 1 }];
    const address = ip(prefix);
    routes.set({ prefix: { ip: address, family: isIpv4(address) ? 4 : 6, length }, hops });
    return remote;
  }

  /** Runs every device and every socket until all are empty, and then the queue of BUM frames. */
  pump(now_s = NOW_S): void {
    for (const step of this.#steps) {
      while (step(now_s) > 0);
    }
    while (this.queue.pending) this.queue.step();
  }

  /** A UDP payload (VXLAN header first) arrives and is handled. */
  receiveUdp(bytes: Uint8Array, options: ArrivalOptions = {}): void {
    const { from = HOST_B, port = PORT, tos = 0, segment_bytes = bytes.length } = options;
    const arrival = { source: ip(from), sourcePort: 50_000, tos, bytes, segment_bytes };
    const to = { destination: this.#address, destinationPort: port };
    this.network.deliver({ ...arrival, ...to });
    this.pump(options.now_s);
  }

  /** A packet arrives at the raw socket of `protocol`, whatever its header says, and is handled. */
  receiveRaw(bytes: Uint8Array, { protocol = PROTOCOL_IPIP, now_s }: RawOptions = {}): void {
    const family = bytes[0] >>> 4 === 6 && this.#raw.has(`6 ${protocol}`) ? 6 : 4;
    const arrival = family === 6 ? rawArrival(bytes) : rawDatagram(bytes);
    this.#raw.get(`${family} ${protocol}`)?.receiver.take(arrival);
    this.pump(now_s);
  }

  /** A device's frames through egress, one batch after the other. */
  send(device: MemoryDevice, ...frames: readonly Uint8Array[]): void {
    device.toRead.push(...frames);
    this.pump();
  }

  /** Every count of a tunnel that is not 0: fields and drop reasons by name. */
  counts(tunnel: number): Record<string, number> {
    const { fields, drops } = this.counters.tunnel(tunnel);
    const named = DROP_REASONS.map(({ id, name }) => [name, drops[id]] as const);
    const all = [...Object.entries(fields), ...named];
    return Object.fromEntries(all.filter(([, count]) => count !== 0));
  }

  /** Drops of packets that belong to no tunnel. */
  strayCounts(): Record<string, number> {
    return this.counts(NO_TUNNEL);
  }

  #ingress(port: number): VxlanIngress {
    const known = this.#ports.get(port);
    if (known !== undefined) return known;
    const receiver = this.network.udpReceiver(this.#address, port);
    const parts = { receiver, writer: this.#writer, counters: this.#worker, events: this.#events };
    const keepalives = new KeepaliveResponder({
      ...{ rows: this.keepalives, remotes: this.remotes, counters: this.#worker },
      totals: new RemoteTotals(this.counters.sharedState()),
    });
    const ingress = new VxlanIngress({ ...parts, batch: this.ingressBatch }, keepalives);
    this.#ports.set(port, ingress);
    this.#steps.push((now_s) => ingress.run(RECEIVE_SLOTS, now_s, now_s * 1000));
    return ingress;
  }

  /** A raw socket for each protocol; who it finds is made anew with each tunnel. */
  #receiveFor(tunnel: IpipTunnel): void {
    this.#ipips.push(tunnel);
    const { family } = tunnel;
    const local = family === 4 ? this.#address : tunnel.local;
    for (const protocol of [PROTOCOL_IPIP, PROTOCOL_IPV6]) {
      const carries = (one: IpipTunnel) =>
        one.family === family && (protocol === PROTOCOL_IPIP ? one.carries4 : one.carries6);
      if (!carries(tunnel)) continue;
      const socket = this.#rawSocket(family, protocol, local);
      socket.ingress = new IpipIngress(
        {
          ...{ writer: this.#writer, counters: this.#worker, events: this.#events },
          ...{ receiver: socket.receiver, batch: this.ingressBatch },
        },
        { family, protocol, local },
        new TunnelLookup(this.#ipips.filter(carries)),
        this.mergedSizes,
      );
    }
  }

  #rawSocket(family: 4 | 6, protocol: number, local: IpAddress): RawSocket {
    const key = `${family} ${protocol}`;
    const known = this.#raw.get(key);
    if (known !== undefined) return known;
    const socket: RawSocket = { receiver: this.network.rawReceiver(local, protocol) };
    this.#steps.push((now_s) => socket.ingress?.run(RECEIVE_SLOTS, now_s, now_s * 1000) ?? -EAGAIN);
    this.#raw.set(key, socket);
    return socket;
  }
}
