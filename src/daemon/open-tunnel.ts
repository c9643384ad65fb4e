// Opens one tunnel: where it runs over the underlay, its sockets, its device, its tables filled
// from the config. Throws a typed error at the first thing that cannot be had; the caller closes
// what was opened until then.

import type { Config, IpipTunnelConfig, VxlanTunnelConfig } from "../config/effective.js";
import { CulvertError } from "../errors.js";
import type { NetlinkSocket } from "../netlink/netlink-socket.js";
import { type Underlay, underlayOf } from "../netlink/underlay.js";
import type { RemoteTable } from "../remotes/remote-table.js";
import type { IpAddress } from "../wire/ip-address.js";
import { ipOf, macOf } from "./addresses.js";
import type { Descriptors } from "./descriptors.js";
import type { FdbEntries } from "./fdb-entries.js";
import type { Offloads } from "./offloads.js";
import { openDevice, tunnelMac } from "./open-device.js";
import type { Peers } from "./peers.js";
import type { Endpoint, Sockets } from "./sockets.js";
import {
  type IpipRuntime,
  ipipTables,
  pathMtu_bytes,
  type TunnelRuntime,
  type VxlanRuntime,
  vxlanTables,
} from "./tunnel.js";
import { fillIpip, fillVxlan } from "./tunnel-tables.js";

/** What opening a tunnel needs of the daemon. */
export interface OpenParts {
  readonly rtnl: NetlinkSocket;
  readonly descriptors: Descriptors;
  readonly offloads: Offloads;
  readonly sockets: Sockets;
  readonly remotes: RemoteTable;
  readonly peers: Peers;
  readonly fdbEntries: FdbEntries;
  readonly workers: number;
}

/** Opens the tunnels of a config in its order; a tunnel's index is its place. */
export function openTunnels(config: Config, parts: OpenParts): TunnelRuntime[] {
  const vxlan = config.tunnels.filter((tunnel) => tunnel.type === "vxlan");
  const places = new Map(vxlan.map((tunnel) => [tunnel.name, vxlanPlace(tunnel, parts)]));
  refuseDuplicates(vxlan, places);
  return config.tunnels.map((tunnel, index) => {
    if (tunnel.type === "ipip") return openIpip(tunnel, index, parts);
    return openVxlan(tunnel, index, parts, places.get(tunnel.name) as VxlanPlace);
  });
}

/** Where a VXLAN tunnel runs, and the sockets it receives on. */
interface VxlanPlace {
  readonly underlay: Underlay;
  readonly endpoint: Endpoint;
  readonly receivers: readonly number[];
}

function vxlanPlace(config: VxlanTunnelConfig, parts: OpenParts): VxlanPlace {
  const [towards] = config.remotes.map(({ dst }) => dst);
  const underlay = underlayOf(parts.rtnl, { local: config.local, dev: config.dev, towards });
  const endpoint = { local: ipOf(underlay.local), dev: config.dev ?? "" };
  return { underlay, endpoint, receivers: parts.sockets.receivers(endpoint, config.port) };
}

function openVxlan(
  config: VxlanTunnelConfig,
  index: number,
  parts: OpenParts,
  { underlay, endpoint, receivers }: VxlanPlace,
): VxlanRuntime {
  const { local } = endpoint;
  const fits_bytes = pathMtu_bytes("vxlan", local, underlay.mtu_bytes);
  const mtu_bytes = config.mtu === "auto" ? fits_bytes : config.mtu;
  requireMtu(config.name, mtu_bytes, underlay);
  const mac = tunnelMac(config.name, config.vni, config.mac, underlay.local);
  const options = { ttl: config.ttl === "inherit" ? 0 : config.ttl, checksum: config.udp_csum };
  const senders = Array.from({ length: parts.workers }, (_, worker) =>
    parts.sockets.senders(endpoint, options, worker),
  );
  const device = openDevice(config, mtu_bytes, mac, parts);
  parts.remotes.defineTunnel(index, config.port, config.vni);
  const runtime: VxlanRuntime = {
    type: "vxlan",
    config,
    index,
    local,
    underlayMtu_bytes: underlay.mtu_bytes,
    pathMtu_bytes: fits_bytes,
    device,
    mac: macOf(mac),
    receivers,
    senders,
    udpSegment: parts.offloads.udpSegment && config.udp_csum,
    ...vxlanTables(config, parts.remotes),
  };
  fillVxlan(runtime, parts.fdbEntries);
  return runtime;
}

function openIpip(config: IpipTunnelConfig, index: number, parts: OpenParts): IpipRuntime {
  const underlay = underlayOf(parts.rtnl, { local: config.local });
  const local = ipOf(config.local);
  const fits_bytes = pathMtu_bytes("ipip", local, underlay.mtu_bytes);
  const mtu_bytes = config.mtu === "auto" ? fits_bytes : config.mtu;
  requireMtu(config.name, mtu_bytes, underlay);
  const senders = Array.from({ length: parts.workers }, () =>
    parts.sockets.raw({ local, dev: "" }, "send"),
  );
  const device = openDevice(config, mtu_bytes, undefined, parts);
  parts.remotes.defineTunnel(index, 0, 0);
  const remoteRow = config.remote === "any" ? -1 : parts.peers.acquire(index, config.remote);
  const runtime: IpipRuntime = {
    type: "ipip",
    config,
    index,
    local,
    underlayMtu_bytes: underlay.mtu_bytes,
    pathMtu_bytes: fits_bytes,
    device,
    remote: config.remote === "any" ? 0 : ipOf(config.remote).w3,
    remoteRow,
    senders,
    ...ipipTables(),
  };
  fillIpip(runtime, parts.peers);
  return runtime;
}

/**
 * Two tunnels may share address and port, but not a VNI on them; only now is every local address
 * known.
 */
function refuseDuplicates(
  tunnels: readonly VxlanTunnelConfig[],
  places: ReadonlyMap<string, VxlanPlace>,
): void {
  const seen = new Map<string, string>();
  for (const { name, vni, port } of tunnels) {
    const key = `${places.get(name)?.receivers[0]} ${vni}`;
    const other = seen.get(key);
    if (other !== undefined) {
      throw new CulvertError(
        "CULVERT_VNI_IN_USE",
        `tunnels ${other} and ${name} both have VNI ${vni} on the same address and port ${port}`,
        { hint: "give one of them another `vni` or `port`" },
      );
    }
    seen.set(key, name);
  }
}

const MIN_MTU_BYTES = 68;

function requireMtu(name: string, mtu_bytes: number, underlay: Underlay): void {
  if (mtu_bytes >= MIN_MTU_BYTES) return;
  throw new CulvertError(
    "CULVERT_MTU",
    `tunnel ${name}: the MTU of ${underlay.dev}, ${underlay.mtu_bytes} bytes, leaves no room for a tunnel`,
    { hint: `raise it: ip link set ${underlay.dev} mtu 1500` },
  );
}

/** Local addresses of IPIP tunnels, each once: the raw sockets to receive on. */
export function ipipLocals(tunnels: readonly TunnelRuntime[]): IpAddress[] {
  const locals = new Map<number, IpAddress>();
  for (const { type, local } of tunnels) if (type === "ipip") locals.set(local.w3, local);
  return [...locals.values()];
}
