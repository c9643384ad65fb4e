// Lines of a TCP connection, each of bounded length. Takes no more from the socket than it gives
// on, so a peer that sends faster than its lines are handled has to wait.

import type { Socket } from "node:net";
import { TestbedError } from "../testbed/error.js";

/**
 * Yields the lines of `socket` until it ends; an unfinished last line is dropped. Throws
 * TestbedError for a line of more than `limit_bytes`, and what the socket throws.
 */
export async function* readLines(socket: Socket, limit_bytes: number): AsyncGenerator<string> {
  let parts: Buffer[] = [];
  let length_bytes = 0;
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      const line = Buffer.concat([...parts, chunk.subarray(start, end)]);
      if (line.length > limit_bytes) throw tooLong(limit_bytes);
      parts = [];
      length_bytes = 0;
      start = end + 1;
      yield line.toString("utf8");
    }
    parts.push(chunk.subarray(start));
    length_bytes += chunk.length - start;
    if (length_bytes > limit_bytes) throw tooLong(limit_bytes);
  }
}

function tooLong(limit_bytes: number): TestbedError {
  return new TestbedError(`a message is longer than ${limit_bytes} bytes`);
}
