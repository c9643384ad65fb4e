// Frames to many remotes: they wait, leave in order and in small steps, all of them; the rest of
// the traffic does not wait for them; what finds no room is counted.

import { describe, expect, it } from "vitest";
import { EGRESS_ARENA_BYTES, MAX_FRAMES } from "#abi";
import { STEP_PACKETS } from "../../../src/forwarding/bum-queue.js";
import { FLOOD_AT_ONCE_MEMBERS } from "../../../src/forwarding/flooder.js";
import { MemoryNetwork } from "../../../src/underlay/memory-underlay.js";
import { formatIp } from "../../../src/wire/ip-address.js";
import { BROADCAST, frame4, MAC_B, mac } from "./frames.js";
import { HOST_A, HOST_B, MemoryHost, NOW_S, PORT, type VxlanSide } from "./memory-host.js";

const VXLAN_BYTES = 8;
const PAYLOAD_AT = 42;

/** A tunnel with `count` flood members 10.60.x.y. @returns their rows as well */
function crowd(host: MemoryHost, count: number, vni?: number): VxlanSide & { rows: number[] } {
  const side = host.vxlan({ vni: vni ?? 100 });
  const { index } = side.tunnel;
  const rows = Array.from({ length: count }, (_, i) => {
    const row = host.remote(index, `10.60.${i >> 8}.${i & 255}`, PORT, side.tunnel.vni);
    side.tunnel.flood.append(row);
    return row;
  });
  return { ...side, rows };
}

/** A broadcast frame that carries a number. */
function numbered(n: number, payload_bytes = 64): Uint8Array {
  const frame = frame4({ payload_bytes }, BROADCAST);
  frame[PAYLOAD_AT] = n & 0xff;
  frame[PAYLOAD_AT + 1] = n >> 8;
  return frame;
}

const numberIn = (bytes: Uint8Array): number =>
  bytes[VXLAN_BYTES + PAYLOAD_AT]! | (bytes[VXLAN_BYTES + PAYLOAD_AT + 1]! << 8);

/** Reads what the device has, without a step of the queue. */
function read({ device, egress }: VxlanSide, ...frames: Uint8Array[]): void {
  device.toRead.push(...frames);
  while (egress.run(MAX_FRAMES, NOW_S * 1000) > 0);
}

describe("a flood list of many members", () => {
  it("gets every frame, to each member once, in order, a step at a time", () => {
    const network = new MemoryNetwork();
    const host = new MemoryHost(network, HOST_A, 1100);
    const side = crowd(host, 1000);
    const frames = [0, 1, 2].map((n) => numbered(n));
    read(side, ...frames);
    expect(network.sent).toHaveLength(0);
    let steps = 0;
    while (host.queue.pending) {
      const before = network.sent.length;
      expect(host.queue.step()).toBeLessThanOrEqual(STEP_PACKETS);
      expect(network.sent.length - before).toBeLessThanOrEqual(STEP_PACKETS);
      steps++;
    }
    expect(steps).toBe(Math.ceil(3000 / STEP_PACKETS));
    expect(network.sent).toHaveLength(3000);
    expect(network.sent.map(({ bytes }) => numberIn(bytes))).toEqual(
      Array.from({ length: 3000 }, (_, i) => Math.floor(i / 1000)),
    );
    for (const { bytes, destination } of network.sent.slice(0, 1000)) {
      expect(bytes.slice(VXLAN_BYTES)).toEqual(frames[0]);
      expect(formatIp(destination.w0, destination.w1, destination.w2, destination.w3)).toMatch(
        /^10\.60\./,
      );
    }
    expect(new Set(network.sent.map(({ destination }) => destination.w3)).size).toBe(1000);
    expect(host.counts(0)).toEqual({
      egressPackets: 3000,
      egressBytes: expect.any(Number),
      floods: 3,
    });
  });

  it("does not keep frames to one remote waiting", () => {
    const network = new MemoryNetwork();
    const host = new MemoryHost(network, HOST_A, 1100);
    const side = crowd(host, 1000);
    const { hi, lo } = mac(MAC_B);
    side.tunnel.fdb.add(hi, lo, host.remote(0, HOST_B), 0, 0);
    read(side, numbered(0), frame4(), numbered(1), frame4());
    expect(network.sent).toHaveLength(2);
    host.pump();
    expect(network.sent).toHaveLength(2002);
  });

  it("is flooded at once up to the threshold, unless frames of the tunnel wait already", () => {
    const network = new MemoryNetwork();
    const host = new MemoryHost(network, HOST_A);
    const side = crowd(host, FLOOD_AT_ONCE_MEMBERS);
    read(side, numbered(0));
    expect(network.sent).toHaveLength(FLOOD_AT_ONCE_MEMBERS);
    const extra = host.remote(0, HOST_B);
    side.tunnel.flood.append(extra);
    read(side, numbered(1));
    side.tunnel.flood.remove(extra);
    read(side, numbered(2));
    expect(network.sent).toHaveLength(FLOOD_AT_ONCE_MEMBERS);
    host.pump();
    const order = network.sent.map(({ bytes }) => numberIn(bytes));
    expect(order).toEqual([...order].sort());
    expect(order).toHaveLength(3 * FLOOD_AT_ONCE_MEMBERS + 1);
  });

  it("sends nothing to members that were removed while the frame waited", () => {
    const network = new MemoryNetwork();
    const host = new MemoryHost(network, HOST_A, 1100);
    const side = crowd(host, 1000);
    read(side, numbered(0));
    host.queue.step();
    for (const row of side.rows.slice(500)) {
      side.tunnel.flood.remove(row);
      host.remotes.release(row);
    }
    // One of the rows becomes another tunnel's: it must not get this tunnel's frames.
    const other = host.vxlan({ vni: 200 });
    host.remote(other.tunnel.index, "10.61.0.1", PORT, 200);
    host.pump();
    expect(network.sent).toHaveLength(500);
    expect(network.sent.some(({ destination }) => destination.w3 === 0x0a3d0001)).toBe(false);
    expect(host.counts(0)).toMatchObject({ egressPackets: 500, "no-remotes": 500 });
  });

  it("shares the queue with other tunnels, each with its own VNI and counters", () => {
    const network = new MemoryNetwork();
    const host = new MemoryHost(network, HOST_A, 1100);
    const first = crowd(host, 300, 100);
    const second = crowd(host, 200, 200);
    read(first, numbered(0));
    read(second, numbered(1));
    read(first, numbered(2));
    host.pump();
    const vniOf = (bytes: Uint8Array) => (bytes[4]! << 16) | (bytes[5]! << 8) | bytes[6]!;
    const runs = network.sent.map(({ bytes }) => `${numberIn(bytes)} ${vniOf(bytes)}`);
    expect(runs.filter((run) => run === "0 100")).toHaveLength(300);
    expect(runs.filter((run) => run === "1 200")).toHaveLength(200);
    expect(runs.filter((run) => run === "2 100")).toHaveLength(300);
    expect(host.counts(0).egressPackets).toBe(600);
    expect(host.counts(1).egressPackets).toBe(200);
  });
});

describe("a full queue", () => {
  it("drops what finds no row, counts it, and works again afterwards", () => {
    const network = new MemoryNetwork();
    const host = new MemoryHost(network, HOST_A, 100);
    const side = crowd(host, 20);
    const frames = Array.from({ length: MAX_FRAMES + 44 }, (_, n) => numbered(n));
    read(side, ...frames);
    host.pump();
    expect(host.counts(0)).toMatchObject({
      ...{ egressPackets: MAX_FRAMES * 20, floods: MAX_FRAMES, "bum-queue-full": 44 },
    });
    host.send(side.device, numbered(999));
    expect(network.sent).toHaveLength((MAX_FRAMES + 1) * 20);
  });

  it("uses its memory as a ring: long and short frames come out whole and in order", () => {
    const network = new MemoryNetwork();
    const host = new MemoryHost(network, HOST_A, 100);
    const side = crowd(host, 20);
    const taken: Uint8Array[] = [];
    let seed = 3;
    let n = 0;
    const flooded = () => host.counts(0).floods ?? 0;
    for (let turn = 0; turn < 400; turn++) {
      seed = (seed * 1103515245 + 12345) & 0x7fffffff;
      const frame = numbered(n++, 2 + ((seed >> 8) % 60_000));
      const before = flooded();
      read(side, frame);
      if (flooded() > before) taken.push(frame);
      if (turn > 40 && turn % 3 === 0) host.queue.step();
    }
    host.pump();
    expect(taken.length).toBeGreaterThan((3 * EGRESS_ARENA_BYTES) / 60_000);
    expect(host.counts(0)["bum-queue-full"]).toBe(400 - taken.length);
    expect(taken.length).toBeLessThan(400);
    const arrived = network.sent.filter((_, i) => i % 20 === 0);
    expect(arrived.map(({ bytes }) => numberIn(bytes))).toEqual(
      taken.map((frame) => numberIn(new Uint8Array([...new Uint8Array(VXLAN_BYTES), ...frame]))),
    );
    for (const [i, { bytes }] of network.sent.entries()) {
      const expected = taken[Math.floor(i / 20)]!;
      expect(Buffer.compare(bytes.subarray(VXLAN_BYTES), expected)).toBe(0);
    }
  });
});
