// Opens one IPIP tunnel: where it runs over the underlay, its sending sockets, its device, its
// routes from the config. Throws a typed error at the first thing that cannot be had; the caller
// closes what was opened until then. Receiving sockets are shared by tunnels: not here.

import type { IpipTunnelConfig } from "../config/effective.js";
import { ipipFamily } from "../config/effective.js";
import { carries } from "../config/ipip-modes.js";
import type { NetlinkSocket } from "../netlink/netlink-socket.js";
import { underlayOf } from "../netlink/underlay.js";
import type { RemoteTable } from "../remotes/remote-table.js";
import { isIpv4, isUnspecifiedIp } from "../wire/ip-address.js";
import { PROTOCOL_IPIP, PROTOCOL_IPV6 } from "../wire/ip-protocol.js";
import { IPV6_MIN_MTU_BYTES } from "../wire/ipv6.js";
import { ipOf, textOf } from "./addresses.js";
import { type OpenDeviceParts, openDevice, requireMtu } from "./open-device.js";
import type { Peers } from "./peers.js";
import type { Sockets } from "./sockets.js";
import { type IpipRuntime, ipipTables, pathMtu_bytes, type TunnelRuntime } from "./tunnel.js";
import type { IpipReceiverPlan } from "./worker-plan.js";

/** What opening an IPIP tunnel needs of the daemon. */
export interface OpenIpipParts extends OpenDeviceParts {
  readonly sockets: Sockets;
  readonly remotes: RemoteTable;
  readonly peers: Peers;
}

/** MTU of an underlay device that is not known: that of Ethernet, as `ip tunnel` takes it. */
const ETHERNET_MTU_BYTES = 1500;
const UNSPECIFIED = "0.0.0.0";

/** Where a tunnel runs. */
interface IpipUnderlay {
  readonly local: string;
  readonly dev: string;
  readonly mtu_bytes: number;
}

export function openIpip(
  config: IpipTunnelConfig,
  index: number,
  parts: OpenIpipParts,
): IpipRuntime {
  const remote = remoteOf(config);
  const underlay = underlayFor(parts.rtnl, config);
  const local = ipOf(underlay.local);
  const fits_bytes = pathMtu_bytes("ipip", local, underlay.mtu_bytes);
  const mtu_bytes = config.mtu === "auto" ? autoMtu_bytes(config, fits_bytes) : config.mtu;
  requireMtu(config.name, mtu_bytes, underlay.dev, underlay.mtu_bytes);
  const endpoint = { local, dev: config.dev ?? "" };
  const senders = Array.from({ length: parts.workers }, (_, worker) =>
    parts.sockets.rawSenders(endpoint, config.mode, worker),
  );
  const device = openDevice(config, mtu_bytes, undefined, parts);
  parts.remotes.defineTunnel(index, 0, 0);
  return {
    type: "ipip",
    config,
    index,
    local,
    underlayMtu_bytes: underlay.mtu_bytes,
    pathMtu_bytes: fits_bytes,
    device,
    remote: remote === undefined ? undefined : ipOf(remote),
    remoteRow: remote === undefined ? -1 : parts.peers.acquire(index, remote),
    senders,
    ...ipipTables(),
  };
}

function remoteOf({ remote }: IpipTunnelConfig): string | undefined {
  return remote === "any" ? undefined : remote;
}

/** What of the underlay is known; without source, device and remote nothing is. */
function underlayFor(rtnl: NetlinkSocket, config: IpipTunnelConfig): IpipUnderlay {
  const { dev } = config;
  const towards = remoteOf(config);
  if (config.local !== "any") {
    return underlayOf(rtnl, { local: config.local, dev, towards, family: ipipFamily(config) });
  }
  if (dev === undefined && towards === undefined) {
    return { local: UNSPECIFIED, dev: "any device", mtu_bytes: ETHERNET_MTU_BYTES };
  }
  return { ...underlayOf(rtnl, { dev, towards, family: 4 }), local: UNSPECIFIED };
}

/** The kernel turns IPv6 off on a device that takes less than every link must. */
function autoMtu_bytes({ mode }: IpipTunnelConfig, fits_bytes: number): number {
  return carries(mode, 6) ? Math.max(IPV6_MIN_MTU_BYTES, fits_bytes) : fits_bytes;
}

/**
 * What IPIP tunnels receive on: their local addresses, each once per protocol that they carry. A
 * socket for every address gets what the others would get as well: where there is one, it is alone.
 */
export function ipipEndpoints(tunnels: readonly TunnelRuntime[]): Omit<IpipReceiverPlan, "fd">[] {
  const endpoints = new Map<string, Omit<IpipReceiverPlan, "fd">>();
  for (const tunnel of tunnels) {
    if (tunnel.type !== "ipip") continue;
    const { local, config } = tunnel;
    for (const version of [4, 6] as const) {
      if (!carries(config.mode, version)) continue;
      const protocol = version === 4 ? PROTOCOL_IPIP : PROTOCOL_IPV6;
      const family = isIpv4(local) ? 4 : 6;
      endpoints.set(`${textOf(local)} ${protocol}`, { family, protocol, local });
    }
  }
  const all = [...endpoints.values()];
  const isCovered = ({ family, protocol, local }: (typeof all)[number]): boolean =>
    family === 4 && !isUnspecifiedIp(local) && endpoints.has(`${UNSPECIFIED} ${protocol}`);
  return all.filter((endpoint) => !isCovered(endpoint));
}
