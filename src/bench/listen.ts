// `culvert bench --listen`: the far end of a measurement between two real hosts. Takes one client
// at a time; a second one is told so. Whoever can reach the port can have this host run a traffic
// server of limited life, nothing else: it is meant to run as long as the measurement does.
//
// A client that is silent for too long, sends nonsense or goes away loses its connection, and what
// ran for it is stopped.

import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { Cleanup } from "../testbed/cleanup.js";
import { describeError, TestbedError } from "../testbed/error.js";
import { thisMachine } from "../testbed/place.js";
import { readLines } from "./line-reader.js";
import { ListenerSession, type SessionOptions } from "./listener-session.js";
import {
  type Answer,
  errorAnswer,
  parseRequest,
  REMOTE_LIMITS,
  type Request,
} from "./remote-protocol.js";

const highestPort = 65_535;

export interface ListenerOptions {
  /** Address to listen on. */
  readonly bind: string;
  /** TCP; the traffic takes the next one, TCP and UDP. */
  readonly port: number;
  /** Control socket of the daemon on this host. */
  readonly socketPath: string;
  /** Ends the listener. */
  readonly signal: AbortSignal;
  /** Gets a line for people when something happens; the first one says where it listens. */
  readonly log: (line: string) => void;
}

/** Runs until `signal`; throws what kept it from listening. */
export async function runListener(options: ListenerOptions): Promise<void> {
  const cleanup = new Cleanup();
  const server = createServer();
  server.maxConnections = REMOTE_LIMITS.connections;
  try {
    const { port } = await listen(server, options);
    const workloadPort = port < highestPort ? port + 1 : port - 1;
    const { bind, socketPath, signal, log } = options;
    log(`waiting on ${bind} port ${port} (TCP); traffic will use port ${workloadPort} (TCP, UDP)`);
    const session = { place: thisMachine(cleanup), workloadPort, socketPath };
    const clients = new ClientDesk(session, log);
    server.on("connection", (socket) => void clients.take(socket));
    if (!signal.aborted) await once(signal, "abort");
    await clients.close();
  } finally {
    server.close();
    cleanup.run();
  }
}

async function listen(server: Server, { bind, port }: ListenerOptions): Promise<AddressInfo> {
  server.listen({ host: bind, port });
  try {
    await once(server, "listening");
  } catch (error) {
    throw new TestbedError(
      `cannot listen on ${bind} port ${port}: ${(error as Error).message}`,
      "give another --port (to both ends), or an address of this host to --bind",
    );
  }
  return server.address() as AddressInfo;
}

/** Serves one client and turns others away. */
class ClientDesk {
  readonly #options: SessionOptions;
  readonly #log: (line: string) => void;
  #current: { socket: Socket; done: Promise<void> } | undefined;

  constructor(options: SessionOptions, log: (line: string) => void) {
    this.#options = options;
    this.#log = log;
  }

  /** Never throws. */
  async take(socket: Socket): Promise<void> {
    // A connection that breaks says so in the loop that reads it; this keeps it from being thrown.
    socket.on("error", () => undefined);
    if (this.#current !== undefined) return turnAway(socket);
    const name = socket.remoteAddress?.replace(/^::ffff:/, "") ?? "a client";
    const done = this.#serve(socket, name).catch((error: unknown) => {
      this.#log(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    });
    this.#current = { socket, done };
    await done;
    socket.destroy();
    this.#current = undefined;
  }

  /** Drops the client there is and waits until nothing runs for it. */
  async close(): Promise<void> {
    this.#current?.socket.destroy();
    await this.#current?.done;
  }

  async #serve(socket: Socket, name: string): Promise<void> {
    const session = new ListenerSession(this.#options);
    // Not the socket's own timeout: that one begins anew with every byte, and whole messages count.
    const startTimer = (): NodeJS.Timeout =>
      setTimeout(
        () => socket.destroy(new TestbedError("silent for too long, disconnected")),
        session.patience_ms,
      );
    let timer = startTimer();
    this.#log(`${name}: connected`);
    try {
      for await (const line of readLines(socket, REMOTE_LIMITS.line_bytes)) {
        clearTimeout(timer);
        const request = readRequest(socket, line);
        if (request.type === "serve") this.#log(`${name}: ${request.workload}`);
        const answer = await session.answer(request);
        // Runs while the answer is sent, for a client that does not read.
        timer = startTimer();
        if (!send(socket, answer)) await drained(socket);
      }
      this.#log(`${name}: gone`);
    } finally {
      clearTimeout(timer);
      await session.end();
    }
  }
}

/** False: the peer has yet to read it. */
function send(socket: Socket, answer: Answer): boolean {
  return socket.write(`${JSON.stringify(answer)}\n`);
}

/** Throws TestbedError for what is no request, and tells the client. */
function readRequest(socket: Socket, line: string): Request {
  try {
    return parseRequest(line);
  } catch (error) {
    send(socket, errorAnswer(describeError(error)));
    throw error;
  }
}

function turnAway(socket: Socket): void {
  send(socket, errorAnswer("busy with another client; one at a time"));
  socket.end();
  // What it sent is read away: closing with input unread would reset the connection, and the
  // client might not see why.
  socket.resume();
  setTimeout(() => socket.destroy(), REMOTE_LIMITS.greeting_ms).unref();
}

/** Until the peer has taken what was written, or is gone: `once` throws for neither. */
function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const settle = () => {
      socket.off("drain", settle);
      socket.off("close", settle);
      resolve();
    };
    // Its "close" may be over.
    if (socket.destroyed) return settle();
    socket.on("drain", settle);
    socket.on("close", settle);
  });
}
