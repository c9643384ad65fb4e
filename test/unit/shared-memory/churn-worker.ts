// Runs in a worker thread: changes one table until told to stop (or to the end of its job), always
// writing entries whose words belong together, so that a reader can tell a torn one. Routes have one
// writer, the main thread: here they are read.
import { parentPort, workerData } from "node:worker_threads";
import { FDB_STATIC, Fdb, type FdbState } from "../../../src/fdb/fdb.js";
import { FloodLists, type FloodListsState } from "../../../src/fdb/flood-lists.js";
import { Neigh, type NeighState } from "../../../src/neigh/neigh.js";
import type { RouteTableState } from "../../../src/routes/route-table.js";
import { MAX_REMOTES } from "../../../src/shared-memory/limits.js";
import { readRoutes } from "./route-churn.js";

export type ChurnJob =
  | { readonly job: "fdb"; readonly state: FdbState }
  | {
      readonly job: "fdb-fill";
      readonly state: FdbState;
      readonly from: number;
      readonly to: number;
      /** The worker begins when word 0 is not 0. */
      readonly gate: SharedArrayBuffer;
    }
  | { readonly job: "neigh"; readonly state: NeighState }
  | {
      readonly job: "read-routes";
      readonly state: RouteTableState;
      readonly counts: SharedArrayBuffer;
    }
  | { readonly job: "flood"; readonly state: FloodListsState };

/** Word 0: stop request; word 1: rounds done. */
export type ChurnData = ChurnJob & { readonly control: SharedArrayBuffer };

const KEYS = 64;
/** Times that `fdb-fill` adds its keys; in between it removes them again. */
const FILL_ROUNDS = 200;

function round(first: number): () => void {
  const data = workerData as ChurnData;
  let n = first;
  switch (data.job) {
    case "fdb": {
      const fdb = Fdb.attach(data.state);
      return () => {
        const key = n % KEYS;
        if (n % 3 === 0) fdb.del(0, key);
        else fdb.replace(0, key, n, FDB_STATIC, ~n);
        n = (n + 1) % MAX_REMOTES;
      };
    }
    case "fdb-fill": {
      const fdb = Fdb.attach(data.state);
      return () => {
        Atomics.wait(new Int32Array(data.gate), 0, 0, 2000);
        for (let n = 0; n < FILL_ROUNDS; n++) {
          for (let key = data.from; key < data.to; key++) fdb.add(1, key, key, 0, 1);
          if (n === FILL_ROUNDS - 1) break;
          for (let key = data.from; key < data.to; key++) fdb.del(1, key);
        }
        Atomics.store(new Int32Array(data.control), 0, 1);
      };
    }
    case "neigh": {
      const neigh = Neigh.attach(data.state);
      return () => {
        const address = [0, 0, 0xffff, n % KEYS] as const;
        if (n % 3 === 0) neigh.del(address);
        else neigh.replace({ address, hi: n & 0xffff, lo: ~n, flags: n & 0xff });
        n = (n + 1) & 0xffffff;
      };
    }
    case "read-routes":
      return readRoutes(data.state, new Int32Array(data.counts));
    case "flood": {
      const list = FloodLists.attach(data.state);
      return () => {
        list.append(n);
        if (n >= 20) list.remove(n - 20);
        n++;
      };
    }
  }
}

const control = new Int32Array((workerData as ChurnData).control);
const step = round(1);
parentPort?.postMessage("started");
do {
  step();
  Atomics.add(control, 1, 1);
} while (Atomics.load(control, 0) === 0);
