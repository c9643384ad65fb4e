// The ways of a packet that forwarding.ts times and allocation.ts watches: each a function that
// moves one batch through real forwarders on a standing host.

import { InnerErrors } from "../../src/forwarding/inner-errors.js";
import { IpipEgress } from "../../src/forwarding/ipip-egress.js";
import { IpipIngress } from "../../src/forwarding/ipip-ingress.js";
import { MergedSizes } from "../../src/forwarding/merged-size.js";
import { TunnelLookup } from "../../src/forwarding/tunnel-lookup.js";
import { VxlanEgress } from "../../src/forwarding/vxlan-egress.js";
import { VxlanIngress } from "../../src/forwarding/vxlan-ingress.js";
import { UnreachableRows } from "../../src/remotes/unreachable-rows.js";
import { ETHERNET_HEADER_BYTES } from "../../src/wire/ethernet.js";
import { PROTOCOL_IPIP } from "../../src/wire/ip-protocol.js";
import { emitIpv4, IPV4_HEADER_BYTES } from "../../src/wire/ipv4.js";
import { VXLAN_HEADER_BYTES, writeVxlan } from "../../src/wire/vxlan.js";
import { destinationMac, type FrameSpec, makeFrame } from "./frames.js";
import {
  FRAMES,
  LOCAL,
  REMOTE,
  RUNS,
  StandingDevice,
  StandingHost,
  StandingReceiver,
  StandingSender,
  VNI,
} from "./standing-host.js";

export interface Path {
  readonly name: string;
  /** Frames or runs of one batch: decisions that are made. */
  readonly batch: number;
  /** Moves a batch. @returns frames or runs, of which a superpacket is one */
  readonly move: (now_s: number) => number;
}

const SMALL = { version: 4, protocol: "udp", payload_bytes: 64 } as const;
const SMALL_V6 = { version: 6, protocol: "tcp", payload_bytes: 64 } as const;
const SUPERPACKET = { version: 4, protocol: "tcp", payload_bytes: 64_400 } as const;
const SEGMENT = { version: 4, protocol: "tcp", payload_bytes: 1_400 } as const;
const SEGMENTS = 40;
/** Superpackets that fit a batch's arena. */
const SUPERPACKETS = 15;
const FLOOD_REMOTES = 3;

/** What was in a batch, once it has moved: forwarders tell packets on the wire. */
function whole(batch: number, packets: number): number {
  if (packets < batch) throw new Error(`${packets} packets moved of a batch of ${batch}`);
  return batch;
}

function frames(count: number, spec: Omit<FrameSpec, "flow">): Uint8Array[] {
  return Array.from({ length: count }, (_, flow) => makeFrame({ ...spec, flow }).bytes);
}

function vxlanEgress(name: string, device: StandingDevice, batch: number, flood: boolean): Path {
  const host = new StandingHost();
  const { tunnel, remote } = host.vxlan(device);
  if (flood) {
    for (let i = 0; i < FLOOD_REMOTES; i++) tunnel.flood.append(host.remote(REMOTE + i, 4789, VNI));
  } else {
    for (let flow = 0; flow < batch; flow++) {
      const { hi, lo } = destinationMac(flow);
      tunnel.fdb.add(hi, lo, remote, 0, 1);
    }
  }
  const { remotes, counters, events } = host;
  const sender = new StandingSender();
  const parts = { tunnel, batch: host.batch, remotes, sender, counters, events, queue: host.queue };
  const egress = new VxlanEgress({ ...parts, queueSender: sender, udpSegment: true });
  return { name, batch, move: (now_s) => whole(batch, egress.run(FRAMES, now_s * 1000)) };
}

/** `count` frames, each with its VXLAN header, one behind the other. */
function vxlanRun(flow: number, count: number, spec: Omit<FrameSpec, "flow">): Uint8Array {
  const { bytes } = makeFrame({ ...spec, flow });
  const stride = VXLAN_HEADER_BYTES + bytes.length;
  const run = new Uint8Array(count * stride);
  for (let at = 0; at < run.length; at += stride) {
    writeVxlan(run, at, VNI);
    run.set(bytes, at + VXLAN_HEADER_BYTES);
  }
  return run;
}

function vxlanIngress(name: string, segments: number, spec: Omit<FrameSpec, "flow">): Path {
  const host = new StandingHost();
  const { tunnel } = host.vxlan(new StandingDevice([]));
  const runs = Array.from({ length: RUNS }, (_, flow) => vxlanRun(flow, segments, spec));
  const { ingressBatch: batch, writer, counters, events } = host;
  const receiver = new StandingReceiver(runs, segments);
  const parts = { receiver, batch, writer, counters, events };
  const ingress = new VxlanIngress(parts, host.keepalives);
  ingress.add(tunnel);
  return {
    name,
    batch: RUNS,
    move: (now_s) => whole(RUNS, ingress.run(RUNS, now_s, now_s * 1000)),
  };
}

function ipipEgress(name: string, v6 = false): Path {
  const host = new StandingHost();
  const all = frames(FRAMES, v6 ? SMALL_V6 : SMALL);
  const device = new StandingDevice(all.map((frame) => frame.subarray(ETHERNET_HEADER_BYTES)));
  const tunnel = v6 ? host.ip6tnl(device) : host.ipip(device);
  const { batch, remotes, counters } = host;
  const sender = new StandingSender();
  const inner = new InnerErrors(tunnel, UnreachableRows.create(remotes.rows), counters);
  const egress = new IpipEgress({ tunnel, batch, remotes, sender, counters, inner });
  return { name, batch: FRAMES, move: () => whole(FRAMES, egress.run(FRAMES)) };
}

function ipipPacket(frame: Uint8Array): Uint8Array {
  const inner = frame.subarray(ETHERNET_HEADER_BYTES);
  const bytes = new Uint8Array(IPV4_HEADER_BYTES + inner.length);
  const addresses = { source: REMOTE, destination: LOCAL };
  const fragment = { dontFragment: true, moreFragments: false, fragmentOffset_bytes: 0 };
  const rest = { tos: 0, identification: 0, ttl: 64, protocol: PROTOCOL_IPIP };
  emitIpv4({ ...addresses, ...fragment, ...rest, payload_bytes: inner.length }, bytes, 0);
  bytes.set(inner, IPV4_HEADER_BYTES);
  return bytes;
}

function ipipIngress(name: string): Path {
  const host = new StandingHost();
  const tunnel = host.ipip(new StandingDevice([]));
  const { ingressBatch: batch, writer, counters, events } = host;
  const receiver = new StandingReceiver(frames(RUNS, SMALL).map(ipipPacket));
  const ingress = new IpipIngress(
    { receiver, batch, writer, counters, events },
    { family: 4, protocol: PROTOCOL_IPIP, local: tunnel.local },
    new TunnelLookup([tunnel]),
    new MergedSizes(),
  );
  return {
    name,
    batch: RUNS,
    move: (now_s) => whole(RUNS, ingress.run(RUNS, now_s, now_s * 1000)),
  };
}

/** Every path, each made when it is due. */
export function* paths(): Generator<Path> {
  const small = new StandingDevice(frames(FRAMES, SMALL));
  yield vxlanEgress("VXLAN egress, small UDP frame", small, FRAMES, false);
  const smallV6 = new StandingDevice(frames(FRAMES, SMALL_V6));
  yield vxlanEgress("VXLAN egress, small TCP frame over IPv6", smallV6, FRAMES, false);
  const large = new StandingDevice(frames(SUPERPACKETS, SUPERPACKET), SEGMENT.payload_bytes);
  yield vxlanEgress("VXLAN egress, superpacket of 46 segments", large, SUPERPACKETS, false);
  const flooded = new StandingDevice(frames(FRAMES, SMALL));
  yield vxlanEgress("VXLAN egress, flooded to 3 remotes", flooded, FRAMES, true);
  yield vxlanIngress("VXLAN ingress, run of 1 small frame", 1, SMALL);
  yield vxlanIngress("VXLAN ingress, run of 40 TCP segments", SEGMENTS, SEGMENT);
  yield ipipEgress("IPIP egress, small UDP packet");
  yield ipipEgress("IPIP egress over IPv6, 3 next hops", true);
  yield ipipIngress("IPIP ingress, small UDP packet");
}
