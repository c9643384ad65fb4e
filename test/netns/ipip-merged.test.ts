// What the kernel's receive offload (GRO) merges before a raw socket sees it: TCP is cut as its
// sender cut it, so that it passes links behind the tunnel whose MTU is smaller; UDP that cannot be
// cut is dropped by name, and what only looks like it passes. The underlay's devices do as plain
// NICs do: whole packets on the wire, merged on arrival.

import { beforeEach, describe, expect, it } from "vitest";
import type { Daemon } from "../../src/testbed/daemon.js";
import { iperfTcp } from "../../src/testbed/iperf.js";
import type { Namespace } from "../../src/testbed/namespace.js";
import { createTwoHosts, forgetPathMtus } from "../../src/testbed/two-hosts.js";
import { Capture, countersOf, dropsOf, eventually, ipipConfig, python, useBed } from "./support.js";
import { expectReachable } from "./traffic.js";

const bed = useBed(["iperf3", "tshark", "tcpdump", "python3"], (cleanup) => {
  const two = createTwoHosts(cleanup, { offloads: "nic" });
  two.left.host.ip("addr", "add", "fd57::20/64", "dev", "eth0", "nodad");
  two.right.host.ip("addr", "add", "fd57::21/64", "dev", "eth0", "nodad");
  // Else a superpacket reaches the pod uncut, and says nothing of the segments.
  two.right.host.setOffloads("pod0", { tso: false, gso: false });
  // A veth is polled as soon as a packet is sent, so nothing waits to be merged with. This makes it
  // wait, as the packets of a NIC do that interrupts seldom.
  two.right.host.setCoalescing("eth0", 2_000_000);
  return two;
});

const TUNNEL_MTU_BYTES = 1480;
const LINK_MTU_BYTES = 1400;
const UDP_PORT = 7777;

/** MTU of the link to the right pod: the host's end, and the pod's own. */
function setPodLink(host_bytes: number, pod_bytes: number): void {
  const { right } = bed.hosts;
  right.host.ip("link", "set", "pod0", "mtu", String(host_bytes));
  right.pod.ip("link", "set", "eth0", "mtu", String(pod_bytes));
}

beforeEach(() => {
  setPodLink(1500, 1500);
  forgetPathMtus(bed.hosts);
});

/** Bytes per packet that the tunnel received meanwhile; more than its MTU: they were merged. */
async function meanLength(daemon: Daemon, body: () => Promise<void>): Promise<number> {
  const received = async () => (await countersOf(daemon)).tunnels[0]!.ingress;
  const before = await received();
  await body();
  const after = await received();
  return (after.bytes - before.bytes) / (after.packets - before.packets);
}

describe("merged TCP", () => {
  it.each([
    ["a link behind us takes less, which the receiver says", LINK_MTU_BYTES, LINK_MTU_BYTES],
    ["a link behind us takes less, which only routers say", LINK_MTU_BYTES, 1500],
    ["nothing takes less", 1500, 1500],
  ])("gets through where %s", async (_, host_bytes, pod_bytes) => {
    const { left, right } = bed.hosts;
    setPodLink(host_bytes, pod_bytes);
    const [, daemon] = await bed.pair(bed.hosts, (side, peer) => ipipConfig(side, peer));
    await expectReachable(left.pod, right.podIp);
    const capture = await Capture.start(
      ...([bed.cleanup, right.pod, "eth0"] as const),
      `tcp and dst host ${right.podIp} and greater ${LINK_MTU_BYTES - 60}`,
      2000,
    );
    const mean_bytes = await meanLength(daemon, async () => {
      const path = { client: left.pod, server: right.pod, address: right.podIp, port: 5201 };
      const { bytes } = await iperfTcp({ ...path, seconds: 2 });
      // Repeated one segment at a time, it would be some hundred segments.
      expect(bytes).toBeGreaterThan(5e6);
    });
    expect(mean_bytes).toBeGreaterThan(TUNNEL_MTU_BYTES);
    const lengths = capture.rows("tcp.len > 0", ["ip.len"]).map(([length]) => Number(length));
    await capture.stop();
    expect(Math.max(...lengths)).toBe(Math.min(host_bytes, TUNNEL_MTU_BYTES));
    const drops = Object.keys(dropsOf(await countersOf(daemon)));
    expect(drops.filter((name) => name !== "ingress device-busy")).toEqual([]);
  });
});

describe("merged TCP in other modes", () => {
  it.each([
    ["sit", "fd10::1", "fd11::1", "10.57.4.20", "10.57.4.21"],
    ["ipip6", "10.99.0.1", "10.99.0.2", "fd57::20", "fd57::21"],
    ["ip6ip6", "fd10::1", "fd11::1", "fd57::20", "fd57::21"],
  ] as const)("gets through: %s", async (mode, own, other, local, remote) => {
    const { left, right } = bed.hosts;
    const config = (address: string, to: string, from: string, peer: string): string => {
      const bits = address.includes(":") ? 128 : 32;
      return `tunnels:
  - name: tun0
    type: ipip
    mode: ${mode}
    local: "${from}"
    remote: "${peer}"
    addresses: ["${address}/${bits}"]
    routes: [{ to: "${to}/${bits}" }]
`;
    };
    await bed.start(left.host, config(own, other, local, remote));
    const daemon = await bed.start(right.host, config(other, own, remote, local));
    await expectReachable(left.host, other);
    const mean_bytes = await meanLength(daemon, async () => {
      const path = { client: left.host, server: right.host, address: other, port: 5201 };
      const { bytes } = await iperfTcp({ ...path, seconds: 1 });
      expect(bytes).toBeGreaterThan(5e6);
    });
    expect(mean_bytes).toBeGreaterThan(TUNNEL_MTU_BYTES);
    const drops = Object.keys(dropsOf(await countersOf(daemon)));
    expect(drops.filter((name) => name.startsWith("ingress") && !name.endsWith("busy"))).toEqual(
      [],
    );
  });
});

/** Runs with a UDP socket of the right pod open; `lengths` are those of the datagrams so far. */
async function listening(body: (lengths: () => number[]) => Promise<void>): Promise<void> {
  const script = [
    "import socket",
    "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    `s.bind(("", ${UDP_PORT}))`,
    'print("ready", flush=True)',
    "while True: print(len(s.recv(65535)), flush=True)",
  ];
  const child = bed.hosts.right.pod.spawn([python, "-c", script.join("\n")]);
  try {
    await eventually(() => expect(child.stdout).toContain("ready"));
    await body(() => child.stdout.split("\n").slice(1, -1).map(Number));
  } finally {
    await child.stop();
  }
}

/** Sends `bytes` to the right pod with a socket option set. */
function sendUdp(from: Namespace, bytes: number, [level, name, value]: readonly number[]): void {
  const script = [
    "import socket",
    "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    `s.setsockopt(${level}, ${name}, ${value})`,
    `s.sendto(b"x" * ${bytes}, ("${bed.hosts.right.podIp}", ${UDP_PORT}))`,
  ];
  from.run(python, "-c", script.join("\n"));
}

/** linux/udp.h, linux/in.h */
const UDP_SEGMENT_1000 = [17, 103, 1000] as const;
const MTU_DISCOVER_DONT = [0, 10, 0] as const;

/** Lets the right host's kernel join datagrams that it forwards. */
function joinDatagrams(on: boolean): void {
  const { host } = bed.hosts.right;
  host.run("ethtool", "-K", "eth0", "rx-udp-gro-forwarding", on ? "on" : "off");
}

describe("UDP", () => {
  it("is dropped when datagrams came joined, and passes when the kernel is told not to", async () => {
    const { left, right } = bed.hosts;
    const [, daemon] = await bed.pair(bed.hosts, (side, peer) => ipipConfig(side, peer));
    const dropped = async () => dropsOf(await countersOf(daemon))["ingress merged-udp"] ?? 0;
    await expectReachable(left.pod, right.podIp);
    await listening(async (lengths) => {
      joinDatagrams(true);
      try {
        // Whether a burst is merged is the kernel's affair: it depends on when it is polled.
        await eventually(async () => {
          sendUdp(left.pod, 20_000, UDP_SEGMENT_1000);
          expect(await dropped()).toBeGreaterThan(0);
        });
      } finally {
        joinDatagrams(false);
      }
      expect(lengths().filter((length) => length !== 1000)).toEqual([]);
      const [arrived, lost] = [lengths().length, await dropped()];
      sendUdp(left.pod, 20_000, UDP_SEGMENT_1000);
      await eventually(() => expect(lengths().length).toBeGreaterThanOrEqual(arrived + 20));
      expect(await dropped()).toBe(lost);
    });
  });

  it("passes when it is long because it came in outer fragments", async () => {
    const { left, right } = bed.hosts;
    const [, daemon] = await bed.pair(bed.hosts, (side, peer) =>
      ipipConfig(side, peer, side === left ? ["mtu: 9000"] : []),
    );
    await expectReachable(left.pod, right.podIp);
    await listening(async (lengths) => {
      const mean_bytes = await meanLength(daemon, async () => {
        for (const bytes of [5000, 8000]) sendUdp(left.host, bytes, MTU_DISCOVER_DONT);
        await eventually(() => expect(lengths()).toEqual([5000, 8000]));
      });
      expect(mean_bytes).toBe(28 + 6500);
    });
    expect(dropsOf(await countersOf(daemon))).toEqual({});
  });
});
