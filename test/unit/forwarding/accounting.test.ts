// Properties of whole data planes: whatever bytes come in, nothing throws, and every packet that
// went in is accounted for: it was sent, written or answered, or one drop reason says why not.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FDB_PERMANENT } from "../../../src/fdb/fdb.js";
import { NEIGH_PERMANENT } from "../../../src/neigh/neigh.js";
import { NO_TUNNEL } from "../../../src/telemetry/counters.js";
import { DROP_REASONS } from "../../../src/telemetry/drop-reasons.js";
import { MemoryNetwork } from "../../../src/underlay/memory-underlay.js";
import {
  arpFrame,
  frame4,
  frame6,
  ip,
  ipip,
  ipv4Udp,
  ipv6Udp,
  join,
  MAC_B,
  mac,
  solicitationFrame,
  tagged,
  vxlanHeader,
} from "./frames.js";
import { HOST_A, HOST_B, HOST_C, MemoryHost, VNI } from "./memory-host.js";

const RUNS = { numRuns: 40 };

/** Random bytes, and valid ones with a few bytes changed and the end cut off. */
function bytesLike(valid: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const changed = fc
    .record({
      from: fc.constantFrom(...valid),
      changes: fc.array(fc.tuple(fc.nat(90), fc.nat(255)), { maxLength: 3 }),
      kept: fc.oneof(fc.constant(1), fc.double({ min: 0, max: 1, noNaN: true })),
    })
    .map(({ from, changes, kept }) => {
      const bytes = from.slice(0, Math.ceil(from.length * kept));
      for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
      return bytes;
    });
  return fc.oneof(fc.uint8Array({ maxLength: 120 }), changed, changed);
}

const FRAMES = [
  frame4(),
  frame4({ dontFragment: true, payload_bytes: 1600 }),
  frame4({}, "ff:ff:ff:ff:ff:ff"),
  frame4({}, "02:00:00:00:00:77"),
  frame6({ payload_bytes: 1600 }),
  tagged(frame6(), 5),
  arpFrame(1, "192.168.10.10", "192.168.11.10"),
  arpFrame(1, "192.168.10.10", "192.168.11.99"),
  solicitationFrame("fd00::a", "fd00::b"),
];
const PACKETS = [
  ipv4Udp(),
  ipv4Udp({ destination: HOST_C }),
  ipv4Udp({ destination: "172.16.0.1" }),
  ipv4Udp({ dontFragment: true, payload_bytes: 1600 }),
  ipv6Udp(),
];

function sumOfDrops(host: MemoryHost, tunnel: number): number {
  const { drops } = host.counters.tunnel(tunnel);
  return DROP_REASONS.filter(({ kind }) => kind === "drop")
    .map(({ id }) => drops[id])
    .reduce((sum, count) => sum + count, 0);
}

/**
 * A VXLAN tunnel whose datagrams of more than 1,500 bytes fail with EMSGSIZE and every 7th
 * otherwise with ENOBUFS.
 */
function vxlanHost() {
  const network = new MemoryNetwork();
  let sends = 0;
  network.onSend = ({ bytes }) => (bytes.length > 1500 ? -90 : ++sends % 7 === 0 ? -105 : 0);
  const host = new MemoryHost(network, HOST_A);
  const side = host.vxlan({ proxy: true });
  const { hi, lo } = mac(MAC_B);
  side.tunnel.fdb.add(hi, lo, host.remote(0, HOST_B), FDB_PERMANENT, 0);
  for (const text of ["192.168.11.10", "fd00::b"]) {
    const { w0, w1, w2, w3 } = ip(text);
    side.tunnel.neigh.add({ address: [w0, w1, w2, w3], hi, lo, flags: NEIGH_PERMANENT });
  }
  return { host, network, ...side };
}

describe("VXLAN", () => {
  it("egress: frames in = sent + answered + dropped", () => {
    fc.assert(
      fc.property(fc.array(bytesLike(FRAMES), { maxLength: 40 }), (frames) => {
        const { host, network, device, tunnel } = vxlanHost();
        tunnel.flood.append(host.remote(0, HOST_C, 4789, 200));
        host.send(device, ...frames);
        const { fields } = host.counters.tunnel(0);
        const answered = fields.arpReplies + fields.ndReplies;
        expect(fields.egressPackets + answered + sumOfDrops(host, 0)).toBe(frames.length);
        expect(network.sent).toHaveLength(fields.egressPackets);
        expect(device.written).toHaveLength(answered + fields.icmpErrors);
      }),
      RUNS,
    );
  });

  it("ingress: segments in = written + dropped", () => {
    const datagrams = FRAMES.map((frame) => join(vxlanHeader(VNI), frame));
    const arrivals = fc.record({
      bytes: bytesLike(datagrams),
      tos: fc.nat(3),
      from: fc.constantFrom(HOST_B, HOST_B, HOST_C),
      segments: fc.integer({ min: 1, max: 3 }),
    });
    fc.assert(
      fc.property(fc.array(arrivals, { maxLength: 40 }), (list) => {
        const { host, device } = vxlanHost();
        let expected = 0;
        for (const { bytes, tos, from, segments } of list) {
          const count = bytes.length === 0 ? 1 : segments;
          const run = join(...Array.from({ length: count }, () => bytes));
          expected += count;
          host.receiveUdp(run, { tos, from, segment_bytes: bytes.length });
        }
        const { fields } = host.counters.tunnel(0);
        const dropped = sumOfDrops(host, 0) + sumOfDrops(host, NO_TUNNEL);
        expect(fields.ingressPackets + dropped).toBe(expected);
        expect(device.written).toHaveLength(fields.ingressPackets);
      }),
      RUNS,
    );
  });
});

describe("IPIP", () => {
  function ipipHost() {
    const network = new MemoryNetwork();
    const host = new MemoryHost(network, HOST_A);
    const side = host.ipip();
    host.route(side, "192.168.0.0", 16, HOST_B);
    host.route(side, "10.57.4.0", 24);
    return { host, network, ...side };
  }

  it("egress: packets in = sent + dropped", () => {
    fc.assert(
      fc.property(fc.array(bytesLike(PACKETS), { maxLength: 40 }), (packets) => {
        const { host, network, device } = ipipHost();
        host.send(device, ...packets);
        const { fields } = host.counters.tunnel(0);
        expect(fields.egressPackets + sumOfDrops(host, 0)).toBe(packets.length);
        expect(network.sent).toHaveLength(fields.egressPackets);
        expect(device.written).toHaveLength(fields.icmpErrors);
      }),
      RUNS,
    );
  });

  it("ingress: packets in = written + dropped", () => {
    const outers = PACKETS.map((packet) => ipip(packet, { source: HOST_B, tos: 3 }));
    fc.assert(
      fc.property(fc.array(bytesLike(outers), { maxLength: 40 }), (packets) => {
        const { host, device } = ipipHost();
        for (const packet of packets) host.receiveRaw(packet);
        const { fields } = host.counters.tunnel(0);
        const dropped = sumOfDrops(host, 0) + sumOfDrops(host, NO_TUNNEL);
        expect(fields.ingressPackets + dropped).toBe(packets.length);
        expect(device.written).toHaveLength(fields.ingressPackets);
      }),
      RUNS,
    );
  });
});
