// The client's end of the connection to a listener: one request at a time, each with its answer or
// an error that names the listener.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { TestbedError } from "../testbed/error.js";
import { readLines } from "./line-reader.js";
import {
  type AnswerTo,
  PROTOCOL_VERSION,
  parseAnswer,
  REMOTE_LIMITS,
  type Request,
} from "./remote-protocol.js";

const keepAlive_ms = 15_000;

export class ListenerConnection {
  /** Of the listener, as connected to; never a name. */
  readonly address: string;
  readonly #host: string;
  readonly #socket: Socket;
  readonly #lines: AsyncGenerator<string>;

  private constructor(host: string, socket: Socket) {
    this.#host = host;
    this.#socket = socket;
    this.address = (socket.remoteAddress ?? host).replace(/^::ffff:/, "");
    this.#lines = readLines(socket, REMOTE_LIMITS.line_bytes);
    // What broke it is told to whoever waits for an answer.
    socket.on("error", () => undefined);
    socket.setKeepAlive(true, keepAlive_ms);
  }

  /** Connects and greets. Throws TestbedError when there is no listener of this version. */
  static async open(host: string, port: number): Promise<[ListenerConnection, AnswerTo<"hello">]> {
    const socket = connect({ host, port });
    try {
      await once(socket, "connect", { signal: AbortSignal.timeout(REMOTE_LIMITS.greeting_ms) });
    } catch (error) {
      socket.destroy();
      const { code, message } = error as NodeJS.ErrnoException;
      throw new TestbedError(
        `no listener at ${host} port ${port}: ${code === "ABORT_ERR" ? "no answer" : message}`,
        `start \`culvert bench --listen\` there; let its firewall pass TCP port ${port}, and TCP and UDP port ${port + 1}`,
      );
    }
    const connection = new ListenerConnection(host, socket);
    try {
      const hello = { type: "hello", version: PROTOCOL_VERSION } as const;
      return [connection, await connection.request(hello)];
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  /** Throws TestbedError for an answer that is an error, comes too late, or is none. */
  async request<T extends Request["type"]>(
    request: Extract<Request, { type: T }>,
  ): Promise<AnswerTo<T>> {
    const timer = setTimeout(() => {
      this.#socket.destroy(new TestbedError("no answer in time"));
    }, REMOTE_LIMITS.answer_ms);
    try {
      this.#socket.write(`${JSON.stringify(request)}\n`);
      const { value: line, done } = await this.#lines.next();
      if (done) throw new TestbedError("the connection is closed");
      const answer = parseAnswer(line);
      if (answer.type === "error") throw new TestbedError(answer.message);
      if (answer.type !== request.type) throw new TestbedError("the answer is to something else");
      return answer as AnswerTo<T>;
    } catch (error) {
      const { message, hint } = error as TestbedError;
      throw new TestbedError(`listener ${this.#host}: ${message}`, hint);
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    this.#socket.destroy();
  }
}
