// One batch on its way from the underlay to the devices: the arena with a 64 KiB slot per received
// message, and one row per run (abi.h). Made once per worker; nothing here allocates after
// construction or does I/O.

import { INGRESS_ARENA_BYTES, MAX_RUNS, RUN_WORDS } from "#abi";

export class IngressBatch {
  readonly arena = new Uint8Array(INGRESS_ARENA_BYTES);
  readonly runs = new Int32Array(MAX_RUNS * RUN_WORDS);
  /** Rows in use. */
  runCount = 0;
}
