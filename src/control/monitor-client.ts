// The client's side of `GET /v1/monitor`: hands over each line until the caller aborts or the
// stream ends. Must stay light, like client.ts.

import { type IncomingMessage, request } from "node:http";
import { CulvertError, ExitStatus } from "../errors.js";
import { connectionError, readAll, refusalOf } from "./client.js";
import type { MonitorEvent, MonitorLine, MonitorNotice, MonitorQuery } from "./monitor-events.js";
import { MONITOR_PATH } from "./paths.js";

/** Silence after which the daemon counts as hung: three heartbeats. */
const SILENCE_MS = 15_000;
/** A line is a few hundred bytes; more without an end is none of ours. */
const MAX_LINE_CHARS = 64 * 1024;

export interface MonitorCall {
  readonly socketPath: string;
  readonly query: MonitorQuery;
  /** Ends the call without an error. */
  readonly signal: AbortSignal;
  readonly onLine: (line: MonitorEvent | Extract<MonitorNotice, { kind: "lost" }>) => void;
}

/**
 * Resolves after `signal`. Throws the daemon's CulvertError, CULVERT_NO_DAEMON when there is none
 * or it stops, CULVERT_CONTROL_TIMEOUT, CULVERT_CONTROL_BROKEN.
 */
export async function monitorDaemon(call: MonitorCall): Promise<void> {
  try {
    const incoming = await open(call);
    if (incoming.statusCode !== 200) {
      throw refusalOf("monitor", incoming.statusCode ?? 0, await readAll(incoming));
    }
    await readLines(call, incoming);
  } catch (error) {
    if (call.signal.aborted) return;
    throw error instanceof CulvertError ? error : connectionError(call, error);
  }
  if (call.signal.aborted) return;
  throw new CulvertError("CULVERT_NO_DAEMON", `the daemon at ${call.socketPath} has stopped`, {
    hint: "start it again, then monitor it again",
    exit: ExitStatus.noDaemon,
  });
}

function open({ socketPath, query, signal }: MonitorCall): Promise<IncomingMessage> {
  const words = new URLSearchParams();
  if (query.kinds !== undefined) words.set("kinds", query.kinds.join(","));
  if (query.dev !== undefined) words.set("dev", query.dev);
  const path = words.size === 0 ? MONITOR_PATH : `${MONITOR_PATH}?${words}`;
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, path, agent: false, signal });
    outgoing.setTimeout(SILENCE_MS, () => outgoing.destroy(silentError(socketPath)));
    outgoing.once("response", resolve).once("error", reject).end();
  });
}

/** Resolves when the daemon says that it stops. */
async function readLines({ onLine }: MonitorCall, incoming: IncomingMessage): Promise<void> {
  let rest = "";
  for await (const chunk of incoming.setEncoding("utf8") as AsyncIterable<string>) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > MAX_LINE_CHARS) throw new Error("a line is too long");
    for (const text of lines) {
      const line = JSON.parse(text) as MonitorLine;
      if (line.kind === "stopping") return;
      if (line.kind !== "heartbeat") onLine(line);
    }
  }
  throw new Error("it ended without a word");
}

function silentError(socketPath: string): CulvertError {
  const what = `the daemon at ${socketPath} has not said anything for ${SILENCE_MS / 1000} s`;
  return new CulvertError("CULVERT_CONTROL_TIMEOUT", what, {
    hint: "look at its log and CPU use; restart it if it hangs",
  });
}
