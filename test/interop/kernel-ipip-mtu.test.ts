// Path MTU and fragments between culvert's IPIP and the kernel's ipip device: a router between the
// two, or the route of either end, with a smaller MTU; inner packets that are longer than the
// tunnel takes; outer packets in fragments, made by the kernel for culvert and the other way round.

import { afterEach, describe, expect, it } from "vitest";
import type { Daemon } from "../../src/testbed/daemon.js";
import { Capture, eventually, ipipConfig } from "../netns/support.js";
import { expectReachable } from "../netns/traffic.js";
import { guestTap } from "./guest/guest.js";
import { tcpFromGuest, tcpToGuest, udpEchoes } from "./guest/transfers.js";
import { useGuest } from "./guest/use-guest.js";

const bed = useGuest({
  routed: true,
  needs: {
    commands: [
      ["tcpdump", "--version"],
      ["tshark", "--version"],
    ],
  },
});

/** Outer MTU of the narrow path, and what is left of it for inner packets [RFC 2003 § 5.1]. */
const narrow_bytes = 1300;
const inner_bytes = narrow_bytes - 20;
const transfer_bytes = 1_000_000;
/** An ICMP echo's payload: outer 1448, more than the narrow path takes. */
const bigPing_bytes = 1400;
/** Inner packets of 1500 bytes. */
const fullPing_bytes = 1472;

/** The kernel's device with `words`, culvert with `lines`, and a first answer. */
async function joinEnds(words: string, lines: readonly string[] = []): Promise<Daemon> {
  const { left, right } = bed.hosts;
  const ends = `local ${bed.guest.address} remote ${left.underlayIp}`;
  await bed.guest.shell(`ip tunnel add peer1 mode ipip ${ends} ${words}
ip link set peer1 up
ip addr add ${right.podIp}/32 dev peer1
ip route add ${left.podNetwork} dev peer1`);
  const daemon = await bed.start(
    ipipConfig(left, { ...right, underlayIp: bed.guest.address }, lines),
  );
  await expectReachable(left.pod, right.podIp);
  return daemon;
}

/** One echo request of the pod; what ping(8) says. */
async function pingFromPod(words: string): Promise<string> {
  const { left, right } = bed.hosts;
  const argv = ["ping", "-n", "-c", "1", "-W", "1", ...words.split(" "), right.podIp];
  const { stdout, stderr } = await left.pod.spawn(argv).wait(10_000);
  return stdout + stderr;
}

const pingFromGuest = (words: string): Promise<string> =>
  bed.guest.shell(`ping -n -c 1 -W 1 ${words} ${bed.hosts.left.podIp}; true`);

describe("a path that takes less than the device", () => {
  afterEach(() => {
    if (bed.unmet !== undefined) return;
    const { left, right } = bed.hosts;
    for (const host of [left.host, right.host]) {
      host.run("sh", "-c", "ip route del 10.57.6.21/32 || ip route del 10.57.4.20/32 || true");
    }
  });

  /** `mtu lock`: what a router forwards is bound by it (ip_dst_mtu_maybe_forward). */
  const toGuest: [string, () => void][] = [
    [
      "a router's way to the kernel",
      () => {
        const { host } = bed.hosts.right;
        const mtu = ["mtu", "lock", String(narrow_bytes)];
        host.ip("route", "add", `${bed.guest.address}/32`, "dev", guestTap, ...mtu);
      },
    ],
    [
      "culvert's own route",
      () => {
        const via = ["via", "10.57.4.1", "mtu", String(narrow_bytes)];
        bed.hosts.left.host.ip("route", "add", `${bed.guest.address}/32`, ...via);
      },
    ],
  ];

  it.each(toGuest)("is told to the pod behind culvert: %s", async (_, limit) => {
    const { left, right } = bed.hosts;
    await joinEnds("ttl 64");
    limit();
    const refused = `mtu = ${inner_bytes}`;
    await eventually(async () =>
      expect(await pingFromPod(`-M do -s ${bigPing_bytes}`)).toContain(refused),
    );
    expect(left.pod.ip("route", "get", right.podIp)).toMatch(
      new RegExp(`expires \\S+ mtu ${inner_bytes}`),
    );
    expect(await pingFromPod(`-M do -s ${inner_bytes - 28}`)).toContain("1 received");
    left.pod.ip("route", "flush", "cache");
    const transfer = await tcpToGuest(bed.guest, left.pod, right.podIp, transfer_bytes);
    expect(transfer.received).toBe(transfer.sent);
  });

  const toCulvert: [string, () => unknown][] = [
    [
      "a router's way to culvert",
      () => {
        const { left, right } = bed.hosts;
        const mtu = ["mtu", "lock", String(narrow_bytes)];
        right.host.ip("route", "add", `${left.underlayIp}/32`, "dev", "eth0", ...mtu);
      },
    ],
    [
      "the kernel's own route",
      () =>
        bed.guest.shell(
          `ip route add ${bed.hosts.left.underlayIp}/32 via 10.57.6.1 mtu ${narrow_bytes}`,
        ),
    ],
  ];

  it.each(toCulvert)("is told to senders in the kernel's host: %s", async (_, limit) => {
    const { left } = bed.hosts;
    await joinEnds("ttl 64");
    await limit();
    try {
      await eventually(async () =>
        expect(await pingFromGuest(`-M do -s ${bigPing_bytes}`)).toMatch(
          new RegExp(`mtu ?= ?${inner_bytes}`),
        ),
      );
      expect(await bed.guest.shell(`ip route get ${left.podIp}`)).toMatch(
        new RegExp(`mtu ${inner_bytes}`),
      );
      expect(await pingFromGuest(`-M do -s ${inner_bytes - 28}`)).toContain("1 received");
      const transfer = await tcpFromGuest(bed.guest, left.pod, left.podIp, transfer_bytes);
      expect(transfer.received).toBe(transfer.sent);
    } finally {
      await bed.guest.shell(`ip route del ${left.underlayIp}/32; true`);
    }
  });
});

describe("fragments", () => {
  const fragmentFilter = "ip proto 4 and ip[6:2] & 0x3fff != 0";

  /** Captures fragments of outer packets that `source` sent, on culvert's underlay. */
  const captureFragments = (source: string): Promise<Capture> => {
    const { host } = bed.hosts.left;
    return Capture.start(bed.cleanup, host, "eth0", `${fragmentFilter} and src ${source}`);
  };

  /** Both fragments of at least three packets. */
  const expectFragments = (capture: Capture): Promise<void> =>
    eventually(() => {
      const rows = capture.rows("ip", ["ip.flags.mf", "ip.frag_offset"]);
      const last = rows.filter(([, offset]) => Number(offset?.split(",")[0]) > 0);
      expect(last.length).toBeGreaterThanOrEqual(3);
      expect(rows.length).toBeGreaterThanOrEqual(2 * last.length);
    });

  it("of the inner packet pass both ways, outer ones whole", async () => {
    await joinEnds("ttl 64");
    const { left, right } = bed.hosts;
    const captures = [
      await captureFragments(left.underlayIp),
      await captureFragments(bed.guest.address),
    ];
    for (const size_bytes of [fullPing_bytes, 4000, 20_000]) {
      expect(await pingFromPod(`-M dont -s ${size_bytes}`)).toContain("1 received");
      expect(await pingFromGuest(`-M dont -s ${size_bytes}`)).toContain("1 received");
    }
    const sizes_bytes = [1453, 1473, 8000, 60_000];
    expect(await udpEchoes(bed.guest, left.pod, right.podIp, sizes_bytes)).toEqual({
      echoed: sizes_bytes,
      damaged: [],
    });
    for (const capture of captures) {
      expect(capture.rows("ip", ["ip.len"])).toEqual([]);
      await capture.stop();
    }
  });

  it("of the kernel's outer packets are whole again when culvert gets them", async () => {
    const daemon = await joinEnds("ttl inherit nopmtudisc");
    await bed.guest.shell("ip link set peer1 mtu 1500");
    const capture = await captureFragments(bed.guest.address);
    for (let i = 0; i < 3; i++) {
      expect(await pingFromGuest(`-M dont -s ${fullPing_bytes}`)).toContain("1 received");
    }
    await expectFragments(capture);
    await capture.stop();
    expect(daemon.child.result).toBeUndefined();
  });

  it("of culvert's outer packets are whole again when the kernel gets them", async () => {
    await joinEnds("ttl 64", ["ttl: inherit", "pmtudisc: false", "mtu: 1500"]);
    const capture = await captureFragments(bed.hosts.left.underlayIp);
    for (let i = 0; i < 3; i++) {
      expect(await pingFromPod(`-M dont -s ${fullPing_bytes}`)).toContain("1 received");
    }
    await expectFragments(capture);
    await capture.stop();
    // DF forbids what would help: the sender is told, by either.
    expect(await pingFromPod(`-M do -s ${fullPing_bytes}`)).toContain("mtu = 1480");
  });
});
