// Entry of a data-plane worker thread: makes the forwarding objects of its plan and runs the loop
// until it is told to stop. It opens nothing, logs nothing and keeps no policy of its own.

import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { type EgressHandle, type IngressHandle, MAX_FRAMES, native, RECEIVE_SLOTS } from "#native";
import { NativeDevice } from "../device/native-device.js";
import { Fdb } from "../fdb/fdb.js";
import { FloodLists } from "../fdb/flood-lists.js";
import { IpipEgress } from "../forwarding/ipip-egress.js";
import { IpipIngress } from "../forwarding/ipip-ingress.js";
import type { IpipTunnel } from "../forwarding/ipip-tunnel.js";
import { SourcePolicy } from "../forwarding/source-policy.js";
import { VxlanEgress } from "../forwarding/vxlan-egress.js";
import { VxlanIngress } from "../forwarding/vxlan-ingress.js";
import type { VxlanTunnel } from "../forwarding/vxlan-tunnel.js";
import { WorkerLoop } from "../forwarding/worker-loop.js";
import { RunWriter } from "../forwarding/write-runs.js";
import { Neigh } from "../neigh/neigh.js";
import { EgressBatch } from "../packet/egress-batch.js";
import { IngressBatch } from "../packet/ingress-batch.js";
import { RemoteTable } from "../remotes/remote-table.js";
import { RouteTable } from "../routes/route-table.js";
import { WorkerCounters } from "../telemetry/counters.js";
import { NativeReceiver, RawSender, UdpSender } from "../underlay/native-underlay.js";
import type {
  DevicePlan,
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
  readonly egressHandle: EgressHandle;
  readonly ingressHandle: IngressHandle;
  readonly remotes: RemoteTable;
  readonly counters: WorkerCounters;
  readonly writer: RunWriter;

  constructor(plan: WorkerPlan) {
    this.remotes = RemoteTable.attach(plan.remotes);
    this.counters = new WorkerCounters(plan.counters, plan.worker);
    this.egress = new EgressBatch();
    this.ingress = new IngressBatch();
    const { arena, frames, sends } = this.egress;
    this.egressHandle = handle(native.egressCreate(arena, frames, sends, this.remotes.rows));
    this.ingressHandle = handle(native.ingressCreate(this.ingress.arena, this.ingress.runs));
    this.writer = new RunWriter(this.ingress, this.counters);
  }

  device(index: number, plan: DevicePlan): NativeDevice {
    return new NativeDevice({ index, ...plan }, this.egressHandle, this.ingressHandle);
  }
}

function handle<T>(result: T | number): T {
  if (typeof result === "number") throw new Error(`native batch refused: errno ${-result}`);
  return result;
}

function addVxlan(
  plan: VxlanTunnelPlan,
  parts: WorkerParts,
  loop: WorkerLoop,
  ports: Map<number, VxlanIngress>,
): void {
  const { remotes, counters, egress, egressHandle, ingressHandle } = parts;
  const device = parts.device(plan.index, plan.device);
  const tunnel: VxlanTunnel = {
    ...plan,
    sources: new SourcePolicy(plan.index, plan.allow, remotes),
    fdb: Fdb.attach(plan.fdb, remotes.macs),
    neigh: Neigh.attach(plan.neigh),
    flood: FloodLists.attach(plan.flood),
    device,
  };
  const sender = new UdpSender(plan.sendSockets, plan.dev, egressHandle);
  const { udpSegment } = plan;
  const forward = new VxlanEgress({ tunnel, batch: egress, remotes, sender, counters, udpSegment });
  addDevice(loop, device, plan.device.name, forward);
  let port = ports.get(plan.receiveSocket);
  if (port === undefined) {
    const receiver = new NativeReceiver(plan.receiveSocket, "udp", ingressHandle);
    port = new VxlanIngress({ receiver, batch: parts.ingress, writer: parts.writer, counters });
    ports.set(plan.receiveSocket, port);
    addReceiver(loop, "udp socket", port);
  }
  port.add(tunnel);
}

function addDevice(
  loop: WorkerLoop,
  { fd }: NativeDevice,
  name: string,
  egress: VxlanEgress | IpipEgress,
): void {
  loop.add({ fd, name: `device ${name}`, run: () => egress.run(MAX_FRAMES) });
}

function addReceiver(loop: WorkerLoop, name: string, ingress: VxlanIngress | IpipIngress): void {
  const run = (now_s: number) => ingress.run(RECEIVE_SLOTS, now_s);
  loop.add({ fd: ingress.receiver.fd, name, run });
}

function addIpip(plan: IpipTunnelPlan, parts: WorkerParts, loop: WorkerLoop): IpipTunnel {
  const { remotes, counters, egress, egressHandle } = parts;
  const device = parts.device(plan.index, plan.device);
  const tunnel: IpipTunnel = {
    ...plan,
    sources: new SourcePolicy(plan.index, plan.allow, remotes),
    routes: RouteTable.attach(plan.routes),
    device,
  };
  const sender = new RawSender(plan.sendSocket, egressHandle);
  const forward = new IpipEgress({ tunnel, batch: egress, sender, remotes, counters });
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
    onSourceLost: (name, errno) => send({ kind: "source-lost", name, errno }),
  });
  const ports = new Map<number, VxlanIngress>();
  for (const tunnel of plan.vxlan) addVxlan(tunnel, parts, loop, ports);
  const ipip = plan.ipip.map((tunnel) => addIpip(tunnel, parts, loop));
  for (const fd of plan.ipipReceiveSockets) {
    const receiver = new NativeReceiver(fd, "raw", parts.ingressHandle);
    const { ingress: batch, writer, counters } = parts;
    const ingress = new IpipIngress({ receiver, batch, writer, counters });
    for (const tunnel of ipip) ingress.add(tunnel);
    addReceiver(loop, "raw socket", ingress);
  }
  native.threadSetSlice(SLICE_US);
  send({ kind: "ready" });
  loop.run(() => receiveMessageOnPort(port)?.message === "stop");
  send({ kind: "stopped" });
}

main(workerData as WorkerPlan);
