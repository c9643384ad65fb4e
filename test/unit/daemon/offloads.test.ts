// Which offloads are in force, and what is said of those that are not.

import { closeSync, openSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  OFFLOAD_CHECKSUM,
  OFFLOAD_TSO_ECN,
  OFFLOAD_TSO4,
  OFFLOAD_TSO6,
  OFFLOAD_USO4,
  OFFLOAD_USO6,
} from "#abi";
import { Offloads } from "../../../src/daemon/offloads.js";

const ALL = { tso: true, uso: true, udp_segment: true, udp_gro: true, tun_checksum: true };
const OFF = "turned off in the config";
const TSO = OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_TSO_ECN;
const USO = OFFLOAD_USO4 | OFFLOAD_USO6;

describe("turned off in the config", () => {
  it("is named as the reason, for sockets and for devices", () => {
    const offloads = new Offloads({ ...ALL, udp_segment: false, udp_gro: false, uso: false });
    expect([offloads.udpSegment, offloads.udpGro]).toEqual([false, false]);
    expect(offloads.report()).toEqual({
      ...{ tso: { enabled: true }, uso: { enabled: false, reason: OFF } },
      ...{ tun_checksum: { enabled: true }, udp_segment: { enabled: false, reason: OFF } },
      udp_gro: { enabled: false, reason: OFF },
    });
    expect(offloads.summary()).toBe("tso -uso tun_checksum -udp_segment -udp_gro");
  });

  it("checksum offload takes TSO and USO with it, which build on it", () => {
    const { tso, uso, tun_checksum } = new Offloads({ ...ALL, tun_checksum: false }).report();
    expect([tso, uso, tun_checksum]).toEqual(Array(3).fill({ enabled: false, reason: OFF }));
  });
});

describe("the self-test", () => {
  it("is claimed once for each kind of device", () => {
    const offloads = new Offloads(ALL);
    expect([1, 2, 1, 2].map((kind) => offloads.claimSelfTest(kind))).toEqual([
      ...[true, true, false, false],
    ]);
  });
});

describe("withdrawn", () => {
  it("by a failed self-test: out of force, with the reason, others stay", () => {
    const offloads = new Offloads({ ...ALL, udp_segment: false, udp_gro: false });
    offloads.withdraw(USO, "uso", "the self-test failed");
    expect(offloads.report()).toMatchObject({
      ...{ tso: { enabled: true }, tun_checksum: { enabled: true } },
      uso: { enabled: false, reason: "the self-test failed" },
    });
    offloads.withdraw(TSO, "tso", "too");
    offloads.withdraw(OFFLOAD_CHECKSUM, "tun_checksum", "too");
    expect(offloads.summary()).toBe("-tso -uso -tun_checksum -udp_segment -udp_gro");
  });

  it("by a device that knows none of them: nothing in force, the kernel's word as reason", () => {
    const offloads = new Offloads({ ...ALL, udp_segment: false, udp_gro: false });
    const fd = openSync("/dev/null", "r");
    try {
      expect(offloads.enableOn(fd)).toBe(0);
    } finally {
      closeSync(fd);
    }
    const refused = { enabled: false, reason: expect.stringContaining("refused it: E") };
    expect(offloads.report()).toMatchObject({ tso: refused, uso: refused, tun_checksum: refused });
  });
});

describe("probed", () => {
  it("is in force, or the kernel's word says why not", () => {
    const offloads = new Offloads(ALL);
    const { udp_segment, udp_gro } = offloads.report();
    for (const [state, inForce] of [
      [udp_segment, offloads.udpSegment],
      [udp_gro, offloads.udpGro],
    ] as const) {
      expect(state.enabled).toBe(inForce);
      expect(state.reason === undefined).toBe(inForce);
    }
  });
});
