// Opens the underlay's sockets: receiving UDP sockets (one per address and port, shared by all
// tunnels on it, one more per worker), pools of sending UDP sockets, and raw IPIP sockets. Names
// the holder of a port that is taken.

import { randomInt } from "node:crypto";
import {
  native,
  SOCKET_GRO,
  SOCKET_NO_CHECKSUM,
  SOCKET_REUSE_PORT,
  SOCKET_SEND_ONLY,
} from "#native";
import type { NetlinkSocket } from "../netlink/netlink-socket.js";
import { describePortHolder } from "../netlink/port-holder.js";
import { EADDRINUSE } from "../packet/errno.js";
import { type IpAddress, isIpv4 } from "../wire/ip-address.js";
import { textOf } from "./addresses.js";
import type { Descriptors } from "./descriptors.js";
import { socketError } from "./errno-error.js";

/**
 * Kernel buffers of each socket, bytes; asked for with SO_RCVBUFFORCE, so net.core.rmem_max does
 * not bind.
 */
export const BUFFER_BYTES = 8 * 1024 * 1024;
/** Source ports per pool, for entropy in the underlay's hashes; a power of two. */
export const SOURCE_PORTS = 16;
/** Where source ports come from [RFC 7348 § 5]: the dynamic range. */
const FIRST_SOURCE_PORT = 49152;
const LAST_SOURCE_PORT = 65535;
const PORT_ATTEMPTS = 64;

/** Where a socket is bound. */
export interface Endpoint {
  readonly local: IpAddress;
  /** Device to bind to, or "" for any. */
  readonly dev: string;
}

export interface SendOptions {
  /** Outer TTL or hop limit; 0: the route's. */
  readonly ttl: number;
  /** false: outer UDP checksum zero. */
  readonly checksum: boolean;
}

const family = (address: IpAddress): 4 | 6 => (isIpv4(address) ? 4 : 6);
const words = ({ w0, w1, w2, w3 }: IpAddress): Int32Array => Int32Array.of(w0, w1, w2, w3);

export class Sockets {
  readonly #descriptors: Descriptors;
  readonly #rtnl: NetlinkSocket;
  readonly #workers: number;
  readonly #udpGro: boolean;
  /** Receiving sockets by "address%dev:port", one per worker. */
  readonly #receivers = new Map<string, number[]>();
  /**
   * Pools of sending sockets by where and how they send, and worker; tunnels that agree share one.
   */
  readonly #senders = new Map<string, number[]>();

  constructor(descriptors: Descriptors, rtnl: NetlinkSocket, workers: number, udpGro: boolean) {
    this.#descriptors = descriptors;
    this.#rtnl = rtnl;
    this.#workers = workers;
    this.#udpGro = udpGro;
  }

  /**
   * Receiving sockets for an address and port, one per worker; the same ones for the same endpoint.
   */
  receivers(endpoint: Endpoint, port: number): readonly number[] {
    const key = `${textOf(endpoint.local)}%${endpoint.dev}:${port}`;
    const known = this.#receivers.get(key);
    if (known !== undefined) return known;
    const gro = this.#udpGro ? SOCKET_GRO : 0;
    // The first one binds alone: SO_REUSEPORT from the start would silently share a port with
    // another daemon.
    const first = this.#openUdp(endpoint, port, gro);
    if (first < 0) throw this.#portError(endpoint, port, first);
    const sockets = [this.#descriptors.own(first)];
    if (this.#workers > 1) native.socketShare(first);
    while (sockets.length < this.#workers) {
      const next = this.#openUdp(endpoint, port, gro | SOCKET_REUSE_PORT);
      if (next < 0) throw this.#portError(endpoint, port, next);
      sockets.push(this.#descriptors.own(next));
    }
    this.#receivers.set(key, sockets);
    return sockets;
  }

  /**
   * One worker's pool of sending sockets, each with a source port of its own; the same one for the
   * same endpoint and options. To be asked for after all receiving sockets: a source port must not
   * take a tunnel's port.
   */
  senders(endpoint: Endpoint, options: SendOptions, worker: number): readonly number[] {
    const { ttl, checksum } = options;
    const key = `${textOf(endpoint.local)}%${endpoint.dev} ${ttl} ${checksum} ${worker}`;
    let pool = this.#senders.get(key);
    if (pool === undefined) {
      pool = Array.from({ length: SOURCE_PORTS }, () => this.#openSender(endpoint, options));
      this.#senders.set(key, pool);
    }
    return pool;
  }

  /** A raw socket that sends IPIP packets with their outer header, or receives those to `local`. */
  raw(endpoint: Endpoint, direction: "send" | "receive"): number {
    const flags = direction === "send" ? SOCKET_SEND_ONLY : 0;
    const fd = native.rawOpen(words(endpoint.local), endpoint.dev, flags, BUFFER_BYTES);
    if (fd < 0) throw socketError(`raw IPIP socket on ${textOf(endpoint.local)}`, fd, undefined);
    return this.#descriptors.own(fd);
  }

  #openSender(endpoint: Endpoint, options: SendOptions): number {
    let result = -EADDRINUSE;
    const flags = SOCKET_SEND_ONLY | (options.checksum ? 0 : SOCKET_NO_CHECKSUM);
    for (let attempt = 0; attempt < PORT_ATTEMPTS && result === -EADDRINUSE; attempt++) {
      const port = randomInt(FIRST_SOURCE_PORT, LAST_SOURCE_PORT + 1);
      result = this.#openUdp(endpoint, port, flags);
    }
    if (result < 0)
      throw socketError(`sending socket on ${textOf(endpoint.local)}`, result, undefined);
    this.#descriptors.own(result);
    const ttl = native.socketSetTtl(result, family(endpoint.local), options.ttl);
    if (ttl < 0) throw socketError(`sending socket with TTL ${options.ttl}`, ttl, undefined);
    return result;
  }

  #openUdp({ local, dev }: Endpoint, port: number, flags: number): number {
    return native.udpOpen(family(local), words(local), port, dev, flags, BUFFER_BYTES);
  }

  #portError(endpoint: Endpoint, port: number, result: number): Error {
    const address = textOf(endpoint.local);
    const holder = describePortHolder(this.#rtnl, {
      port,
      address,
      family: family(endpoint.local),
    });
    return socketError(`UDP socket ${address} port ${port}`, result, holder);
  }
}
