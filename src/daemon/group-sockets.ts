// Multicast underlay (`group`): the sockets that receive what is sent to a group, each joined on
// its device by IGMP or MLD, and the preparation of sending sockets for groups. One receiving
// socket per group, device and port, shared by all tunnels on it; only worker 0 may read it, since
// of several sockets each would get every datagram. Sending sockets are opened by sockets.ts.

import { constants } from "node:os";
import { native, SOCKET_GRO, SOCKET_REUSE_PORT, SOCKET_ZERO_CHECKSUM_RX } from "#native";
import { CulvertError } from "../errors.js";
import { type IpAddress, isIpv4 } from "../wire/ip-address.js";
import { textOf } from "./addresses.js";
import type { Descriptors } from "./descriptors.js";
import { errnoName, socketError } from "./errno-error.js";
import { BUFFER_BYTES } from "./sockets.js";

const { errno: Errno } = constants;

/**
 * What the kernel's vxlan sends to groups with (vxlan_xmit_one). `ttl`, where a tunnel has one,
 * goes with each datagram: tunnels that share sockets may differ in it.
 */
const MULTICAST_TTL = 1;

/** A group and where it is joined. */
export interface GroupEndpoint {
  readonly group: IpAddress;
  readonly dev: string;
  readonly ifindex: number;
}

const familyOf = (group: IpAddress): 4 | 6 => (isIpv4(group) ? 4 : 6);
const words = ({ w0, w1, w2, w3 }: IpAddress): Int32Array => Int32Array.of(w0, w1, w2, w3);

export class GroupSockets {
  readonly #descriptors: Descriptors;
  readonly #udpGro: boolean;
  /** By "group%dev:port". */
  readonly #receivers = new Map<string, number>();
  /** Those that take IPv6 datagrams without checksum. */
  readonly #zeroChecksum = new Set<number>();

  constructor(descriptors: Descriptors, udpGro: boolean) {
    this.#descriptors = descriptors;
    this.#udpGro = udpGro;
  }

  /**
   * The socket that receives for a group on a port; the same one for the same endpoint. Throws
   * CULVERT_GROUP when the group cannot be joined, otherwise what opening a socket throws.
   * @param zeroChecksum as for Sockets.receivers
   */
  receiver(endpoint: GroupEndpoint, port: number, zeroChecksum = false): number {
    const key = `${textOf(endpoint.group)}%${endpoint.dev}:${port}`;
    const fd = this.#receivers.get(key) ?? this.#join(endpoint, port);
    this.#receivers.set(key, fd);
    if (!zeroChecksum || this.#zeroChecksum.has(fd)) return fd;
    const result = native.socketConfigure(fd, familyOf(endpoint.group), SOCKET_ZERO_CHECKSUM_RX);
    if (result < 0) throw socketError(`socket of ${textOf(endpoint.group)}`, result, undefined);
    this.#zeroChecksum.add(fd);
    return fd;
  }

  #join(endpoint: GroupEndpoint, port: number): number {
    const { group, dev, ifindex } = endpoint;
    // Bound to the group's address it takes nothing else. Another daemon with the same group may
    // open its own: the kernel gives multicast to every one of them.
    const flags = SOCKET_REUSE_PORT | (this.#udpGro ? SOCKET_GRO : 0);
    const family = familyOf(group);
    const fd = native.udpOpen(family, words(group), port, dev, flags, BUFFER_BYTES);
    const what = `UDP socket ${textOf(group)} port ${port} on ${dev}`;
    if (fd < 0) throw socketError(what, fd, undefined);
    this.#descriptors.own(fd);
    const joined = native.groupJoin(fd, family, words(group), ifindex);
    if (joined < 0) throw groupError(endpoint, joined);
    return fd;
  }

  /**
   * Lets sending sockets reach groups through `dev`. To be done once more for a pool that another
   * tunnel has as well does no harm: tunnels that share one agree on the device.
   */
  prepareSenders(sockets: readonly number[], endpoint: GroupEndpoint): void {
    const family = familyOf(endpoint.group);
    for (const fd of sockets) {
      const result = native.groupSend(fd, family, endpoint.ifindex, MULTICAST_TTL);
      if (result < 0) throw groupError(endpoint, result);
    }
  }
}

function groupError({ group, dev }: GroupEndpoint, result: number): CulvertError {
  const message = `cannot join the multicast group ${textOf(group)} on ${dev}: ${errnoName(result)}`;
  return new CulvertError("CULVERT_GROUP", message, { hint: hintOf(dev, -result) });
}

function hintOf(dev: string, errno: number): string {
  switch (errno) {
    case Errno.ENODEV:
    case Errno.EADDRNOTAVAIL:
      return `${dev} has to be up and able to do multicast (\`ip link show ${dev}\`: MULTICAST)`;
    case Errno.ENOBUFS:
    case Errno.ENOMEM:
      return "see net.ipv4.igmp_max_memberships and net.core.optmem_max (sysctl)";
    default:
      return `see \`ip maddr show dev ${dev}\` and the kernel's log (\`dmesg\`)`;
  }
}
