// A transport whose kernel is a list of prepared datagrams, for unit tests of what is built on
// rtnetlink.
import type { NetlinkTransport } from "../../../src/netlink/netlink-socket.js";

export const bytesOf = (...hex: string[]): Uint8Array =>
  Uint8Array.from(Buffer.from(hex.join("").replaceAll(/\s/g, ""), "hex"));

const headerLength = 16;

/** One message in little-endian order; sequence 0 stands for "that of the request". */
export function message(
  type: number,
  flags: number,
  payload: Uint8Array,
  sequence = 0,
): Uint8Array {
  const bytes = Buffer.alloc((headerLength + payload.length + 3) & ~3);
  bytes.writeUInt32LE(headerLength + payload.length, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeUInt16LE(flags, 6);
  bytes.writeUInt32LE(sequence, 8);
  bytes.set(payload, headerLength);
  return Uint8Array.from(bytes);
}

/** Records requests and answers each with the next list of datagrams. */
export class ScriptedTransport implements NetlinkTransport {
  readonly sent: Uint8Array[] = [];
  closed = false;
  readonly #script: Uint8Array[][];
  readonly #queue: Uint8Array[] = [];

  constructor(...script: Uint8Array[][]) {
    this.#script = script;
  }

  send(bytes: Uint8Array): void {
    this.sent.push(bytes);
    const sequence = Buffer.from(bytes).readUInt32LE(8);
    for (const datagram of this.#script.shift() ?? []) {
      const copy = Buffer.from(datagram);
      for (let at = 0; at + headerLength <= copy.length; ) {
        const length = copy.readUInt32LE(at);
        if (copy.readUInt32LE(at + 8) === 0) copy.writeUInt32LE(sequence, at + 8);
        if (length < headerLength) break;
        at += (length + 3) & ~3;
      }
      this.#queue.push(Uint8Array.from(copy));
    }
  }

  receive(): Uint8Array {
    const next = this.#queue.shift();
    if (next === undefined) throw new Error("the script has no more datagrams");
    return next;
  }

  close(): void {
    this.closed = true;
  }
}
