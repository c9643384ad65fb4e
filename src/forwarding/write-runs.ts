// The end of ingress: hands the decided runs of a batch to their devices and counts what came of
// it.

import {
  RUN_BAD_CHECKSUM,
  RUN_BYTES,
  RUN_DEVICE,
  RUN_DEVICE_ERRNO,
  RUN_DEVICE_ERRORS,
  RUN_MALFORMED,
  RUN_WORDS,
  RUN_WRITES,
  RUN_WRITTEN,
} from "#abi";
import type { Device } from "../device/device.js";
import { EAGAIN } from "../packet/errno.js";
import type { IngressBatch } from "../packet/ingress-batch.js";
import { RemoteCounter, TunnelCounter, type WorkerCounters } from "../telemetry/counters.js";
import { DropReasons } from "../telemetry/drop-reasons.js";

const INNER_CHECKSUM = DropReasons.innerChecksum.id;
const INNER_MALFORMED = DropReasons.innerMalformed.id;
const DEVICE_BUSY = DropReasons.deviceBusy.id;
const DEVICE_ERROR = DropReasons.deviceError.id;

/** Devices a batch of runs goes to; one batch rarely has more than one. */
export class RunWriter {
  readonly #batch: IngressBatch;
  readonly #counters: WorkerCounters;
  readonly #touched: Device[] = [];
  /** Beside the array, which would give its memory back if its length were set to 0. */
  #touchedCount = 0;
  /** Remote row per run, for its counters. */
  readonly #remotes: Int32Array;

  constructor(batch: IngressBatch, counters: WorkerCounters) {
    this.#batch = batch;
    this.#counters = counters;
    this.#remotes = new Int32Array(batch.runs.length / RUN_WORDS);
  }

  /** Gives a run to a device; `remote` is the row of its sender. */
  assign(run: number, device: Device, remote: number): void {
    this.#batch.runs[run * RUN_WORDS + RUN_DEVICE] = device.index;
    this.#remotes[run] = remote;
    for (let i = 0; i < this.#touchedCount; i++) {
      if (this.#touched[i] === device) return;
    }
    this.#touched[this.#touchedCount++] = device;
  }

  /** Writes all assigned runs and counts. */
  flush(): void {
    if (this.#touchedCount === 0) return;
    for (let i = 0; i < this.#touchedCount; i++) this.#touched[i].writeBatch(this.#batch);
    this.#touchedCount = 0;
    for (let run = 0; run < this.#batch.runCount; run++) this.#count(run);
  }

  #count(run: number): void {
    const runs = this.#batch.runs;
    const counters = this.#counters;
    const at = run * RUN_WORDS;
    const tunnel = runs[at + RUN_DEVICE];
    if (tunnel < 0) return;
    const remote = this.#remotes[run];
    const packets = runs[at + RUN_WRITTEN];
    if (packets > 0) {
      const bytes = runs[at + RUN_BYTES];
      counters.addTunnel(tunnel, TunnelCounter.ingressPackets, packets);
      counters.addTunnel(tunnel, TunnelCounter.ingressBytes, bytes);
      counters.addRemote(remote, RemoteCounter.ingressPackets, packets);
      counters.addRemote(remote, RemoteCounter.ingressBytes, bytes);
      const joined = packets > runs[at + RUN_WRITES];
      if (joined) counters.addTunnel(tunnel, TunnelCounter.ingressSuperpackets, 1);
    }
    const badChecksum = runs[at + RUN_BAD_CHECKSUM];
    const malformed = runs[at + RUN_MALFORMED];
    const refused = runs[at + RUN_DEVICE_ERRORS];
    if (badChecksum > 0) counters.dropOf(tunnel, remote, INNER_CHECKSUM, badChecksum);
    if (malformed > 0) counters.dropOf(tunnel, remote, INNER_MALFORMED, malformed);
    if (refused > 0) {
      const busy = runs[at + RUN_DEVICE_ERRNO] === EAGAIN;
      counters.dropOf(tunnel, remote, busy ? DEVICE_BUSY : DEVICE_ERROR, refused);
    }
  }
}
