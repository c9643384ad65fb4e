// Who holds a remote: a static FDB entry, a flood-list member, a route's gateway or a
// point-to-point tunnel each hold a reference, and a remote may send to us as long as somebody
// holds one. Keeps remote table, counters and learned FDB entries in step.

import { CulvertError } from "../errors.js";
import { REMOTE_FLAG_ALLOWED, REMOTE_FLAG_LEARNED } from "../remotes/remote-rows.js";
import type { RemoteTable } from "../remotes/remote-table.js";
import type { Counters } from "../telemetry/counters.js";
import { ipOf } from "./addresses.js";
import type { VxlanRuntime } from "./tunnel.js";

export class Peers {
  readonly #remotes: RemoteTable;
  readonly #counters: Counters;

  constructor(remotes: RemoteTable, counters: Counters) {
    this.#remotes = remotes;
    this.#counters = counters;
  }

  /**
   * Takes a reference to a remote. Throws CULVERT_TABLE_FULL when there is no room for another.
   * @param port UDP port, 0 for IPIP. @param vni 0 for IPIP
   * @returns its row
   */
  acquire(tunnel: number, dst: string, port = 0, vni = 0): number {
    const remotes = this.#remotes;
    const { w0, w1, w2, w3 } = ipOf(dst);
    const known = remotes.find(tunnel, w0, w1, w2, w3, port, vni) >= 0;
    const senderKnown = remotes.findSender(tunnel, w0, w1, w2, w3) >= 0;
    const row = remotes.acquire(tunnel, w0, w1, w2, w3, port, vni, REMOTE_FLAG_ALLOWED);
    if (row < 0) {
      throw new CulvertError("CULVERT_TABLE_FULL", `no room for remote ${dst}`, {
        hint: `the daemon holds at most ${remotes.maxRemotes} remotes of all tunnels`,
      });
    }
    if (!known) this.#counters.restartRemote(row);
    const sender = remotes.findSender(tunnel, w0, w1, w2, w3);
    if (!senderKnown && sender !== row) this.#counters.restartRemote(sender);
    return row;
  }

  /** Gives a reference back. */
  release(row: number): void {
    this.#remotes.release(row);
  }

  /**
   * Gives a VXLAN tunnel's reference back; what was learned from a remote that nobody holds any
   * more is forgotten. Before the row is free, so that no entry points to a row that may become
   * somebody else's, and again after, since a worker may have learned in between.
   */
  releaseVxlan(tunnel: VxlanRuntime, row: number): void {
    const remotes = this.#freedWith(row);
    if (remotes.size > 0) tunnel.fdb.flush({ remotes });
    this.#remotes.release(row);
    if (remotes.size > 0) tunnel.fdb.flush({ remotes });
  }

  /**
   * Forgets sources that nobody configured and that were silent for `ageing_s` seconds (`allow`
   * other than known).
   */
  ageStrangers(tunnel: number, now_s: number, ageing_s: number): void {
    for (const row of this.#remotes.age(tunnel, now_s, ageing_s)) this.#counters.restartRemote(row);
  }

  /**
   * The rows that giving back a reference to `row` frees: itself, and its base row, which senders
   * are known by.
   */
  #freedWith(row: number): Set<number> {
    const freed = new Set<number>();
    for (const index of [row, this.#remotes.base(row)]) {
      const remote = this.#remotes.get(index);
      if (remote?.references !== 1 || (remote.flags & REMOTE_FLAG_LEARNED) !== 0) continue;
      freed.add(index);
    }
    return freed;
  }
}
