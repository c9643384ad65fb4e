// BUM frames (broadcast, unknown unicast, multicast) of one VXLAN tunnel: to whom they are
// replicated, and what is counted when there is nobody.

import { DEFAULT_LIST, FloodSnapshot } from "../fdb/flood-lists.js";
import type { EgressBatch } from "../packet/egress-batch.js";
import { TunnelCounter, type WorkerCounters } from "../telemetry/counters.js";
import { DropReasons } from "../telemetry/drop-reasons.js";
import type { OuterHeader } from "./outer-header.js";
import type { VxlanSends } from "./vxlan-sends.js";
import type { VxlanTunnel } from "./vxlan-tunnel.js";

const L2MISS = DropReasons.l2miss.id;
const NO_REMOTES = DropReasons.noRemotes.id;

export class Flooder {
  readonly #tunnel: VxlanTunnel;
  readonly #batch: EgressBatch;
  readonly #counters: WorkerCounters;
  readonly #sends: VxlanSends;
  readonly #lists = new FloodSnapshot();

  constructor(
    tunnel: VxlanTunnel,
    batch: EgressBatch,
    counters: WorkerCounters,
    sends: VxlanSends,
  ) {
    this.#tunnel = tunnel;
    this.#batch = batch;
    this.#counters = counters;
    this.#sends = sends;
  }

  /** Takes over what was changed in the flood lists; once per batch. */
  refresh(): void {
    this.#lists.refresh(this.#tunnel.flood);
  }

  /**
   * Replicates the frame at `at` to every member of a list.
   * @param list the all-zero MAC's, or the one that the FDB has for the frame's destination
   */
  flood(frame: number, at: number, outer: OuterHeader, multicast: boolean, list: number): void {
    const { index } = this.#tunnel;
    const lists = this.#lists;
    // The FDB may know of a list that is younger than the batch.
    if (list !== DEFAULT_LIST) this.refresh();
    const count = lists.count(list);
    if (count === 0) {
      const reason = multicast ? NO_REMOTES : L2MISS;
      return this.#counters.drop(index, reason, this.#batch.wirePackets(frame));
    }
    this.#sends.replicate(frame, at, lists.members, lists.first(list), count, outer);
    this.#counters.addTunnel(index, TunnelCounter.floods, 1);
  }
}
