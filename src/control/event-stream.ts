// The server's side of `GET /v1/monitor`: an answer that does not end, one JSON object per line.
//
// A client that reads slower than events come loses the newest ones and is told how many; it costs
// a bounded buffer and holds nobody up. Heartbeats show that the connection lives. One that does
// not read at all gets nothing more, heartbeats included, so the server's idle time-out ends it.

import type { ServerResponse } from "node:http";
import { z } from "zod";
import { CulvertError } from "../errors.js";
import {
  eventTime_ms,
  MONITOR_KINDS,
  type MonitorLine,
  type MonitorListener,
  type MonitorQuery,
  type MonitorSource,
} from "./monitor-events.js";

export interface StreamLimits {
  /** Monitors at once; a further one is refused. */
  monitors: number;
  /** What a monitor's client may leave unread. */
  monitor_buffer_bytes: number;
  /** Between two heartbeats; less than `idle_ms` of the server. */
  heartbeat_ms: number;
}

/** The query string of `GET /v1/monitor`: kinds by name, separated by commas. */
export const MONITOR_SCHEMA: z.ZodType<MonitorQuery> = z.strictObject({
  kinds: z
    .string()
    .transform((text) => text.split(","))
    .pipe(z.array(z.enum(MONITOR_KINDS, `some of ${MONITOR_KINDS.join(", ")}`)))
    .optional(),
  dev: z.string().optional(),
});

/** The answers under way. */
export class EventStreams {
  readonly #source: MonitorSource;
  readonly #limits: StreamLimits;
  readonly #streams = new Set<EventStream>();

  constructor(source: MonitorSource, limits: StreamLimits) {
    this.#source = source;
    this.#limits = limits;
  }

  /** Makes `response` a stream. Throws CulvertError while it is still an ordinary answer. */
  open(response: ServerResponse, query: MonitorQuery): void {
    if (this.#streams.size >= this.#limits.monitors) {
      const what = `the daemon has ${this.#limits.monitors} monitors already`;
      throw new CulvertError("CULVERT_MONITOR_LIMIT", what, { hint: "end one of them first" });
    }
    const stream = new EventStream(response, this.#limits);
    const end = this.#source.monitor(query, stream);
    this.#streams.add(stream);
    response.once("close", () => {
      this.#streams.delete(stream);
      stream.stop();
      end();
    });
    stream.start();
  }

  /** Tells every client that the daemon stops, and ends the answers. */
  close(): void {
    for (const stream of this.#streams) stream.end();
  }
}

class EventStream implements MonitorListener {
  readonly #response: ServerResponse;
  readonly #limits: StreamLimits;
  #heartbeat: NodeJS.Timeout | undefined;
  /** Lines of this turn of the event loop: they go out together. */
  #pending = "";
  #lost = 0;

  constructor(response: ServerResponse, limits: StreamLimits) {
    this.#response = response;
    this.#limits = limits;
  }

  start(): void {
    const headers = { "content-type": "application/x-ndjson", "cache-control": "no-store" };
    this.#response.writeHead(200, { ...headers, connection: "close" });
    this.#response.flushHeaders();
    const beat = () => {
      if (this.#response.writableLength === 0) this.#add({ kind: "heartbeat" });
    };
    this.#heartbeat = setInterval(beat, this.#limits.heartbeat_ms);
  }

  event(event: MonitorLine): void {
    this.#tellLost();
    if (this.#isFull) this.#lost++;
    else this.#add(event);
  }

  lost(count: number): void {
    this.#lost += count;
    this.#tellLost();
  }

  end(): void {
    this.#tellLost();
    this.#add({ kind: "stopping" });
    this.#write();
    this.stop();
    this.#response.end();
  }

  /** Nothing is sent any more. */
  stop(): void {
    clearInterval(this.#heartbeat);
  }

  get #isFull(): boolean {
    const waiting = this.#response.writableLength + this.#pending.length;
    return waiting >= this.#limits.monitor_buffer_bytes;
  }

  #tellLost(): void {
    if (this.#lost === 0 || this.#isFull) return;
    const count = this.#lost;
    this.#lost = 0;
    this.#add({ kind: "lost", time_ms: eventTime_ms(), count });
  }

  #add(line: MonitorLine): void {
    if (this.#pending === "") setImmediate(() => this.#write());
    this.#pending += `${JSON.stringify(line)}\n`;
  }

  #write(): void {
    const text = this.#pending;
    this.#pending = "";
    const { destroyed, writableEnded } = this.#response;
    if (text === "" || destroyed || writableEnded) return;
    // Once it has left there is room to tell what was lost meanwhile.
    this.#response.write(text, () => this.#tellLost());
  }
}
