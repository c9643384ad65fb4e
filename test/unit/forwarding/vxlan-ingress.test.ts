// VXLAN ingress on memory devices: which datagram reaches which device, what is learned, why the
// others are dropped.

import { describe, expect, it } from "vitest";
import { RUN_GSO_SIZE } from "#abi";
import { FDB_LEARNED, FDB_PERMANENT } from "../../../src/fdb/fdb.js";
import { REMOTE_FLAG_LEARNED } from "../../../src/remotes/remote-rows.js";
import { MemoryNetwork } from "../../../src/underlay/memory-underlay.js";
import { ETHERTYPE_IPV4 } from "../../../src/wire/ethernet.js";
import {
  ethernet,
  frame4,
  frame6,
  ipv4Tcp,
  join,
  MAC_A,
  MAC_B,
  mac,
  tagged,
  vxlanHeader,
} from "./frames.js";
import {
  HOST_A,
  HOST_B,
  HOST_C,
  MemoryHost,
  NOW_S,
  PORT,
  VNI,
  type VxlanOptions,
} from "./memory-host.js";

const OWN_MAC = "02:00:00:00:00:01";

/** A host whose one configured remote is HOST_B. */
function hostWith(options: VxlanOptions = {}, maxRemotes = 64) {
  const host = new MemoryHost(new MemoryNetwork(), HOST_A, maxRemotes);
  const side = host.vxlan({ mac: OWN_MAC, ...options });
  const row = host.remote(side.tunnel.index, HOST_B);
  return { host, row, ...side };
}

const datagram = (frame: Uint8Array, vni = VNI) => join(vxlanHeader(vni), frame);
const learnedFrom = ({ tunnel }: ReturnType<typeof hostWith>, text: string) => {
  const { hi, lo } = mac(text);
  return tunnel.fdb.get(hi, lo);
};

describe("a frame from a known remote", () => {
  it("enters the device as it was, its source learned, its sender seen and counted", () => {
    const fixture = hostWith();
    const frame = frame4();
    fixture.host.receiveUdp(datagram(frame), { now_s: 777 });
    expect(fixture.device.written).toEqual([frame]);
    expect(fixture.host.counts(0)).toEqual({
      ...{ ingressPackets: 1, ingressBytes: frame.length, learned: 1 },
    });
    expect(learnedFrom(fixture, MAC_A)).toMatchObject({
      ...{ remote: fixture.row, flags: FDB_LEARNED, updated_s: 777 },
    });
    expect(fixture.host.remotes.get(fixture.row)?.lastSeen_s).toBe(777);
    expect(fixture.host.counters.remote(fixture.row)).toEqual({
      ...{ egressPackets: 0, egressBytes: 0 },
      ...{ ingressPackets: 1, ingressBytes: frame.length },
    });
  });

  it("reaches the device of its VNI when tunnels share a port", () => {
    const { host, device } = hostWith();
    const second = host.vxlan({ vni: 200, mac: OWN_MAC });
    const third = host.vxlan({ vni: 0xffffff, mac: OWN_MAC });
    for (const { tunnel } of [second, third]) host.remote(tunnel.index, HOST_B, PORT, tunnel.vni);
    const frames = [frame4({ sourcePort: 1 }), frame4({ sourcePort: 2 }), frame6()];
    const messages = frames.map((frame, i) => datagram(frame, [0xffffff, VNI, 200][i]));
    for (const bytes of messages) host.receiveUdp(bytes);
    expect([device, second.device, third.device].map(({ written }) => written)).toEqual([
      [frames[1]],
      [frames[2]],
      [frames[0]],
    ]);
    expect([0, 1, 2].map((tunnel) => host.counts(tunnel).ingressPackets)).toEqual([1, 1, 1]);
  });

  it("reaches a tunnel on another port only by that port", () => {
    const { host, device } = hostWith();
    const other = host.vxlan({ vni: VNI, port: 8472 });
    host.remote(1, HOST_B, 8472, VNI);
    host.receiveUdp(datagram(frame4()), { port: 8472 });
    expect([device.written.length, other.device.written.length]).toEqual([0, 1]);
  });

  it("counts every segment of a run, the short last one too", () => {
    const fixture = hostWith();
    const segment = datagram(frame4());
    const last = datagram(frame4({ payload_bytes: 3 }));
    fixture.host.receiveUdp(join(segment, segment, segment, last), {
      segment_bytes: segment.length,
    });
    expect(fixture.device.written.map(({ length }) => length)).toEqual([72, 72, 72, 45]);
    const counts = { ingressPackets: 4, ingressBytes: 3 * 72 + 45 };
    expect(fixture.host.counts(0)).toEqual({ ...counts, learned: 1 });
    expect(fixture.host.counters.remote(fixture.row)).toMatchObject(counts);
  });
});

describe("VXLAN header", () => {
  it("is truncated: less than a header and an Ethernet header; counted per segment", () => {
    const { host, device } = hostWith();
    const whole = datagram(frame4());
    for (const length of [0, 1, 7, 8, 21]) host.receiveUdp(whole.slice(0, length));
    host.receiveUdp(join(whole.slice(0, 21), whole.slice(0, 21)), { segment_bytes: 21 });
    expect(device.written).toEqual([]);
    expect(host.strayCounts()).toEqual({ truncated: 7 });
  });

  it("is at the front of a datagram longer than a slot: truncated", () => {
    const { host } = hostWith();
    host.receiveUdp(join(datagram(frame4()), new Uint8Array(65_600)));
    expect(host.strayCounts()).toEqual({ truncated: 1 });
  });

  it("without the I flag is bad-flags, whatever else is set", () => {
    const { host, device } = hostWith();
    for (const flags of [0, 0x04, 0xf7]) {
      const bytes = datagram(frame4());
      bytes[0] = flags;
      host.receiveUdp(bytes);
    }
    expect(device.written).toEqual([]);
    expect(host.strayCounts()).toEqual({ "bad-flags": 3 });
  });

  it("with reserved bits passes, unless the tunnel is strict", () => {
    const patches = [
      [0, 0x88],
      [1, 1],
      [2, 1],
      [3, 0x80],
      [7, 1],
    ];
    for (const strictReserved of [false, true]) {
      const { host, device } = hostWith({ strictReserved });
      for (const [at, value] of patches) {
        const bytes = datagram(frame4());
        bytes[at] = value;
        host.receiveUdp(bytes);
      }
      host.receiveUdp(datagram(frame4()));
      expect(device.written).toHaveLength(strictReserved ? 1 : 6);
      expect(host.counts(0)["bad-flags"]).toBe(strictReserved ? 5 : undefined);
      expect(host.strayCounts()).toEqual({});
    }
  });

  it("with a VNI of no tunnel is unknown-vni, per segment", () => {
    const { host } = hostWith();
    const bytes = datagram(frame4(), VNI + 1);
    host.receiveUdp(join(bytes, bytes, bytes), { segment_bytes: bytes.length });
    expect(host.strayCounts()).toEqual({ "unknown-vni": 3 });
    expect(host.counts(0)).toEqual({});
  });
});

describe("outer source", () => {
  const words = (...four: [number, number, number, number]) => four;
  const ones = 0xffffffff | 0;

  it("that is no configured remote is foreign by default: nothing learned, nobody remembered", () => {
    const fixture = hostWith();
    fixture.host.receiveUdp(datagram(frame4()), { from: HOST_C });
    expect(fixture.device.written).toEqual([]);
    expect(fixture.host.counts(0)).toEqual({ "foreign-source": 1 });
    expect(learnedFrom(fixture, MAC_A)).toBeUndefined();
    expect(fixture.host.remotes.count).toBe(1);
  });

  it("may be anybody with `any`, and is remembered as learned", () => {
    const fixture = hostWith({ allow: "any" });
    fixture.host.receiveUdp(datagram(frame4()), { from: HOST_C, now_s: 42 });
    expect(fixture.device.written).toHaveLength(1);
    const remote = fixture.host.remotes.get(learnedFrom(fixture, MAC_A)?.remote ?? -1);
    expect(remote).toMatchObject({ flags: REMOTE_FLAG_LEARNED, port: PORT, lastSeen_s: 42 });
    fixture.host.receiveUdp(datagram(frame4()), { from: HOST_C, now_s: 43 });
    expect(fixture.host.remotes.count).toBe(2);
    expect(fixture.host.remotes.get(remote?.index ?? -1)?.lastSeen_s).toBe(43);
  });

  it("is refused by another name when there is no room to remember it", () => {
    const fixture = hostWith({ allow: "any" }, 2);
    fixture.host.receiveUdp(datagram(frame4()), { from: HOST_C });
    fixture.host.receiveUdp(datagram(frame4()), { from: "10.57.4.23" });
    expect(fixture.device.written).toHaveLength(1);
    expect(fixture.host.counts(0)["remotes-full"]).toBe(1);
    expect(fixture.host.counts(0)["foreign-source"]).toBeUndefined();
  });

  it("may be within one of the prefixes, IPv4 and IPv6, or a configured remote", () => {
    const allow = [
      { words: words(0, 0, 0xffff, 0x0a3a0000), masks: words(ones, ones, ones, 0xffff0000 | 0) },
      { words: words(0xfd000000, 0, 0, 0), masks: words(0xff000000 | 0, 0, 0, 0) },
    ];
    const fixture = hostWith({ allow });
    const from = (address: string) => {
      fixture.device.written.length = 0;
      fixture.host.receiveUdp(datagram(frame4()), { from: address });
      return fixture.device.written.length;
    };
    const passes = [HOST_B, "10.58.0.1", "10.58.255.255", "fd00::1", "fdff:ffff::1"];
    const foreign = ["10.57.255.255", "10.59.0.0", HOST_C, "fe00::1", "::10.58.0.1"];
    expect(passes.map(from)).toEqual([1, 1, 1, 1, 1]);
    expect(foreign.map(from)).toEqual([0, 0, 0, 0, 0]);
    expect(fixture.host.counts(0)["foreign-source"]).toBe(5);
  });

  it("is known by its address, whatever port and VNI we send to it with", () => {
    const { host, device, tunnel } = hostWith();
    const row = host.remote(0, HOST_C, 8472, 200);
    const { hi, lo } = mac(MAC_A);
    tunnel.fdb.add(hi, lo, row, FDB_PERMANENT, 0);
    host.receiveUdp(datagram(frame4()), { from: HOST_C });
    expect(device.written).toHaveLength(1);
    expect(tunnel.fdb.lookup(hi, lo)).toBe(row);
    expect(host.counts(0)["static-mac-moved"]).toBeUndefined();
  });

  it("refreshes a dynamic entry with a port and VNI of its own, which stay", () => {
    const { host, device, tunnel } = hostWith();
    const row = host.remote(0, HOST_C, 8472, 200);
    const { hi, lo } = mac(MAC_A);
    tunnel.fdb.add(hi, lo, row, 0, NOW_S - 100);
    host.receiveUdp(datagram(frame4()), { from: HOST_C, now_s: NOW_S });
    expect(device.written).toHaveLength(1);
    expect(tunnel.fdb.get(hi, lo)).toMatchObject({ remote: row, flags: 0, updated_s: NOW_S });
    expect(host.counts(0)).not.toHaveProperty("moved");
  });
});

describe("inner source MAC", () => {
  it("that is our own is own-source, per segment", () => {
    const { host, device } = hostWith();
    const bytes = datagram(frame4({}, MAC_B, OWN_MAC));
    host.receiveUdp(join(bytes, bytes), { segment_bytes: bytes.length });
    expect(device.written).toEqual([]);
    expect(host.counts(0)).toEqual({ "own-source": 2 });
  });

  it("that is multicast, broadcast or zero is invalid-source-mac, learning or not", () => {
    for (const learning of [true, false]) {
      const { host, device } = hostWith({ learning });
      for (const source of ["01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"]) {
        host.receiveUdp(datagram(frame4({}, MAC_B, source)));
      }
      expect(device.written).toEqual([]);
      expect(host.counts(0)).toEqual({ "invalid-source-mac": 3 });
    }
  });

  it("with a static entry at another remote is static-mac-moved and stays where it was", () => {
    const { host, device, tunnel, row } = hostWith();
    const { hi, lo } = mac(MAC_A);
    tunnel.fdb.add(hi, lo, row, FDB_PERMANENT, 0);
    host.remote(0, HOST_C);
    host.receiveUdp(datagram(frame4()), { from: HOST_C });
    expect(device.written).toEqual([]);
    expect(host.counts(0)).toEqual({ "static-mac-moved": 1 });
    host.receiveUdp(datagram(frame4()));
    expect(device.written).toHaveLength(1);
    expect(tunnel.fdb.lookup(hi, lo)).toBe(row);
  });
});

describe("inner VLAN tag", () => {
  it("passes, or is inner-vlan where the tunnel drops it (802.1Q and 802.1ad)", () => {
    const qinq = tagged(frame4(), 7);
    qinq.set([0x88, 0xa8], 12);
    for (const dropInnerVlan of [false, true]) {
      const { host, device } = hostWith({ dropInnerVlan });
      for (const frame of [tagged(frame4(), 7), qinq, frame4()]) host.receiveUdp(datagram(frame));
      expect(device.written).toHaveLength(dropInnerVlan ? 1 : 3);
      expect(host.counts(0)["inner-vlan"]).toBe(dropInnerVlan ? 2 : undefined);
    }
  });

  it("is looked at before learning: a dropped frame teaches nothing", () => {
    const fixture = hostWith({ dropInnerVlan: true });
    fixture.host.receiveUdp(datagram(tagged(frame4(), 7)));
    expect(learnedFrom(fixture, MAC_A)).toBeUndefined();
  });
});

describe("learning", () => {
  it("moves an entry to the sender heard last", () => {
    const fixture = hostWith();
    const other = fixture.host.remote(0, HOST_C);
    fixture.host.receiveUdp(datagram(frame4()));
    fixture.host.receiveUdp(datagram(frame4()), { from: HOST_C });
    expect(learnedFrom(fixture, MAC_A)?.remote).toBe(other);
    expect(fixture.host.counts(0)).toMatchObject({ learned: 1, moved: 1, ingressPackets: 2 });
  });

  it("refreshes an entry's time without counting it again", () => {
    const fixture = hostWith();
    fixture.host.receiveUdp(datagram(frame4()));
    fixture.host.receiveUdp(datagram(frame4()), { now_s: NOW_S + 60 });
    expect(learnedFrom(fixture, MAC_A)?.updated_s).toBe(NOW_S + 60);
    expect(fixture.host.counts(0)).toMatchObject({ learned: 1, ingressPackets: 2 });
  });

  it("stops at max_entries: the frame passes, the event is counted", () => {
    const fixture = hostWith({ maxEntries: 1 });
    fixture.host.receiveUdp(datagram(frame4()));
    fixture.host.receiveUdp(datagram(frame4({}, MAC_A, MAC_B)));
    expect(fixture.device.written).toHaveLength(2);
    expect(fixture.host.counts(0)).toMatchObject({ learned: 1, "fdb-full": 1 });
    expect(learnedFrom(fixture, MAC_B)).toBeUndefined();
  });

  it("stops at max_macs_per_remote: the frame passes, the event is counted", () => {
    const fixture = hostWith({ maxMacsPerRemote: 1 });
    for (const source of [MAC_B, "02:00:00:00:00:63", MAC_B]) {
      fixture.host.receiveUdp(datagram(frame4({}, MAC_A, source)));
    }
    expect(fixture.device.written).toHaveLength(3);
    expect(fixture.host.counts(0)).toMatchObject({ learned: 1, "mac-limit": 1 });
    expect(learnedFrom(fixture, "02:00:00:00:00:63")).toBeUndefined();
  });

  it("can be off", () => {
    const fixture = hostWith({ learning: false });
    fixture.host.receiveUdp(datagram(frame4()));
    expect(fixture.tunnel.fdb.count).toBe(0);
    expect(fixture.host.counts(0)).toEqual({ ingressPackets: 1, ingressBytes: 72 });
  });

  it("makes the answer find its way: two hosts, first flooded, then to the one remote", () => {
    const network = new MemoryNetwork();
    const [a, b, c] = [HOST_A, HOST_B, HOST_C].map((address) => {
      const host = new MemoryHost(network, address);
      const side = host.vxlan();
      const peers = [HOST_A, HOST_B, HOST_C].filter((peer) => peer !== address);
      for (const peer of peers) side.tunnel.flood.append(host.remote(0, peer));
      return { host, ...side };
    });
    a.host.send(a.device, frame4());
    for (const { host } of [b, c]) host.pump();
    expect([b.device.written, c.device.written]).toEqual([[frame4()], [frame4()]]);
    network.sent.length = 0;
    const reply = frame4({}, MAC_A, MAC_B);
    b.host.send(b.device, reply);
    a.host.pump();
    expect(a.device.written).toEqual([reply]);
    expect(network.sent).toHaveLength(1);
    network.sent.length = 0;
    a.host.send(a.device, frame4());
    expect(network.sent).toHaveLength(1);
  });
});

describe("a merged frame that nobody segmented", () => {
  const tcp = (payload_bytes: number) =>
    tagged(ethernet(MAC_B, MAC_A, ETHERTYPE_IPV4, ipv4Tcp({ payload_bytes })), 7);
  const big = frame4({ payload_bytes: 4000 });

  it("of TCP is given to the device with the payload size that its MTU allows", () => {
    const { host, device } = hostWith({ mtu_bytes: 1450 });
    host.receiveUdp(datagram(tcp(4000)));
    expect(device.written).toEqual([tcp(4000)]);
    expect(host.ingressBatch.runs[RUN_GSO_SIZE]).toBe(1450 - 40);
  });

  it("of UDP stays whole: nobody knows which datagrams it was", () => {
    const { host, device } = hostWith({ mtu_bytes: 1450 });
    host.receiveUdp(datagram(big));
    expect(device.written).toEqual([big]);
    expect(host.ingressBatch.runs[RUN_GSO_SIZE]).toBe(0);
  });

  it("is no more than the MTU when only its VLAN tag exceeds it", () => {
    const { host } = hostWith({ mtu_bytes: 70 });
    host.receiveUdp(datagram(tcp(30)));
    expect(host.ingressBatch.runs[RUN_GSO_SIZE]).toBe(0);
    host.receiveUdp(datagram(tcp(31)));
    expect(host.ingressBatch.runs[RUN_GSO_SIZE]).toBe(30);
  });

  it("is inner-malformed when its headers contradict its length", () => {
    const { host, device } = hostWith();
    host.receiveUdp(datagram(big.slice(0, -1)));
    expect(device.written).toEqual([]);
    expect(host.counts(0)).toEqual({ "inner-malformed": 1 });
  });
});
