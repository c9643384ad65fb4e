// A superpacket of which some segments leave and others fail: both are told apart.

import { execFileSync } from "node:child_process";
import { afterAll, expect, it } from "vitest";
import { Cleanup } from "../../src/testbed/cleanup.js";
import { Namespace } from "../../src/testbed/namespace.js";
import { patternBytes, withPartialChecksum } from "./packets.js";
import { fixturePath, isRoot } from "./tap-pair.js";

const EMSGSIZE = 90;

const cleanup = new Cleanup();
afterAll(() => cleanup.run());

it.runIf(isRoot)("tells the segments that left beside the error of the others", () => {
  const namespace = Namespace.create(cleanup, "partial");
  namespace.ip("link", "set", "lo", "up", "mtu", "1000");
  const payload = patternBytes(3100);
  const { bytes, ...offsets } = withPartialChecksum({ version: 4, protocol: "udp", payload });
  const input = JSON.stringify({ ...offsets, bytes: Buffer.from(bytes).toString("base64") });
  const command = [...["netns", "exec", namespace.name], process.execPath];
  const output = execFileSync("ip", [...command, fixturePath("partial-send.mjs")], { input });
  const headers_bytes = 8 + offsets.payload;
  expect(JSON.parse(output.toString())).toEqual([-EMSGSIZE, 1, headers_bytes + 100]);
});
