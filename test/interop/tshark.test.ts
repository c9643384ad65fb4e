// What culvert puts on the wire, as tshark sees it with checksum validation on: captured between
// two culverts whose underlay finishes nothing for them (offloads off), so each packet stands in
// the capture as a NIC would send it.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Cleanup } from "../../src/testbed/cleanup.js";
import {
  CulvertTunnel,
  culvertIpipConfig,
  culvertVxlanConfig,
} from "../../src/testbed/culvert-tunnel.js";
import { ping, pingUntilAnswered } from "../../src/testbed/ping.js";
import { createTwoHosts, type TwoHosts, underlayDevice } from "../../src/testbed/two-hosts.js";
import { type MadePacket, MadePackets, type TunnelType } from "./made-packets.js";
import {
  Capture,
  dissect,
  dropsOf,
  settled,
  transferDatagrams,
  transferTcp,
  unmetNeeds,
} from "./support.js";

const unmet = unmetNeeds({
  commands: [
    ["tshark", "--version"],
    ["tcpdump", "--version"],
  ],
  modules: ["scapy"],
});
const transfer_bytes = 3_000_000;
const ttl = 37;
const good = "1";

type Packet = Record<string, string[]>;

/** Values of one field over all packets, without doubles. */
function valuesOf(packets: readonly Packet[], field: string): string[] {
  return [...new Set(packets.flatMap((packet) => packet[field]!))].sort();
}

interface Wire {
  hosts: TwoHosts;
  file: string;
}

/**
 * Captures pings, a TCP transfer each way and UDP_SEGMENT sends of the pods, then takes the tunnel
 * down.
 */
async function record(cleanup: Cleanup, type: TunnelType): Promise<Wire> {
  const hosts = createTwoHosts(cleanup, { offloads: "off" });
  const { left, right } = hosts;
  const config = type === "vxlan" ? culvertVxlanConfig : culvertIpipConfig;
  const tunnel = new CulvertTunnel(hosts, cleanup, (side, peer) => {
    const text = config(side, peer).replace("    ttl: 64\n", "");
    return `${text}    ttl: ${ttl}\n`;
  });
  await tunnel.up();
  await pingUntilAnswered(left.pod, right.podIp);
  const filter = type === "vxlan" ? "udp port 4789" : "ip proto 4";
  const capture = await Capture.start(cleanup, right.host, underlayDevice, filter);
  const forward = { from: left.pod, to: right.pod, address: right.podIp };
  const back = { from: right.pod, to: left.pod, address: left.podIp };
  // TOS: DSCP EF with ECT(0), with CE, and neither.
  for (const tos of ["0xba", "0xbb", "0"]) {
    await ping({ from: left.pod, to: right.podIp, count: 3, extra: ["-Q", tos, "-M", "do"] });
  }
  await ping({ from: left.pod, to: right.podIp, count: 3, extra: ["-M", "dont"] });
  await transferTcp(forward, transfer_bytes);
  await transferTcp(back, transfer_bytes);
  // One flow per attempt, each with an inner source port of its own.
  for (let flow = 0; flow < 12; flow++) {
    await transferDatagrams(forward, { size_bytes: 700, count: 20, batch: 20 }, 1);
  }
  await capture.stop();
  await tunnel.down();
  return { hosts, file: capture.file };
}

const recordings = new Cleanup();
const wires = new Map<TunnelType, Promise<Wire>>();

/** Registers the recording of a tunnel type, which is made once. */
function recorded(type: TunnelType): () => Wire {
  let wire: Wire | undefined;
  beforeAll(async () => {
    if (unmet !== undefined) return;
    const made = wires.get(type) ?? record(recordings, type);
    wires.set(type, made);
    wire = await made;
  });
  beforeEach((context) => {
    if (unmet !== undefined) context.skip(unmet);
  });
  return () => wire!;
}

afterAll(() => recordings.run());

/**
 * Inner TCP segments that carry data: as many as the transfers need, none longer than the path, all
 * sums good.
 */
function expectSegments(file: string, longest_bytes: number): void {
  const fields = ["tcp.checksum.status", "ip.checksum.status", "ip.len", "tcp.len", "ip.id"];
  const segments = dissect(file, "tcp.len > 0", fields);
  const payload_bytes = segments.reduce((sum, { "tcp.len": [n] }) => sum + Number(n), 0);
  expect(payload_bytes).toBeGreaterThanOrEqual(2 * transfer_bytes);
  expect(valuesOf(segments, "tcp.checksum.status")).toEqual([good]);
  expect(valuesOf(segments, "ip.checksum.status")).toEqual([good]);
  expect(segments.every((packet) => packet["ip.len"]!.length === 2)).toBe(true);
  expect(Math.max(...segments.map((packet) => Number(packet["ip.len"]![1])))).toBe(longest_bytes);
  // Most of a bulk transfer is full segments, each with an identification of its own.
  const full = segments.filter((packet) => Number(packet["ip.len"]![1]) === longest_bytes);
  expect(full.length).toBeGreaterThan(segments.length / 2);
  const ids = full.map((packet) => packet["ip.id"]![1]);
  expect(new Set(ids).size).toBeGreaterThan(full.length / 3);
}

/** Nothing that tshark finds malformed, and no inner checksum of any kind that it finds wrong. */
function expectSound(file: string): void {
  const wrong =
    "_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0 || " +
    "udp.checksum.status == 0 || icmp.checksum.status == 0";
  expect(dissect(file, wrong, ["frame.number", "_ws.col.Info"])).toEqual([]);
  expect(dissect(file, "icmp", ["icmp.checksum.status"]).length).toBeGreaterThanOrEqual(24);
}

/** [inner, outer] of a field over the echo requests whose inner TOS byte is `tos`. */
function outerOf(file: string, tos: string, field: string): string[] {
  const requests = dissect(file, `icmp.type == 8 && ip.dsfield == ${tos}`, ["ip.dsfield", field]);
  const matching = requests.filter((packet) => Number(packet["ip.dsfield"]![1]) === Number(tos));
  expect(matching).not.toEqual([]);
  return [...new Set(matching.map((packet) => packet[field]![0]!))];
}

describe.each(["vxlan", "ipip"] as const)("%s on the wire", (type) => {
  const wire = recorded(type);

  it("has no malformed packet and no wrong checksum", () => expectSound(wire().file));

  it("has TCP superpackets cut into right segments", () =>
    expectSegments(wire().file, type === "vxlan" ? 1450 : 1480));

  it("takes ECN from the inner header, and not the DSCP", () => {
    const { file } = wire();
    for (const [tos, ecn] of [
      ["0xba", "2"],
      ["0xbb", "3"],
      ["0x00", "0"],
    ] as const) {
      expect(outerOf(file, tos, "ip.dsfield.ecn")).toEqual([ecn]);
      expect(outerOf(file, tos, "ip.dsfield.dscp")).toEqual(["0"]);
    }
  });

  it("has the configured TTL, and the outer addresses of the hosts", () => {
    const { hosts, file } = wire();
    const packets = dissect(file, "ip", ["ip.ttl", "ip.src", "ip.dst"]);
    expect([...new Set(packets.map((packet) => packet["ip.ttl"]![0]))]).toEqual([String(ttl)]);
    const ends = [hosts.left.underlayIp, hosts.right.underlayIp].sort();
    expect([...new Set(packets.map((packet) => packet["ip.src"]![0]))].sort()).toEqual(ends);
    expect([...new Set(packets.map((packet) => packet["ip.dst"]![0]))].sort()).toEqual(ends);
  });

  it("is never fragmented", () => {
    expect(dissect(wire().file, "ip.flags.mf == 1 || ip.frag_offset > 0", ["ip.id"])).toEqual([]);
  });
});

describe("VXLAN headers on the wire", () => {
  const wire = recorded("vxlan");

  it("are as RFC 7348 section 5 has them", () => {
    const fields = ["vxlan.flags", "vxlan.vni", "vxlan.reserved8", "vxlan.gbp", "udp.dstport"];
    // Keepalives are no frames: their I flag is not set.
    const packets = dissect(wire().file, "vxlan.flag_i == 1", fields);
    expect(packets.length).toBeGreaterThan((2 * transfer_bytes) / 1500);
    expect(valuesOf(packets, "vxlan.flags")).toEqual(["0x0800"]);
    expect(valuesOf(packets, "vxlan.vni")).toEqual(["100"]);
    expect(valuesOf(packets, "vxlan.reserved8")).toEqual(["0"]);
    expect(valuesOf(packets, "vxlan.gbp")).toEqual(["0"]);
    expect([...new Set(packets.map((packet) => packet["udp.dstport"]![0]))]).toEqual(["4789"]);
    // DF unset, as with the kernel's `df unset`.
    const outerDf = dissect(wire().file, "vxlan", ["ip.flags.df"]);
    expect([...new Set(outerDf.map((packet) => packet["ip.flags.df"]![0]))]).toEqual(["0"]);
  });

  it("have a right outer UDP checksum in front of every inner protocol", () => {
    const packets = dissect(wire().file, "vxlan", ["udp.checksum.status", "udp.checksum"]);
    expect(valuesOf(packets, "udp.checksum.status")).toEqual([good]);
    expect(packets.some((packet) => packet["udp.checksum"]![0] === "0x0000")).toBe(false);
  });

  it("have a source port of the dynamic range, one per flow and not one for all", () => {
    const fields = ["ip.src", "udp.srcport", "tcp.srcport", "tcp.dstport", "udp.dstport"];
    const packets = dissect(wire().file, "vxlan && (tcp || udp.dstport == 5302)", fields);
    const ports = new Map<string, Set<string>>();
    for (const packet of packets) {
      const outer = packet["udp.srcport"]![0]!;
      const inner = [packet["udp.srcport"]![1], packet["udp.dstport"]![1]];
      const flow = [packet["ip.src"]![1], packet["tcp.srcport"], packet["tcp.dstport"], inner];
      const key = JSON.stringify(flow);
      ports.set(key, (ports.get(key) ?? new Set()).add(outer));
    }
    const all = [...ports.values()].flatMap((set) => [...set]);
    expect(Math.min(...all.map(Number))).toBeGreaterThanOrEqual(49152);
    expect([...ports.values()].filter((set) => set.size !== 1)).toEqual([]);
    expect(ports.size).toBeGreaterThanOrEqual(16);
    expect(new Set(all).size).toBeGreaterThanOrEqual(4);
  });
});

describe("IPIP headers on the wire", () => {
  const wire = recorded("ipip");

  it("carry DF whatever the inner header has (pmtudisc), and lengths that agree", () => {
    const packets = dissect(wire().file, "ip.proto == 4", ["ip.flags.df", "ip.len", "ip.hdr_len"]);
    const df = packets.map((packet) => packet["ip.flags.df"]!.join(" "));
    expect([...new Set(df)].sort()).toEqual(["1 0", "1 1"]);
    for (const packet of packets) {
      const [outer, inner] = packet["ip.len"]!.map(Number);
      expect(outer).toBe(inner! + 20);
      expect(packet["ip.hdr_len"]![0]).toBe("20");
    }
  });
});

describe.each(["vxlan", "ipip"] as const)("congestion marks that arrive through %s", (type) => {
  const cleanup = new Cleanup();
  let packets: MadePackets;

  beforeAll(async () => {
    if (unmet !== undefined) return;
    try {
      packets = await MadePackets.start(cleanup, type);
    } catch (error) {
      cleanup.run();
      throw error;
    }
  });
  beforeEach((context) => {
    if (unmet !== undefined) context.skip(unmet);
  });
  afterAll(() => cleanup.run());

  const tosOf = (sent: MadePacket[]): (number | undefined)[] => {
    const marks = packets.marks().filter(({ headerRight }) => headerRight);
    return sent.map(({ mark }) => marks.find((seen) => seen.mark === mark)?.tos);
  };

  it("follow RFC 6040 section 4.2", async () => {
    const sent = [
      packets.make("udp", "none", { outer: 3, inner: 2 }),
      packets.make("udp", "none", { outer: 3, inner: 0xb9 }),
      packets.make("tcp", "none", { outer: 3, inner: 3 }),
      packets.make("udp", "none", { outer: 2, inner: 1 }),
      packets.make("udp", "none", { outer: 0, inner: 3 }),
      packets.make("udp", "none", { outer: 3, inner: 0 }),
    ];
    await packets.send(sent.map((packet) => [packet]));
    const wanted = [3, 0xbb, 3, 1, 3, undefined];
    expect(await settled(() => tosOf(sent), wanted)).toEqual(wanted);
    const dropped = { "ingress ecn": 1 };
    expect(await settled(() => dropsOf(packets.daemon, ["ingress"]), dropped)).toEqual(dropped);
  });

  it("mark every segment of a burst, checksums staying right", async () => {
    const burst = Array.from({ length: 16 }, () =>
      packets.make("tcp", "none", { outer: 3, inner: 2 }),
    );
    await packets.send([burst]);
    const wanted = burst.map(() => 3);
    expect(await settled(() => tosOf(burst), wanted)).toEqual(wanted);
  });

  if (type === "ipip") return;

  it("are set in IPv6 traffic classes too", async () => {
    const sent = [packets.make("udp6", "none", { outer: 3, inner: 2 })];
    await packets.send([sent]);
    expect(await settled(() => tosOf(sent), [3])).toEqual([3]);
  });
});
