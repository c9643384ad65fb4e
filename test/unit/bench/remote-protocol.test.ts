// Messages between the two ends, as text: what is taken, what is refused, and that no text throws
// anything but an error for people.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  errorAnswer,
  parseAnswer,
  parseRequest,
  REMOTE_LIMITS,
} from "../../../src/bench/remote-protocol.js";
import { TestbedError } from "../../../src/testbed/error.js";

const greeting = {
  type: "hello",
  version: 1,
  latency: "culvert",
  tunnels: [{ name: "vxlan100", type: "vxlan", vni: 100, port: 4789, addresses: ["192.168.11.1"] }],
};

describe("answers", () => {
  it("of every type are taken", () => {
    const used = { type: "used", machineCpu_s: 1.5, daemonCpu_s: 0.5 };
    for (const one of [greeting, used, { type: "serve", port: 9481 }, { type: "stop" }]) {
      expect(parseAnswer(JSON.stringify(one))).toEqual(one);
    }
  });

  it.each([
    [{ ...greeting, tunnels: [{ ...greeting.tunnels[0], addresses: ["-oProxyCommand=x"] }] }],
    [{ ...greeting, tunnels: [{ ...greeting.tunnels[0], addresses: ["fe80::1%eth0"] }] }],
    [{ ...greeting, tunnels: Array(REMOTE_LIMITS.tunnels + 1).fill(greeting.tunnels[0]) }],
    [{ type: "used", machineCpu_s: null }],
    [{ type: "used", machineCpu_s: -1 }],
    [{ type: "used", machineCpu_s: 1e300 }],
    [{ type: "serve", port: 0 }],
    [{ type: "serve", port: 70_000 }],
    [{ type: "error", message: "x".repeat(5_000) }],
  ])("that are wrong are refused: %j", (wrong) => {
    expect(() => parseAnswer(JSON.stringify(wrong))).toThrow("the answer is not one of version 1");
  });

  it("that are errors fit, however long their text", () => {
    const text = JSON.stringify(errorAnswer("x".repeat(100_000)));
    expect(parseAnswer(text).type).toBe("error");
  });
});

describe("any text", () => {
  it("is a message or a TestbedError", () => {
    const texts = fc.oneof(fc.string(), fc.json(), fc.constantFrom("null", "{}", '{"type":null}'));
    fc.assert(
      fc.property(texts, (text) => {
        for (const parse of [parseRequest, parseAnswer]) {
          try {
            parse(text);
          } catch (error) {
            expect(error).toBeInstanceOf(TestbedError);
          }
        }
      }),
    );
  });
});
