// Requests, acknowledgements and dumps against a scripted kernel, interrupted and malformed ones
// too.

import { describe, expect, it } from "vitest";
import { MessageBuilder } from "../../../src/netlink/message.js";
import type { RequestContext } from "../../../src/netlink/netlink-socket.js";
import { maxDumpAttempts, NetlinkSocket } from "../../../src/netlink/netlink-socket.js";
import { bytesOf, message, ScriptedTransport } from "./scripted-transport.js";

const context: RequestContext = { subject: "route", verb: "add", object: () => "route R" };
const request = (): MessageBuilder => new MessageBuilder(24, 0x600).u32(0);

const success = message(2, 0x100, bytesOf("00000000 14000000 1800 0506 00000000 00000000"));
const done = message(3, 2, bytesOf("00000000"));
const object = (byte: string, flags = 2): Uint8Array => message(24, flags, bytesOf(byte));

// The kernel's answer to a route with a gateway out of reach: -ENETUNREACH, the whole request,
// extended ack text.
const refused = bytesOf(
  "68000000 0200 0002 00000000 5d340000 9bffffff",
  "34000000 1800 0506 02000000 00000000 02180000fe04000100000000",
  "08000100c0a81e00 0800040002000000 08000500ac100001",
  "20000100 4e657874686f702068617320696e76616c6964206761746577617900",
);

describe("change", () => {
  it("returns on the acknowledgement; requests carry REQUEST, ACK and rising sequence numbers", () => {
    const transport = new ScriptedTransport([success], [success]);
    const rtnl = new NetlinkSocket(transport);
    rtnl.change(request(), context);
    rtnl.change(request(), context);
    const flags = transport.sent.map((bytes) => bytes[6] | (bytes[7] << 8));
    expect(flags).toEqual([0x605, 0x605]);
    expect(transport.sent.map((bytes) => bytes[8])).toEqual([1, 2]);
    rtnl.close();
    expect(transport.closed).toBe(true);
  });

  it("puts the kernel's words into the error", () => {
    const rtnl = new NetlinkSocket(new ScriptedTransport([refused]));
    expect(() => rtnl.change(request(), context)).toThrow(
      expect.objectContaining({
        code: "CULVERT_NO_ROUTE",
        message: "cannot add route R: Nexthop has invalid gateway (ENETUNREACH)",
        hint: expect.stringContaining("onlink: true"),
      }),
    );
  });

  it("reads the words of a capped acknowledgement and does without them", () => {
    const head = "ffffffff 34000000 1800 0506 00000000 00000000";
    const capped = message(2, 0x300, bytesOf(head, "0800 0100 6e6f2100"));
    const silent = message(2, 0x100, bytesOf(head));
    const rtnl = new NetlinkSocket(new ScriptedTransport([capped], [silent]));
    expect(() => rtnl.change(request(), context)).toThrow("cannot add route R: no! (EPERM)");
    expect(() => rtnl.change(request(), context)).toThrow("cannot add route R: EPERM");
  });

  it("refuses every truncation of a refusal", () => {
    for (let length = 0; length < refused.length - 16; length++) {
      const cut = message(2, 0x200, refused.subarray(16, 16 + length));
      const rtnl = new NetlinkSocket(new ScriptedTransport([cut]));
      expect(() => rtnl.change(request(), context)).toThrow(
        expect.objectContaining({ name: "CulvertError" }),
      );
    }
  });

  it("skips left-overs of other exchanges", () => {
    const stale = message(2, 0, refused.subarray(16), 77);
    const rtnl = new NetlinkSocket(new ScriptedTransport([stale, success]));
    expect(() => rtnl.change(request(), context)).not.toThrow();
  });
});

describe("get", () => {
  it("returns the object, whose bytes outlive the transport's buffer", () => {
    const datagram = object("0a0b0c0d");
    const rtnl = new NetlinkSocket({
      send: (bytes) => datagram.set(bytes.subarray(8, 12), 8),
      receive: () => datagram,
      close: () => undefined,
    });
    const answer = rtnl.get(request(), context);
    datagram.fill(0xa5);
    expect(answer.payload).toEqual(bytesOf("0a0b0c0d"));
  });

  it("does not take an acknowledgement for an object", () => {
    const rtnl = new NetlinkSocket(new ScriptedTransport([success]));
    expect(() => rtnl.get(request(), context)).toThrow(
      expect.objectContaining({ code: "CULVERT_NETLINK_MALFORMED" }),
    );
  });
});

describe("dump", () => {
  const payloads = (rtnl: NetlinkSocket): number[] =>
    rtnl.dump(request(), context).map(({ payload }) => payload[0]);

  it("collects messages over several datagrams until done", () => {
    const both = Uint8Array.from([...object("01000000"), ...object("02000000")]);
    const transport = new ScriptedTransport([both, object("03000000"), done]);
    expect(payloads(new NetlinkSocket(transport))).toEqual([1, 2, 3]);
    expect(transport.sent[0][7]).toBe(0x07);
  });

  it("starts again when a change interrupted it", () => {
    const interrupted = object("01000000", 0x12);
    const transport = new ScriptedTransport([interrupted, done], [object("02000000"), done]);
    expect(payloads(new NetlinkSocket(transport))).toEqual([2]);
    expect(transport.sent.map((bytes) => bytes[8])).toEqual([1, 2]);
  });

  it("notices an interruption that only the end tells, and gives up after a bounded number", () => {
    const interruptedEnd = message(3, 0x12, bytesOf("00000000"));
    const script = Array.from({ length: maxDumpAttempts }, () => [
      object("01000000"),
      interruptedEnd,
    ]);
    const transport = new ScriptedTransport(...script);
    expect(() => payloads(new NetlinkSocket(transport))).toThrow(
      expect.objectContaining({ code: "CULVERT_NETLINK_BUSY" }),
    );
    expect(transport.sent).toHaveLength(maxDumpAttempts);
  });

  it("reports an error at the start and at the end", () => {
    const end = message(3, 0x202, bytesOf("edffffff 0800 0100 6e6f2100"));
    const start = message(2, 0x100, bytesOf("edffffff 34000000 1800 0506 00000000 00000000"));
    const rtnl = new NetlinkSocket(new ScriptedTransport([object("01000000"), end], [start]));
    expect(() => payloads(rtnl)).toThrow("cannot add route R: no! (ENODEV)");
    expect(() => payloads(rtnl)).toThrow("cannot add route R: ENODEV");
  });
});
