// Which source ports sending sockets get: against a host whose ports are a Map.

import { describe, expect, it } from "vitest";
import { SOCKET_REUSE_PORT } from "#abi";
import { Descriptors } from "../../../src/daemon/descriptors.js";
import { candidatePorts, type SendOptions, SendPools } from "../../../src/daemon/send-pools.js";
import { ip } from "../forwarding/frames.js";

const EADDRINUSE = 98;
const endpoint = { local: ip("10.57.4.20"), dev: "" };

/** Pools on a host where `taken` are held by others. Descriptors are far beyond any that is open. */
function host(...taken: number[]) {
  const ports = new Map<number, number[]>();
  const held = new Set(taken);
  let next = 1_000_000;
  const pools = new SendPools({
    descriptors: new Descriptors(),
    nameOf: (_, port) => String(port),
    error: (_, __, result) => new Error(`errno ${-result}`),
    open: (_, port, flags) => {
      const mine = ports.get(port) ?? [];
      const shared = (flags & SOCKET_REUSE_PORT) !== 0;
      if (held.has(port) || (mine.length > 0 && !shared)) return -EADDRINUSE;
      ports.set(port, [...mine, next]);
      return next++;
    },
  });
  const options = (min: number, max: number, dontFragment = false): SendOptions => ({
    ...{ ports: { min, max }, checksum: true, flowLabel: true },
    dontFragment,
  });
  const pool = (min: number, max: number, dontFragment = false, worker = 0) =>
    pools.pool(endpoint, options(min, max, dontFragment), worker);
  const portOf = (fd: number) => [...ports].find(([, fds]) => fds.includes(fd))![0];
  return { pool, portOf };
}

describe("a pool", () => {
  it.each([
    [49_152, 65_535, 16],
    [50_000, 50_015, 16],
    [50_000, 50_014, 8],
    [50_000, 50_002, 2],
    [4789, 4789, 1],
  ])("of %i-%i has %3$i sockets, each with a port of its own in the range", (min, max, count) => {
    const { pool, portOf } = host();
    const ports = pool(min, max).map(portOf);
    expect(new Set(ports).size).toBe(count);
    expect(ports.every((port) => port >= min && port <= max)).toBe(true);
  });

  it("is the same for the same options and worker, and another for others", () => {
    const { pool } = host();
    expect(pool(50_000, 50_063)).toBe(pool(50_000, 50_063));
    const all = [
      pool(50_000, 50_063),
      pool(50_000, 50_063, true),
      pool(50_000, 50_063, false, 1),
    ].flat();
    expect(new Set(all).size).toBe(48);
  });

  it("leaves out ports that somebody else holds", () => {
    const { pool, portOf } = host(50_000, 50_002);
    expect(pool(50_000, 50_003).map(portOf).sort()).toEqual([50_001, 50_003]);
  });

  it("shares ports with our own pools when the range has no more", () => {
    const { pool, portOf } = host();
    const first = pool(50_000, 50_001);
    const second = pool(50_000, 50_001, true);
    expect(second.map(portOf).sort()).toEqual(first.map(portOf).sort());
    expect(second.some((fd) => first.includes(fd))).toBe(false);
  });

  it("is refused when every port of the range is somebody else's", () => {
    expect(() => host(7, 8).pool(7, 8)).toThrow(`errno ${EADDRINUSE}`);
  });
});

describe("candidatePorts", () => {
  it("are all of a small range, each once", () => {
    expect([...candidatePorts({ min: 5, max: 14 })].sort((a, b) => a - b)).toEqual([
      5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
    ]);
  });

  it("begin anywhere", () => {
    const first = Array.from({ length: 200 }, () => [...candidatePorts({ min: 1, max: 8 })][0]);
    expect(new Set(first).size).toBeGreaterThan(4);
  });
});
