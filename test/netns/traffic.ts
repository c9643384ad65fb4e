// Traffic of the tests of whole daemons: pings, TCP and UDP between two namespaces, a second each,
// with the expectation that they pass. Bounds are those of a slow, busy machine: it is about
// whether, not how fast.

import { expect } from "vitest";
import type { Daemon } from "../../src/testbed/daemon.js";
import { type IperfOptions, iperfTcp, iperfUdp } from "../../src/testbed/iperf.js";
import type { Namespace } from "../../src/testbed/namespace.js";
import { ping, pingUntilAnswered } from "../../src/testbed/ping.js";
import type { TwoHosts } from "../../src/testbed/two-hosts.js";
import { withoutDrops } from "./support.js";

export interface Ends {
  from: Namespace;
  to: Namespace;
  address: string;
  /** Address of `from`, for the way back. */
  back: string;
}

/** Pod to pod. */
export function pods({ left, right }: TwoHosts): Ends {
  return { from: left.pod, to: right.pod, address: right.podIp, back: left.podIp };
}

/**
 * Expects that one of many pings is answered: a tunnel that just started resolves addresses first.
 */
export async function expectReachable(from: Namespace, address: string): Promise<void> {
  expect(await pingUntilAnswered(from, address, 15), `${from.name} reaches ${address}`).toBe(true);
}

/** Expects that none of two pings is answered. */
export async function expectUnreachable(from: Namespace, address: string): Promise<void> {
  expect((await ping({ from, to: address, count: 2 })).received).toBe(0);
}

/** Pings with almost no loss. */
export async function expectPings({ from, address }: Ends, size_bytes = 56): Promise<void> {
  await expectReachable(from, address);
  const echo = await ping({ from, to: address, count: 10, size_bytes });
  expect(echo.received).toBeGreaterThanOrEqual(9);
}

/** Runs a transfer in both directions at once. */
async function bothDirections(
  { from, to, address }: Ends,
  run: (path: IperfOptions) => Promise<void>,
): Promise<void> {
  const path = { client: from, server: to, address, seconds: 1 };
  await Promise.all([
    run({ ...path, reverse: false, port: 5201 }),
    run({ ...path, reverse: true, port: 5202 }),
  ]);
}

/** TCP both ways. */
export async function expectTcp(ends: Ends): Promise<void> {
  await bothDirections(ends, async (path) => {
    const { bytes } = await iperfTcp(path);
    expect(bytes, `TCP bytes, reverse: ${path.reverse}`).toBeGreaterThan(1e6);
  });
}

/** UDP both ways at a rate that any machine carries. */
export async function expectUdp(ends: Ends, payload_bytes = 1200, bitrate = "12M"): Promise<void> {
  await bothDirections(ends, async (path) => {
    const result = await iperfUdp({ ...path, payload_bytes, bitrate });
    expect(result.delivered_per_s, `datagrams/s, reverse: ${path.reverse}`).toBeGreaterThan(100);
    expect(result.loss, `UDP loss, reverse: ${path.reverse}`).toBeLessThan(0.1);
  });
}

/** Ping, TCP and UDP both ways, and nothing dropped by either daemon. */
export async function expectTraffic(daemons: readonly Daemon[], ends: Ends): Promise<void> {
  await expectReachable(ends.from, ends.address);
  await withoutDrops(daemons, async () => {
    await expectPings(ends);
    await expectTcp(ends);
    await expectUdp(ends);
  });
}
