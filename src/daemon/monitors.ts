// Who listens at the control socket, and to what. Events are made only when somebody wants them:
// ask `wants` first.

import type {
  MonitorEvent,
  MonitorKind,
  MonitorListener,
  MonitorQuery,
  MonitorSource,
} from "../control/monitor-events.js";
import { tunnelNamed } from "./control/context.js";
import type { TunnelRuntime } from "./tunnel.js";

interface Monitor {
  readonly query: MonitorQuery;
  readonly listener: MonitorListener;
}

export class Monitors implements MonitorSource {
  readonly #tunnels: readonly TunnelRuntime[];
  readonly #onChange: () => void;
  readonly #monitors = new Set<Monitor>();

  /** @param onChange called when somebody came or went */
  constructor(tunnels: readonly TunnelRuntime[], onChange: () => void) {
    this.#tunnels = tunnels;
    this.#onChange = onChange;
  }

  monitor(query: MonitorQuery, listener: MonitorListener): () => void {
    if (query.dev !== undefined) tunnelNamed({ tunnels: this.#tunnels }, query.dev);
    const monitor = { query, listener };
    this.#monitors.add(monitor);
    this.#onChange();
    return () => {
      if (this.#monitors.delete(monitor)) this.#onChange();
    };
  }

  /** Does anybody want this kind of event (of this device)? */
  wants(kind: MonitorKind, dev?: string): boolean {
    for (const { query } of this.#monitors) if (matches(query, kind, dev)) return true;
    return false;
  }

  publish(event: MonitorEvent): void {
    for (const { query, listener } of this.#monitors) {
      if (matches(query, event.kind, event.dev)) listener.event(event);
    }
  }

  /** Events of workers, which nobody can tell the kind or device of any more. */
  lost(count: number): void {
    for (const { listener } of this.#monitors) listener.lost(count);
  }
}

function matches({ kinds, dev }: MonitorQuery, kind: MonitorKind, of: string | undefined): boolean {
  if (kinds !== undefined && !kinds.includes(kind)) return false;
  return dev === undefined || of === undefined || dev === of;
}
