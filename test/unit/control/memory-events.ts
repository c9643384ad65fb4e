// A MonitorSource for tests of the socket and of the commands: tells what a test tells it.

import type {
  FdbEvent,
  MonitorEvent,
  MonitorListener,
  MonitorQuery,
  MonitorSource,
} from "../../../src/control/monitor-events.js";
import { CulvertError } from "../../../src/errors.js";

export const LEARNED: FdbEvent = {
  kind: "fdb",
  time_ms: 1_700_000_000_123.456,
  dev: "vxlan100",
  op: "new",
  mac: "02:00:00:00:00:0b",
  dst: "10.57.4.21",
  state: "reachable",
};

export class MemoryEvents implements MonitorSource {
  readonly queries: MonitorQuery[] = [];
  readonly listeners = new Set<MonitorListener>();

  monitor(query: MonitorQuery, listener: MonitorListener): () => void {
    if (query.dev !== undefined && query.dev !== "vxlan100") {
      throw new CulvertError("CULVERT_NO_TUNNEL", `no tunnel is named ${query.dev}`);
    }
    this.queries.push(query);
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }

  emit(event: MonitorEvent): void {
    for (const listener of this.listeners) listener.event(event);
  }
}
