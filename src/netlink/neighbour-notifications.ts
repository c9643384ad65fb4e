// What the kernel's vxlan device tells listeners of RTNLGRP_NEIGH about its forwarding entries
// (drivers/net/vxlan/vxlan_core.c, vxlan_fdb_info, vxlan_fdb_miss, vxlan_ip_miss), written by us
// for ours: `bridge monitor fdb` and `ip monitor neigh` show both alike. The kernel sends a message
// each; here several go into one datagram. No I/O here: `send` is given.
//
// A message without NLM_F_REQUEST is none to the kernel: it passes it on and changes nothing.

import { AddressFamily, NeighbourAttribute, Rtm } from "./rtnetlink-constants.js";

/** Listeners have buffers of 8 KiB and more (libmnl; iproute2 16 KiB). */
const MAX_DATAGRAM_BYTES = 4096;
/** Headers, MAC, IPv6 address, port, VNI, cache information. */
const MAX_MESSAGE_BYTES = 104;
const MESSAGE_HEADER_BYTES = 16;
const ATTRIBUTE_HEADER_BYTES = 4;
/** RTN_UNICAST: what the kernel writes into ndm_type. */
const TYPE_UNICAST = 1;
/** Times to user space are in USER_HZ, 100 on every architecture. */
const TICKS_PER_SECOND = 100;
const LITTLE = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

const MESSAGE_TYPES = {
  new: Rtm.newNeighbour,
  del: Rtm.deleteNeighbour,
  miss: Rtm.getNeighbour,
} as const;

export interface NeighbourNotification {
  readonly type: keyof typeof MESSAGE_TYPES;
  readonly ifindex: number;
  /** AddressFamily */
  readonly family: number;
  /** NeighbourState bits */
  readonly state: number;
  /** NeighbourFlag bits */
  readonly flags: number;
  /** First 16 and last 32 bits, unsigned. */
  readonly mac?: { readonly hi: number; readonly lo: number } | undefined;
  /** Unsigned words, most significant first; IPv4 as IPv4-mapped. */
  readonly address?: readonly [number, number, number, number] | undefined;
  readonly port?: number | undefined;
  readonly vni?: number | undefined;
  /** Seconds since the entry was last used and changed. */
  readonly idle_s?: number | undefined;
}

export class NeighbourNotifications {
  readonly #send: (datagram: Uint8Array, length: number) => void;
  readonly #bytes = new Uint8Array(MAX_DATAGRAM_BYTES);
  readonly #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** @param send takes whole datagrams; must not throw */
  constructor(send: (datagram: Uint8Array, length: number) => void) {
    this.#send = send;
  }

  /** Puts a message into the datagram, which leaves when it is full or by `flush`. */
  add(notification: NeighbourNotification): void {
    if (this.#length + MAX_MESSAGE_BYTES > MAX_DATAGRAM_BYTES) this.flush();
    const start = this.#length;
    this.#bytes.fill(0, start, start + MAX_MESSAGE_BYTES);
    this.#header(notification);
    const { mac, address, port, vni, idle_s = 0 } = notification;
    if (mac !== undefined) {
      const at = this.#attribute(NeighbourAttribute.linkLayerAddress, 6);
      this.#view.setUint16(at, mac.hi);
      this.#view.setUint32(at + 2, mac.lo);
    }
    if (address !== undefined) this.#address(address);
    if (port !== undefined) {
      this.#view.setUint16(this.#attribute(NeighbourAttribute.port, 2), port);
    }
    if (vni !== undefined) {
      this.#view.setUint32(this.#attribute(NeighbourAttribute.vni, 4), vni, LITTLE);
    }
    // nda_cacheinfo: confirmed, used, updated, references.
    const at = this.#attribute(NeighbourAttribute.cacheInfo, 16);
    this.#view.setUint32(at + 4, idle_s * TICKS_PER_SECOND, LITTLE);
    this.#view.setUint32(at + 8, idle_s * TICKS_PER_SECOND, LITTLE);
    this.#view.setUint32(start, this.#length - start, LITTLE);
  }

  flush(): void {
    if (this.#length === 0) return;
    this.#send(this.#bytes, this.#length);
    this.#length = 0;
  }

  /** nlmsghdr without its length, ndmsg. */
  #header({ type, family, ifindex, state, flags }: NeighbourNotification): void {
    const view = this.#view;
    view.setUint16(this.#length + 4, MESSAGE_TYPES[type], LITTLE);
    const at = this.#length + MESSAGE_HEADER_BYTES;
    view.setUint8(at, family);
    view.setUint32(at + 4, ifindex, LITTLE);
    view.setUint16(at + 8, state, LITTLE);
    view.setUint8(at + 10, flags);
    view.setUint8(at + 11, TYPE_UNICAST);
    this.#length = at + 12;
  }

  #address(words: readonly [number, number, number, number]): void {
    const family = familyOf(words);
    const first = family === AddressFamily.inet ? 3 : 0;
    const at = this.#attribute(NeighbourAttribute.destination, (4 - first) * 4);
    for (let word = first; word < 4; word++) {
      this.#view.setUint32(at + (word - first) * 4, words[word]);
    }
  }

  /** @returns where its payload lies */
  #attribute(type: number, payload_bytes: number): number {
    const at = this.#length;
    this.#view.setUint16(at, ATTRIBUTE_HEADER_BYTES + payload_bytes, LITTLE);
    this.#view.setUint16(at + 2, type, LITTLE);
    this.#length = at + ((ATTRIBUTE_HEADER_BYTES + payload_bytes + 3) & ~3);
    return at + ATTRIBUTE_HEADER_BYTES;
  }
}

/** AddressFamily of an address. */
export function familyOf([w0, w1, w2]: readonly [number, number, number, number]): number {
  return w0 === 0 && w1 === 0 && w2 === 0xffff ? AddressFamily.inet : AddressFamily.inet6;
}
