// Changes of FDB and neighbour tables, as the main thread makes them: told to whoever listens, one
// call per entry, after the table has changed. Nothing is kept: without listeners nothing happens.
// What workers learn is not told here: they do not run on this thread.

import {
  FDB_EXTERN,
  FDB_LEARNED,
  FDB_PERMANENT,
  FDB_ROUTER,
  FDB_STATIC,
  type FdbEntry,
} from "../fdb/fdb.js";
import type { RemoteEntry } from "../remotes/remote-rows.js";
import type { RemoteTable } from "../remotes/remote-table.js";
import type { VxlanRuntime } from "./tunnel.js";

/** An entry has come to be or has changed, or it is gone. */
export type TableOperation = "new" | "del";

export interface FdbTableChange {
  readonly op: TableOperation;
  readonly tunnel: VxlanRuntime;
  /** First 16 and last 32 bits, unsigned. */
  readonly mac: { readonly hi: number; readonly lo: number };
  readonly state: "permanent" | "static" | "dynamic" | "learned";
  /** NTF_ROUTER. */
  readonly router: boolean;
  /** NTF_EXT_LEARNED. */
  readonly externLearn: boolean;
  /** Address of the remote; undefined when its row is nobody's any more. */
  readonly dst: RemoteEntry["address"] | undefined;
  /** UDP port and VNI that the remote is sent to with. */
  readonly port: number;
  readonly vni: number;
  /** Of an entry that was aged out: seconds since it was heard. */
  readonly idle_s?: number | undefined;
}

export interface NeighTableChange {
  readonly op: TableOperation;
  readonly tunnel: VxlanRuntime;
  readonly ip: string;
  readonly mac: string;
  readonly state: "permanent" | "noarp";
  /** NTF_ROUTER. */
  readonly router: boolean;
}

/** Must neither throw nor change a table. */
export interface TableChangeListener {
  fdb(change: FdbTableChange): void;
  neigh(change: NeighTableChange): void;
}

export class TableChanges {
  readonly #listeners = new Set<TableChangeListener>();

  /** False: nobody would hear of a change, so none need be described. */
  get heard(): boolean {
    return this.#listeners.size > 0;
  }

  /** @returns what ends the listening */
  listen(listener: TableChangeListener): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  fdb(change: FdbTableChange): void {
    for (const listener of this.#listeners) listener.fdb(change);
  }

  neigh(change: NeighTableChange): void {
    for (const listener of this.#listeners) listener.neigh(change);
  }
}

/**
 * Describes a change of an entry.
 * @param row of the remote; for an entry with a list the one of it that came or went
 * @param idle_s of an entry that was aged out
 */
export function fdbTableChange(
  op: TableOperation,
  tunnel: VxlanRuntime,
  { hi, lo, flags }: Pick<FdbEntry, "hi" | "lo" | "flags">,
  row: number,
  remotes: RemoteTable,
  idle_s?: number,
): FdbTableChange {
  const remote = remotes.get(row);
  return {
    op,
    tunnel,
    mac: { hi, lo },
    state: stateOf(flags),
    router: (flags & FDB_ROUTER) !== 0,
    externLearn: (flags & FDB_EXTERN) !== 0,
    dst: remote?.address,
    port: remote?.port ?? tunnel.config.port,
    vni: remote?.vni ?? tunnel.config.vni,
    idle_s,
  };
}

function stateOf(flags: number): FdbTableChange["state"] {
  if ((flags & FDB_PERMANENT) !== 0) return "permanent";
  if ((flags & FDB_STATIC) !== 0) return "static";
  return (flags & FDB_LEARNED) !== 0 ? "learned" : "dynamic";
}
