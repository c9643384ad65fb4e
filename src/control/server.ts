// HTTP and JSON over the control socket.
//
// Goals: a wrong, slow or hostile client can neither stop the daemon nor hold its memory; every
// refusal is a JSON error that says what to do. Storage: none between requests; one request body
// (limited) per connection. Limits: the table below. Who may talk to the daemon is decided by the
// socket's mode (0660) and its directory, nowhere else. The target's methods return at once, so no
// request waits for another.

import { chmodSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { CulvertError, ExitStatus } from "../errors.js";
import { EventStreams, MONITOR_SCHEMA, type StreamLimits } from "./event-stream.js";
import type { MonitorSource } from "./monitor-events.js";
import { ENDPOINTS, MONITOR_PATH, type Operation } from "./paths.js";
import { describeIssues, REQUEST_SCHEMAS } from "./resources.js";
import { asSocketError, claimSocketPath } from "./socket-path.js";
import type { ControlLog, ControlTarget, ErrorBody } from "./target.js";

/** What one client may cost. Tests make them smaller. */
export interface ControlLimits extends StreamLimits {
  body_bytes: number;
  headers_bytes: number;
  /** Clients at once; a further one is disconnected. */
  connections: number;
  /** From the first byte of a request to the end of its headers. */
  headers_ms: number;
  /** From the first byte of a request to its last. */
  request_ms: number;
  /** Without any byte in either direction, also while the client does not read its answer. */
  idle_ms: number;
  /** Between two requests on one connection. */
  keep_alive_ms: number;
  /** How often the request timeouts are looked at. */
  check_ms: number;
  /** How long answers under way may take once the server closes. */
  close_ms: number;
}

export const CONTROL_LIMITS: Readonly<ControlLimits> = {
  body_bytes: 1024 * 1024,
  headers_bytes: 8 * 1024,
  connections: 256,
  headers_ms: 5_000,
  request_ms: 10_000,
  idle_ms: 15_000,
  keep_alive_ms: 5_000,
  check_ms: 1_000,
  close_ms: 500,
  monitors: 16,
  monitor_buffer_bytes: 256 * 1024,
  heartbeat_ms: 5_000,
};

/** root and the socket's group. */
const SOCKET_MODE = 0o660;
const DROP_WARNING_INTERVAL_MS = 60_000;

export interface ControlServerOptions {
  socketPath: string;
  target: ControlTarget;
  events: MonitorSource;
  log: ControlLog;
  limits?: Partial<ControlLimits>;
}

export interface ControlServer {
  /** Ends every connection and removes the socket file. */
  close(): Promise<void>;
}

/**
 * Listens at `socketPath` and answers with what `target` says. Throws CULVERT_SOCKET_IN_USE,
 * CULVERT_SOCKET_PATH, CULVERT_SOCKET_PERMISSION.
 */
export async function startControlServer(options: ControlServerOptions): Promise<ControlServer> {
  const limits = { ...CONTROL_LIMITS, ...options.limits };
  await claimSocketPath(options.socketPath);
  const streams = new EventStreams(options.events, limits);
  const server = createServer(
    {
      maxHeaderSize: limits.headers_bytes,
      headersTimeout: limits.headers_ms,
      requestTimeout: limits.request_ms,
      keepAliveTimeout: limits.keep_alive_ms,
      connectionsCheckingInterval: limits.check_ms,
    },
    (incoming, response) => {
      void serve({ ...options, limits, streams }, incoming, response);
    },
  );
  server.maxConnections = limits.connections;
  server.setTimeout(limits.idle_ms, (socket) => socket.destroy());
  server.on("clientError", answerBrokenRequest);
  warnOfDroppedClients(server, options.log);
  await listen(server, options.socketPath);
  return {
    close: () => {
      streams.close();
      return closeServer(server, limits.close_ms);
    },
  };
}

/** A client that connects over and over must not fill the log. */
function warnOfDroppedClients(server: Server, log: ControlLog): void {
  let dropped = 0;
  let nextWarning_ms = 0;
  server.on("drop", () => {
    dropped++;
    const now_ms = performance.now();
    if (now_ms < nextWarning_ms) return;
    nextWarning_ms = now_ms + DROP_WARNING_INTERVAL_MS;
    log.warn({ limit: server.maxConnections, dropped }, "control: too many clients at once");
    dropped = 0;
  });
}

async function listen(server: Server, socketPath: string): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(socketPath, () => {
        server.removeListener("error", reject);
        resolve();
      });
    });
    chmodSync(socketPath, SOCKET_MODE);
  } catch (error) {
    throw asSocketError(socketPath, error);
  }
}

function closeServer(server: Server, close_ms: number): Promise<void> {
  return new Promise((resolve) => {
    const force = setTimeout(() => server.closeAllConnections(), close_ms);
    server.close(() => {
      clearTimeout(force);
      resolve();
    });
    server.closeIdleConnections();
  });
}

interface Serving extends ControlServerOptions {
  readonly limits: ControlLimits;
  readonly streams: EventStreams;
}

async function serve(
  serving: Serving,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { limits, log, streams, target } = serving;
  try {
    const [path = "", query = ""] = (incoming.url ?? "").split("?", 2);
    if (path === MONITOR_PATH && incoming.method === "GET") {
      const parsed = MONITOR_SCHEMA.safeParse(queryArgument(new URLSearchParams(query)));
      if (!parsed.success) throw badRequest(describeIssues(parsed.error));
      streams.open(response, parsed.data);
      return;
    }
    const operation = findOperation(incoming.method ?? "", path, response);
    const argument =
      ENDPOINTS[operation].method === "GET"
        ? queryArgument(new URLSearchParams(query))
        : parseBody(await readBody(incoming, limits.body_bytes));
    if (response.destroyed) return;
    const result = dispatch(target, operation, argument);
    log.debug({ operation }, "control: request");
    send(response, result === undefined ? 204 : 200, result);
  } catch (error) {
    if (response.destroyed) return;
    sendError(log, response, error);
  }
}

/** A refusal that has its own HTTP status. */
class RequestError extends CulvertError {
  readonly status: number;
  constructor(status: number, code: `CULVERT_${string}`, message: string, hint: string) {
    super(code, message, { hint, exit: status === 400 ? ExitStatus.usage : ExitStatus.failed });
    this.status = status;
  }
}

function badRequest(message: string): RequestError {
  return new RequestError(
    400,
    "CULVERT_BAD_REQUEST",
    message,
    "docs/control-api.md lists the fields of every request",
  );
}

function findOperation(method: string, path: string, response: ServerResponse): Operation {
  const allowed = path === MONITOR_PATH ? ["GET"] : [];
  for (const operation of Object.keys(ENDPOINTS) as Operation[]) {
    const endpoint = ENDPOINTS[operation];
    if (endpoint.path !== path) continue;
    if (endpoint.method === method) return operation;
    allowed.push(endpoint.method);
  }
  if (allowed.length === 0) {
    throw new RequestError(
      404,
      "CULVERT_UNKNOWN_PATH",
      `nothing is at ${path}`,
      "docs/control-api.md lists every path; is the daemon older than this client?",
    );
  }
  response.setHeader("allow", allowed.join(", "));
  throw new RequestError(
    405,
    "CULVERT_METHOD_NOT_ALLOWED",
    `${path} does not take ${method}`,
    `use ${allowed.join(" or ")}`,
  );
}

function queryArgument(query: URLSearchParams): Record<string, string> {
  const argument: Record<string, string> = Object.create(null);
  for (const [name, value] of query) {
    if (name in argument) throw badRequest(`${name}: given twice`);
    argument[name] = value;
  }
  return argument;
}

/**
 * The body as text. Stops collecting at the limit: what one client sends cannot grow the daemon.
 */
async function readBody(incoming: IncomingMessage, limit_bytes: number): Promise<string> {
  const tooLarge = () =>
    new RequestError(
      413,
      "CULVERT_BODY_TOO_LARGE",
      `the request's body is larger than ${limit_bytes} bytes`,
      "send one change per request",
    );
  if (Number(incoming.headers["content-length"] ?? 0) > limit_bytes) throw tooLarge();
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length_bytes = 0;
    incoming.on("data", (chunk: Buffer) => {
      length_bytes += chunk.length;
      if (length_bytes > limit_bytes) {
        incoming.removeAllListeners("data").resume();
        reject(tooLarge());
      } else {
        chunks.push(chunk);
      }
    });
    incoming.once("end", () => resolve(Buffer.concat(chunks).toString("utf8")));
    incoming.once("error", reject);
  });
}

function parseBody(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw badRequest("the body is not JSON");
  }
}

function dispatch(target: ControlTarget, operation: Operation, argument: unknown): unknown {
  const parsed = REQUEST_SCHEMAS[operation].safeParse(argument);
  if (!parsed.success) throw badRequest(describeIssues(parsed.error));
  // The schema of an operation yields exactly its method's argument (typed so in resources.ts).
  const method = target[operation] as (argument: unknown) => unknown;
  return method.call(target, parsed.data);
}

function send(response: ServerResponse, status: number, value: unknown): void {
  if (value === undefined) {
    response.writeHead(status).end();
    return;
  }
  const body = Buffer.from(JSON.stringify(value));
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": body.length,
    "cache-control": "no-store",
  });
  response.end(body);
}

function errorBody(error: CulvertError): ErrorBody {
  return { error: { code: error.code, message: error.message, hint: error.hint } };
}

function sendError(log: ControlLog, response: ServerResponse, error: unknown): void {
  if (!(error instanceof CulvertError)) {
    log.error({ err: error }, "control: a request failed unexpectedly");
    const internal = new CulvertError("CULVERT_INTERNAL", "the daemon failed to answer", {
      hint: "the daemon's log has the details; please report it",
    });
    send(response, 500, errorBody(internal));
    return;
  }
  // What is left of a body that was not read would be taken for the next request.
  if (!response.req.complete) response.setHeader("connection", "close");
  send(response, httpStatus(error), errorBody(error));
}

/**
 * 400 for what the caller wrote wrong (exit status 2 at the client), 409 for what the daemon's
 * state refuses.
 */
function httpStatus(error: CulvertError): number {
  if (error instanceof RequestError) return error.status;
  return error.exit === ExitStatus.usage ? 400 : 409;
}

/**
 * Bytes that are not HTTP, headers too large, a client too slow: node's parser gives up before
 * there is a request.
 */
function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const [status, text] =
    error.code === "ERR_HTTP_REQUEST_TIMEOUT"
      ? ["408 Request Timeout", "the request took too long"]
      : error.code === "HPE_HEADER_OVERFLOW"
        ? ["431 Request Header Fields Too Large", "the request's headers are too large"]
        : ["400 Bad Request", "this is not an HTTP request"];
  const body = JSON.stringify({ error: { code: "CULVERT_BAD_REQUEST", message: text } });
  socket.end(
    `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}
