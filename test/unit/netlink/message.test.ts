// rtnetlink messages: built as the kernel expects, parsed without reading past their end.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CulvertError } from "../../../src/errors.js";
import {
  Attributes,
  MessageBuilder,
  maxRequest_bytes,
  parseMessages,
  structOf,
} from "../../../src/netlink/message.js";
import { bytesOf } from "./scripted-transport.js";

// RTM_NEWROUTE as a kernel echoed it in a refusal: `ip route add 192.168.30.0/24 via 172.16.0.1`,
// device 2.
const routeRequest = bytesOf(
  "34000000 1800 0506 02000000 00000000",
  "02 18 00 00 fe 04 00 01 00000000",
  "0800 0100 c0a81e00",
  "0800 0400 02000000",
  "0800 0500 ac100001",
);

const malformed = (run: () => unknown): void => {
  expect(run).toThrow(CulvertError);
  expect(run).toThrow(expect.objectContaining({ code: "CULVERT_NETLINK_MALFORMED" }));
};

describe("MessageBuilder", () => {
  it("builds the bytes of a real request", () => {
    const request = new MessageBuilder(24, 0x600);
    for (const byte of [2, 24, 0, 0, 254, 4, 0, 1]) request.u8(byte);
    request.u32(0);
    request.attribute(1, bytesOf("c0a81e00")).attributeU32(4, 2).attribute(5, bytesOf("ac100001"));
    expect(request.finish(2, 0x5)).toEqual(routeRequest);
  });

  it("pads attributes and closes nests", () => {
    const request = new MessageBuilder(16, 0).attributeText(3, "va");
    request.nested(18, (inner) => inner.attributeText(1, "veth").attribute(2, new Uint8Array()));
    expect(request.finish(1, 0)).toEqual(
      bytesOf(
        "2c000000 1000 0000 01000000 00000000",
        "0700 0300 766100 00",
        "1400 1280 0900 0100 7665746800 000000 0400 0200",
      ),
    );
  });

  it("can be finished again, without touching what it gave before", () => {
    const request = new MessageBuilder(16, 0).u32(7);
    const first = request.finish(1, 0);
    const second = request.finish(2, 0);
    expect([first[8], second[8]]).toEqual([1, 2]);
  });

  it("refuses to grow past its limit", () => {
    const request = new MessageBuilder(16, 0);
    expect(() => request.attribute(1, new Uint8Array(maxRequest_bytes))).toThrow(
      /maxRequest_bytes/,
    );
  });
});

describe("parseMessages", () => {
  it("splits a datagram of several messages", () => {
    const datagram = bytesOf(
      "15000000 1000 0200 05000000 00000000 aabbccddee 000000",
      "14000000 0300 0200 06000000 00000000 00000000",
    );
    expect(parseMessages(datagram)).toEqual([
      { type: 16, flags: 2, sequence: 5, payload: bytesOf("aabbccddee") },
      { type: 3, flags: 2, sequence: 6, payload: bytesOf("00000000") },
    ]);
    expect(parseMessages(new Uint8Array())).toEqual([]);
  });

  it("refuses impossible lengths", () => {
    malformed(() => parseMessages(bytesOf("0f000000 1000 0000 01000000 00000000")));
    malformed(() => parseMessages(bytesOf("11000000 1000 0000 01000000 00000000")));
    malformed(() => parseMessages(bytesOf("ffffffff 1000 0000 01000000 00000000")));
    malformed(() => parseMessages(bytesOf("00000000 1000 0000 01000000 00000000")));
  });

  it("refuses every truncation of a message", () => {
    for (let length = 1; length < routeRequest.length; length++) {
      malformed(() => parseMessages(routeRequest.subarray(0, length)));
    }
  });
});

describe("Attributes", () => {
  it("reads each kind of value and tells absence", () => {
    const attributes = new Attributes(
      bytesOf(
        "ffffffff",
        "0800 0400 e8030000",
        "0600 0f00 12b5 0000",
        "0700 0300 766100 00",
        "0500 1900 01 000000",
        "0c00 1280 0800 0180 64000000",
      ),
      4,
    );
    expect(attributes.u32(4)).toBe(1000);
    expect(attributes.u16BigEndian(15)).toBe(4789);
    expect(attributes.text(3)).toBe("va");
    expect(attributes.u8(25)).toBe(1);
    expect(attributes.nested(18)?.u32(1)).toBe(100);
    expect(attributes.bytes(4)).toEqual(bytesOf("e8030000"));
    expect(attributes.u32(99)).toBeUndefined();
    expect(attributes.text(99)).toBeUndefined();
    expect(attributes.nested(99)).toBeUndefined();
  });

  it("refuses impossible lengths and values that are too short", () => {
    malformed(() => new Attributes(bytesOf("0300 0100")));
    malformed(() => new Attributes(bytesOf("0900 0100 00000000")));
    malformed(() => new Attributes(bytesOf("0400 0100 0400")));
    const short = new Attributes(bytesOf("0600 0100 0102 0000", "0400 0200"));
    malformed(() => short.u32(1));
    malformed(() => short.u16BigEndian(2));
    malformed(() => short.nested(1));
    malformed(() => structOf(bytesOf("000000"), 4, "nlmsgerr"));
  });

  it("reads back what the builder wrote", () => {
    const list = fc.uniqueArray(
      fc.tuple(fc.integer({ min: 0, max: 0x3fff }), fc.uint8Array({ maxLength: 60 })),
      { selector: ([type]) => type, maxLength: 12 },
    );
    fc.assert(
      fc.property(list, (pairs) => {
        const request = new MessageBuilder(16, 0);
        for (const [type, payload] of pairs) request.attribute(type, payload);
        const [message] = parseMessages(request.finish(1, 0));
        const attributes = new Attributes(message.payload);
        for (const [type, payload] of pairs) expect(attributes.bytes(type)).toEqual(payload);
      }),
      { numRuns: 100 },
    );
  });

  it("answers random bytes with values or CULVERT_NETLINK_MALFORMED, nothing else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        try {
          for (const { payload } of parseMessages(bytes)) new Attributes(payload);
          new Attributes(bytes).nested(1)?.u32(1);
        } catch (error) {
          expect(error).toMatchObject({ code: "CULVERT_NETLINK_MALFORMED" });
        }
      }),
      { numRuns: 500 },
    );
  });
});
