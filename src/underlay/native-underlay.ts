// UDP and raw IPIP sockets, moved in batches by native code. They open nothing: the daemon opened
// the descriptors.

import { type EgressHandle, type IngressHandle, native } from "#native";
import type { EgressBatch } from "../packet/egress-batch.js";
import type { IngressBatch } from "../packet/ingress-batch.js";
import { IPV4_MAPPED } from "../wire/ip-address.js";
import type {
  DatagramSender,
  UnderlayErrors,
  UnderlayReceiver,
  UnderlaySender,
} from "./underlay.js";

function kernelPathMtu_bytes(w0: number, w1: number, w2: number, w3: number, dev: string): number {
  const family = w0 === 0 && w1 === 0 && w2 === IPV4_MAPPED ? 4 : 6;
  return native.pathMtu(family, Int32Array.of(w0, w1, w2, w3), dev);
}

/**
 * Sends VXLAN through a pool of sockets: one source port each, so that flows spread (RFC 7348 § 5).
 */
export class UdpSender implements UnderlaySender {
  readonly socketCount: number;
  readonly fragments = true;
  readonly #sockets: Int32Array;
  readonly #dev: string;
  readonly #flowLabel: number;
  readonly #egress: EgressHandle;

  /**
   * @param sockets descriptors: a pool, a power of two of them, or two pools of equal size
   * @param socketCount of one pool
   * @param dev device that they are bound to, or ""
   * @param flowLabel of IPv6 datagrams; 0: as the sockets choose
   */
  constructor(
    sockets: readonly number[],
    socketCount: number,
    dev: string,
    flowLabel: number,
    egress: EgressHandle,
  ) {
    this.#sockets = Int32Array.from(sockets);
    this.socketCount = socketCount;
    this.#dev = dev;
    this.#flowLabel = flowLabel;
    this.#egress = egress;
  }

  pathMtu_bytes(w0: number, w1: number, w2: number, w3: number): number {
    return kernelPathMtu_bytes(w0, w1, w2, w3, this.#dev);
  }

  sendBatch(batch: EgressBatch): number {
    return native.encapSendUdp(this.#egress, this.#sockets, batch.sendCount, this.#flowLabel);
  }
}

/** Sends single datagrams through one UDP socket. */
export class UdpDatagrams implements DatagramSender {
  readonly #fd: number;
  readonly #ttl: number;

  /** @param ttl outer TTL or hop limit; 0 or less: the route's */
  constructor(fd: number, ttl: number) {
    this.#fd = fd;
    this.#ttl = Math.max(0, ttl);
  }

  sendDatagram(
    family: number,
    words: Int32Array,
    at: number,
    port: number,
    bytes: Uint8Array,
  ): number {
    return native.datagramSend(this.#fd, family, words, at, port, bytes, this.#ttl);
  }
}

/** Sends IPIP packets whose outer header stands in front of the frame. */
export class RawSender implements UnderlaySender {
  readonly socketCount = 1;
  readonly fragments = true;
  readonly #sockets: Int32Array;
  readonly #dev: string;
  readonly #egress: EgressHandle;

  /**
   * @param sockets descriptors by RAW_*; -1: the tunnel does not carry what it is for
   * @param dev device that they are bound to, or ""
   */
  constructor(sockets: readonly number[], dev: string, egress: EgressHandle) {
    this.#sockets = Int32Array.from(sockets);
    this.#dev = dev;
    this.#egress = egress;
  }

  pathMtu_bytes(w0: number, w1: number, w2: number, w3: number): number {
    return kernelPathMtu_bytes(w0, w1, w2, w3, this.#dev);
  }

  sendBatch(batch: EgressBatch): number {
    return native.encapSendRaw(this.#egress, this.#sockets, batch.sendCount);
  }
}

/** The error queue of a UDP or raw socket. */
export class SocketErrors implements UnderlayErrors {
  readonly fd: number;
  readonly #dev: string;

  /** @param dev device that the socket is bound to, or "" */
  constructor(fd: number, dev: string) {
    this.fd = fd;
    this.#dev = dev;
  }

  take(rows: Int32Array, quotes: Uint8Array): number {
    return native.socketErrors(this.fd, rows, quotes);
  }

  pathMtu_bytes(w0: number, w1: number, w2: number, w3: number): number {
    return kernelPathMtu_bytes(w0, w1, w2, w3, this.#dev);
  }
}

/** Receives from one UDP or raw socket. */
export class NativeReceiver implements UnderlayReceiver {
  readonly fd: number;
  readonly #raw: number;
  readonly #ingress: IngressHandle;

  constructor(fd: number, kind: "udp" | "raw", ingress: IngressHandle) {
    this.fd = fd;
    this.#raw = kind === "raw" ? 1 : 0;
    this.#ingress = ingress;
  }

  receiveBatch(batch: IngressBatch, limit: number): number {
    const count = native.receiveBatch(this.#ingress, this.fd, limit, this.#raw);
    batch.runCount = Math.max(count, 0);
    return count;
  }
}
