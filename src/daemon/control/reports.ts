// `culvert status`, `culvert counters` and the metrics: reports made from tables, counters and the
// devices as they are.

import type {
  CountersReport,
  DropCount,
  EventCount,
  PeerCounters,
  RemoteStatus,
  StatusReport,
  Traffic,
  TunnelCounters,
  TunnelStatus,
} from "../../control/target.js";
import { culvertVersion } from "../../control/version.js";
import { listAddresses } from "../../netlink/addresses.js";
import { linkByIndex } from "../../netlink/links.js";
import {
  REMOTE_FLAG_ALLOWED,
  REMOTE_FLAG_LEARNED,
  REMOTE_FLAG_NO_GSO,
  type RemoteEntry,
} from "../../remotes/remote-rows.js";
import { UNREACHABLE_NAMES } from "../../remotes/unreachable-rows.js";
import { monotonicSeconds } from "../../shared-memory/clock.js";
import { NO_TUNNEL, type TunnelCounter, type TunnelCounts } from "../../telemetry/counters.js";
import {
  type CountedFor,
  canHappen,
  DROP_REASONS,
  REMOTE_DROP_REASONS,
} from "../../telemetry/drop-reasons.js";
import type { MetricsSample } from "../../telemetry/metrics.js";
import { formatIp, isMulticastIp } from "../../wire/ip-address.js";
import { formatMac } from "../../wire/mac.js";
import { textOf } from "../addresses.js";
import { kernelTunnelNotices } from "../kernel-tunnels.js";
import type { TunnelRuntime } from "../tunnel.js";
import type { TunnelRoutes } from "../tunnel-routes.js";
import type { ControlContext } from "./context.js";
import { routeProblems } from "./routes.js";

/** Counted things that are no drops, each with its meaning. */
const EVENTS: readonly { field: keyof typeof TunnelCounter; event: string; meaning: string }[] = [
  {
    field: "egressSuperpackets",
    event: "egress-superpackets",
    meaning: "Superpackets that the device gave; each became many packets.",
  },
  {
    field: "ingressSuperpackets",
    event: "ingress-superpackets",
    meaning: "Runs of packets that were joined before they entered the device.",
  },
  { field: "floods", event: "floods", meaning: "Frames replicated to the flood list." },
  { field: "learned", event: "learned", meaning: "MAC addresses learned." },
  {
    field: "moved",
    event: "moved",
    meaning: "Learned MAC addresses that moved to another remote.",
  },
  { field: "arpReplies", event: "arp-replies", meaning: "ARP requests answered by the proxy." },
  { field: "ndReplies", event: "nd-replies", meaning: "Neighbour solicitations answered." },
  {
    field: "icmpErrors",
    event: "icmp-errors",
    meaning: "Senders told by ICMP that a packet was too big, or lost in the tunnel.",
  },
  { field: "keepalivesSent", event: "keepalives-sent", meaning: "Keepalives sent, answers too." },
  {
    field: "keepalivesReceived",
    event: "keepalives-received",
    meaning: "Keepalives received, answers too.",
  },
  {
    field: "shortCircuits",
    event: "short-circuits",
    meaning: "Frames for a router that went straight to its next hop (rsc).",
  },
  {
    field: "fragmented",
    event: "fragmented",
    meaning: "Packets that exceeded the path MTU and left in outer fragments.",
  },
];
/** Those of an IPIP tunnel, which forwards by route and learns nothing. */
const IPIP_EVENTS: readonly (keyof typeof TunnelCounter)[] = [
  ...(["egressSuperpackets", "ingressSuperpackets", "icmpErrors", "fragmented"] as const),
];

export function statusReport(context: ControlContext): StatusReport {
  return {
    version: culvertVersion(),
    pid: process.pid,
    uptime_s: monotonicSeconds() - context.started_s,
    workers: context.workers,
    offloads: context.offloads.report(),
    tunnels: tunnelStatuses(context),
    route_tunnels: context.plainRoutes.report(),
  };
}

function tunnelStatuses(context: ControlContext): TunnelStatus[] {
  const { tunnels, rtnl } = context;
  const notices = kernelTunnelNotices(rtnl, tunnels);
  return tunnels.map((tunnel) => {
    const status = tunnelStatus(context, tunnel);
    const found = notices.get(tunnel.index);
    return found === undefined ? status : { ...status, notices: found };
  });
}

export function countersReport(context: ControlContext): CountersReport {
  return {
    tunnels: context.tunnels.map((tunnel) => tunnelCounters(context, tunnel)),
    drops: drops(context.counters.tunnel(NO_TUNNEL), "none"),
  };
}

/** The counters, with what is known of each peer beside them. */
export function metricsSample(context: ControlContext): MetricsSample {
  const report = countersReport(context);
  const tunnels = context.tunnels.map((tunnel, i) => ({
    ...report.tunnels[i],
    ...(tunnel.type === "ipip" ? { routes: usedRoutes(context.mirror.of(tunnel)) } : {}),
    peers: context.remotes.list(tunnel.index).map((row) => ({
      ...peerCounters(context, tunnel, row),
      ...remoteHealth(context, tunnel, row),
      ...unreachable(context, row),
    })),
  }));
  return { tunnels, drops: report.drops };
}

/** Prefixes by whether packets can go where a route leads. */
function usedRoutes({ count, unused }: TunnelRoutes): { used: number; unused: number } {
  return { used: count - unused, unused };
}

function tunnelStatus(context: ControlContext, tunnel: TunnelRuntime): TunnelStatus {
  const { config, device, local } = tunnel;
  const link = linkByIndex(context.rtnl, device.ifindex);
  // Somebody may have deleted the device: its tunnel is down then, and status says so.
  const addresses =
    link === undefined ? [] : listAddresses(context.rtnl, { ifindex: device.ifindex });
  const vxlan = tunnel.type === "vxlan" ? tunnel : undefined;
  const flood = new Set(vxlan?.flood.list());
  return {
    name: config.name,
    type: config.type,
    ...(vxlan === undefined ? {} : { vni: vxlan.config.vni, port: vxlan.config.port }),
    ...(tunnel.type === "ipip" ? { mode: tunnel.config.mode } : {}),
    local: textOf(local),
    ...(config.dev === undefined ? {} : { dev: config.dev }),
    ...(tunnel.type === "ipip" && tunnel.remote ? { remote: textOf(tunnel.remote) } : {}),
    mtu_bytes: link?.mtu_bytes ?? device.mtu_bytes,
    ...(vxlan === undefined ? {} : { mac: formatMac(vxlan.mac.hi, vxlan.mac.lo) }),
    up: link?.up ?? false,
    addresses: addresses.map(({ address, prefixLength }) => `${address}/${prefixLength}`),
    remotes: context.remotes
      .list(tunnel.index)
      .map((row) => remoteStatus(context, tunnel, row, flood.has(row.index))),
    fdb_entries: vxlan === undefined ? 0 : vxlan.fdb.count,
    neigh_entries: vxlan?.neigh.count ?? 0,
    ...routeCounts(context, tunnel),
    ...(config.direct ? { direct_routes: context.plainRoutes.directOf(config.name) } : {}),
  };
}

function routeCounts(
  { mirror }: ControlContext,
  tunnel: TunnelRuntime,
): Pick<TunnelStatus, "route_entries" | "route_problems"> {
  if (tunnel.type !== "ipip") return { route_entries: 0 };
  const routes = mirror.of(tunnel);
  const problems = routeProblems(routes);
  return {
    route_entries: routes.count - routes.unused,
    ...(problems === undefined ? {} : { route_problems: problems }),
  };
}

function remoteStatus(
  context: ControlContext,
  tunnel: TunnelRuntime,
  row: RemoteEntry,
  flooded: boolean,
): RemoteStatus {
  const flags: string[] = [];
  if ((row.flags & REMOTE_FLAG_ALLOWED) !== 0) flags.push("configured");
  if ((row.flags & REMOTE_FLAG_LEARNED) !== 0) flags.push("learned");
  if ((row.flags & REMOTE_FLAG_NO_GSO) !== 0) flags.push("no-gso");
  if (flooded) flags.push("flood");
  const [w0, w1, w2, w3] = row.address;
  if (isMulticastIp({ w0, w1, w2, w3 })) flags.push("group");
  const { egress, ingress } = peerTraffic(context, row);
  return {
    ...peerName(tunnel, row),
    ...remoteHealth(context, tunnel, row),
    ...unreachable(context, row),
    ...{ flags, egress, ingress },
  };
}

/** Is it there, and how is the way to it? */
function remoteHealth(context: ControlContext, tunnel: TunnelRuntime, row: RemoteEntry) {
  // Senders are known by their base row.
  const seen_s = context.remotes.get(row.base)?.lastSeen_s ?? 0;
  return {
    last_seen_s_ago: seen_s === 0 ? null : Math.max(0, monotonicSeconds() - seen_s),
    ...(tunnel.type === "vxlan" ? vxlanHealth(context, row) : {}),
    pmtu_bytes: row.pathMtu_bytes > 0 ? row.pathMtu_bytes : tunnel.underlayMtu_bytes,
  };
}

/** What routers last said of the way to it; nothing when it counts as reachable. */
function unreachable(context: ControlContext, row: RemoteEntry) {
  const now_s = monotonicSeconds();
  const known = context.unreachable.get(row.index, now_s);
  if (known === undefined) return {};
  const { kind, offender, at_s, count } = known;
  const from = offender.every((word) => word === 0) ? null : formatIp(...offender);
  const error = UNREACHABLE_NAMES[kind];
  return { unreachable: { error, from, s_ago: Math.max(0, now_s - at_s), count } };
}

/** What only VXLAN has: MACs, and what keepalives tell. */
function vxlanHealth(context: ControlContext, row: RemoteEntry) {
  const health = context.keepalives.health(row.index);
  return {
    state: health?.state ?? ("unknown" as const),
    rtt_us: health?.rtt_us ?? null,
    loss: { egress: health?.lossEgress ?? null, ingress: health?.lossIngress ?? null },
    macs: row.macs,
  };
}

function tunnelCounters(context: ControlContext, tunnel: TunnelRuntime): TunnelCounters {
  const counts = context.counters.tunnel(tunnel.index);
  const { fields } = counts;
  const rows = context.remotes.list(tunnel.index);
  return {
    name: tunnel.config.name,
    egress: traffic(fields.egressPackets, fields.egressBytes),
    ingress: traffic(fields.ingressPackets, fields.ingressBytes),
    drops: drops(counts, tunnel.type),
    events: events(counts, tunnel.type),
    peers: rows.map((row) => peerCounters(context, tunnel, row)),
  };
}

function peerCounters(
  context: ControlContext,
  tunnel: TunnelRuntime,
  row: RemoteEntry,
): PeerCounters {
  const counts = context.counters.remoteDrops(row.index);
  const drops = REMOTE_DROP_REASONS.map(({ direction, name }, i) => ({
    ...{ direction, reason: name, count: counts[i] },
  }));
  return {
    ...peerName(tunnel, row),
    ...peerTraffic(context, row),
    drops: drops.filter(({ count }) => count > 0),
  };
}

/** Address, port and VNI, the latter two where they are not the tunnel's own. */
function peerName({ config }: TunnelRuntime, row: RemoteEntry) {
  const own = config.type === "ipip" || row.port === config.port;
  const ownVni = config.type === "ipip" || row.vni === config.vni;
  return {
    address: formatIp(...row.address),
    ...(own ? {} : { port: row.port }),
    ...(ownVni ? {} : { vni: row.vni }),
  };
}

function peerTraffic(context: ControlContext, row: RemoteEntry) {
  const counts = context.counters.remote(row.index);
  return {
    egress: traffic(counts.egressPackets, counts.egressBytes),
    ingress: traffic(counts.ingressPackets, counts.ingressBytes),
  };
}

/** Every reason that can happen there; should another one have happened, that as well. */
function drops(counts: TunnelCounts, where: CountedFor): DropCount[] {
  return DROP_REASONS.filter(
    (reason) =>
      reason.kind === "drop" && (canHappen(reason, where) || counts.drops[reason.id] !== 0),
  ).map(({ id, name, direction, meaning }) => ({
    ...{ direction, reason: name, meaning, count: counts.drops[id] },
  }));
}

function events(counts: TunnelCounts, type: TunnelRuntime["type"]): EventCount[] {
  const happened = EVENTS.filter(
    ({ field }) => type === "vxlan" || IPIP_EVENTS.includes(field),
  ).map(({ field, event, meaning }) => ({ event, meaning, count: counts.fields[field] }));
  const missed = DROP_REASONS.filter(
    (reason) => reason.kind === "event" && canHappen(reason, type),
  );
  return [
    ...happened,
    ...missed.map(({ id, name, meaning }) => ({ event: name, meaning, count: counts.drops[id] })),
  ];
}

function traffic(packets: number, bytes: number): Traffic {
  return { packets, bytes };
}
