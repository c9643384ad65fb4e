// Makes the device of a tunnel: queues, offloads, MAC, MTU. Addresses, routes and "up" come later
// (set-up-link.ts), when everything that can fail for a reason of its own has been opened.

import { readFileSync } from "node:fs";
import { DEVICE_TAP, DEVICE_TUN, native } from "#native";
import type { DeviceTunnelConfig } from "../config/effective.js";
import { carries } from "../config/ipip-modes.js";
import { stableMac } from "../config/tunnel-mac.js";
import { CulvertError } from "../errors.js";
import { linkByName, setLink } from "../netlink/links.js";
import type { NetlinkSocket } from "../netlink/netlink-socket.js";
import type { Descriptors } from "./descriptors.js";
import { deviceError } from "./errno-error.js";
import type { Offloads } from "./offloads.js";
import { selfTest } from "./self-test.js";
import type { DeviceQueues } from "./tunnel.js";

const MACHINE_ID = "/etc/machine-id";

export interface OpenDeviceParts {
  readonly rtnl: NetlinkSocket;
  readonly descriptors: Descriptors;
  readonly offloads: Offloads;
  readonly workers: number;
}

/**
 * Opens the queues of a tunnel's device, one per worker, and sets its MTU and (TAP) MAC; it stays
 * down.
 */
export function openDevice(
  config: DeviceTunnelConfig,
  mtu_bytes: number,
  mac: string | undefined,
  parts: OpenDeviceParts,
): DeviceQueues {
  const tap = config.type === "vxlan";
  const kind = tap ? DEVICE_TAP : DEVICE_TUN;
  const multiQueue = parts.workers > 1 ? 1 : 0;
  const fds: number[] = [];
  for (let queue = 0; queue < parts.workers; queue++) {
    const fd = native.tuntapOpen(config.name, kind, multiQueue, queue === 0 ? 1 : 0);
    if (fd < 0) throw deviceError(config.name, tap ? "tap" : "tun", fd);
    fds.push(parts.descriptors.own(fd));
  }
  let offloads = parts.offloads.enableOn(fds[0]);
  if (parts.offloads.claimSelfTest(kind)) {
    selfTest(fds[0], kind, parts.offloads);
    offloads = parts.offloads.enableOn(fds[0]);
  }
  const link = linkByName(parts.rtnl, config.name);
  if (link === undefined) {
    throw new CulvertError("CULVERT_DEVICE", `device ${config.name} vanished while it was set up`, {
      hint: "something else removes or renames devices here; see `ip monitor link` and udev's rules",
    });
  }
  setLink(parts.rtnl, link.index, mac === undefined ? { mtu_bytes } : { mac, mtu_bytes });
  if (config.type === "ipip" && !carries(config.mode, 6)) quietIpv6(parts.rtnl, link.index);
  return { name: config.name, ifindex: link.index, fds, kind, offloads, mtu_bytes };
}

/**
 * A tunnel that carries IPv4 only: without a link-local address the host sends no router
 * solicitations into it. A kernel without IPv6 refuses, and has none to send.
 */
function quietIpv6(rtnl: NetlinkSocket, ifindex: number): void {
  try {
    setLink(rtnl, ifindex, { addressGeneration: "none" });
  } catch (error) {
    if (!(error instanceof CulvertError)) throw error;
  }
}

const MIN_MTU_BYTES = 68;

/** Throws where an underlay device leaves less for packets of a tunnel than IPv4 needs. */
export function requireMtu(
  name: string,
  mtu_bytes: number,
  dev: string,
  underlayMtu_bytes: number,
): void {
  if (mtu_bytes >= MIN_MTU_BYTES) return;
  throw new CulvertError(
    "CULVERT_MTU",
    `tunnel ${name}: the MTU of ${dev}, ${underlayMtu_bytes} bytes, leaves no room for a tunnel`,
    { hint: `raise it: ip link set ${dev} mtu 1500` },
  );
}

/** The MAC of a VXLAN device: as configured, or the same after each restart and reboot. */
export function tunnelMac(name: string, vni: number, mac: string, local: string): string {
  if (mac !== "auto") return mac;
  return stableMac({ machineId: machineId(), name, vni, local });
}

/**
 * Hosts without a machine-id (minimal containers) are told apart by their underlay address alone.
 */
function machineId(): string {
  try {
    return readFileSync(MACHINE_ID, "utf8");
  } catch {
    return "";
  }
}
