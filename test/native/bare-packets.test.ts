// Bare IP packets, as IPIP and TUN devices have them: through raw sockets (in a namespace), and
// what `decapWriteBatch` writes to a TUN device, seen in a file that stands for it.

import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  DEVICE_TAP,
  DEVICE_TUN,
  FRAME_NEEDS_CHECKSUM,
  GSO_ECN,
  GSO_NONE,
  GSO_TCPV4,
  GSO_TCPV6,
  GSO_UDP_L4,
  native,
  RUN_BAD_CHECKSUM,
  RUN_DEVICE,
  RUN_DEVICE_ERRORS,
  RUN_FLAGS,
  RUN_GSO_SIZE,
  RUN_LENGTH,
  RUN_MALFORMED,
  RUN_OFFSET,
  RUN_SEGMENT_BYTES,
  RUN_SEGMENTS,
  RUN_SET_CE,
  RUN_STRIP,
  RUN_WORDS,
  RUN_WRITES,
  RUN_WRITTEN,
  VNET_HEADER_BYTES,
} from "#native";
import { Cleanup } from "../../src/testbed/cleanup.js";
import { Namespace } from "../../src/testbed/namespace.js";
import {
  ipv4ChecksumValid,
  ipv4Destination,
  ipv4Protocol,
  ipv4TotalLength,
  ipv4Ttl,
  writeIpv4Header,
} from "../../src/wire/ipv4.js";
import { TCP_FLAG_ACK } from "../../src/wire/tcp.js";
import { Receiver } from "./batches.js";
import {
  type PacketSpec,
  patternBytes,
  segmentPackets,
  TCP_FLAG_CWR,
  withPartialChecksum,
} from "./packets.js";
import { ALL_OFFLOADS, fixturePath, isRoot, needsRoot } from "./tap-pair.js";

const EINVAL = -22;
const outer_bytes = 20;
const loopback = 0x7f000001;
const ipip = 4;
const cleanup = new Cleanup();
afterAll(() => cleanup.run());

function gsoType(spec: PacketSpec): number {
  if (spec.protocol === "udp") return GSO_UDP_L4;
  return spec.version === 4 ? GSO_TCPV4 : GSO_TCPV6;
}

const specs: PacketSpec[] = ([4, 6] as const).flatMap((version) =>
  (["tcp", "udp"] as const).map((protocol) => ({
    version,
    protocol,
    ethernet: false,
    payload: patternBytes(5000, version),
  })),
);

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

describe("raw IPIP sockets", () => {
  it("carry one packet per segment behind the outer header given", (context) => {
    context.skip(!isRoot, needsRoot);
    const outer = new Uint8Array(outer_bytes);
    writeIpv4Header(outer, 0, 0xb8, 0, true, 33, ipip, loopback, loopback);
    const requests = specs.map((spec) => {
      const { bytes, ...offsets } = withPartialChecksum(spec);
      const gso = { gsoType: gsoType(spec), gsoSize: 1400 };
      return { ...offsets, ...gso, bytes: base64(bytes), header: base64(outer), socket: 0 };
    });
    const cut = { ...requests[0], header: base64(outer.slice(1)) };
    const impossible = { ...requests[0], gsoSize: 0 };
    const whole = { ...requests[0], gsoType: GSO_NONE };
    const namespace = Namespace.create(cleanup, "raw");
    const command = [
      "netns",
      "exec",
      namespace.name,
      process.execPath,
      fixturePath("raw-loop.mjs"),
    ];
    const output = execFileSync("ip", command, {
      input: JSON.stringify({ family: 4, packets: [...requests, cut, impossible, whole] }),
      encoding: "utf8",
      timeout: 20_000,
    });
    const { failed, results, packets } = JSON.parse(output) as {
      failed: number;
      results: number[];
      packets: { bytes: string; segments: number; tos: number; source: number }[];
    };
    expect({ failed, results }).toEqual({ failed: 2, results: [4, 4, 4, 4, EINVAL, EINVAL, 1] });
    const received = packets.map(({ bytes }) => new Uint8Array(Buffer.from(bytes, "base64")));
    const inner = received.map((bytes) => bytes.slice(outer_bytes));
    expect(inner).toEqual([
      ...specs.flatMap((spec) => segmentPackets(spec, 1400)),
      withPartialChecksum(specs[0]).bytes,
    ]);
    for (const [n, bytes] of received.entries()) {
      expect(packets[n]).toMatchObject({ segments: 1, tos: 0xb8, source: loopback });
      expect(ipv4ChecksumValid(bytes, 0)).toBe(true);
      expect(ipv4TotalLength(bytes, 0)).toBe(bytes.length);
      expect([ipv4Ttl(bytes, 0), ipv4Protocol(bytes, 0)]).toEqual([33, ipip]);
      expect(ipv4Destination(bytes, 0) >>> 0).toBe(loopback);
    }
  });
});

describe("decapWriteBatch to a TUN device", () => {
  const folder = mkdtempSync(join(tmpdir(), "culvert-native-"));
  const receiver = new Receiver();
  let written = "";
  beforeAll(() => {
    written = join(folder, "device");
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  /**
   * Writes packets behind 20 bytes each, merged ones to be cut into `gsoSize`; answers what the
   * device would have got and the sum of each column asked.
   */
  function write(
    packets: readonly Uint8Array[],
    columns: readonly number[],
    offloads: number,
    gsoSize = 0,
  ) {
    const { arena, runs } = receiver.batch;
    let at = 0;
    for (const [n, packet] of packets.entries()) {
      const row = n * RUN_WORDS;
      runs.fill(0, row, row + RUN_WORDS);
      arena.set(packet, at + outer_bytes);
      runs[row + RUN_OFFSET] = at;
      runs[row + RUN_LENGTH] = outer_bytes + packet.length;
      runs[row + RUN_SEGMENT_BYTES] = outer_bytes + packet.length;
      runs[row + RUN_SEGMENTS] = 1;
      runs[row + RUN_DEVICE] = 5;
      runs[row + RUN_STRIP] = outer_bytes;
      runs[row + RUN_GSO_SIZE] = gsoSize;
      at += outer_bytes + packet.length;
    }
    const fd = openSync(written, "w");
    const count = packets.length;
    const rows = native.decapWriteBatch(receiver.handle, fd, 5, DEVICE_TUN, offloads, 0, count);
    closeSync(fd);
    expect(rows).toBe(count);
    const sums = columns.map((column) =>
      packets.reduce((sum, _, n) => sum + runs[n * RUN_WORDS + column], 0),
    );
    return { bytes: new Uint8Array(readFileSync(written)), sums };
  }

  it("joins bare packets behind a virtio header", () => {
    for (const spec of specs) {
      const { bytes, sums } = write(
        segmentPackets(spec, 1000),
        [RUN_WRITTEN, RUN_WRITES],
        ALL_OFFLOADS,
      );
      expect(sums).toEqual([5, 1]);
      const expected = withPartialChecksum(spec);
      const header = Buffer.from(bytes.slice(0, VNET_HEADER_BYTES));
      expect([header[0], header[1]]).toEqual([FRAME_NEEDS_CHECKSUM, gsoType(spec)]);
      // hdr_len, gso_size, csum_start, csum_offset (linux/virtio_net.h), little-endian here
      const fields = [2, 4, 6, 8].map((at) => header.readUInt16LE(at));
      const csumOffset = spec.protocol === "tcp" ? 16 : 6;
      expect(fields).toEqual([expected.payload, 1000, expected.l4, csumOffset]);
      expect(bytes.slice(VNET_HEADER_BYTES)).toEqual(expected.bytes);
    }
  });

  const merged = specs.filter(({ protocol }) => protocol === "tcp");

  it("hands on what came merged, with the size to cut it into", () => {
    for (const spec of merged) {
      for (const flags of [TCP_FLAG_ACK, TCP_FLAG_ACK | TCP_FLAG_CWR]) {
        const { bytes: packet } = withPartialChecksum({ ...spec, flags });
        const { bytes, sums } = write([packet], [RUN_WRITTEN, RUN_WRITES], ALL_OFFLOADS, 1340);
        expect(sums).toEqual([1, 1]);
        const type = gsoType(spec) | (flags === TCP_FLAG_ACK ? 0 : GSO_ECN);
        expect([bytes[0], bytes[1]]).toEqual([FRAME_NEEDS_CHECKSUM, type]);
        expect(Buffer.from(bytes).readUInt16LE(4)).toBe(1340);
        expect(bytes.slice(VNET_HEADER_BYTES)).toEqual(packet);
      }
    }
  });

  it("cuts it where the device cannot, and drops it when its checksum is no partial one", () => {
    for (const spec of merged) {
      const { bytes: packet } = withPartialChecksum(spec);
      const columns = [RUN_WRITTEN, RUN_WRITES, RUN_BAD_CHECKSUM];
      const { bytes, sums } = write([packet], columns, 0, 1340);
      expect(sums).toEqual([1, 4, 0]);
      const plain = new Uint8Array(VNET_HEADER_BYTES);
      const segments = segmentPackets(spec, 1340).flatMap((one) => [...plain, ...one]);
      expect(bytes).toEqual(Uint8Array.from(segments));
      const wrong = packet.slice();
      wrong[spec.version === 4 ? 36 : 56] ^= 1;
      expect(write([wrong], columns, ALL_OFFLOADS, 1340).sums).toEqual([0, 0, 1]);
    }
  });

  it("leaves a long packet with a complete checksum alone, whatever size it may be cut into", () => {
    for (const spec of specs) {
      const [whole] = segmentPackets(spec, 9000);
      const { bytes } = write([whole], [], ALL_OFFLOADS, spec.protocol === "tcp" ? 1340 : 0);
      expect(bytes).toEqual(Uint8Array.of(...new Uint8Array(VNET_HEADER_BYTES), ...whole));
    }
  });

  it("writes them singly without offloads, and drops what is wrong", () => {
    const packets = segmentPackets(specs[0], 1000);
    const bad = packets[1].slice();
    bad[300] ^= 1;
    const sent = [packets[0], bad, Uint8Array.of(0x12, 0x34), packets[2]];
    const columns = [RUN_WRITTEN, RUN_WRITES, RUN_BAD_CHECKSUM, RUN_MALFORMED];
    const { bytes, sums } = write(sent, columns, 0);
    expect(sums).toEqual([2, 2, 1, 1]);
    const plain = new Uint8Array(VNET_HEADER_BYTES);
    expect(bytes).toEqual(Uint8Array.of(...plain, ...packets[0], ...plain, ...packets[2]));
  });

  it("leaves rows of other devices alone", () => {
    write(segmentPackets(specs[0], 1000), [], ALL_OFFLOADS);
    const fd = openSync(written, "w");
    const rows = native.decapWriteBatch(receiver.handle, fd, 6, DEVICE_TUN, ALL_OFFLOADS, 0, 5);
    closeSync(fd);
    expect(rows).toBe(0);
    expect(readFileSync(written).length).toBe(0);
  });

  it("reads nothing behind the arena's end, however short the packet", () => {
    const { arena, runs } = receiver.batch;
    const kinds = specs.map((spec) => ({ ...spec, payload: patternBytes(30) }));
    for (const ethernet of [false, true]) {
      for (const { bytes } of kinds.map((spec) => withPartialChecksum({ ...spec, ethernet }))) {
        for (let length = 1; length <= bytes.length; length++) {
          runs.fill(0, 0, RUN_WORDS);
          arena.set(bytes.subarray(0, length), arena.length - length);
          runs[RUN_OFFSET] = arena.length - length;
          runs[RUN_LENGTH] = runs[RUN_SEGMENT_BYTES] = length;
          runs[RUN_SEGMENTS] = 1;
          runs[RUN_FLAGS] = RUN_SET_CE;
          const kind = ethernet ? DEVICE_TAP : DEVICE_TUN;
          native.decapWriteBatch(receiver.handle, -1, 0, kind, ALL_OFFLOADS, 0, 1);
          const whole = length === bytes.length;
          const outcome = [runs[RUN_MALFORMED], runs[RUN_DEVICE_ERRORS]];
          expect(outcome, `length ${length}`).toEqual(whole ? [0, 1] : [1, 0]);
        }
      }
    }
  });
});
