// A flood list of a thousand remotes: every one gets every frame, once and in order, and the
// counters say exactly so. All remotes are addresses of one sink.

import { describe, expect, it } from "vitest";
import type { Cleanup } from "../../src/testbed/cleanup.js";
import { addVeth, Namespace } from "../../src/testbed/namespace.js";
import {
  countersOf,
  culvert,
  dropsOf,
  eventOf,
  eventually,
  python,
  scapy,
  silenceIpv6,
  useBed,
} from "./support.js";

const members = 1000;
const frames = 20;

/** Two hosts on a wire; to the right one every address of 10.60.0.0/16 is its own. */
const bed = useBed(["scapy", "python3"], (cleanup: Cleanup) => {
  const host = Namespace.create(cleanup, "flooder");
  const sink = Namespace.create(cleanup, "sink");
  for (const ns of [host, sink]) silenceIpv6(ns);
  addVeth({ namespace: host, device: "eth0" }, { namespace: sink, device: "eth0" });
  host.ip("addr", "add", "10.57.4.20/24", "dev", "eth0");
  sink.ip("addr", "add", "10.57.4.21/24", "dev", "eth0");
  host.ip("route", "add", "10.60.0.0/16", "via", "10.57.4.21");
  sink.ip("route", "add", "local", "10.60.0.0/16", "dev", "lo");
  return { host, sink };
});

/** Takes datagrams on port 4789 until `count` came; prints the numbers in them by destination. */
const collector = (count: number): string => `
import json, socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
s.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO
s.bind(("0.0.0.0", 4789))
s.settimeout(60)
print("listening", flush=True)
seen, n = {}, 0
while n < ${count}:
    try:
        data, control, _, _ = s.recvmsg(2048, 64)
    except socket.timeout:
        break
    where = socket.inet_ntoa(control[0][2][8:12])
    seen.setdefault(where, []).append(data[-1])
    n += 1
    if n == ${count}: s.settimeout(0.5)
print(json.dumps(seen), flush=True)
`;

const addressOf = (i: number): string => `10.60.${i >> 8}.${i & 255}`;

describe("a flood list of a thousand remotes", () => {
  it("gets every broadcast frame, each remote once and in order", async () => {
    const { host, sink } = bed.hosts;
    const list = Array.from({ length: members }, (_, i) => addressOf(i));
    const daemon = await bed.start(
      host,
      `tunnels:
  - { name: vxlan100, type: vxlan, vni: 100, local: 10.57.4.20, keepalive_s: 0, remotes: [${list.join(", ")}] }\n`,
    );
    const child = sink.spawn([python, "-c", collector(members * frames)]);
    await eventually(() => expect(child.stdout).toContain("listening"));
    scapy(host, [
      'frames = [Ether(src="02:00:00:00:00:77",dst="ff:ff:ff:ff:ff:ff",type=0x88b5)/' +
        `Raw(bytes(60)+bytes([n])) for n in range(${frames})]`,
      'sendp(frames, iface="vxlan100")',
    ]);
    const { status, stdout } = await child.wait(60_000);
    expect(status).toBe(0);
    const seen = JSON.parse(stdout.slice(stdout.indexOf("{"))) as Record<string, number[]>;
    const expected = Array.from({ length: frames }, (_, n) => n);
    expect(Object.keys(seen).sort()).toEqual([...list].sort());
    for (const address of list) expect(seen[address]).toEqual(expected);
    const counters = await countersOf(daemon);
    expect(dropsOf(counters)).toEqual({});
    expect(eventOf(counters, "floods")).toBe(frames);
    expect(counters.tunnels[0]!.egress.packets).toBe(members * frames);
    const peers = counters.tunnels[0]!.peers;
    expect(peers).toHaveLength(members);
    for (const peer of peers) expect(peer.egress.packets).toBe(frames);
  });

  it("drops what finds no room, and counts it: frames in are frames flooded or dropped", async () => {
    const { host } = bed.hosts;
    const list = Array.from({ length: members }, (_, i) => addressOf(i));
    const daemon = await bed.start(
      host,
      `tunnels:
  - { name: vxlan100, type: vxlan, vni: 100, local: 10.57.4.20, keepalive_s: 0, remotes: [${list.join(", ")}] }\n`,
    );
    const sent = 2000;
    scapy(host, [
      'frame = bytes(Ether(src="02:00:00:00:00:77",dst="ff:ff:ff:ff:ff:ff",type=0x88b5)/Raw(bytes(200)))',
      "import socket",
      "s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
      's.bind(("vxlan100", 0))',
      `for _ in range(${sent}): s.send(frame)`,
    ]);
    await eventually(async () => {
      const counters = await countersOf(daemon);
      const drops = dropsOf(counters);
      const dropped = drops["egress bum-queue-full"] ?? 0;
      const [link] = JSON.parse(host.ip("-s", "-j", "link", "show", "vxlan100")) as [
        { stats64: { tx: { packets: number } } },
      ];
      const floods = eventOf(counters, "floods");
      // What the device's own queue lost (tx_dropped) never came to culvert.
      expect(floods + dropped).toBe(link.stats64.tx.packets);
      expect(dropped).toBeGreaterThan(0);
      const busy = (drops["egress underlay-busy"] ?? 0) + (drops["egress underlay-error"] ?? 0);
      expect(counters.tunnels[0]!.egress.packets + busy).toBe(floods * members);
    });
    expect(await culvert(daemon, "status")).toContain("vxlan100");
  });
});
