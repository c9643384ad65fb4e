// The kernel's rtnetlink socket behind NetlinkTransport; the only file of this folder that calls
// native code.

import assert from "node:assert";
import { native } from "#native";
import { netlinkError } from "./errors.js";
import type { NetlinkTransport } from "./netlink-socket.js";
import { NetlinkSocket } from "./netlink-socket.js";
import { RtnetlinkGroup } from "./rtnetlink-constants.js";

/** The kernel fills dumps in pieces of at most 32 KiB; a single object stays below this too. */
const receiveBuffer_bytes = 65_536;

function check(result: number, verb: "open" | "use"): number {
  if (result >= 0) return result;
  const object = "an rtnetlink socket";
  throw netlinkError({ subject: "link", verb, object, errno: -result });
}

class NativeTransport implements NetlinkTransport {
  #fd = check(native.netlinkOpen(0), "open");
  readonly #buffer = new Uint8Array(receiveBuffer_bytes);

  send(bytes: Uint8Array): void {
    assert(this.#fd >= 0, "netlink transport is closed");
    check(native.netlinkSend(this.#fd, bytes, bytes.length, 0), "use");
  }

  receive(): Uint8Array {
    assert(this.#fd >= 0, "netlink transport is closed");
    const length = native.netlinkReceive(this.#fd, this.#buffer);
    return this.#buffer.subarray(0, check(length, "use"));
  }

  close(): void {
    if (this.#fd < 0) return;
    native.netlinkClose(this.#fd);
    this.#fd = -1;
  }
}

/** Opens an rtnetlink socket in the network namespace of this process; the caller closes it. */
export function openNetlink(): NetlinkSocket {
  return new NetlinkSocket(new NativeTransport());
}

/** Sends to everybody in this network namespace who listens for neighbour notifications. */
export class NeighbourListeners {
  #fd = check(native.netlinkOpen(0), "open");

  /** @returns bytes sent, whether anybody listens or not, or -errno */
  send(datagram: Uint8Array, length: number): number {
    return native.netlinkSend(this.#fd, datagram, length, RtnetlinkGroup.neighbour);
  }

  close(): void {
    if (this.#fd >= 0) native.netlinkClose(this.#fd);
    this.#fd = -1;
  }
}
