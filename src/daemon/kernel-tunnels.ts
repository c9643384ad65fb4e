// What the kernel's own IP tunnels do to those of the daemon (src/doctor/kernel-tunnels.ts judges),
// for status and log. Finds and tells; changes nothing: devices and modules are not ours.

import type { Notice } from "../control/target.js";
import { loadedModules, noticesFor } from "../doctor/kernel-tunnels.js";
import { listLinks } from "../netlink/links.js";
import type { NetlinkSocket } from "../netlink/netlink-socket.js";
import type { Logger } from "../telemetry/log.js";
import type { TunnelRuntime } from "./tunnel.js";

/** The notices of all tunnels that have some, by index. */
export function kernelTunnelNotices(
  rtnl: NetlinkSocket,
  tunnels: readonly TunnelRuntime[],
): ReadonlyMap<number, Notice[]> {
  const found = new Map<number, Notice[]>();
  // A host with thousands of VXLAN devices and no other tunnel is not asked for all of them.
  if (!tunnels.some(({ type }) => type === "ipip")) return found;
  const links = listLinks(rtnl);
  const modules = loadedModules();
  for (const tunnel of tunnels) {
    if (tunnel.type !== "ipip") continue;
    const { local, remote, config } = tunnel;
    const notices = noticesFor({ local, remote, mode: config.mode }, links, modules);
    if (notices.length > 0) found.set(tunnel.index, notices);
  }
  return found;
}

/** Logs what is found when the daemon starts. */
export function warnOfKernelTunnels(
  rtnl: NetlinkSocket,
  tunnels: readonly TunnelRuntime[],
  log: Logger,
): void {
  const found = kernelTunnelNotices(rtnl, tunnels);
  for (const { index, config } of tunnels) {
    for (const { what, consequence, cure } of found.get(index) ?? []) {
      log.warn({ tunnel: config.name, cure }, `${what}: ${consequence}`);
    }
  }
}
