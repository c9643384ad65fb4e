// The effective configuration: what the daemon acts on and `culvert check` prints. Every default is
// filled in and every address canonical; loading its printed form gives it again. `auto` stays
// where the host must decide (mtu, mac, workers). Keys are spelt as in the file.

import {
  canonicalAddress,
  canonicalListenAddress,
  canonicalMac,
  canonicalPrefix,
  familyOf,
  ZERO_MAC,
} from "./addresses.js";
import { defaultValues } from "./default-values.js";
import type {
  ConfigDocument,
  DeviceTunnelDocument,
  GbpDocument,
  IpipTunnelDocument,
  RemoteDocument,
  RouteDocument,
  RouteTunnelDocument,
  TunnelDocument,
  VxlanTunnelDocument,
} from "./schema.js";

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal";

export interface OffloadsConfig {
  tso: boolean;
  uso: boolean;
  udp_segment: boolean;
  udp_gro: boolean;
  tun_checksum: boolean;
}

export interface RouteConfig {
  /** Prefix without host bits. */
  to: string;
  /** Next hop; without it the inner destination is the next hop. */
  via?: string;
  onlink: boolean;
  /** 0: the kernel's choice. */
  metric: number;
}

export interface RemoteConfig {
  dst: string;
  port: number;
  vni: number;
  /** Group id of frames to it; without it the tunnel's. */
  gbp?: number;
}

export interface FdbEntryConfig extends RemoteConfig {
  /** Unicast or multicast; all-zero entries have become `remotes`. */
  mac: string;
  /** NTF_ROUTER: route short circuit applies to frames for this MAC. */
  router: boolean;
}

export interface NeighborConfig {
  ip: string;
  mac: string;
  /** NTF_ROUTER: neighbour advertisements carry the R flag. */
  router: boolean;
}

/** Group-based policy: what our frames carry, and from which groups frames are taken. */
export interface GbpConfig {
  id: number;
  allow: "any" | number[];
}

/** Outer sources that may send to us: those configured, all, or those in one of the prefixes. */
export type AllowConfig = "known" | "any" | string[];

interface CommonTunnelConfig {
  name: string;
  /** Bytes of one inner packet (IP) on the device. */
  mtu: "auto" | number;
  /** `address/length`, host bits kept. */
  addresses: string[];
  routes: RouteConfig[];
  /** Routes to peers on the same link leave without encapsulation. */
  direct: boolean;
  allow: AllowConfig;
}

export interface VxlanTunnelConfig extends CommonTunnelConfig {
  type: "vxlan";
  vni: number;
  /** Outer source; at least one of `local` and `dev` is there. */
  local?: string;
  /** Underlay device. */
  dev?: string;
  port: number;
  /** Source ports of outer packets: `49152-65535`, see `parsePortRange`. */
  srcport: string;
  /** Outer TTL; 0: the route's hop limit. */
  ttl: "inherit" | number;
  /** Outer TOS or traffic class; its ECN bits are always the inner packet's. */
  tos: "inherit" | number;
  df: "unset" | "set" | "inherit";
  flowlabel: "auto" | number;
  udp_csum: boolean;
  udp6_zero_csum_tx: boolean;
  udp6_zero_csum_rx: boolean;
  remcsum_tx: boolean;
  remcsum_rx: boolean;
  gbp: "off" | GbpConfig;
  mac: string;
  learning: boolean;
  /** Seconds; 0: learned entries never age. */
  ageing_s: number;
  /** FDB entries of any kind. */
  max_entries: number;
  proxy: boolean;
  rsc: boolean;
  l2miss: boolean;
  l3miss: boolean;
  /** Tell rtnetlink's listeners (`bridge monitor`) of changes. */
  notify: boolean;
  /** Seconds between keepalives to each remote; 0: none. */
  keepalive_s: number;
  /** Frames per second that are flooded, each way; 0: no limit. */
  bum_limit_pps: number;
  /** MACs learned from one remote; 0: no limit but max_entries. */
  max_macs_per_remote: number;
  strict_reserved: boolean;
  inner_vlan: "pass" | "drop";
  /** Multicast group of the underlay for BUM frames. */
  group?: string;
  /** Flood list, `remote` and all-zero FDB entries included; the group is not among them. */
  remotes: RemoteConfig[];
  fdb: FdbEntryConfig[];
  neighbors: NeighborConfig[];
}

export interface IpipTunnelConfig extends CommonTunnelConfig {
  type: "ipip";
  /** What is carried in what: ipip 4 in 4, sit 6 in 4, ipip6 4 in 6, ip6ip6 6 in 6, any both. */
  mode: IpipMode;
  /**
   * Outer source, or `any`: the route's, and packets to every address of this host are taken. At
   * least one of `local` and `dev` is there.
   */
  local?: string;
  /** Underlay device. */
  dev?: string;
  /** Address, or `any`: the outer destination is the next hop of the route. */
  remote: string;
  /** Outer TTL; 0 is `inherit`: that of the inner packet. */
  ttl: "inherit" | number;
  /** Outer TOS or traffic class; its ECN bits are always the inner packet's. */
  tos: "inherit" | number;
  /** Outer DF set on every packet; false: as on the inner one. */
  pmtudisc: boolean;
}

export type IpipMode = "ipip" | "sit" | "ipip6" | "ip6ip6" | "any";

export interface HostRouteConfig {
  /** Prefix without host bits. */
  to: string;
  /** A host on a link of this one. */
  via: string;
  /** 0: the kernel's choice. */
  metric: number;
}

/** Plain routes of the host: no device, no encapsulation. */
export interface RouteTunnelConfig {
  name: string;
  type: "route";
  /** The device by which every next hop must be reached; without it the kernel's choice. */
  dev?: string;
  /** Preferred source of what this host itself sends. */
  local?: string;
  routes: HostRouteConfig[];
}

/** Tunnels with a device of their own; a tunnel's index is its place among these. */
export type DeviceTunnelConfig = VxlanTunnelConfig | IpipTunnelConfig;
export type TunnelConfig = DeviceTunnelConfig | RouteTunnelConfig;

export interface Config {
  control: { socket: string };
  log: { level: LogLevel };
  /** `off` or `address:port`, see `parseListenAddress`. */
  metrics: { listen: string };
  workers: "auto" | number;
  /** 0: never. */
  busy_poll_us: number;
  offloads: OffloadsConfig;
  tunnels: TunnelConfig[];
}

/**
 * `onlinkDefault`: an IPIP next hop is an underlay address, which the device's own prefixes never
 * cover.
 */
function effectiveRoute(route: RouteDocument, onlinkDefault: boolean): RouteConfig {
  const { to, via, onlink, metric } = route;
  return {
    to: canonicalPrefix(to),
    ...(via === undefined ? {} : { via: canonicalAddress(via) }),
    onlink: via !== undefined && (onlink ?? onlinkDefault),
    metric: metric ?? defaultValues.routeMetric,
  };
}

function effectiveAllow(allow: VxlanTunnelDocument["allow"]): AllowConfig {
  if (Array.isArray(allow)) return allow.map(canonicalPrefix);
  return allow ?? defaultValues.allow;
}

function effectiveCommon(
  tunnel: DeviceTunnelDocument,
): Pick<CommonTunnelConfig, "mtu" | "addresses" | "routes" | "direct"> {
  return {
    mtu: tunnel.mtu ?? defaultValues.mtu,
    addresses: (tunnel.addresses ?? []).map(canonicalPrefix),
    routes: (tunnel.routes ?? []).map((route) => effectiveRoute(route, tunnel.type === "ipip")),
    direct: tunnel.direct ?? defaultValues.direct,
  };
}

/** What the outer headers look like. */
function effectiveOuter(tunnel: VxlanTunnelDocument) {
  const { udp6ZeroChecksum, remoteChecksum } = defaultValues;
  return {
    ttl: tunnel.ttl ?? defaultValues.vxlanTtl,
    tos: tunnel.tos ?? defaultValues.tos,
    df: tunnel.df ?? defaultValues.df,
    flowlabel: tunnel.flowlabel ?? defaultValues.flowLabel,
    udp_csum: tunnel.udp_csum ?? defaultValues.udpCsum,
    udp6_zero_csum_tx: tunnel.udp6_zero_csum_tx ?? udp6ZeroChecksum,
    udp6_zero_csum_rx: tunnel.udp6_zero_csum_rx ?? udp6ZeroChecksum,
    remcsum_tx: tunnel.remcsum_tx ?? remoteChecksum,
    remcsum_rx: tunnel.remcsum_rx ?? remoteChecksum,
    gbp: effectiveGbp(tunnel.gbp ?? defaultValues.gbp),
  };
}

function effectiveGbp(gbp: GbpDocument): "off" | GbpConfig {
  return gbp === "off" ? gbp : { id: gbp.id, allow: gbp.allow ?? "any" };
}

/** Misses, notifications, limits. */
function effectivePolicy(tunnel: VxlanTunnelDocument) {
  return {
    rsc: tunnel.rsc ?? defaultValues.routeShortCircuit,
    l2miss: tunnel.l2miss ?? defaultValues.missEvents,
    l3miss: tunnel.l3miss ?? defaultValues.missEvents,
    notify: tunnel.notify ?? defaultValues.notify,
    keepalive_s: tunnel.keepalive_s ?? defaultValues.keepalive_s,
    bum_limit_pps: tunnel.bum_limit_pps ?? defaultValues.bumLimit_pps,
    max_macs_per_remote: tunnel.max_macs_per_remote ?? defaultValues.maxMacsPerRemote,
  };
}

/** `4789` -> `4789-4789`: one form, which the schema takes again. */
function canonicalPortRange(range: number | string): string {
  const text = String(range);
  return text.includes("-") ? text : `${text}-${text}`;
}

function effectiveVxlan(tunnel: VxlanTunnelDocument): VxlanTunnelConfig {
  const { vni } = tunnel;
  const port = tunnel.port ?? defaultValues.vxlanPort;
  const remoteOf = (remote: RemoteDocument): RemoteConfig =>
    typeof remote === "string"
      ? { dst: canonicalAddress(remote), port, vni }
      : {
          ...{ dst: canonicalAddress(remote.dst), port: remote.port ?? port },
          vni: remote.vni ?? vni,
          ...(remote.gbp === undefined ? {} : { gbp: remote.gbp }),
        };
  const fdb = (tunnel.fdb ?? []).map((entry) => ({
    mac: canonicalMac(entry.mac),
    ...remoteOf(entry),
    router: entry.router ?? false,
  }));
  const remote = tunnel.remote === undefined ? [] : [tunnel.remote];
  const flood = fdb.filter(({ mac }) => mac === ZERO_MAC);
  return {
    name: tunnel.name,
    type: "vxlan",
    vni,
    ...(tunnel.local === undefined ? {} : { local: canonicalAddress(tunnel.local) }),
    ...(tunnel.dev === undefined ? {} : { dev: tunnel.dev }),
    port,
    srcport: canonicalPortRange(tunnel.srcport ?? defaultValues.sourcePorts),
    ...effectiveOuter(tunnel),
    mac: canonicalMac(tunnel.mac ?? defaultValues.mac),
    ...effectiveCommon(tunnel),
    learning: tunnel.learning ?? defaultValues.learning,
    ageing_s: tunnel.ageing_s ?? defaultValues.ageing_s,
    max_entries: tunnel.max_entries ?? defaultValues.maxEntries,
    proxy: tunnel.proxy ?? defaultValues.proxy,
    ...effectivePolicy(tunnel),
    strict_reserved: tunnel.strict_reserved ?? defaultValues.strictReserved,
    inner_vlan: tunnel.inner_vlan ?? defaultValues.innerVlan,
    // Who answers in a multicast group is not known beforehand: that is what a group is for.
    allow: effectiveAllow(tunnel.allow ?? (tunnel.group === undefined ? undefined : "any")),
    ...(tunnel.group === undefined ? {} : { group: canonicalAddress(tunnel.group) }),
    remotes: [
      ...[...remote, ...(tunnel.remotes ?? [])].map(remoteOf),
      ...flood.map(({ mac: _mac, router: _router, ...member }) => member),
    ],
    fdb: fdb.filter(({ mac }) => mac !== ZERO_MAC),
    neighbors: (tunnel.neighbors ?? []).map(({ ip, mac, router }) => ({
      ip: canonicalAddress(ip),
      mac: canonicalMac(mac),
      router: router ?? false,
    })),
  };
}

const canonicalAddressOrAny = (text: string): string =>
  text === "any" ? text : canonicalAddress(text);

/**
 * Family of the outer header: that of the addresses given, else what the mode says, else IPv4.
 */
export function ipipFamily({ local, remote, mode }: Partial<IpipTunnelDocument>): 4 | 6 {
  for (const address of [local, remote]) {
    if (address !== undefined && address !== "any") return familyOf(address);
  }
  return mode === "ipip6" || mode === "ip6ip6" ? 6 : 4;
}

function effectiveIpip(tunnel: IpipTunnelDocument): IpipTunnelConfig {
  return {
    name: tunnel.name,
    type: "ipip",
    mode: tunnel.mode ?? (ipipFamily(tunnel) === 4 ? "ipip" : "ipip6"),
    ...(tunnel.local === undefined ? {} : { local: canonicalAddressOrAny(tunnel.local) }),
    ...(tunnel.dev === undefined ? {} : { dev: tunnel.dev }),
    remote: canonicalAddressOrAny(tunnel.remote ?? defaultValues.ipipRemote),
    ttl: tunnel.ttl === 0 ? "inherit" : (tunnel.ttl ?? defaultValues.ipipTtl),
    tos: tunnel.tos ?? defaultValues.tos,
    pmtudisc: tunnel.pmtudisc ?? defaultValues.pmtudisc,
    ...effectiveCommon(tunnel),
    allow: effectiveAllow(tunnel.allow),
  };
}

function effectiveRouteTunnel(tunnel: RouteTunnelDocument): RouteTunnelConfig {
  return {
    name: tunnel.name,
    type: "route",
    ...(tunnel.dev === undefined ? {} : { dev: tunnel.dev }),
    ...(tunnel.local === undefined ? {} : { local: canonicalAddress(tunnel.local) }),
    routes: tunnel.routes.map(({ to, via, metric }) => ({
      to: canonicalPrefix(to),
      via: canonicalAddress(via),
      metric: metric ?? defaultValues.routeMetric,
    })),
  };
}

function effectiveTunnel(tunnel: TunnelDocument): TunnelConfig {
  if (tunnel.type === "vxlan") return effectiveVxlan(tunnel);
  return tunnel.type === "ipip" ? effectiveIpip(tunnel) : effectiveRouteTunnel(tunnel);
}

/**
 * Fills in every default and makes every address canonical. The document must have passed all
 * checks.
 */
export function effectiveConfig(document: ConfigDocument): Config {
  const { control, log, metrics, workers, busy_poll_us, offloads, tunnels } = document;
  const offload = defaultValues.offload;
  return {
    control: { socket: control?.socket ?? defaultValues.controlSocket },
    log: { level: log?.level ?? defaultValues.logLevel },
    metrics: { listen: canonicalListenAddress(metrics?.listen ?? defaultValues.metricsListen) },
    workers: workers ?? defaultValues.workers,
    busy_poll_us: busy_poll_us ?? defaultValues.busyPoll_us,
    offloads: {
      tso: offloads?.tso ?? offload,
      uso: offloads?.uso ?? offload,
      udp_segment: offloads?.udp_segment ?? offload,
      udp_gro: offloads?.udp_gro ?? offload,
      tun_checksum: offloads?.tun_checksum ?? offload,
    },
    tunnels: tunnels.map(effectiveTunnel),
  };
}
