// The end of many devices. With its last descriptor the kernel removes a device by itself, but one
// at a time, 20 ms each: over a minute for thousands. So the devices of a daemon with more than a
// few are deleted by rtnetlink first, as one group. Whatever goes wrong here, closing the
// descriptors is the clean-up.

import { randomInt } from "node:crypto";
import { CulvertError } from "../errors.js";
import { deleteLinkGroup, listLinks, setLink } from "../netlink/links.js";
import type { NetlinkSocket } from "../netlink/netlink-socket.js";
import type { Logger } from "../telemetry/log.js";
import type { TunnelRuntime } from "./tunnel.js";

/** Devices up to which each one's own end is quick enough. */
const MAX_ONE_BY_ONE = 16;
/** Groups of links that people and programs number themselves are small. */
const MIN_GROUP = 2 ** 24;
const MAX_GROUP = 2 ** 31;

/** Deletes the devices of the tunnels, when there are many; those that are gone already are fine. */
export function removeDevices(
  rtnl: NetlinkSocket,
  tunnels: readonly TunnelRuntime[],
  log: Logger,
): void {
  if (tunnels.length <= MAX_ONE_BY_ONE) return;
  try {
    const links = new Map(listLinks(rtnl).map((link) => [link.index, link]));
    const groups = new Set([...links.values()].map(({ group }) => group));
    let group = randomInt(MIN_GROUP, MAX_GROUP);
    while (groups.has(group)) group = randomInt(MIN_GROUP, MAX_GROUP);
    // An index may have become somebody else's device: only where the name is ours as well.
    const ours = tunnels.filter(({ device }) => links.get(device.ifindex)?.name === device.name);
    for (const { device } of ours) setLink(rtnl, device.ifindex, { group });
    if (ours.length > 0) deleteLinkGroup(rtnl, group);
  } catch (error) {
    if (!(error instanceof CulvertError)) throw error;
    log.warn({ error: error.message }, "devices end one by one, which takes longer");
  }
}
