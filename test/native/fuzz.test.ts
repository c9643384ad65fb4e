// Random and damaged input through the batch functions (fixtures/fuzz.mjs, a process of its own, so
// that a crash is seen): nothing crashes, every segment is accounted for. With root the frames
// enter a real TAP device, else a file.

import { spawnSync } from "node:child_process";
import { afterAll, describe, expect, it } from "vitest";
import { Cleanup } from "../../src/testbed/cleanup.js";
import { Namespace } from "../../src/testbed/namespace.js";
import { buildPacket, type PacketSpec, patternBytes, withPartialChecksum } from "./packets.js";
import { fixturePath, isRoot } from "./tap-pair.js";

const rows = 100_000;
/** What only raw sockets have. */
const needRaw = ["rawReceived", "rawErrors"];
const seeds = [0x5eed, 0xfade];

const cleanup = new Cleanup();
afterAll(() => cleanup.run());

function corpus(): string {
  const specs: PacketSpec[] = [4, 6].flatMap((version) =>
    (["tcp", "udp"] as const).flatMap((protocol) =>
      [1, 100, 1400, 3000].flatMap((length) => {
        const payload = patternBytes(length, length);
        const spec = { version: version as 4 | 6, protocol, payload };
        const options = { vlans: [5, 6], tcpOptions: patternBytes(12), flags: 0x98 };
        return [spec, { ...spec, ...options }, { ...spec, ethernet: false }];
      }),
    ),
  );
  const large: PacketSpec = { version: 4, protocol: "tcp", payload: patternBytes(60_000) };
  const packets = [...specs.map(buildPacket), ...[...specs, large].map(withPartialChecksum)];
  const coded = packets.map(({ bytes, ...offsets }) => ({
    ...offsets,
    bytes: Buffer.from(bytes).toString("base64"),
  }));
  return JSON.stringify(coded);
}

describe("fuzz", () => {
  for (const seed of seeds) {
    it(`seed 0x${seed.toString(16)}: no crash, every segment accounted for`, () => {
      const node = [process.execPath, fixturePath("fuzz.mjs"), String(seed), String(rows)];
      const command = isRoot
        ? ["ip", "netns", "exec", Namespace.create(cleanup, "fuzz").name, ...node, "tap0"]
        : [...node, "/dev/null"];
      const result = spawnSync(command[0], command.slice(1), {
        input: corpus(),
        encoding: "utf8",
        timeout: 50_000,
      });
      expect(result.stderr).toBe("");
      expect({ status: result.status, signal: result.signal }).toEqual({ status: 0, signal: null });
      const totals = JSON.parse(result.stdout) as Record<string, number>;
      expect(totals.sanitized).toBe(process.env.CULVERT_NATIVE !== undefined);
      // Every outcome must have happened, else the input was not random enough.
      for (const [name, count] of Object.entries(totals)) {
        if (name === "sanitized" || (!isRoot && needRaw.includes(name))) continue;
        expect(count, name).toBeGreaterThan(100);
      }
    });
  }
});
