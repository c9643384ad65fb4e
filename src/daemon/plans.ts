// Tunnels -> what each worker is told (worker-plan.ts): its queue of every device, its sockets, the
// shared tables.

import { native } from "#native";
import type { VxlanTunnelConfig } from "../config/effective.js";
import { carries } from "../config/ipip-modes.js";
import type { EventInbox } from "../events/event-inbox.js";
import { ECN_MASK } from "../forwarding/ecn.js";
import { DF_INHERIT, DF_SET, DF_UNSET } from "../forwarding/vxlan-tunnel.js";
import type { KeepaliveRows } from "../remotes/keepalive-rows.js";
import type { RemoteTable } from "../remotes/remote-table.js";
import type { UnreachableRows } from "../remotes/unreachable-rows.js";
import type { Counters } from "../telemetry/counters.js";
import { isIpv4 } from "../wire/ip-address.js";
import { allowedSources } from "./addresses.js";
import type { Descriptors } from "./descriptors.js";
import type { DeviceQueues, IpipRuntime, TunnelRuntime, VxlanRuntime } from "./tunnel.js";
import type {
  DevicePlan,
  IpipReceiverPlan,
  IpipTunnelPlan,
  VxlanTunnelPlan,
  WorkerPlan,
} from "./worker-plan.js";

export interface PlanParts {
  readonly workers: number;
  readonly busyPoll_us: number;
  readonly tunnels: readonly TunnelRuntime[];
  readonly remotes: RemoteTable;
  readonly keepalives: KeepaliveRows;
  readonly unreachable: UnreachableRows;
  readonly counters: Counters;
  readonly events: EventInbox;
  readonly descriptors: Descriptors;
  /** Sockets that receive IP protocol 4. */
  readonly ipipReceivers: readonly IpipReceiverPlan[];
}

const NO_SOCKET = -1;

/** One plan per worker; each gets an eventfd of its own. */
export function workerPlans(parts: PlanParts): WorkerPlan[] {
  return Array.from({ length: parts.workers }, (_, worker) => {
    const wakeFd = native.wakeCreate();
    if (wakeFd < 0) throw new Error(`eventfd failed: errno ${-wakeFd}`);
    return {
      worker,
      wakeFd: parts.descriptors.own(wakeFd),
      busyPoll_us: parts.busyPoll_us,
      remotes: parts.remotes.sharedState(),
      keepalives: parts.keepalives.sharedState(),
      unreachable: parts.unreachable.sharedState(),
      counters: parts.counters.sharedState(),
      events: parts.events.workerState(worker),
      vxlan: parts.tunnels
        .filter((tunnel): tunnel is VxlanRuntime => tunnel.type === "vxlan")
        .map((tunnel) => vxlanPlan(tunnel, worker)),
      ipip: parts.tunnels
        .filter((tunnel): tunnel is IpipRuntime => tunnel.type === "ipip")
        .map((tunnel) => ipipPlan(tunnel, worker)),
      ipipReceivers: worker === 0 ? parts.ipipReceivers : [],
    };
  });
}

function devicePlan(device: DeviceQueues, worker: number): DevicePlan {
  const { name, kind, offloads } = device;
  return { name, kind, offloads, fd: device.fds[worker] };
}

const DF_MODES = { unset: DF_UNSET, set: DF_SET, inherit: DF_INHERIT } as const;

function outerSettings({ ttl, tos, df }: VxlanTunnelConfig) {
  const inherit = -1;
  return {
    ttl: ttl === "inherit" ? inherit : ttl,
    tos: tos === "inherit" ? inherit : tos & ~ECN_MASK,
    df: DF_MODES[df],
  };
}

function vxlanPlan(tunnel: VxlanRuntime, worker: number): VxlanTunnelPlan {
  const { config } = tunnel;
  return {
    index: tunnel.index,
    device: devicePlan(tunnel.device, worker),
    vni: config.vni,
    macHi: tunnel.mac.hi,
    macLo: tunnel.mac.lo | 0,
    mtu_bytes: tunnel.device.mtu_bytes,
    pathMtu_bytes: tunnel.pathMtu_bytes,
    ...outerSettings(config),
    learning: config.learning,
    maxMacsPerRemote: config.max_macs_per_remote,
    proxy: config.proxy,
    strictReserved: config.strict_reserved,
    dropInnerVlan: config.inner_vlan === "drop",
    rsc: config.rsc,
    l2miss: config.l2miss,
    l3miss: config.l3miss,
    remcsumTx: config.remcsum_tx,
    remcsumRx: config.remcsum_rx,
    gbpId: config.gbp === "off" ? -1 : config.gbp.id,
    gbpAllow: config.gbp === "off" || config.gbp.allow === "any" ? undefined : config.gbp.allow,
    bumLimit_pps: config.bum_limit_pps,
    allow: allowedSources(config.allow),
    fdb: tunnel.fdb.sharedState(),
    neigh: tunnel.neigh.sharedState(),
    flood: tunnel.flood.sharedState(),
    bumBuckets: tunnel.bumBuckets,
    dev: config.dev ?? "",
    sendSockets: tunnel.senders[worker],
    socketCount: tunnel.socketCount,
    flowLabel: config.flowlabel === "auto" ? 0 : config.flowlabel,
    receiveSocket: tunnel.receivers[worker],
    // Every socket of a group gets a copy of what is sent to it: one worker reads.
    groupSocket: worker === 0 ? tunnel.groupReceiver : NO_SOCKET,
    udpSegment: tunnel.udpSegment,
  };
}

function ipipPlan(tunnel: IpipRuntime, worker: number): IpipTunnelPlan {
  const { config, remoteRow } = tunnel;
  return {
    index: tunnel.index,
    device: devicePlan(tunnel.device, worker),
    family: isIpv4(tunnel.local) ? 4 : 6,
    local: tunnel.local,
    remote: tunnel.remote,
    remoteRow,
    carries4: carries(config.mode, 4),
    carries6: carries(config.mode, 6),
    ttl: config.ttl === "inherit" ? 0 : config.ttl,
    tos: config.tos === "inherit" ? -1 : config.tos & ~ECN_MASK,
    pmtudisc: config.pmtudisc,
    mtu_bytes: tunnel.device.mtu_bytes,
    underlayMtu_bytes: tunnel.underlayMtu_bytes,
    allow: allowedSources(config.allow),
    routes: tunnel.routes.sharedState(),
    dev: config.dev ?? "",
    sendSockets: tunnel.senders[worker],
  };
}
