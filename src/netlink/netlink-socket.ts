// Request, acknowledgement and dump over one rtnetlink transport.
//
// Goals: one exchange at a time, synchronous (the kernel answers a request before the system call
// that sent it returns), every refusal a CulvertError that names the object and carries the
// kernel's own words. State: the sequence number of the last request. Messages with another number
// are left-overs of an exchange that failed half way; they are skipped.
// Limits: maxDumpAttempts for a dump that the kernel marks as interrupted by a change, maxDatagrams
// for one exchange, maxDumpMessages for what one dump may hold.

import { CulvertError } from "../errors.js";
import type { NetlinkSubject, NetlinkVerb } from "./errors.js";
import { malformedAnswer, netlinkError } from "./errors.js";
import type { MessageBuilder, NetlinkMessage } from "./message.js";
import { Attributes, messageHeaderLength, parseMessages, structOf } from "./message.js";
import { NlmFlag, Nlmsg, NlmsgErrAttribute } from "./rtnetlink-constants.js";

/**
 * Moves datagrams to and from the kernel. `receive` blocks until one is there, for a bounded time.
 */
export interface NetlinkTransport {
  send(bytes: Uint8Array): void;
  /** One datagram, valid until the next call. Throws CULVERT_NETLINK_TIMEOUT if none comes. */
  receive(): Uint8Array;
  close(): void;
}

/** What a request does, for its errors. */
export interface RequestContext {
  subject: NetlinkSubject;
  verb: NetlinkVerb;
  /**
   * Names what it is about: `address 10.0.0.1/24 on vxlan100`. Called after a refusal only; may
   * make requests.
   */
  object: () => string;
}

export const maxDumpAttempts = 5;
export const maxDumpMessages = 1 << 18;
const maxDatagrams = 1 << 16;

interface Refusal {
  errno: number;
  kernelText: string | undefined;
}

/** How an exchange ended: refused, with the object asked for, or (neither) done. */
interface Outcome {
  refusal?: Refusal | undefined;
  answer?: NetlinkMessage;
}

/** The text of an extended acknowledgement whose attributes start at `offset`. */
function kernelTextAt(message: NetlinkMessage, offset: number): string | undefined {
  if ((message.flags & NlmFlag.ackAttributes) === 0) return undefined;
  return new Attributes(message.payload, offset).text(NlmsgErrAttribute.text);
}

/**
 * Reads NLMSG_ERROR (netlink(7)): errno, the header of the request, the request's payload unless
 * the kernel capped it, then the attributes of the extended acknowledgement. Undefined if it is the
 * acknowledgement of success.
 */
function refusalOf(message: NetlinkMessage): Refusal | undefined {
  const error = structOf(message.payload, 4 + messageHeaderLength, "nlmsgerr");
  const errno = -error.i32(0);
  if (errno === 0) return undefined;
  const capped = (message.flags & NlmFlag.ackCapped) !== 0;
  const echoed = capped ? messageHeaderLength : (error.u32(4) + 3) & ~3;
  return { errno, kernelText: kernelTextAt(message, 4 + echoed) };
}

/** Reads NLMSG_DONE of a dump: errno 0, or why the dump ended early. */
function dumpRefusalOf(message: NetlinkMessage): Refusal | undefined {
  if (message.payload.length === 0) return undefined;
  const errno = -structOf(message.payload, 4, "NLMSG_DONE").i32(0);
  return errno === 0 ? undefined : { errno, kernelText: kernelTextAt(message, 4) };
}

/** A copy whose bytes stay valid when the transport's buffer is used again. */
function keep(message: NetlinkMessage): NetlinkMessage {
  return { ...message, payload: message.payload.slice() };
}

export class NetlinkSocket {
  readonly #transport: NetlinkTransport;
  #sequence = 0;

  constructor(transport: NetlinkTransport) {
    this.#transport = transport;
  }

  #send(request: MessageBuilder, flags: number): void {
    this.#sequence = (this.#sequence + 1) >>> 0 || 1;
    this.#transport.send(request.finish(this.#sequence, NlmFlag.request | flags));
  }

  /** Hands each message of the current exchange to `take` until it gives an outcome. */
  #receiveUntil(take: (message: NetlinkMessage) => Outcome | undefined): Outcome {
    for (let datagrams = 0; datagrams < maxDatagrams; datagrams++) {
      for (const message of parseMessages(this.#transport.receive())) {
        if (message.sequence !== this.#sequence || message.type === Nlmsg.noop) continue;
        if (message.type === Nlmsg.overrun) throw malformedAnswer("data lost (NLMSG_OVERRUN)");
        const outcome = take(message);
        if (outcome !== undefined) return outcome;
      }
    }
    throw malformedAnswer(`no end after ${maxDatagrams} datagrams`);
  }

  /** Runs one exchange; a refusal becomes the error the caller sees. */
  #exchange(
    request: MessageBuilder,
    flags: number,
    context: RequestContext,
    take: (message: NetlinkMessage) => Outcome | undefined,
  ): Outcome {
    this.#send(request, flags);
    const outcome = this.#receiveUntil(take);
    if (outcome.refusal === undefined) return outcome;
    throw netlinkError({ ...context, object: context.object(), ...outcome.refusal });
  }

  /** Sends a NEW, DEL or SET request and waits for its acknowledgement. */
  change(request: MessageBuilder, context: RequestContext): void {
    this.#exchange(request, NlmFlag.ack, context, (message) =>
      message.type === Nlmsg.error ? { refusal: refusalOf(message) } : undefined,
    );
  }

  /** Sends a GET request for one object and returns the answer. */
  get(request: MessageBuilder, context: RequestContext): NetlinkMessage {
    const { answer } = this.#exchange(request, 0, context, (message) =>
      message.type === Nlmsg.error ? { refusal: refusalOf(message) } : { answer: keep(message) },
    );
    if (answer === undefined) throw malformedAnswer("an acknowledgement where an object should be");
    return answer;
  }

  /** Sends a GET request for all objects. A dump that a change interrupted is repeated. */
  dump(request: MessageBuilder, context: RequestContext): NetlinkMessage[] {
    for (let attempt = 0; attempt < maxDumpAttempts; attempt++) {
      const messages = this.#dumpOnce(request, context);
      if (messages !== undefined) return messages;
    }
    throw new CulvertError(
      "CULVERT_NETLINK_BUSY",
      `cannot ${context.verb} ${context.object()}: it changed during each of ${maxDumpAttempts} reads`,
      {
        hint: "something changes links, addresses or routes all the time; `ip monitor` shows what",
      },
    );
  }

  /** One reading; undefined if the kernel marked it as inconsistent. */
  #dumpOnce(request: MessageBuilder, context: RequestContext): NetlinkMessage[] | undefined {
    const messages: NetlinkMessage[] = [];
    let interrupted = false;
    this.#exchange(request, NlmFlag.dump, context, (message) => {
      interrupted ||= (message.flags & NlmFlag.dumpInterrupted) !== 0;
      if (message.type === Nlmsg.error) return { refusal: refusalOf(message) };
      if (message.type === Nlmsg.done) return { refusal: dumpRefusalOf(message) };
      if (messages.length === maxDumpMessages) {
        throw malformedAnswer(`more than ${maxDumpMessages} objects in one dump`);
      }
      messages.push(keep(message));
      return undefined;
    });
    return interrupted ? undefined : messages;
  }

  close(): void {
    this.#transport.close();
  }
}
