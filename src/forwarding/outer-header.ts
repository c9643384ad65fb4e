// What the outer headers of a frame shall say: traffic class, and which sending socket, that is,
// which source port. Decided once per frame, the same for every remote it goes to.

import type { EgressBatch } from "../packet/egress-batch.js";
import { flowHash } from "../wire/flow-hash.js";
import { innerEcn } from "./ecn.js";

export class OuterHeader {
  /** TOS or traffic class. */
  tos = 0;
  /** Index into the pool of sending sockets. */
  socket = 0;
  readonly #socketMask: number;

  /** @param socketCount sockets to choose from by flow hash, a power of two */
  constructor(socketCount: number) {
    this.#socketMask = socketCount - 1;
  }

  /** Fills the fields in for the frame at `at`, whose headers were located. Hot. */
  decide({ arena }: EgressBatch, at: number, located: Int32Array): void {
    // ECN is copied, DSCP is not [RFC 6040 § 4.1], as with the kernel's `tos 0`.
    this.tos = innerEcn(arena, located);
    this.socket = flowHash(arena, at, located) & this.#socketMask;
  }
}
