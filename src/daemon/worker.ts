// Entry of a data-plane worker thread: makes the forwarding objects of its plan and runs the loop
// until it is told to stop. It opens nothing, logs nothing and keeps no policy of its own.

import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { type EgressHandle, type IngressHandle, MAX_FRAMES, native, RECEIVE_SLOTS } from "#native";
import { NativeDevice } from "../device/native-device.js";
import { WorkerEvents } from "../events/worker-events.js";
import { Fdb } from "../fdb/fdb.js";
import { FloodLists } from "../fdb/flood-lists.js";
import { BumQueue } from "../forwarding/bum-queue.js";
import { InnerErrors } from "../forwarding/inner-errors.js";
import { IpipEgress } from "../forwarding/ipip-egress.js";
import { IpipErrors } from "../forwarding/ipip-errors.js";
import { IpipIngress } from "../forwarding/ipip-ingress.js";
import type { IpipTunnel } from "../forwarding/ipip-tunnel.js";
import { KeepaliveResponder } from "../forwarding/keepalive-responder.js";
import { MergedSizes } from "../forwarding/merged-size.js";
import { PathErrors } from "../forwarding/path-errors.js";
import { peerRoutes, SourcePolicy } from "../forwarding/source-policy.js";
import { TunnelLookup } from "../forwarding/tunnel-lookup.js";
import { VxlanEgress } from "../forwarding/vxlan-egress.js";
import { VxlanIngress } from "../forwarding/vxlan-ingress.js";
import type { VxlanTunnel } from "../forwarding/vxlan-tunnel.js";
import { WorkerLoop } from "../forwarding/worker-loop.js";
import { RunWriter } from "../forwarding/write-runs.js";
import { Neigh } from "../neigh/neigh.js";
import { EgressBatch } from "../packet/egress-batch.js";
import { IngressBatch } from "../packet/ingress-batch.js";
import { KeepaliveRows } from "../remotes/keepalive-rows.js";
import { RemoteTable } from "../remotes/remote-table.js";
import { UnreachableRows } from "../remotes/unreachable-rows.js";
import { RouteReader } from "../routes/route-table.js";
import { RemoteTotals, WorkerCounters } from "../telemetry/counters.js";
import {
  NativeReceiver,
  RawSender,
  SocketErrors,
  UdpDatagrams,
  UdpSender,
} from "../underlay/native-underlay.js";
import { PROTOCOL_IPIP } from "../wire/ip-protocol.js";
import type {
  DevicePlan,
  IpipReceiverPlan,
  IpipTunnelPlan,
  VxlanTunnelPlan,
  WorkerMessage,
  WorkerPlan,
} from "./worker-plan.js";

/**
 * The time slice that a worker asks of the scheduler. Long on purpose: an application with the
 * usual slice (0.7 to 3 ms) has the earlier deadline, so it runs as soon as a worker has woken it,
 * and reads its socket while the worker goes on filling it. With equal slices it waits until the
 * worker has emptied its queues, and on a busy host its socket's buffer overflows: measured, 60 %
 * of the datagrams that had crossed the tunnel were lost that way (docs/performance.md).
 */
const SLICE_US = 10_000;

/** What all tunnels of one worker share. */
class WorkerParts {
  readonly egress: EgressBatch;
  readonly ingress: IngressBatch;
  readonly queue: BumQueue;
  readonly egressHandle: EgressHandle;
  /** Of the queue's batch. */
  readonly queueHandle: EgressHandle;
  readonly ingressHandle: IngressHandle;
  readonly remotes: RemoteTable;
  readonly unreachable: UnreachableRows;
  readonly counters: WorkerCounters;
  readonly events: WorkerEvents;
  readonly writer: RunWriter;
  readonly errors: PathErrors;
  /** By number of the IPIP tunnel. */
  readonly innerErrors = new Map<number, InnerErrors>();
  readonly mergedSizes = new MergedSizes();
  /** Sockets whose errors are taken already: tunnels may share them. */
  readonly polled: Set<number>;
  readonly #keepalives: KeepaliveResponder;
  /** By descriptor of the receiving socket. */
  readonly #ports = new Map<number, VxlanIngress>();

  constructor(plan: WorkerPlan) {
    this.remotes = RemoteTable.attach(plan.remotes);
    this.unreachable = UnreachableRows.attach(plan.unreachable, this.remotes.rows);
    this.counters = new WorkerCounters(plan.counters, plan.worker);
    this.events = new WorkerEvents(plan.events, this.counters);
    this.#keepalives = new KeepaliveResponder({
      ...{ remotes: this.remotes, counters: this.counters },
      rows: KeepaliveRows.attach(plan.keepalives),
      totals: new RemoteTotals(plan.counters),
    });
    this.egress = new EgressBatch();
    this.ingress = new IngressBatch();
    this.queue = new BumQueue();
    this.egressHandle = this.#register(this.egress);
    this.queueHandle = this.#register(this.queue.batch);
    this.ingressHandle = handle(native.ingressCreate(this.ingress.arena, this.ingress.runs));
    this.writer = new RunWriter(this.ingress, this.counters);
    this.errors = new PathErrors(this.remotes, this.unreachable, this.counters);
    this.polled = new Set(plan.vxlan.map(({ receiveSocket }) => receiveSocket));
  }

  device(index: number, plan: DevicePlan): NativeDevice {
    return new NativeDevice({ index, ...plan }, this.egressHandle, this.ingressHandle);
  }

  /** The port of a receiving socket; tunnels on one socket share it. */
  port(fd: number, name: string, dev: string, loop: WorkerLoop): VxlanIngress {
    let port = this.#ports.get(fd);
    if (port === undefined) {
      const receiver = new NativeReceiver(fd, "udp", this.ingressHandle);
      const { ingress: batch, writer, counters, events } = this;
      port = new VxlanIngress({ receiver, batch, writer, counters, events }, this.#keepalives);
      this.#ports.set(fd, port);
      addUdpReceiver(loop, name, port, new SocketErrors(fd, dev), this.errors);
    }
    return port;
  }

  #register({ arena, frames, sends }: EgressBatch): EgressHandle {
    return handle(native.egressCreate(arena, frames, sends, this.remotes.rows));
  }
}

function handle<T>(result: T | number): T {
  if (typeof result === "number") throw new Error(`native batch refused: errno ${-result}`);
  return result;
}

function addVxlan(plan: VxlanTunnelPlan, parts: WorkerParts, loop: WorkerLoop): void {
  const { remotes, counters, events, egress, egressHandle, queue, queueHandle } = parts;
  const device = parts.device(plan.index, plan.device);
  const tunnel: VxlanTunnel = {
    ...plan,
    sources: new SourcePolicy(plan.index, plan.allow, remotes),
    fdb: Fdb.attach(plan.fdb, remotes.macs),
    neigh: Neigh.attach(plan.neigh),
    flood: FloodLists.attach(plan.flood),
    device,
    datagrams: new UdpDatagrams(plan.sendSockets[0], plan.ttl),
  };
  const { sendSockets, socketCount, dev, flowLabel } = plan;
  const senderOn = (handle: EgressHandle) =>
    new UdpSender(sendSockets, socketCount, dev, flowLabel, handle);
  const forward = new VxlanEgress({
    ...{ tunnel, batch: egress, remotes, sender: senderOn(egressHandle), counters, events },
    ...{ queue, queueSender: senderOn(queueHandle), udpSegment: plan.udpSegment },
  });
  addDevice(loop, device, plan.device.name, forward);
  parts.port(plan.receiveSocket, "udp socket", dev, loop).add(tunnel);
  if (plan.groupSocket >= 0) {
    parts.port(plan.groupSocket, "multicast socket", dev, loop).add(tunnel);
  }
  for (const fd of sendSockets) {
    if (parts.polled.has(fd)) continue;
    parts.polled.add(fd);
    const errors = new SocketErrors(fd, dev);
    loop.add({
      fd,
      name: "sending socket",
      run: (now_s) => Math.min(0, parts.errors.drain(errors, now_s)),
    });
  }
}

/** The socket may send as well (`srcport` fixed to `port`): errors then wait in it. */
function addUdpReceiver(
  loop: WorkerLoop,
  name: string,
  ingress: VxlanIngress,
  errors: SocketErrors,
  pathErrors: PathErrors,
): void {
  const run = (now_s: number, now_ms: number) => {
    const moved = ingress.run(RECEIVE_SLOTS, now_s, now_ms);
    return moved < 0 && pathErrors.drain(errors, now_s) > 0 ? 0 : moved;
  };
  loop.add({ fd: ingress.receiver.fd, name, run });
}

function addDevice(
  loop: WorkerLoop,
  { fd }: NativeDevice,
  name: string,
  egress: VxlanEgress | IpipEgress,
): void {
  loop.add({ fd, name: `device ${name}`, run: (_now_s, now_ms) => egress.run(MAX_FRAMES, now_ms) });
}

/** Errors about packets that left by other sockets wait in the one that receives. */
function addRawReceiver(
  loop: WorkerLoop,
  plan: IpipReceiverPlan,
  tunnels: readonly IpipTunnel[],
  parts: WorkerParts,
): void {
  const { ingress: batch, writer, counters, events, remotes, unreachable } = parts;
  const receiver = new NativeReceiver(plan.fd, "raw", parts.ingressHandle);
  const ours = tunnels.filter(
    (tunnel) =>
      tunnel.family === plan.family &&
      (plan.protocol === PROTOCOL_IPIP ? tunnel.carries4 : tunnel.carries6),
  );
  const lookup = new TunnelLookup(ours);
  const ingressParts = { receiver, batch, writer, counters, events };
  const ingress = new IpipIngress(ingressParts, plan, lookup, parts.mergedSizes);
  const errors = new IpipErrors({
    ...{ family: plan.family, protocol: plan.protocol, tunnels: lookup },
    answers: parts.innerErrors,
    ...{ remotes, unreachable, counters },
  });
  const queue = new SocketErrors(plan.fd, "");
  const run = (now_s: number, now_ms: number) => {
    const moved = ingress.run(RECEIVE_SLOTS, now_s, now_ms);
    return moved < 0 && errors.drain(queue, now_s) > 0 ? 0 : moved;
  };
  loop.add({ fd: plan.fd, name: "raw socket", run });
}

function addIpip(plan: IpipTunnelPlan, parts: WorkerParts, loop: WorkerLoop): IpipTunnel {
  const { remotes, counters, egress, egressHandle } = parts;
  const device = parts.device(plan.index, plan.device);
  const routes = new RouteReader(plan.routes);
  const tunnel: IpipTunnel = {
    ...plan,
    sources: new SourcePolicy(plan.index, plan.allow, remotes, peerRoutes(plan, routes)),
    ...{ routes, device },
  };
  const sender = new RawSender(plan.sendSockets, plan.dev, egressHandle);
  const inner = new InnerErrors(tunnel, parts.unreachable, counters);
  parts.innerErrors.set(tunnel.index, inner);
  const forward = new IpipEgress({ tunnel, batch: egress, sender, remotes, counters, inner });
  addDevice(loop, device, plan.device.name, forward);
  return tunnel;
}

function main(plan: WorkerPlan): void {
  const port = parentPort;
  if (port === null) throw new Error("the worker is not a thread");
  const send = (message: WorkerMessage) => port.postMessage(message);
  const parts = new WorkerParts(plan);
  const loop = new WorkerLoop({
    wakeFd: plan.wakeFd,
    busyPoll_us: plan.busyPoll_us,
    backlog: parts.queue,
    onWake: (now_s) => parts.events.begin(now_s),
    onSourceLost: (name, errno) => send({ kind: "source-lost", name, errno }),
  });
  for (const tunnel of plan.vxlan) addVxlan(tunnel, parts, loop);
  const ipip = plan.ipip.map((tunnel) => addIpip(tunnel, parts, loop));
  for (const receiver of plan.ipipReceivers) addRawReceiver(loop, receiver, ipip, parts);
  native.threadSetSlice(SLICE_US);
  send({ kind: "ready" });
  loop.run(() => receiveMessageOnPort(port)?.message === "stop");
  send({ kind: "stopped" });
}

main(workerData as WorkerPlan);
