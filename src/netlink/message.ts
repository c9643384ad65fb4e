// Netlink messages as bytes: builder for requests, bounds-checked readers for answers (netlink(7),
// rtnetlink(7)). Everything is in host byte order and aligned to 4 bytes, except attributes the
// kernel documents as big-endian. The kernel's answers are input like any other: a length that does
// not fit throws CULVERT_NETLINK_MALFORMED, and no reader touches a byte outside the datagram it
// was given. No I/O here.

import assert from "node:assert";
import { endianness } from "node:os";
import { malformedAnswer } from "./errors.js";

/** Size of nlmsghdr. */
export const messageHeaderLength = 16;
/**
 * Largest request: the biggest one here (a route with every attribute) takes less than 200 bytes.
 */
export const maxRequest_bytes = 1024;

const attributeHeaderLength = 4;
/** NLA_TYPE_MASK: the two top bits (nested, network byte order) are not part of the type. */
const attributeTypeMask = 0x3fff;
const nestedFlag = 0x8000;
const hostIsLittleEndian = endianness() === "LE";

const align = (length: number): number => (length + 3) & ~3;
const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/**
 * Integers in host byte order at fixed offsets of a header struct (ifinfomsg, ifaddrmsg, rtmsg,
 * ndmsg).
 */
export class StructView {
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.#view = viewOf(bytes);
  }

  u8(offset: number): number {
    return this.#view.getUint8(offset);
  }

  u16(offset: number): number {
    return this.#view.getUint16(offset, hostIsLittleEndian);
  }

  u32(offset: number): number {
    return this.#view.getUint32(offset, hostIsLittleEndian);
  }

  i32(offset: number): number {
    return this.#view.getInt32(offset, hostIsLittleEndian);
  }
}

/** One request under construction: fixed header fields first, attributes after them. */
export class MessageBuilder {
  readonly #bytes = new Uint8Array(maxRequest_bytes);
  readonly #view = viewOf(this.#bytes);
  #length = messageHeaderLength;

  /**
   * `type` is an RTM_ number; `flags` are NLM_F_ bits beside NLM_F_REQUEST, which the socket adds.
   */
  constructor(
    readonly type: number,
    readonly flags: number,
  ) {}

  #reserve(length: number): number {
    const offset = this.#length;
    assert(offset + length <= maxRequest_bytes, "netlink request is larger than maxRequest_bytes");
    this.#length += length;
    return offset;
  }

  u8(value: number): this {
    this.#view.setUint8(this.#reserve(1), value);
    return this;
  }

  u16(value: number): this {
    this.#view.setUint16(this.#reserve(2), value, hostIsLittleEndian);
    return this;
  }

  u32(value: number): this {
    this.#view.setUint32(this.#reserve(4), value, hostIsLittleEndian);
    return this;
  }

  attribute(type: number, payload: Uint8Array): this {
    const length = attributeHeaderLength + payload.length;
    const offset = this.#reserve(align(length));
    this.#view.setUint16(offset, length, hostIsLittleEndian);
    this.#view.setUint16(offset + 2, type, hostIsLittleEndian);
    this.#bytes.set(payload, offset + attributeHeaderLength);
    return this;
  }

  attributeU32(type: number, value: number): this {
    const payload = new Uint8Array(4);
    viewOf(payload).setUint32(0, value, hostIsLittleEndian);
    return this.attribute(type, payload);
  }

  /** A string attribute with its terminating zero byte. */
  attributeText(type: number, value: string): this {
    return this.attribute(type, Buffer.from(`${value}\0`, "utf8"));
  }

  /** An attribute that holds the attributes `fill` adds. */
  nested(type: number, fill: (inner: MessageBuilder) => void): this {
    const offset = this.#reserve(attributeHeaderLength);
    fill(this);
    this.#view.setUint16(offset, this.#length - offset, hostIsLittleEndian);
    this.#view.setUint16(offset + 2, type | nestedFlag, hostIsLittleEndian);
    return this;
  }

  /**
   * The finished message. `extraFlags` are added to the builder's own; the builder can be finished
   * again.
   */
  finish(sequence: number, extraFlags: number): Uint8Array {
    this.#view.setUint32(0, this.#length, hostIsLittleEndian);
    this.#view.setUint16(4, this.type, hostIsLittleEndian);
    this.#view.setUint16(6, this.flags | extraFlags, hostIsLittleEndian);
    this.#view.setUint32(8, sequence, hostIsLittleEndian);
    this.#view.setUint32(12, 0, hostIsLittleEndian);
    return this.#bytes.slice(0, this.#length);
  }
}

/** One message of a datagram; `payload` is everything after nlmsghdr. */
export interface NetlinkMessage {
  type: number;
  flags: number;
  sequence: number;
  payload: Uint8Array;
}

/** The messages of one datagram. Throws CULVERT_NETLINK_MALFORMED if a length does not fit. */
export function parseMessages(datagram: Uint8Array): NetlinkMessage[] {
  const messages: NetlinkMessage[] = [];
  const view = new StructView(datagram);
  let offset = 0;
  while (offset < datagram.length) {
    const room = datagram.length - offset;
    if (room < messageHeaderLength) throw malformedAnswer(`${room} bytes where a header should be`);
    const length = view.u32(offset);
    if (length < messageHeaderLength || length > room) {
      throw malformedAnswer(`message length ${length} with ${room} bytes left`);
    }
    messages.push({
      type: view.u16(offset + 4),
      flags: view.u16(offset + 6),
      sequence: view.u32(offset + 8),
      payload: datagram.subarray(offset + messageHeaderLength, offset + length),
    });
    offset += align(length);
  }
  return messages;
}

/**
 * The fixed header struct at the front of a payload. Throws CULVERT_NETLINK_MALFORMED if it is cut
 * short.
 */
export function structOf(payload: Uint8Array, length: number, name: string): StructView {
  if (payload.length < length) {
    throw malformedAnswer(`${name} of ${payload.length} bytes, expected ${length}`);
  }
  return new StructView(payload.subarray(0, length));
}

/** Calls `take` for each attribute from `offset` to the end; `value` is a view. */
export function eachAttribute(
  bytes: Uint8Array,
  offset: number,
  take: (type: number, value: Uint8Array) => void,
): void {
  const view = new StructView(bytes);
  let at = offset;
  while (at < bytes.length) {
    const room = bytes.length - at;
    if (room < attributeHeaderLength) throw malformedAnswer(`${room} bytes after the attributes`);
    const length = view.u16(at);
    if (length < attributeHeaderLength || length > room) {
      throw malformedAnswer(`attribute length ${length} with ${room} bytes left`);
    }
    const type = view.u16(at + 2) & attributeTypeMask;
    take(type, bytes.subarray(at + attributeHeaderLength, at + length));
    at += align(length);
  }
}

/**
 * A list of attributes by type; of two with one type the last counts. Readers answer undefined for
 * an attribute that is not there and throw CULVERT_NETLINK_MALFORMED for one that is too short for
 * what is asked.
 */
export class Attributes {
  readonly #byType = new Map<number, Uint8Array>();

  /** Parses `bytes` from `offset` to the end. */
  constructor(bytes: Uint8Array, offset = 0) {
    eachAttribute(bytes, offset, (type, value) => this.#byType.set(type, value));
  }

  #atLeast(type: number, length: number): Uint8Array | undefined {
    const bytes = this.#byType.get(type);
    if (bytes !== undefined && bytes.length < length) {
      throw malformedAnswer(`attribute ${type} of ${bytes.length} bytes, expected ${length}`);
    }
    return bytes;
  }

  bytes(type: number): Uint8Array | undefined {
    return this.#byType.get(type);
  }

  u8(type: number): number | undefined {
    return this.#atLeast(type, 1)?.[0];
  }

  /** A 16-bit integer in network byte order (ports). */
  u16BigEndian(type: number): number | undefined {
    const bytes = this.#atLeast(type, 2);
    return bytes === undefined ? undefined : bytes[0] * 256 + bytes[1];
  }

  u32(type: number): number | undefined {
    const bytes = this.#atLeast(type, 4);
    return bytes === undefined ? undefined : new StructView(bytes).u32(0);
  }

  /** A string up to its first zero byte. */
  text(type: number): string | undefined {
    const bytes = this.#byType.get(type);
    if (bytes === undefined) return undefined;
    const end = bytes.indexOf(0);
    return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString("utf8");
  }

  nested(type: number): Attributes | undefined {
    const bytes = this.#byType.get(type);
    return bytes === undefined ? undefined : new Attributes(bytes);
  }
}
