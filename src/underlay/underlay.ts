// What forwarding knows of the network side: something that sends a batch's send list, and something that receives
// runs. UDP and raw IPIP go through native code; the memory underlay joins two forwarders in one process, for tests.

import type { EgressBatch } from "../packet/egress-batch.js";
import type { IngressBatch } from "../packet/ingress-batch.js";

export interface UnderlaySender {
  /** Sockets to choose from by flow hash, a power of two. */
  readonly socketCount: number;
  /** Sends rows 0..sendCount; results stand in SEND_RESULT. @returns sends that failed */
  sendBatch(batch: EgressBatch): number;
}

export interface UnderlayReceiver {
  /** To be polled for input; -1 when there is nothing to poll. */
  readonly fd: number;
  /** Receives at most `limit` messages and sets `runCount`. @returns runs, or -errno */
  receiveBatch(batch: IngressBatch, limit: number): number;
}
