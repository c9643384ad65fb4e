// Client of the control socket: the methods of ControlTarget, each as a promise. One connection per
// call, no state. Must stay light (node:http only): every command that talks to a daemon loads it.

import { type IncomingMessage, request } from "node:http";
import { CulvertError, ExitStatus } from "../errors.js";
import { ENDPOINTS, type Operation } from "./paths.js";
import type { ControlTarget, ErrorBody } from "./target.js";

/** ControlTarget over the socket: same arguments, same results, same CulvertError. */
export type ControlClient = {
  [O in Operation]: (
    ...args: Parameters<ControlTarget[O]>
  ) => Promise<ReturnType<ControlTarget[O]>>;
};

export interface ControlClientOptions {
  socketPath: string;
  /** For the whole call, from connecting to the last byte of the answer; 10 s unless given. */
  timeout_ms?: number;
}

const DEFAULT_TIMEOUT_MS = 10_000;
/** An answer larger than this is not one of ours: 65,536 neighbours have about 10 MB. */
const MAX_ANSWER_BYTES = 256 * 1024 * 1024;

/**
 * A client for the daemon at `socketPath`. Nothing is opened until a method is called. Methods
 * throw the daemon's own CulvertError, or CULVERT_NO_DAEMON (exit status 3),
 * CULVERT_SOCKET_PERMISSION, CULVERT_CONTROL_TIMEOUT, CULVERT_CONTROL_BROKEN.
 */
export function createControlClient(options: ControlClientOptions): ControlClient {
  const call = <O extends Operation>(operation: O) =>
    (async (argument?: object) =>
      parseAnswer(
        operation,
        await exchange(options, operation, argument ?? {}),
      )) as ControlClient[O];
  return {
    status: call("status"),
    counters: call("counters"),
    fdbShow: call("fdbShow"),
    fdbPage: call("fdbPage"),
    fdbChange: call("fdbChange"),
    fdbBatch: call("fdbBatch"),
    fdbFlush: call("fdbFlush"),
    neighShow: call("neighShow"),
    neighChange: call("neighChange"),
    neighBatch: call("neighBatch"),
    neighFlush: call("neighFlush"),
    routeShow: call("routeShow"),
    routePage: call("routePage"),
    routeGet: call("routeGet"),
  };
}

interface Answer {
  status: number;
  body: string;
}

function exchange(
  options: ControlClientOptions,
  operation: Operation,
  argument: object,
): Promise<Answer> {
  const { method, path } = ENDPOINTS[operation];
  const body = method === "POST" ? JSON.stringify(argument) : undefined;
  const timeout_ms = options.timeout_ms ?? DEFAULT_TIMEOUT_MS;
  return new Promise((resolve, reject) => {
    const deadline = AbortSignal.timeout(timeout_ms);
    const fail = (error: unknown) =>
      reject(
        deadline.aborted ? timeoutError(options, timeout_ms) : connectionError(options, error),
      );
    const outgoing = request({
      socketPath: options.socketPath,
      method,
      path: method === "GET" ? path + queryString(argument) : path,
      agent: false,
      signal: deadline,
      headers:
        body === undefined
          ? {}
          : { "content-type": "application/json", "content-length": Buffer.byteLength(body) },
    });
    outgoing.on("error", fail);
    outgoing.on("response", (incoming) => {
      readAll(incoming).then(
        (text) => resolve({ status: incoming.statusCode ?? 0, body: text }),
        fail,
      );
    });
    outgoing.end(body);
  });
}

function queryString(argument: object): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(argument)) {
    if (value !== undefined) query.set(name, String(value));
  }
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}

/** The whole answer as text. */
export async function readAll(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length_bytes = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    length_bytes += chunk.length;
    if (length_bytes > MAX_ANSWER_BYTES) throw new Error("the answer is too large");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parseAnswer(operation: Operation, answer: Answer): unknown {
  let value: unknown;
  try {
    value = answer.body === "" ? undefined : JSON.parse(answer.body);
  } catch (cause) {
    throw foreignAnswer(operation, answer, cause);
  }
  if (answer.status === 204) return undefined;
  if (answer.status === 200 && typeof value === "object" && value !== null) return value;
  throw refusalOf(operation, answer.status, answer.body);
}

/** The error that the daemon answered with, or that this is no answer of a daemon. */
export function refusalOf(operation: string, status: number, body: string): CulvertError {
  const answer = { status, body };
  let error: ErrorBody["error"] | undefined;
  try {
    error = (JSON.parse(body) as ErrorBody | null)?.error;
  } catch (cause) {
    return foreignAnswer(operation, answer, cause);
  }
  if (typeof error?.code !== "string" || !error.code.startsWith("CULVERT_")) {
    return foreignAnswer(operation, answer);
  }
  return new CulvertError(error.code as `CULVERT_${string}`, String(error.message), {
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    exit: status === 400 ? ExitStatus.usage : ExitStatus.failed,
  });
}

function foreignAnswer(operation: string, answer: Answer, cause?: unknown): CulvertError {
  return new CulvertError(
    "CULVERT_CONTROL_BROKEN",
    `the answer to "${operation}" is not one of a culvert daemon (HTTP status ${answer.status})`,
    { hint: "check that --socket names culvert's socket and that both are of one version", cause },
  );
}

function timeoutError({ socketPath }: ControlClientOptions, timeout_ms: number): CulvertError {
  return new CulvertError(
    "CULVERT_CONTROL_TIMEOUT",
    `the daemon at ${socketPath} did not answer within ${timeout_ms / 1000} s`,
    { hint: "look at its log and CPU use; restart it if it hangs" },
  );
}

/** Why the socket could not be used: no daemon, no permission, or the connection broke. */
export function connectionError(
  { socketPath }: { socketPath: string },
  cause: unknown,
): CulvertError {
  const code = (cause as NodeJS.ErrnoException).code;
  if (code === "ENOENT" || code === "ECONNREFUSED" || code === "ENOTDIR") {
    return new CulvertError("CULVERT_NO_DAEMON", `no daemon answers at ${socketPath}`, {
      hint: "start one with `culvert run --config FILE`, or name its socket with --socket PATH",
      exit: ExitStatus.noDaemon,
      cause,
    });
  }
  if (code === "EACCES" || code === "EPERM") {
    return new CulvertError("CULVERT_SOCKET_PERMISSION", `not allowed to open ${socketPath}`, {
      hint: "run as root or as a member of the group that owns the socket",
      cause,
    });
  }
  return new CulvertError(
    "CULVERT_CONTROL_BROKEN",
    `the connection to ${socketPath} broke: ${code ?? (cause as Error).message}`,
    { hint: "the daemon stopped, or it has too many clients at once; try again", cause },
  );
}
