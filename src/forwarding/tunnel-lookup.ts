// Which IPIP tunnel a received packet belongs to, by its outer addresses, in the kernel's order: of
// IPv4 local and remote, remote, local, wildcard (ip_tunnel_lookup), of IPv6 local before remote
// (ip6_tnl_lookup). One table for each inner family, of the tunnels that carry it. Made once, when
// a worker starts; it knows addresses and nothing of packets.
//
// Open addressing over one Int32Array: a lookup is one to four probes however many tunnels there
// are, and allocates nothing. Who sends packets cannot make it slow: only tunnels stand in it.

import type { IpAddress } from "../wire/ip-address.js";
import { IPV4_MAPPED } from "../wire/ip-address.js";
import type { IpipTunnel } from "./ipip-tunnel.js";

/** Words of a slot: local and remote address, four each; the tunnel's number plus 1, 0: free. */
const SLOT_WORDS = 16;
const SLOT_TUNNEL = 8;

/** What the tunnels that are there are found by; a lookup leaves out what none of them needs. */
const BY_BOTH = 1;
const BY_REMOTE = 2;
const BY_LOCAL = 4;
const BY_NOTHING = 8;

const isUnspecified = ({ w0, w1, w2, w3 }: IpAddress): boolean =>
  w3 === 0 && w0 === 0 && w1 === 0 && (w2 === 0 || w2 === IPV4_MAPPED);

function levelOf({ local, remote }: IpipTunnel): number {
  if (isUnspecified(local)) return remote === undefined ? BY_NOTHING : BY_REMOTE;
  return remote === undefined ? BY_LOCAL : BY_BOTH;
}

export class TunnelLookup {
  readonly #tunnels: readonly IpipTunnel[];
  readonly #slots: Int32Array;
  readonly #mask: number;
  #levels = 0;

  /** @param tunnels of two with the same addresses the first one gets the packets */
  constructor(tunnels: readonly IpipTunnel[]) {
    this.#tunnels = tunnels;
    // Half full at most: probes stay short.
    const slots = 2 ** Math.ceil(Math.log2(2 * tunnels.length + 1));
    this.#slots = new Int32Array(slots * SLOT_WORDS);
    this.#mask = slots - 1;
    for (let index = 0; index < tunnels.length; index++) this.#add(index);
  }

  /**
   * Hot. The addresses are those of the received packet: `l3` is our own, the outer destination,
   * `r3` the peer's; signed or unsigned.
   */
  find4(l3: number, r3: number): IpipTunnel | undefined {
    const mapped = IPV4_MAPPED;
    const levels = this.#levels;
    let at = -1;
    if ((levels & BY_BOTH) !== 0) at = this.#probe(0, 0, mapped, l3, 0, 0, mapped, r3);
    if (at < 0 && (levels & BY_REMOTE) !== 0) at = this.#probe(0, 0, mapped, 0, 0, 0, mapped, r3);
    if (at < 0 && (levels & BY_LOCAL) !== 0) at = this.#probe(0, 0, mapped, l3, 0, 0, mapped, 0);
    if (at < 0 && (levels & BY_NOTHING) !== 0) at = this.#probe(0, 0, mapped, 0, 0, 0, mapped, 0);
    return at < 0 ? undefined : this.#tunnels[at];
  }

  /** Hot; `local` and `remote` hold an address each, four words from `l` and `r` on. */
  find6(local: Int32Array, l: number, remote: Int32Array, r: number): IpipTunnel | undefined {
    const l0 = local[l];
    const l1 = local[l + 1];
    const l2 = local[l + 2];
    const l3 = local[l + 3];
    const r0 = remote[r];
    const r1 = remote[r + 1];
    const r2 = remote[r + 2];
    const r3 = remote[r + 3];
    const levels = this.#levels;
    let at = -1;
    if ((levels & BY_BOTH) !== 0) at = this.#probe(l0, l1, l2, l3, r0, r1, r2, r3);
    if (at < 0 && (levels & BY_LOCAL) !== 0) at = this.#probe(l0, l1, l2, l3, 0, 0, 0, 0);
    if (at < 0 && (levels & BY_REMOTE) !== 0) at = this.#probe(0, 0, 0, 0, r0, r1, r2, r3);
    if (at < 0 && (levels & BY_NOTHING) !== 0) at = this.#probe(0, 0, 0, 0, 0, 0, 0, 0);
    return at < 0 ? undefined : this.#tunnels[at];
  }

  /** @returns the number of the tunnel with exactly these addresses, or -1 */
  #probe(
    l0: number,
    l1: number,
    l2: number,
    l3: number,
    r0: number,
    r1: number,
    r2: number,
    r3: number,
  ): number {
    const slots = this.#slots;
    let slot = hashOf(l0, l1, l2, l3, r0, r1, r2, r3) & this.#mask;
    for (;;) {
      const at = slot * SLOT_WORDS;
      const found = slots[at + SLOT_TUNNEL];
      if (found === 0) return -1;
      const differs =
        (slots[at] ^ l0) |
        (slots[at + 1] ^ l1) |
        (slots[at + 2] ^ l2) |
        (slots[at + 3] ^ l3) |
        (slots[at + 4] ^ r0) |
        (slots[at + 5] ^ r1) |
        (slots[at + 6] ^ r2) |
        (slots[at + 7] ^ r3);
      if (differs === 0) return found - 1;
      slot = (slot + 1) & this.#mask;
    }
  }

  #add(index: number): void {
    const tunnel = this.#tunnels[index];
    const { local, family } = tunnel;
    const any = { w0: 0, w1: 0, w2: family === 4 ? IPV4_MAPPED : 0, w3: 0 };
    const remote = tunnel.remote ?? any;
    const key = [local, remote].flatMap(({ w0, w1, w2, w3 }) => [w0, w1, w2, w3]);
    const [l0, l1, l2, l3, r0, r1, r2, r3] = key;
    if (this.#probe(l0, l1, l2, l3, r0, r1, r2, r3) >= 0) return;
    let slot = hashOf(l0, l1, l2, l3, r0, r1, r2, r3) & this.#mask;
    while (this.#slots[slot * SLOT_WORDS + SLOT_TUNNEL] !== 0) slot = (slot + 1) & this.#mask;
    this.#slots.set([...key, index + 1], slot * SLOT_WORDS);
    this.#levels |= levelOf(tunnel);
  }
}

/** Bits of both addresses, each multiplied by another odd number and folded down. */
function hashOf(
  l0: number,
  l1: number,
  l2: number,
  l3: number,
  r0: number,
  r1: number,
  r2: number,
  r3: number,
): number {
  const local = Math.imul(l3 ^ Math.imul(l0 ^ l1, 31) ^ Math.imul(l2, 17), 0x85ebca6b);
  const remote = Math.imul(r3 ^ Math.imul(r0 ^ r1, 31) ^ Math.imul(r2, 17), 0xc2b2ae35);
  const both = local ^ ((remote << 15) | (remote >>> 17));
  const mixed = Math.imul(both ^ (both >>> 16), 0x7feb352d);
  return mixed ^ (mixed >>> 15);
}
