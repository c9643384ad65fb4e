// The token bucket of `bum_limit_pps`: rate, depth, debt, wrap of the clock, several workers.

import { describe, expect, it } from "vitest";
import {
  BUCKET_EGRESS,
  BUCKET_INGRESS,
  BumLimit,
  bumBuckets,
} from "../../../src/forwarding/bum-limit.js";
import { MemoryNetwork } from "../../../src/underlay/memory-underlay.js";
import { BROADCAST, frame4, join, MAC_B, mac, vxlanHeader } from "./frames.js";
import { HOST_A, HOST_B, MemoryHost, VNI } from "./memory-host.js";

/** How many of `tries` frames of one packet pass at `now_ms`. */
function passing(limit: BumLimit, tries: number, now_ms: number): number {
  return Array.from({ length: tries }, () => limit.take(1, now_ms)).filter(Boolean).length;
}

function limitOf(pps: number, now_ms = 0): BumLimit {
  return new BumLimit(bumBuckets(pps, now_ms), BUCKET_EGRESS, pps);
}

describe("BumLimit", () => {
  it("lets a second's worth pass at once, then its rate", () => {
    const limit = limitOf(100);
    expect(passing(limit, 500, 5000)).toBe(100);
    expect(passing(limit, 500, 5000)).toBe(0);
    expect(passing(limit, 500, 5010)).toBe(1);
    expect(passing(limit, 500, 5110)).toBe(10);
    expect(passing(limit, 500, 60_000)).toBe(100);
  });

  it("keeps its rate however often it is asked", () => {
    for (const pps of [1, 3, 1500, 999_999]) {
      const limit = limitOf(pps);
      limit.take(2 * pps, 0); // empty, and a second in debt
      let passed = 0;
      for (let now_ms = 1; now_ms <= 11_000; now_ms++) {
        for (let i = 0; i < Math.ceil(pps / 1000) + 1; i++) if (limit.take(1, now_ms)) passed++;
      }
      expect(passed / pps).toBeCloseTo(10, 0);
      expect(passed).toBeLessThanOrEqual(10 * pps + 1);
    }
  });

  it("takes the largest limit there can be", () => {
    const limit = limitOf(10_000_000);
    expect(limit.take(1_000_000, 1000)).toBe(true);
    expect(limit.take(73_741, 1000)).toBe(true);
    expect(limit.take(1, 1000)).toBe(true);
    expect(limit.take(1, 1000)).toBe(false);
    expect(limit.take(1, 1001)).toBe(true);
    expect(limit.take(1, 100_000)).toBe(true);
  });

  it("lets a superpacket pass and pays for it afterwards", () => {
    const limit = limitOf(10);
    expect(limit.take(45, 1000)).toBe(true);
    expect(limit.take(1, 4500)).toBe(false);
    expect(limit.take(1, 4600)).toBe(true);
  });

  it("goes on when the clock wraps, and after a month of silence", () => {
    const wrap_ms = 2 ** 32;
    const limit = limitOf(10, wrap_ms - 5000);
    expect(passing(limit, 50, wrap_ms - 100)).toBe(10);
    expect(passing(limit, 50, wrap_ms + 100)).toBe(2);
    for (const days of [20, 25, 30, 49, 50]) {
      const quiet = limitOf(10);
      expect(passing(quiet, 50, 1000)).toBe(10);
      expect(passing(quiet, 50, 1000 + days * 86_400_000)).toBe(10);
    }
  });

  it("gives nothing for the time of a batch that began before the last refill", () => {
    const limit = limitOf(10);
    expect(passing(limit, 50, 5000)).toBe(10);
    expect(passing(limit, 50, 4900)).toBe(0);
    expect(passing(limit, 50, 5100)).toBe(1);
  });

  it("is one limit for all workers, and one for each direction", () => {
    const buckets = bumBuckets(10, 0);
    const [one, two] = [1, 2].map(() => new BumLimit(buckets, BUCKET_EGRESS, 10));
    const back = new BumLimit(buckets, BUCKET_INGRESS, 10);
    expect(passing(one!, 6, 1000) + passing(two!, 6, 1000)).toBe(10);
    expect(passing(back, 20, 1000)).toBe(10);
  });

  it("of 0 is none", () => {
    expect(passing(limitOf(0), 5000, 1)).toBe(5000);
  });
});

describe("bum_limit_pps", () => {
  it("drops frames to be flooded beyond it, and counts them", () => {
    const network = new MemoryNetwork();
    const host = new MemoryHost(network, HOST_A);
    const { tunnel, device } = host.vxlan({ bumLimit_pps: 5 });
    const remote = host.remote(0, HOST_B);
    tunnel.flood.append(remote);
    const { hi, lo } = mac(MAC_B);
    tunnel.fdb.add(hi, lo, remote, 0, 0);
    const unknown = Array.from({ length: 4 }, () => frame4({}, "02:00:00:00:00:77"));
    const broadcast = Array.from({ length: 4 }, () => frame4({}, BROADCAST));
    const known = Array.from({ length: 9 }, () => frame4());
    host.send(device, ...unknown, ...broadcast, ...known);
    expect(host.counts(0)).toMatchObject({ egressPackets: 14, floods: 5, "bum-limit": 3 });
  });

  it("drops broadcast and multicast that arrives beyond it, and counts it", () => {
    const host = new MemoryHost(new MemoryNetwork(), HOST_A);
    const { device } = host.vxlan({ bumLimit_pps: 5 });
    host.remote(0, HOST_B);
    for (let i = 0; i < 4; i++) {
      for (const to of [BROADCAST, "01:00:5e:00:00:fb", MAC_B]) {
        host.receiveUdp(join(vxlanHeader(VNI), frame4({}, to)));
      }
    }
    expect(host.counts(0)).toMatchObject({ ingressPackets: 9, "bum-limit": 3 });
    expect(device.written).toHaveLength(9);
    const later_s = 2000;
    host.receiveUdp(join(vxlanHeader(VNI), frame4({}, BROADCAST)), { now_s: later_s });
    expect(device.written).toHaveLength(10);
  });
});
