// Where each method of ControlTarget lives under the control socket: the one list that server and
// client share. Must not import zod: the client loads it in commands that have to start fast.

import type { ControlTarget } from "./target.js";

export type Operation = keyof ControlTarget;

export interface Endpoint {
  readonly method: "GET" | "POST";
  readonly path: string;
}

/** GET takes its argument from the query string, POST from a JSON body. */
export const ENDPOINTS: Readonly<Record<Operation, Endpoint>> = {
  status: { method: "GET", path: "/v1/status" },
  counters: { method: "GET", path: "/v1/counters" },
  fdbShow: { method: "GET", path: "/v1/fdb" },
  fdbPage: { method: "GET", path: "/v1/fdb/page" },
  fdbChange: { method: "POST", path: "/v1/fdb" },
  fdbBatch: { method: "POST", path: "/v1/fdb/batch" },
  fdbFlush: { method: "POST", path: "/v1/fdb/flush" },
  neighShow: { method: "GET", path: "/v1/neigh" },
  neighChange: { method: "POST", path: "/v1/neigh" },
  neighBatch: { method: "POST", path: "/v1/neigh/batch" },
  neighFlush: { method: "POST", path: "/v1/neigh/flush" },
  routeShow: { method: "GET", path: "/v1/route" },
  routePage: { method: "GET", path: "/v1/route/page" },
  routeGet: { method: "GET", path: "/v1/route/get" },
};

/** GET: a stream of events (monitor-events.ts) instead of one answer. */
export const MONITOR_PATH = "/v1/monitor";

/** Changes of one batch: with every field at its longest they fit the server's limit of a body. */
export const MAX_BATCH_CHANGES = 4096;

/** Default of `control.socket` in the config and of `--socket` on the command line. */
export const DEFAULT_SOCKET_PATH = "/run/culvert/culvert.sock";
