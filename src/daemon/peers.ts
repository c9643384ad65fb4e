// Who holds a remote: a static FDB entry, a flood-list member, a route's gateway or a
// point-to-point tunnel each hold a reference, and a remote may send to us as long as somebody
// holds one. Keeps remote table, counters and learned FDB entries in step.

import { CulvertError } from "../errors.js";
import {
  REMOTE_FLAG_ALLOWED,
  REMOTE_FLAG_LEARNED,
  setRemoteGroup,
} from "../remotes/remote-rows.js";
import type { RemoteTable } from "../remotes/remote-table.js";
import type { Counters } from "../telemetry/counters.js";
import { type IpAddress, isMulticastIp } from "../wire/ip-address.js";
import { isListMac } from "../wire/mac.js";
import { ipOf, textOf } from "./addresses.js";
import { fdbTableChange, type TableChanges } from "./table-changes.js";
import type { TunnelRuntime, VxlanRuntime } from "./tunnel.js";

export class Peers {
  readonly #remotes: RemoteTable;
  readonly #counters: Counters;
  readonly #changes: TableChanges;

  constructor(remotes: RemoteTable, counters: Counters, changes: TableChanges) {
    this.#remotes = remotes;
    this.#counters = counters;
    this.#changes = changes;
  }

  /**
   * Takes a reference to a remote, or to a multicast group, which never sends. Throws
   * CULVERT_TABLE_FULL when there is no room for another.
   * @param port UDP port, 0 for IPIP. @param vni 0 for IPIP
   * @returns its row
   */
  acquire(tunnel: number, dst: string, port = 0, vni = 0): number {
    return this.acquireAddress(tunnel, ipOf(dst), port, vni);
  }

  /** The same for an address that has been parsed. */
  acquireAddress(tunnel: number, dst: IpAddress, port: number, vni: number): number {
    const remotes = this.#remotes;
    const { w0, w1, w2, w3 } = dst;
    const flags = isMulticastIp(dst) ? 0 : REMOTE_FLAG_ALLOWED;
    const known = remotes.find(tunnel, w0, w1, w2, w3, port, vni) >= 0;
    const senderKnown = remotes.findSender(tunnel, w0, w1, w2, w3) >= 0;
    const row = remotes.acquire(tunnel, w0, w1, w2, w3, port, vni, flags);
    if (row < 0) {
      throw new CulvertError("CULVERT_TABLE_FULL", `no room for remote ${textOf(dst)}`, {
        hint: `the daemon holds at most ${remotes.maxRemotes} remotes of all tunnels`,
      });
    }
    if (!known) this.#counters.restartRemote(row);
    const sender = remotes.findSender(tunnel, w0, w1, w2, w3);
    if (!senderKnown && sender !== row) this.#counters.restartRemote(sender);
    return row;
  }

  /** Frames to the remote carry this policy group in place of the tunnel's. */
  setGroup(row: number, group: number): void {
    setRemoteGroup(this.#remotes.rows, row, group);
  }

  /** Gives a reference back. */
  release(row: number): void {
    this.#remotes.release(row);
  }

  /**
   * Gives references of a VXLAN tunnel back, one for each row; what was learned from a remote that
   * nobody holds any more is forgotten. Before the rows are free, so that no entry points to a row
   * that may become somebody else's, and again after, since a worker may have learned in between.
   */
  releaseVxlan(tunnel: VxlanRuntime, rows: readonly number[]): void {
    if (tunnel.config.allow !== "known") this.#keepHeard(rows);
    const freed = this.#freedWith(rows);
    this.#forget(tunnel, freed);
    for (const row of rows) this.#remotes.release(row);
    this.#forget(tunnel, freed);
  }

  /**
   * Forgets sources that nobody configured and that were silent for `ageing_s` seconds (`allow`
   * other than known), and what was learned from them.
   */
  ageStrangers(tunnel: TunnelRuntime, now_s: number, ageing_s: number): void {
    const rows = this.#remotes.age(tunnel.index, now_s, ageing_s);
    if (tunnel.type === "vxlan") this.#forget(tunnel, new Set(rows));
    for (const row of rows) this.#counters.restartRemote(row);
  }

  /**
   * Whom nobody holds any more is a stranger like any other, where strangers are let in: what was
   * learned from it stays until it ages, as in the kernel.
   */
  #keepHeard(rows: readonly number[]): void {
    for (const row of this.#freedWith(rows)) {
      if (this.#remotes.macs.learnedMacs(row) > 0) {
        this.#remotes.setFlags(row, REMOTE_FLAG_LEARNED);
      }
    }
  }

  /**
   * Removes what was learned from these remotes. Looks through the table only if there is
   * something: the last use of a remote may go with every entry of a batch.
   */
  #forget(tunnel: VxlanRuntime, rows: ReadonlySet<number>): void {
    if (![...rows].some((row) => this.#remotes.macs.total(row) > 0)) return;
    tunnel.fdb.flush(
      ({ hi, lo, remote }) => rows.has(remote) && !isListMac(hi, lo),
      (entry) => {
        if (!this.#changes.heard) return;
        this.#changes.fdb(fdbTableChange("del", tunnel, entry, entry.remote, this.#remotes));
      },
    );
  }

  /**
   * The rows that giving back a reference to each of `rows` frees: themselves, and their base
   * rows, which senders are known by.
   */
  #freedWith(rows: readonly number[]): Set<number> {
    const released = new Map<number, number>();
    for (const row of rows) {
      for (const index of new Set([row, this.#remotes.base(row)])) {
        released.set(index, (released.get(index) ?? 0) + 1);
      }
    }
    const freed = new Set<number>();
    for (const [index, references] of released) {
      const remote = this.#remotes.get(index);
      const learned = remote === undefined || (remote.flags & REMOTE_FLAG_LEARNED) !== 0;
      if (!learned && remote.references <= references) freed.add(index);
    }
    return freed;
  }
}
