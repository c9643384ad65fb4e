// Routes, rules, links and addresses of this network namespace as they change, and dumps of routes,
// all over one rtnetlink socket. Parses and passes on; what a change means is the listener's
// business.
//
// Theory of operation. The socket is subscribed before the first dump, and dumps are read from the
// same queue as notifications. What stands in that queue is in the order in which it happened: a
// piece of a dump shows what was true when it was queued, notifications before it included. So a
// listener that starts anew with the first piece of a dump and applies everything from there on, in
// order, misses nothing. When the kernel had to throw notifications away (ENOBUFS) the listener is
// told and asks for another dump.
// One turn of the event loop takes what fits the buffer, some hundred messages, so that others have
// their turn. Limits: BUFFER_BYTES per turn, RECEIVE_BYTES of unread notifications in the kernel.

import { constants } from "node:os";
import type { IpFamily } from "./address-text.js";
import { kernelFamily } from "./address-text.js";
import { MessageBuilder, type NetlinkMessage, parseMessages, structOf } from "./message.js";
import { type RouteMessage, readRoute } from "./route-messages.js";
import { IffFlag, NlmFlag, Nlmsg, RouteAttribute, Rtm } from "./rtnetlink-constants.js";

/** How a route came into being: in place of another, behind others, or before them. */
export type RouteChange = "add" | "append" | "replace" | "delete";

export type DumpEnd = "complete" | "interrupted" | "no-device" | "failed";

/** Called in the order in which the kernel queued it; must not throw. */
export interface RouteListener {
  changed(change: RouteChange, route: RouteMessage): void;
  /** One route of the dump asked for last. */
  dumped(route: RouteMessage): void;
  /** The first answer to the dump is here: what follows comes after it. */
  dumpStarted(): void;
  dumpEnded(end: DumpEnd): void;
  /** A link came, went or changed. */
  link(ifindex: number, up: boolean): void;
  addressDeleted(ifindex: number): void;
  /** An address or a rule (ip-rule(8)) came or changed: other ways may be taken now. */
  otherChange(): void;
  /** An object of ip-nexthop(8) is gone, and routes that used it: nobody tells which. */
  nexthopDeleted(): void;
  /** Notifications were lost. */
  overrun(): void;
  /** The kernel said something that cannot be, or the socket broke; notifications may be lost. */
  failed(error: unknown): void;
  /** Everything that this turn could take has been passed on. */
  turnEnded(): void;
}

/** Datagrams to and from the kernel, without waiting. */
export interface WatchTransport {
  send(bytes: Uint8Array): void;
  /** Queued datagrams, one behind the other, valid until the next call; may be none. */
  drain(): { readonly bytes: Uint8Array; readonly overrun: boolean };
  close(): void;
}

/** Opens the transport; `readable` is called from the event loop as long as there is something. */
export type OpenTransport = (readable: () => void) => WatchTransport;

const rtmsgLength = 12;
const ifinfomsgLength = 16;
const ifaddrmsgLength = 8;
const { ENOENT, ENODEV, EOPNOTSUPP, EAFNOSUPPORT } = constants.errno;
/** A table comes into being with its first route; IPv6 may be off. */
const nothingThere: readonly number[] = [0, ENOENT, EOPNOTSUPP, EAFNOSUPPORT];

export class RouteWatch {
  readonly #transport: WatchTransport;
  readonly #listener: RouteListener;
  /** Of the dump asked for last. */
  #sequence = 0;
  #dump: "none" | "asked" | "started" = "none";
  #interrupted = false;

  /** Listens from now on. Throws when the socket cannot be opened. */
  constructor(listener: RouteListener, open: OpenTransport) {
    this.#listener = listener;
    this.#transport = open(() => this.#readable());
  }

  /**
   * Asks for the routes over one device, 0: over any, of every table; not before the dump before
   * has ended.
   */
  requestDump(ifindex: number, family: IpFamily): void {
    this.#sequence = (this.#sequence + 1) >>> 0 || 1;
    this.#dump = "asked";
    this.#interrupted = false;
    const request = new MessageBuilder(Rtm.getRoute, 0).u8(kernelFamily(family));
    for (let at = 1; at < rtmsgLength; at++) request.u8(0);
    if (ifindex !== 0) request.attributeU32(RouteAttribute.outputInterface, ifindex);
    this.#transport.send(request.finish(this.#sequence, NlmFlag.request | NlmFlag.dump));
  }

  close(): void {
    this.#transport.close();
  }

  #readable(): void {
    try {
      const { bytes, overrun } = this.#transport.drain();
      for (const message of parseMessages(bytes)) this.#take(message);
      if (overrun) this.#listener.overrun();
    } catch (error) {
      this.#listener.failed(error);
    }
    this.#listener.turnEnded();
  }

  #take(message: NetlinkMessage): void {
    const { type, flags, payload } = message;
    if (this.#dump !== "none" && message.sequence === this.#sequence) {
      // A notification has the number of whoever made the change: only an answer has these marks.
      const answer = (flags & NlmFlag.multi) !== 0 || type === Nlmsg.error;
      if (answer) return this.#answer(message);
    }
    if (type === Rtm.newRoute || type === Rtm.deleteRoute) {
      const route = readRoute(payload);
      if (route !== undefined) this.#listener.changed(changeOf(type, flags), route);
    } else if (type === Rtm.newLink || type === Rtm.deleteLink) {
      const link = structOf(payload, ifinfomsgLength, "ifinfomsg");
      const up = type === Rtm.newLink && (link.u32(8) & IffFlag.up) !== 0;
      this.#listener.link(link.i32(4), up);
    } else if (type === Rtm.deleteAddress) {
      this.#listener.addressDeleted(structOf(payload, ifaddrmsgLength, "ifaddrmsg").i32(4));
    } else if (type === Rtm.deleteNexthop) {
      this.#listener.nexthopDeleted();
    } else if (type === Rtm.newAddress || type === Rtm.newRule || type === Rtm.deleteRule) {
      this.#listener.otherChange();
    }
  }

  #answer({ type, flags, payload }: NetlinkMessage): void {
    if (this.#dump === "asked") {
      this.#dump = "started";
      this.#listener.dumpStarted();
    }
    if ((flags & NlmFlag.dumpInterrupted) !== 0) this.#interrupted = true;
    if (type === Rtm.newRoute) {
      const route = readRoute(payload);
      if (route !== undefined) this.#listener.dumped(route);
      return;
    }
    if (type !== Nlmsg.done && type !== Nlmsg.error) return;
    this.#dump = "none";
    const errno = payload.length < 4 ? 0 : -structOf(payload, 4, "errno").i32(0);
    this.#listener.dumpEnded(this.#endOf(errno));
  }

  #endOf(errno: number): DumpEnd {
    if (errno === ENODEV) return "no-device";
    if (!nothingThere.includes(errno)) return "failed";
    return this.#interrupted ? "interrupted" : "complete";
  }
}

function changeOf(type: number, flags: number): RouteChange {
  if (type === Rtm.deleteRoute) return "delete";
  if ((flags & NlmFlag.replace) !== 0) return "replace";
  return (flags & NlmFlag.append) === 0 ? "add" : "append";
}
