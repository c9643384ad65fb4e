// Next hops of the routes over one ipip tunnel: which outer address a gateway stands for, and which
// row of the remote table that is. Routes share next hops; each holds one reference to its row,
// taken with the first route and given back with the last, so that a remote may send to us as long
// as a route leads to it.

import { hasCode } from "../netlink/errors.js";
import type { AddressWords } from "../netlink/route-messages.js";
import { type IpAddress, isIpv4, isMulticastIp, isUnspecifiedIp } from "../wire/ip-address.js";
import type { Peers } from "./peers.js";
import type { IpipRuntime } from "./tunnel.js";

export interface OuterHop {
  readonly address: IpAddress;
  /** Row of the remote table. */
  readonly row: number;
  /** The kernel would send what goes there into the tunnel again: not used. */
  looped: boolean;
}

interface SharedHop extends OuterHop {
  readonly key: string;
  users: number;
}

/** Highest address that cannot be `::a.b.c.d`: `::` and `::1` are others. */
const LAST_SPECIAL = 1;
const IPV4_BROADCAST = 0xffffffff;

/**
 * The outer address of a gateway: itself, or a.b.c.d of `::a.b.c.d`, as the kernel's sit takes it
 * (net/ipv6/sit.c, ipip6_tunnel_xmit); `::ffff:a.b.c.d` is a.b.c.d anyway. Undefined: packets
 * cannot be sent there: another family than the tunnel's, or no unicast address.
 */
function outerAddress(gateway: AddressWords, family: 4 | 6): IpAddress | undefined {
  const [w0, w1, w2, w3] = gateway;
  const compatible = family === 4 && w0 === 0 && w1 === 0 && w2 === 0 && w3 > LAST_SPECIAL;
  const address: IpAddress = { w0, w1, w2: compatible ? 0xffff : w2, w3 };
  const isFour = isIpv4(address);
  if ((family === 4) !== isFour || isUnspecifiedIp(address) || isMulticastIp(address)) {
    return undefined;
  }
  if (isFour) return w3 === IPV4_BROADCAST || w3 >>> 24 === 0 ? undefined : address;
  // Link-local: it does not say on which link.
  return w0 >>> 22 === 0x3fa || w0 + w1 + w2 === 0 ? undefined : address;
}

export class OuterHops {
  readonly tunnel: IpipRuntime;
  readonly #peers: Peers;
  readonly #family: 4 | 6;
  readonly #hops = new Map<string, SharedHop>();
  /** Of a point-to-point tunnel: everything goes to its remote. */
  readonly only: OuterHop | undefined;
  /** Told of every next hop that comes into use. */
  onNew: (hop: OuterHop) => void = () => {};

  constructor(tunnel: IpipRuntime, peers: Peers) {
    this.tunnel = tunnel;
    this.#peers = peers;
    this.#family = isIpv4(tunnel.local) ? 4 : 6;
    const { remote, remoteRow } = tunnel;
    this.only = remote && { address: remote, row: remoteRow, looped: false };
  }

  /** Those in use, the remote of a point-to-point tunnel among them. */
  list(): OuterHop[] {
    return this.only === undefined ? [...this.#hops.values()] : [this.only];
  }

  /**
   * Takes a reference to the next hop that a gateway stands for. "unreachable": packets cannot be
   * sent there; "full": there is no room for another remote.
   */
  acquire(gateway: AddressWords): OuterHop | "unreachable" | "full" {
    if (this.only !== undefined) return this.only;
    const address = outerAddress(gateway, this.#family);
    if (address === undefined) return "unreachable";
    const key = keyOf(address);
    const known = this.#hops.get(key);
    if (known !== undefined) {
      known.users++;
      return known;
    }
    const row = this.#rowOf(address);
    if (row < 0) return "full";
    const hop: SharedHop = { address, row, looped: false, key, users: 1 };
    this.#hops.set(key, hop);
    this.onNew(hop);
    return hop;
  }

  release(hop: OuterHop): void {
    if (hop === this.only) return;
    const shared = hop as SharedHop;
    if (--shared.users > 0) return;
    this.#hops.delete(shared.key);
    this.#peers.release(shared.row);
  }

  #rowOf(address: IpAddress): number {
    try {
      return this.#peers.acquireAddress(this.tunnel.index, address, 0, 0);
    } catch (error) {
      if (hasCode(error, "CULVERT_TABLE_FULL")) return -1;
      throw error;
    }
  }
}

const keyOf = ({ w0, w1, w2, w3 }: IpAddress): string => `${w0} ${w1} ${w2} ${w3}`;
