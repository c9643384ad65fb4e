// UDP and raw IPIP sockets, moved in batches by native code. They open nothing: the daemon opened the descriptors.

import { type EgressHandle, type IngressHandle, native } from "#native";
import type { EgressBatch } from "../packet/egress-batch.js";
import type { IngressBatch } from "../packet/ingress-batch.js";
import type { UnderlayReceiver, UnderlaySender } from "./underlay.js";

/** Sends VXLAN through a pool of sockets: one source port each, so that flows spread (RFC 7348 § 5). */
export class UdpSender implements UnderlaySender {
  readonly socketCount: number;
  readonly #sockets: Int32Array;
  readonly #egress: EgressHandle;

  /** @param sockets descriptors, a power of two of them */
  constructor(sockets: readonly number[], egress: EgressHandle) {
    this.#sockets = Int32Array.from(sockets);
    this.socketCount = sockets.length;
    this.#egress = egress;
  }

  sendBatch(batch: EgressBatch): number {
    return native.encapSendUdp(this.#egress, this.#sockets, batch.sendCount);
  }
}

/** Sends IPIP packets whose outer header stands in front of the frame. */
export class RawSender implements UnderlaySender {
  readonly socketCount = 1;
  readonly #fd: number;
  readonly #egress: EgressHandle;

  constructor(fd: number, egress: EgressHandle) {
    this.#fd = fd;
    this.#egress = egress;
  }

  sendBatch(batch: EgressBatch): number {
    return native.encapSendRaw(this.#egress, this.#fd, batch.sendCount);
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
