// What forwarding knows of the network side: something that sends a batch's send list, and
// something that receives runs. UDP and raw IPIP go through native code; the memory underlay joins
// two forwarders in one process, for tests.

import type { EgressBatch } from "../packet/egress-batch.js";
import type { IngressBatch } from "../packet/ingress-batch.js";

export interface UnderlaySender {
  /**
   * Sockets to choose from by flow hash, a power of two. Where DF differs from packet to packet
   * (`df: inherit`) as many more follow, which set it.
   */
  readonly socketCount: number;
  /**
   * Is there a way to send in fragments what exceeds the path MTU: with SEND_NO_GSO (UDP), through
   * the sockets for that (raw)? False: refused.
   */
  readonly fragments: boolean;
  /**
   * What the kernel holds for the path MTU towards an address of the underlay, learned values
   * included. Some system calls: for the rare frame that was too big.
   * @returns bytes of an outer packet, or a negative number when it is not known
   */
  pathMtu_bytes(w0: number, w1: number, w2: number, w3: number): number;
  /** Sends rows 0..sendCount; results stand in SEND_RESULT. @returns sends that failed */
  sendBatch(batch: EgressBatch): number;
}

/** Sends single datagrams that are no frames: keepalives. */
export interface DatagramSender {
  /**
   * Sends all of `bytes` to a UDP port.
   * @param family 4 or 6
   * @param words holds the address, as remotes and runs do: four words from `at` on
   * @returns 0, or -errno
   */
  sendDatagram(
    family: number,
    words: Int32Array,
    at: number,
    port: number,
    bytes: Uint8Array,
  ): number;
}

/** What the network said of packets that were sent through a socket, or with its protocol. */
export interface UnderlayErrors {
  /** To be polled for errors. */
  readonly fd: number;
  /**
   * Takes errors, at most MAX_ERRORS rows (ERROR_*), row n with its quote at n * QUOTE_BYTES.
   * @returns how many, or -errno
   */
  take(rows: Int32Array, quotes: Uint8Array): number;
  /** As UnderlaySender has it. */
  pathMtu_bytes(w0: number, w1: number, w2: number, w3: number): number;
}

export interface UnderlayReceiver {
  /** To be polled for input; -1 when there is nothing to poll. */
  readonly fd: number;
  /** Receives at most `limit` messages and sets `runCount`. @returns runs, or -errno */
  receiveBatch(batch: IngressBatch, limit: number): number;
}
