// Who holds a UDP port in this network namespace, for the error that says a port is taken. Reads
// /proc and rtnetlink once; a best effort: sockets of other users or PID namespaces have no visible
// process, kernel sockets have none.

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { IpFamily } from "./address-text.js";
import { canonicalIp, formatIp } from "./address-text.js";
import { listLinks } from "./links.js";
import type { NetlinkSocket } from "./netlink-socket.js";
import type { UdpSocketEntry } from "./proc-udp.js";
import { parseProcUdp } from "./proc-udp.js";

export interface PortQuery {
  port: number;
  /** The address somebody wants to bind; without it any address. */
  address?: string | undefined;
  family: IpFamily;
}

/** A process and the name the kernel knows it by. */
export interface SocketOwner {
  pid: number;
  comm: string;
}

const maxDescribed = 4;
const anyAddress: Record<IpFamily, string> = { 4: "0.0.0.0", 6: "::" };

/** A file of /proc, empty if it is gone or this kernel does not have it. */
function readProc(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

function entriesOf(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** The inode of the socket behind /proc/PID/fd/N, undefined if it is no socket or is gone. */
function socketInode(path: string): number | undefined {
  try {
    const match = /^socket:\[(\d+)\]$/.exec(readlinkSync(path));
    return match === null ? undefined : Number(match[1]);
  } catch {
    return undefined;
  }
}

/** The processes that have one of these sockets open, as far as this process may look. */
export function findSocketOwners(inodes: ReadonlySet<number>): Map<number, SocketOwner[]> {
  const owners = new Map<number, SocketOwner[]>();
  if (inodes.size === 0) return owners;
  for (const pid of entriesOf("/proc").filter((name) => /^\d+$/.test(name))) {
    const seen = new Set<number>();
    for (const fd of entriesOf(`/proc/${pid}/fd`)) {
      const inode = socketInode(`/proc/${pid}/fd/${fd}`);
      if (inode !== undefined && inodes.has(inode)) seen.add(inode);
    }
    for (const inode of seen) {
      // The name is the process's own choice: nothing but printable characters reaches a terminal.
      const comm = readProc(`/proc/${pid}/comm`)
        .trimEnd()
        .replace(/[^\x20-\x7e]/g, "?");
      owners.set(inode, [...(owners.get(inode) ?? []), { pid: Number(pid), comm }]);
    }
  }
  return owners;
}

/**
 * True if a socket of `family` bound to `wanted` (undefined: any address) cannot be beside `entry`.
 */
function conflicts(entry: UdpSocketEntry, family: IpFamily, wanted: string | undefined): boolean {
  const address = formatIp(entry.address);
  const entryIsAny = address === anyAddress[entry.family];
  const wantedIsAny = wanted === undefined || wanted === anyAddress[family];
  // Of two families only the IPv6 wildcard reaches into the other one (unless it is IPV6_V6ONLY).
  if (entry.family !== family) return family === 4 ? entryIsAny : wantedIsAny;
  return entryIsAny || wantedIsAny || address === wanted;
}

/** The sockets in the way of a bind: those of its family, or if there is none, of the other one. */
export function conflictingSockets(entries: UdpSocketEntry[], query: PortQuery): UdpSocketEntry[] {
  const wanted = query.address === undefined ? undefined : canonicalIp(query.address);
  const inTheWay = entries.filter(
    (entry) => entry.port === query.port && conflicts(entry, query.family, wanted),
  );
  const sameFamily = inTheWay.filter((entry) => entry.family === query.family);
  return sameFamily.length > 0 ? sameFamily : inTheWay;
}

/** The kernel's vxlan devices that hold the port: its socket is there while the device is up. */
function vxlanHolders(rtnl: NetlinkSocket, port: number, family: IpFamily): string[] {
  const holders: string[] = [];
  for (const { name, up, vxlan } of listLinks(rtnl)) {
    if (!up || vxlan?.port !== port) continue;
    if (vxlan.family !== undefined && vxlan.family !== family) continue;
    holders.push(`kernel vxlan device '${name}' (VNI ${vxlan.vni})`);
  }
  return holders;
}

function describeUnowned(rtnl: NetlinkSocket, entry: UdpSocketEntry): string[] {
  // Kernel sockets belong to root; a user's socket has a process, even if it cannot be seen from
  // here.
  if (entry.uid !== 0) {
    return [`a process of user ${entry.uid} that is not visible from here`];
  }
  const devices = vxlanHolders(rtnl, entry.port, entry.family);
  if (devices.length > 0) return devices;
  return [
    "a socket without a visible process: the kernel's own (such as a vxlan or wireguard device " +
      "that was moved to another network namespace) or one of another PID namespace",
  ];
}

/**
 * Who holds a UDP port: `process 'culvert' (pid 1234)`, `kernel vxlan device 'vxlan100' (VNI 100)`,
 * or in general words what is known of a socket without a visible process. Undefined if nothing
 * holds it.
 */
export function describePortHolder(rtnl: NetlinkSocket, query: PortQuery): string | undefined {
  const entries = [
    ...parseProcUdp(readProc("/proc/net/udp"), 4),
    ...parseProcUdp(readProc("/proc/net/udp6"), 6),
  ];
  const sockets = conflictingSockets(entries, query);
  const inodes = sockets.map((entry) => entry.inode).filter((inode) => inode !== 0);
  const owners = findSocketOwners(new Set(inodes));
  const descriptions = new Set<string>();
  for (const entry of sockets) {
    const processes = owners.get(entry.inode) ?? [];
    const texts = processes.map(({ comm, pid }) => `process '${comm}' (pid ${pid})`);
    for (const text of texts.length > 0 ? texts : describeUnowned(rtnl, entry)) {
      descriptions.add(text);
    }
  }
  if (descriptions.size === 0) return undefined;
  const shown = [...descriptions].slice(0, maxDescribed);
  const rest = descriptions.size - shown.length;
  return shown.join(" and ") + (rest > 0 ? ` and ${rest} more` : "");
}
