// The kernel's rtnetlink socket behind NetlinkTransport; the only file of this folder that calls
// native code.

import assert from "node:assert";
import { constants } from "node:os";
import { native, type WatchHandle } from "#native";
import { netlinkError } from "./errors.js";
import type { NetlinkTransport } from "./netlink-socket.js";
import { NetlinkSocket } from "./netlink-socket.js";
import type { WatchTransport } from "./route-watch.js";
import { RtnetlinkGroup } from "./rtnetlink-constants.js";

/** The kernel fills dumps in pieces of at most 32 KiB; a single object stays below this too. */
const receiveBuffer_bytes = 65_536;
/** Notifications that are taken in one turn of the event loop: 500 to 1,000 routes. */
export const WATCH_BUFFER_BYTES = 2 * receiveBuffer_bytes;
/**
 * Unread notifications: memory of the kernel, used as far as they queue up. Each takes about 1 KiB
 * of it.
 */
export const WATCH_RECEIVE_BYTES = 32 * 1024 * 1024;

const { EMSGSIZE, ENOBUFS } = constants.errno;

function check(result: number, verb: "open" | "use"): number {
  if (result >= 0) return result;
  throw unusable(-result, verb);
}

function unusable(errno: number, verb: "open" | "use" = "use"): Error {
  return netlinkError({ subject: "link", verb, object: "an rtnetlink socket", errno });
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

const watchedGroups =
  RtnetlinkGroup.link |
  RtnetlinkGroup.ipv4Address |
  RtnetlinkGroup.ipv4Route |
  RtnetlinkGroup.ipv4Rule |
  RtnetlinkGroup.ipv6Address |
  RtnetlinkGroup.ipv6Route |
  RtnetlinkGroup.ipv6Rule |
  RtnetlinkGroup.nexthop;

/** What a RouteWatch listens on. */
class NativeWatch implements WatchTransport {
  #fd = check(native.netlinkOpen(watchedGroups), "open");
  readonly #buffer = new Uint8Array(WATCH_BUFFER_BYTES);
  readonly #end = new Int32Array(1);
  readonly #watch: WatchHandle;

  constructor(readable: () => void, receive_bytes: number) {
    check(native.netlinkReserve(this.#fd, receive_bytes), "use");
    const watch = native.descriptorWatch(this.#fd, readable);
    if (typeof watch === "number") throw unusable(-watch);
    this.#watch = watch;
  }

  send(bytes: Uint8Array): void {
    check(native.netlinkSend(this.#fd, bytes, bytes.length, 0), "use");
  }

  drain(): { bytes: Uint8Array; overrun: boolean } {
    const room_bytes = receiveBuffer_bytes;
    const got = native.netlinkDrain(this.#fd, this.#buffer, room_bytes, this.#end);
    const bytes = this.#buffer.subarray(0, check(got, "use"));
    const [errno] = this.#end;
    // A datagram that does not fit is as lost as one that the kernel had no room for.
    const overrun = errno === ENOBUFS || errno === EMSGSIZE;
    return { bytes, overrun };
  }

  close(): void {
    if (this.#fd < 0) return;
    native.descriptorUnwatch(this.#watch);
    native.netlinkClose(this.#fd);
    this.#fd = -1;
  }
}

/** @param receive_bytes of notifications that may wait; fewer are for tests of an overrun */
export function openWatch(
  readable: () => void,
  receive_bytes = WATCH_RECEIVE_BYTES,
): WatchTransport {
  return new NativeWatch(readable, receive_bytes);
}
