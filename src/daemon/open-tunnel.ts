// Opens one tunnel: where it runs over the underlay, its sockets, its device, its tables filled
// from the config. Throws a typed error at the first thing that cannot be had; the caller closes
// what was opened until then.

import { type PortRange, parsePortRange } from "../config/addresses.js";
import type { Config, VxlanTunnelConfig } from "../config/effective.js";
import { deviceTunnels } from "../config/tunnel-kinds.js";
import { CulvertError } from "../errors.js";
import type { NetlinkSocket } from "../netlink/netlink-socket.js";
import { type Underlay, underlayOf } from "../netlink/underlay.js";
import type { RemoteTable } from "../remotes/remote-table.js";
import { type IpAddress, isIpv4 } from "../wire/ip-address.js";
import { ipOf, macOf } from "./addresses.js";
import type { Descriptors } from "./descriptors.js";
import type { FdbEntries } from "./fdb-entries.js";
import type { GroupEndpoint, GroupSockets } from "./group-sockets.js";
import type { Offloads } from "./offloads.js";
import { openDevice, requireMtu, tunnelMac } from "./open-device.js";
import { openIpip } from "./open-ipip.js";
import type { Peers } from "./peers.js";
import type { Progress } from "./progress.js";
import type { Endpoint, Sockets } from "./sockets.js";
import { pathMtu_bytes, type TunnelRuntime, type VxlanRuntime, vxlanTables } from "./tunnel.js";
import { fillVxlan } from "./tunnel-tables.js";

/** What opening a tunnel needs of the daemon. */
export interface OpenParts {
  readonly rtnl: NetlinkSocket;
  readonly descriptors: Descriptors;
  readonly offloads: Offloads;
  readonly sockets: Sockets;
  readonly groups: GroupSockets;
  readonly remotes: RemoteTable;
  readonly peers: Peers;
  readonly fdbEntries: FdbEntries;
  readonly workers: number;
}

/** Opens the tunnels with a device in their order; a tunnel's index is its place among them. */
export function openTunnels(config: Config, parts: OpenParts, progress: Progress): TunnelRuntime[] {
  const configs = deviceTunnels(config);
  const vxlan = configs.filter((tunnel) => tunnel.type === "vxlan");
  const underlays = new Underlays(parts.rtnl);
  const places = new Map(
    vxlan.map((tunnel) => [tunnel.name, vxlanPlace(tunnel, parts, underlays)]),
  );
  refuseDuplicates(vxlan, places);
  return configs.map((tunnel, index) => {
    progress.report("devices opened", index, configs.length);
    if (tunnel.type === "ipip") return openIpip(tunnel, index, parts);
    return openVxlan(tunnel, index, parts, places.get(tunnel.name) as VxlanPlace);
  });
}

/** Where a VXLAN tunnel runs, and the sockets it receives on. */
interface VxlanPlace {
  readonly underlay: Underlay;
  readonly endpoint: Endpoint;
  readonly receivers: readonly number[];
  /** The multicast group, where the config has one, and the socket that receives for it. */
  readonly group: GroupEndpoint | undefined;
  readonly groupReceiver: number;
}

/** What the kernel says of the underlay, asked once for all tunnels that run over it alike. */
class Underlays {
  readonly #rtnl: NetlinkSocket;
  readonly #known = new Map<string, Underlay>();

  constructor(rtnl: NetlinkSocket) {
    this.#rtnl = rtnl;
  }

  of({ local, dev, remotes, group }: VxlanTunnelConfig): Underlay {
    const towards = remotes[0]?.dst ?? group;
    const key = `${local} ${dev} ${towards}`;
    const underlay = this.#known.get(key) ?? underlayOf(this.#rtnl, { local, dev, towards });
    this.#known.set(key, underlay);
    return underlay;
  }
}

function vxlanPlace(config: VxlanTunnelConfig, parts: OpenParts, underlays: Underlays): VxlanPlace {
  const underlay = underlays.of(config);
  const endpoint = { local: ipOf(underlay.local), dev: config.dev ?? "" };
  const { dev, ifindex } = underlay;
  const group =
    config.group === undefined ? undefined : { group: ipOf(config.group), dev, ifindex };
  const { port, udp6_zero_csum_rx: zeroChecksum } = config;
  return {
    ...{ underlay, endpoint, group },
    receivers: parts.sockets.receivers(endpoint, port, zeroChecksum),
    groupReceiver: group === undefined ? -1 : parts.groups.receiver(group, port, zeroChecksum),
  };
}

function openVxlan(
  config: VxlanTunnelConfig,
  index: number,
  parts: OpenParts,
  { underlay, endpoint, receivers, group, groupReceiver }: VxlanPlace,
): VxlanRuntime {
  const { local } = endpoint;
  const fits_bytes = pathMtu_bytes("vxlan", local, underlay.mtu_bytes);
  const mtu_bytes = config.mtu === "auto" ? fits_bytes : config.mtu;
  requireMtu(config.name, mtu_bytes, underlay.dev, underlay.mtu_bytes);
  const mac = tunnelMac(config.name, config.vni, config.mac, underlay.local);
  const sending = vxlanSenders(config, endpoint, parts);
  if (group !== undefined) {
    for (const pool of sending.senders) parts.groups.prepareSenders(pool, group);
  }
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
    ...{ receivers, groupReceiver, ...sending },
    ...vxlanTables(config, parts.remotes),
  };
  fillVxlan(runtime, parts.fdbEntries);
  return runtime;
}

/** Does a tunnel's outer UDP header have a checksum? */
function hasChecksum(config: VxlanTunnelConfig, local: IpAddress): boolean {
  return isIpv4(local) ? config.udp_csum : !config.udp6_zero_csum_tx;
}

/** What a tunnel sends through: with `df: inherit` two pools of each worker, the second with DF. */
function vxlanSenders(
  config: VxlanTunnelConfig,
  endpoint: Endpoint,
  parts: OpenParts,
): Pick<VxlanRuntime, "senders" | "socketCount" | "udpSegment"> {
  const checksum = hasChecksum(config, endpoint.local);
  const options = {
    ports: parsePortRange(config.srcport) as PortRange,
    checksum,
    flowLabel: config.flowlabel !== 0,
  };
  const modes = config.df === "inherit" ? [false, true] : [config.df === "set"];
  const pools = Array.from({ length: parts.workers }, (_, worker) =>
    modes.map((dontFragment) =>
      parts.sockets.senders(endpoint, { ...options, dontFragment }, worker),
    ),
  );
  const socketCount = Math.min(...pools.flat().map(({ length }) => length));
  const senders = pools.map((two) => two.flatMap((pool) => pool.slice(0, socketCount)));
  return { senders, socketCount, udpSegment: parts.offloads.udpSegment && checksum };
}

/**
 * Two tunnels may share address and port, or group and port, but not a VNI on them; only now is
 * every local address known.
 */
function refuseDuplicates(
  tunnels: readonly VxlanTunnelConfig[],
  places: ReadonlyMap<string, VxlanPlace>,
): void {
  /** Tunnel by "receiving socket VNI". */
  const seen = new Map<string, string>();
  for (const { name, vni, port } of tunnels) {
    const { receivers, groupReceiver } = places.get(name) as VxlanPlace;
    for (const [socket, what] of [
      [receivers[0], "address"],
      [groupReceiver, "multicast group"],
    ] as const) {
      if (socket < 0) continue;
      const other = seen.get(`${socket} ${vni}`);
      if (other !== undefined) {
        throw new CulvertError(
          "CULVERT_VNI_IN_USE",
          `tunnels ${other} and ${name} both have VNI ${vni} on the same ${what} and port ${port}`,
          { hint: "give one of them another `vni` or `port`" },
        );
      }
      seen.set(`${socket} ${vni}`, name);
    }
  }
}
