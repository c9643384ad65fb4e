// The effective configuration: what the daemon acts on and `culvert check` prints. Every default is
// filled in and every address canonical; loading its printed form gives it again. `auto` stays
// where the host must decide (mtu, mac, workers). Keys are spelt as in the file.

import {
  canonicalAddress,
  canonicalListenAddress,
  canonicalMac,
  canonicalPrefix,
  ZERO_MAC,
} from "./addresses.js";
import { defaultValues } from "./default-values.js";
import type {
  ConfigDocument,
  IpipTunnelDocument,
  RemoteDocument,
  RouteDocument,
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
}

export interface FdbEntryConfig extends RemoteConfig {
  /** Unicast; all-zero entries have become `remotes`. */
  mac: string;
}

export interface NeighborConfig {
  ip: string;
  mac: string;
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
  /** Outer TTL; 0: the route's hop limit. */
  ttl: number;
  udp_csum: boolean;
  mac: string;
  learning: boolean;
  /** Seconds; 0: learned entries never age. */
  ageing_s: number;
  /** FDB entries of any kind. */
  max_entries: number;
  proxy: boolean;
  strict_reserved: boolean;
  inner_vlan: "pass" | "drop";
  /** Flood list, all-zero FDB entries included. */
  remotes: RemoteConfig[];
  fdb: FdbEntryConfig[];
  neighbors: NeighborConfig[];
}

export interface IpipTunnelConfig extends CommonTunnelConfig {
  type: "ipip";
  local: string;
  /** IPv4 address, or `any`: the outer destination is the next hop of the route. */
  remote: string;
  /** Outer TTL; 0: inherited from the inner packet. */
  ttl: number;
}

export type TunnelConfig = VxlanTunnelConfig | IpipTunnelConfig;

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
  tunnel: VxlanTunnelDocument | IpipTunnelDocument,
): Pick<CommonTunnelConfig, "mtu" | "addresses" | "routes"> {
  return {
    mtu: tunnel.mtu ?? defaultValues.mtu,
    addresses: (tunnel.addresses ?? []).map(canonicalPrefix),
    routes: (tunnel.routes ?? []).map((route) => effectiveRoute(route, tunnel.type === "ipip")),
  };
}

function effectiveVxlan(tunnel: VxlanTunnelDocument): VxlanTunnelConfig {
  const { vni } = tunnel;
  const port = tunnel.port ?? defaultValues.vxlanPort;
  const remoteOf = (remote: RemoteDocument): RemoteConfig =>
    typeof remote === "string"
      ? { dst: canonicalAddress(remote), port, vni }
      : { dst: canonicalAddress(remote.dst), port: remote.port ?? port, vni: remote.vni ?? vni };
  const fdb = (tunnel.fdb ?? []).map((entry) => ({
    mac: canonicalMac(entry.mac),
    ...remoteOf(entry),
  }));
  const flood = fdb.filter(({ mac }) => mac === ZERO_MAC);
  return {
    name: tunnel.name,
    type: "vxlan",
    vni,
    ...(tunnel.local === undefined ? {} : { local: canonicalAddress(tunnel.local) }),
    ...(tunnel.dev === undefined ? {} : { dev: tunnel.dev }),
    port,
    ttl: tunnel.ttl ?? defaultValues.vxlanTtl,
    udp_csum: tunnel.udp_csum ?? defaultValues.udpCsum,
    mac: canonicalMac(tunnel.mac ?? defaultValues.mac),
    ...effectiveCommon(tunnel),
    learning: tunnel.learning ?? defaultValues.learning,
    ageing_s: tunnel.ageing_s ?? defaultValues.ageing_s,
    max_entries: tunnel.max_entries ?? defaultValues.maxEntries,
    proxy: tunnel.proxy ?? defaultValues.proxy,
    strict_reserved: tunnel.strict_reserved ?? defaultValues.strictReserved,
    inner_vlan: tunnel.inner_vlan ?? defaultValues.innerVlan,
    allow: effectiveAllow(tunnel.allow),
    remotes: [
      ...(tunnel.remotes ?? []).map(remoteOf),
      ...flood.map(({ mac: _mac, ...remote }) => remote),
    ],
    fdb: fdb.filter(({ mac }) => mac !== ZERO_MAC),
    neighbors: (tunnel.neighbors ?? []).map(({ ip, mac }) => ({
      ip: canonicalAddress(ip),
      mac: canonicalMac(mac),
    })),
  };
}

function effectiveIpip(tunnel: IpipTunnelDocument): IpipTunnelConfig {
  return {
    name: tunnel.name,
    type: "ipip",
    local: tunnel.local,
    remote: tunnel.remote ?? defaultValues.ipipRemote,
    ttl: tunnel.ttl ?? defaultValues.ipipTtl,
    ...effectiveCommon(tunnel),
    allow: effectiveAllow(tunnel.allow),
  };
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
    tunnels: tunnels.map((tunnel) =>
      tunnel.type === "vxlan" ? effectiveVxlan(tunnel) : effectiveIpip(tunnel),
    ),
  };
}
