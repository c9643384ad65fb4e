// What the handlers of the control socket work on, and how they find a tunnel by its device name.

import { CulvertError } from "../../errors.js";
import type { NetlinkSocket } from "../../netlink/netlink-socket.js";
import type { RemoteTable } from "../../remotes/remote-table.js";
import type { UnreachableRows } from "../../remotes/unreachable-rows.js";
import type { Counters } from "../../telemetry/counters.js";
import type { FdbEntries } from "../fdb-entries.js";
import type { Keepalives } from "../keepalives.js";
import type { Offloads } from "../offloads.js";
import type { Peers } from "../peers.js";
import type { PlainRoutes } from "../plain-routes.js";
import type { TableChanges } from "../table-changes.js";
import type { IpipRuntime, TunnelRuntime, VxlanRuntime } from "../tunnel.js";
import type { TunnelRoutes } from "../tunnel-routes.js";

export interface ControlContext {
  readonly tunnels: readonly TunnelRuntime[];
  readonly remotes: RemoteTable;
  readonly unreachable: UnreachableRows;
  readonly peers: Peers;
  /** The kernel's routes over the devices of ipip tunnels. */
  readonly mirror: { of(tunnel: IpipRuntime): TunnelRoutes };
  readonly keepalives: Keepalives;
  readonly fdbEntries: FdbEntries;
  /** Told of every change that a handler makes to an FDB or a neighbour table. */
  readonly changes: TableChanges;
  readonly counters: Counters;
  readonly rtnl: NetlinkSocket;
  readonly offloads: Offloads;
  readonly plainRoutes: PlainRoutes;
  readonly workers: number;
  /** `monotonicSeconds` at the daemon's start. */
  readonly started_s: number;
}

/** Tunnels that an error names; there may be thousands. */
const NAMES_SHOWN = 20;

function namesOf(tunnels: readonly TunnelRuntime[]): string {
  const names = tunnels.slice(0, NAMES_SHOWN).map(({ config }) => config.name);
  const more = tunnels.length - names.length;
  return `${names.join(", ")}${more > 0 ? ` and ${more} more (culvert status)` : ""}`;
}

/** The tunnel of a device name. Throws CULVERT_NO_TUNNEL. */
export function tunnelNamed(
  context: { readonly tunnels: readonly TunnelRuntime[] },
  dev: string,
): TunnelRuntime {
  const tunnel = context.tunnels.find(({ config }) => config.name === dev);
  if (tunnel !== undefined) return tunnel;
  throw new CulvertError("CULVERT_NO_TUNNEL", `this daemon has no tunnel named ${dev}`, {
    hint: `its tunnels are: ${namesOf(context.tunnels)}`,
  });
}

/** A VXLAN tunnel by name: only those have an FDB and neighbours. */
export function vxlanNamed(context: ControlContext, dev: string): VxlanRuntime {
  const tunnel = tunnelNamed(context, dev);
  if (tunnel.type === "vxlan") return tunnel;
  throw new CulvertError(
    "CULVERT_WRONG_TYPE",
    `${dev} is an ipip tunnel: it has no FDB or neighbours`,
    {
      hint: `its destinations come from routes: culvert route show dev ${dev}`,
    },
  );
}

/** An IPIP tunnel by name: a VXLAN tunnel forwards by MAC, its routes are the kernel's alone. */
function ipipNamed(context: ControlContext, dev: string): IpipRuntime {
  const tunnel = tunnelNamed(context, dev);
  if (tunnel.type === "ipip") return tunnel;
  throw new CulvertError("CULVERT_WRONG_TYPE", `${dev} is a vxlan tunnel: it forwards by MAC`, {
    hint: `its routes are the kernel's: \`ip route show dev ${dev}\``,
  });
}

/** The VXLAN tunnels that a query is about: the one it names, or all. */
export function vxlanTunnels(context: ControlContext, dev: string | undefined): VxlanRuntime[] {
  if (dev !== undefined) return [vxlanNamed(context, dev)];
  return context.tunnels.filter((tunnel) => tunnel.type === "vxlan");
}

/** The IPIP tunnels that a query is about: the one it names, or all. */
export function ipipTunnels(context: ControlContext, dev: string | undefined): IpipRuntime[] {
  if (dev !== undefined) return [ipipNamed(context, dev)];
  return context.tunnels.filter((tunnel) => tunnel.type === "ipip");
}
