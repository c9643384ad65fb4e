// What forwarding knows of the overlay side: a device that gives batches of frames and takes
// batches of runs. TAP and TUN devices move them through native code; the memory device moves them
// through arrays, for tests.

import type { EgressBatch } from "../packet/egress-batch.js";
import type { IngressBatch } from "../packet/ingress-batch.js";

export interface Device {
  /** Runs with this number in RUN_DEVICE are for this device. */
  readonly index: number;
  /** To be polled for input; -1 when there is nothing to poll. */
  readonly fd: number;
  /**
   * Reads at most `limit` frames into the batch and sets `frameCount`. @returns frames read, or
   * -errno
   */
  readBatch(batch: EgressBatch, limit: number): number;
  /** Writes the runs for this device; results stand in RUN_WRITTEN and the columns behind it. */
  writeBatch(batch: IngressBatch): void;
  /** Writes one frame made here, checksums finished. @returns 0 or -errno */
  write(bytes: Uint8Array, offset: number, length: number): number;
}
