// Pools of sending UDP sockets: each socket has a source port of its own, so that flows spread over
// the underlay's paths (RFC 7348 § 5). Which ports, how many, and who may share them. Nothing is
// sent here.
//
// Tunnels that agree in everything share a pool. Pools that differ (DF, checksum, flow label,
// worker) take other ports while the range has some; after that they share ports by SO_REUSEPORT,
// which is safe because these sockets discard whatever arrives.

import { randomInt } from "node:crypto";
import {
  native,
  SOCKET_DONT_FRAGMENT,
  SOCKET_ERRORS,
  SOCKET_NO_CHECKSUM,
  SOCKET_NO_FLOW_LABEL,
  SOCKET_REUSE_PORT,
  SOCKET_SEND_ONLY,
} from "#native";
import type { PortRange } from "../config/addresses.js";
import { EADDRINUSE } from "../packet/errno.js";
import type { Descriptors } from "./descriptors.js";
import type { Endpoint } from "./sockets.js";

/** Source ports per pool, for entropy in the underlay's hashes; a power of two. */
export const SOURCE_PORTS = 16;
/** Ports of a range that are tried for one pool. */
const PORT_ATTEMPTS = 1024;

/** How a tunnel's datagrams leave, as far as it is the socket's business. */
export interface SendOptions {
  /** Source ports, both ends included. */
  readonly ports: PortRange;
  readonly dontFragment: boolean;
  /** false: outer UDP checksum zero. */
  readonly checksum: boolean;
  /** IPv6, false: label 0 where the tunnel gives none. */
  readonly flowLabel: boolean;
}

/** The flags of a socket that sends so. */
export function sendFlags({ dontFragment, checksum, flowLabel }: SendOptions): number {
  return (
    SOCKET_ERRORS |
    (dontFragment ? SOCKET_DONT_FRAGMENT : 0) |
    (checksum ? 0 : SOCKET_NO_CHECKSUM) |
    (flowLabel ? 0 : SOCKET_NO_FLOW_LABEL)
  );
}

/** The largest power of two that is not more than `count`, which is at least 1. */
function powerOfTwo(count: number): number {
  return 2 ** Math.floor(Math.log2(count));
}

/** Ports to try: all of a small range from a random one on, random ones of a large range. */
export function* candidatePorts({ min, max }: PortRange): Generator<number> {
  const size = max - min + 1;
  const start = randomInt(size);
  for (let step = 0; step < Math.min(size, PORT_ATTEMPTS); step++) {
    yield min + (size <= PORT_ATTEMPTS ? (start + step) % size : randomInt(size));
  }
}

export interface SendPoolParts {
  readonly descriptors: Descriptors;
  /** Opens a bound socket. @returns descriptor or -errno */
  readonly open: (endpoint: Endpoint, port: number, flags: number) => number;
  /** What to throw when opening failed. */
  readonly error: (endpoint: Endpoint, options: SendOptions, result: number) => Error;
  /** Names a place for keys. */
  readonly nameOf: (endpoint: Endpoint, port: number) => string;
}

export class SendPools {
  readonly #parts: SendPoolParts;
  /** By where and how they send, and worker. */
  readonly #pools = new Map<string, readonly number[]>();
  /** The first socket on each source port, by place. */
  readonly #first = new Map<string, number>();

  constructor(parts: SendPoolParts) {
    this.#parts = parts;
  }

  /** One worker's pool, a power of two of sockets; the same one for the same place and options. */
  pool(endpoint: Endpoint, options: SendOptions, worker: number): readonly number[] {
    const { min, max } = options.ports;
    const key = `${this.#parts.nameOf(endpoint, min)}-${max} ${sendFlags(options)} ${worker}`;
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      pool = this.#openPool(endpoint, options);
      this.#pools.set(key, pool);
    }
    return pool;
  }

  #openPool(endpoint: Endpoint, options: SendOptions): readonly number[] {
    const { min, max } = options.ports;
    const wanted = powerOfTwo(Math.min(SOURCE_PORTS, max - min + 1));
    const flags = SOCKET_SEND_ONLY | sendFlags(options);
    const pool: number[] = [];
    const shareable: number[] = [];
    for (const port of candidatePorts(options.ports)) {
      if (pool.length === wanted) break;
      const fd = this.#parts.open(endpoint, port, flags);
      if (fd >= 0) pool.push(this.#keep(endpoint, port, fd));
      else if (fd !== -EADDRINUSE) throw this.#parts.error(endpoint, options, fd);
      else if (this.#first.has(this.#parts.nameOf(endpoint, port))) shareable.push(port);
    }
    for (const port of shareable.slice(0, wanted - pool.length)) {
      native.socketShare(this.#first.get(this.#parts.nameOf(endpoint, port)) as number);
      const fd = this.#parts.open(endpoint, port, flags | SOCKET_REUSE_PORT);
      if (fd < 0) throw this.#parts.error(endpoint, options, fd);
      pool.push(this.#parts.descriptors.own(fd));
    }
    if (pool.length === 0) throw this.#parts.error(endpoint, options, -EADDRINUSE);
    // Somebody else may hold ports of a small range; what is left over serves the next pool.
    return pool.slice(0, powerOfTwo(pool.length));
  }

  #keep(endpoint: Endpoint, port: number, fd: number): number {
    this.#first.set(this.#parts.nameOf(endpoint, port), fd);
    return this.#parts.descriptors.own(fd);
  }
}
