// One queue of a TAP or TUN device, moved in batches by native code. It opens nothing: the daemon
// opened the queue.

import { type EgressHandle, type IngressHandle, native } from "#native";
import type { EgressBatch } from "../packet/egress-batch.js";
import type { IngressBatch } from "../packet/ingress-batch.js";
import type { Device } from "./device.js";

export interface NativeDeviceOptions {
  readonly index: number;
  readonly fd: number;
  /** DEVICE_TAP or DEVICE_TUN. */
  readonly kind: number;
  /** OFFLOAD_* that the device takes on write. */
  readonly offloads: number;
}

export class NativeDevice implements Device {
  readonly index: number;
  readonly fd: number;
  readonly #kind: number;
  readonly #offloads: number;
  readonly #egress: EgressHandle;
  readonly #ingress: IngressHandle;

  /** The handles belong to the batches that will be passed to `readBatch` and `writeBatch`. */
  constructor(options: NativeDeviceOptions, egress: EgressHandle, ingress: IngressHandle) {
    this.index = options.index;
    this.fd = options.fd;
    this.#kind = options.kind;
    this.#offloads = options.offloads;
    this.#egress = egress;
    this.#ingress = ingress;
  }

  readBatch(batch: EgressBatch, limit: number): number {
    const count = native.deviceReadBatch(this.#egress, this.fd, limit);
    batch.frameCount = Math.max(count, 0);
    return count;
  }

  writeBatch(batch: IngressBatch): void {
    native.decapWriteBatch(
      this.#ingress,
      this.fd,
      this.index,
      this.#kind,
      this.#offloads,
      0,
      batch.runCount,
    );
  }

  write(bytes: Uint8Array, offset: number, length: number): number {
    return native.deviceWrite(this.fd, bytes, offset, length);
  }
}
