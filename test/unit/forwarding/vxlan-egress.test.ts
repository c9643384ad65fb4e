// VXLAN egress on memory devices: where a frame goes, what stands in front of it, what is counted.

import { describe, expect, it } from "vitest";
import {
  FRAME_GSO_SIZE,
  FRAME_GSO_TYPE,
  FRAME_L3,
  FRAME_L4,
  FRAME_PAYLOAD,
  FRAME_WORDS,
  GSO_ECN,
  GSO_TCPV4,
  GSO_UDP_L4,
  SEND_FLAGS,
  SEND_NO_GSO,
} from "#abi";
import { MemoryDevice } from "../../../src/device/memory-device.js";
import { FDB_PERMANENT } from "../../../src/fdb/fdb.js";
import type { EgressBatch } from "../../../src/packet/egress-batch.js";
import { REMOTE_FLAG_NO_GSO } from "../../../src/remotes/remote-rows.js";
import { MemoryNetwork } from "../../../src/underlay/memory-underlay.js";
import { formatIpv4 } from "../../../src/wire/ip-address.js";
import {
  arpFrame,
  BROADCAST,
  ethernet,
  frame4,
  frame6,
  join,
  MAC_A,
  MAC_B,
  mac,
  tagged,
  vxlanHeader,
} from "./frames.js";
import { HOST_A, HOST_B, HOST_C, MemoryHost, PORT, VNI, type VxlanOptions } from "./memory-host.js";

function hostWith(options: VxlanOptions = {}) {
  const network = new MemoryNetwork();
  const host = new MemoryHost(network, HOST_A);
  return { network, host, ...host.vxlan(options) };
}

type Fixture = ReturnType<typeof hostWith>;

/** A permanent FDB entry for MAC_B. */
function addEntry({ host, tunnel }: Fixture, address = HOST_B, port = PORT, vni = VNI): number {
  const row = host.remote(tunnel.index, address, port, vni);
  const { hi, lo } = mac(MAC_B);
  tunnel.fdb.add(hi, lo, row, FDB_PERMANENT, 0);
  return row;
}

function addFlood({ host, tunnel }: Fixture, address: string, port = PORT, vni = VNI): number {
  const row = host.remote(tunnel.index, address, port, vni);
  tunnel.flood.append(row);
  return row;
}

/** A device that says of its frames that they are superpackets. */
class SuperpacketDevice extends MemoryDevice {
  gsoType = 0;
  gsoSize = 0;

  override readBatch(batch: EgressBatch, limit: number): number {
    const count = super.readBatch(batch, limit);
    for (let row = 0; row < count; row++) {
      batch.frames[row * FRAME_WORDS + FRAME_GSO_TYPE] = this.gsoType;
      batch.frames[row * FRAME_WORDS + FRAME_GSO_SIZE] = this.gsoSize;
    }
    return count;
  }
}

describe("unicast", () => {
  it("goes to the FDB's remote behind a VXLAN header with that remote's VNI and port", () => {
    const fixture = hostWith();
    const row = addEntry(fixture, HOST_B, 8472, 4242);
    const frame = frame4();
    fixture.host.send(fixture.device, frame);
    expect(fixture.network.sent).toHaveLength(1);
    const [sent] = fixture.network.sent;
    expect(formatIpv4(sent.destination.w3)).toBe(HOST_B);
    expect(formatIpv4(sent.source.w3)).toBe(HOST_A);
    expect([sent.destinationPort, sent.tos, sent.alone]).toEqual([8472, 0, false]);
    expect([...sent.bytes.slice(0, 8)]).toEqual([8, 0, 0, 0, 0, 0x10, 0x92, 0]);
    expect(sent.bytes.slice(8)).toEqual(frame);
    expect(fixture.host.counts(0)).toEqual({ egressPackets: 1, egressBytes: frame.length });
    expect(fixture.host.counters.remote(row)).toEqual({
      ...{ egressPackets: 1, egressBytes: frame.length },
      ...{ ingressPackets: 0, ingressBytes: 0 },
    });
  });

  it("keeps VLAN tags and frames that are not IP", () => {
    const fixture = hostWith();
    addEntry(fixture);
    const frames = [tagged(frame4(), 7), ethernet(MAC_B, MAC_A, 0x88cc, new Uint8Array(3))];
    fixture.host.send(fixture.device, ...frames);
    const expected = frames.map((frame) => join(vxlanHeader(VNI), frame));
    expect(fixture.network.sent.map(({ bytes }) => bytes)).toEqual(expected);
  });

  it("without an entry is flooded, and without a flood list dropped as l2miss", () => {
    const fixture = hostWith();
    fixture.host.send(fixture.device, frame4());
    expect(fixture.host.counts(0)).toEqual({ l2miss: 1 });
    addFlood(fixture, HOST_B);
    const frame = frame4();
    fixture.host.send(fixture.device, frame);
    expect(fixture.network.sent.map(({ bytes }) => bytes)).toEqual([join(vxlanHeader(VNI), frame)]);
    expect(fixture.host.counts(0)).toEqual({
      ...{ l2miss: 1, floods: 1, egressPackets: 1 },
      egressBytes: frame.length,
    });
  });
});

describe("BUM", () => {
  it("goes to every member of the flood list with that member's VNI and port", () => {
    const fixture = hostWith();
    const rows = [
      addFlood(fixture, HOST_B),
      addFlood(fixture, HOST_C, 8472, 200),
      addFlood(fixture, "10.57.4.23", PORT, 300),
    ];
    const frame = frame4({}, BROADCAST);
    fixture.host.send(fixture.device, frame);
    const sent = fixture.network.sent.map(({ destination, destinationPort, bytes }) => ({
      to: `${formatIpv4(destination.w3)}:${destinationPort}`,
      bytes,
    }));
    expect(sent).toEqual([
      { to: `${HOST_B}:4789`, bytes: join(vxlanHeader(VNI), frame) },
      { to: `${HOST_C}:8472`, bytes: join(vxlanHeader(200), frame) },
      { to: "10.57.4.23:4789", bytes: join(vxlanHeader(300), frame) },
    ]);
    expect(fixture.host.counts(0)).toEqual({
      ...{ floods: 1, egressPackets: 3 },
      egressBytes: 3 * frame.length,
    });
    for (const row of rows) expect(fixture.host.counters.remote(row).egressPackets).toBe(1);
  });

  it("with an empty flood list is dropped as no-remotes", () => {
    const fixture = hostWith();
    fixture.host.send(fixture.device, frame4({}, BROADCAST), frame4({}, "01:00:5e:00:00:01"));
    expect(fixture.network.sent).toEqual([]);
    expect(fixture.host.counts(0)).toEqual({ "no-remotes": 2 });
  });

  it("follows a flood list that changes between batches", () => {
    const fixture = hostWith();
    const row = addFlood(fixture, HOST_B);
    fixture.host.send(fixture.device, frame4({}, BROADCAST));
    fixture.tunnel.flood.remove(row);
    addFlood(fixture, HOST_C);
    fixture.host.send(fixture.device, frame4({}, BROADCAST));
    const destinations = fixture.network.sent.map(({ destination }) => formatIpv4(destination.w3));
    expect(destinations).toEqual([HOST_B, HOST_C]);
  });

  it("sends a multicast MAC that has a list there, others to the flood list", () => {
    const fixture = hostWith();
    const { fdb, flood } = fixture.tunnel;
    addFlood(fixture, HOST_B);
    const rows = [HOST_C, "10.57.4.99"].map((address) => fixture.host.remote(0, address));
    const list = flood.allocate();
    for (const row of rows) flood.append(row, list);
    const group = mac("01:00:5e:01:02:03");
    fdb.add(group.hi, group.lo, list, FDB_PERMANENT, 0);
    const sentTo = (destination: string) => {
      fixture.network.sent.length = 0;
      fixture.host.send(fixture.device, frame4({}, destination));
      return fixture.network.sent.map((datagram) => formatIpv4(datagram.destination.w3));
    };
    expect(sentTo("01:00:5e:01:02:03")).toEqual([HOST_C, "10.57.4.99"]);
    expect(sentTo("01:00:5e:01:02:04")).toEqual([HOST_B]);
    expect(sentTo(BROADCAST)).toEqual([HOST_B]);
    fdb.del(group.hi, group.lo);
    flood.clear(list);
    expect(sentTo("01:00:5e:01:02:03")).toEqual([HOST_B]);
  });

  it("takes the all-zero MAC's entry for a list, also as a destination", () => {
    const fixture = hostWith();
    addFlood(fixture, HOST_B);
    addFlood(fixture, HOST_C);
    fixture.tunnel.fdb.add(0, 0, 0, FDB_PERMANENT, 0);
    fixture.host.send(fixture.device, frame4({}, "00:00:00:00:00:00"));
    expect(fixture.network.sent).toHaveLength(2);
  });

  it("loses nothing when the send list is full: 10 frames to 1000 remotes", () => {
    const network = new MemoryNetwork();
    const host = new MemoryHost(network, HOST_A, 1024);
    const side = host.vxlan();
    for (let i = 0; i < 1000; i++) {
      side.tunnel.flood.append(host.remote(0, `10.58.${i >> 8}.${i & 0xff}`));
    }
    const frames = Array.from({ length: 10 }, (_, i) => frame4({ sourcePort: i }, BROADCAST));
    host.send(side.device, ...frames);
    expect(host.counts(0)).toEqual({
      ...{ floods: 10, egressPackets: 10_000 },
      egressBytes: 10_000 * frames[0].length,
    });
    const pairs = network.sent.map(({ destination, bytes }) => `${destination.w3} ${bytes[43]}`);
    expect(new Set(pairs).size).toBe(10_000);
  });

  it("keeps every member's VNI when the send list fills up in the middle of a frame", () => {
    const network = new MemoryNetwork();
    const host = new MemoryHost(network, HOST_A, 2048);
    const side = host.vxlan();
    // The 2049th send is one whose header lies in scratch; the headers behind it must not take its
    // place.
    for (let i = 0; i < 1000; i++) {
      const vni = i < 48 ? VNI : 1000 + i;
      side.tunnel.flood.append(host.remote(0, `10.58.${i >> 8}.${i & 0xff}`, PORT, vni));
    }
    const frames = Array.from({ length: 6 }, () => frame4({}, BROADCAST));
    host.send(side.device, ...frames);
    expect(network.sent).toHaveLength(6000);
    const wrong = network.sent.filter(({ destination, bytes }) => {
      const member = destination.w3 & 0xffff;
      const vni = (bytes[4] << 16) | (bytes[5] << 8) | bytes[6];
      return vni !== (member < 48 ? VNI : 1000 + member);
    });
    expect(wrong.map(({ destination }) => formatIpv4(destination.w3))).toEqual([]);
  });
});

describe("frames that are dropped", () => {
  it("as runts: shorter than an Ethernet header", () => {
    const fixture = hostWith();
    addFlood(fixture, HOST_B);
    fixture.host.send(fixture.device, new Uint8Array(0), frame4().slice(0, 13));
    expect(fixture.network.sent).toEqual([]);
    expect(fixture.host.counts(0)).toEqual({ "runt-frame": 2 });
  });

  it("as malformed: an IP header that says more than there is, a cut VLAN tag", () => {
    const fixture = hostWith();
    addFlood(fixture, HOST_B);
    const cutTag = ethernet(MAC_B, MAC_A, 0x8100, new Uint8Array(2));
    fixture.host.send(fixture.device, frame4().slice(0, -1), frame6().slice(0, -1), cutTag);
    expect(fixture.network.sent).toEqual([]);
    expect(fixture.host.counts(0)).toEqual({ malformed: 3 });
  });

  it("as gso-unsupported: a superpacket of unknown type, or one without a transport header", () => {
    const device = new SuperpacketDevice(0);
    const fixture = hostWith({ device });
    addFlood(fixture, HOST_B);
    device.gsoType = 3; // VIRTIO_NET_HDR_GSO_UDP: fragmentation, not segmentation
    fixture.host.send(device, frame4());
    device.gsoType = GSO_TCPV4;
    fixture.host.send(device, arpFrame(1, "192.168.10.1", "192.168.10.2"));
    expect(fixture.network.sent).toEqual([]);
    expect(fixture.host.counts(0)).toEqual({ "gso-unsupported": 2 });
  });
});

describe("superpackets", () => {
  it("tell the segmenter where their headers end", () => {
    const device = new SuperpacketDevice(0);
    const fixture = hostWith({ device });
    addEntry(fixture);
    device.gsoType = GSO_UDP_L4 | GSO_ECN;
    device.gsoSize = 10;
    fixture.host.send(device, tagged(frame4(), 5));
    const { frames } = fixture.host.batch;
    expect([frames[FRAME_L3], frames[FRAME_L4], frames[FRAME_PAYLOAD]]).toEqual([18, 38, 46]);
    // The memory underlay has no segmentation: it refuses what a real one would have cut.
    expect(fixture.host.counts(0)).toEqual({ egressSuperpackets: 1, "underlay-error": 3 });
  });

  it("count as what they are on the wire, so that a stream is not taken for requests", () => {
    const device = new SuperpacketDevice(0);
    const { egress } = hostWith({ device });
    device.gsoType = GSO_UDP_L4;
    device.gsoSize = 10;
    device.toRead.push(frame4());
    expect(egress.run(16, 0)).toBe(3);
  });
});

describe("the outer header", () => {
  it("bears the inner ECN field and no DSCP", () => {
    const fixture = hostWith();
    addEntry(fixture);
    const tos = [0, 1, 2, 3, 0xb8, 0xbb];
    fixture.host.send(
      fixture.device,
      ...tos.map((value) => frame4({ tos: value })),
      ...tos.map((value) => frame6({ tos: value })),
      arpFrame(1, "192.168.10.1", "192.168.10.2"),
    );
    const expected = [0, 1, 2, 3, 0, 3];
    expect(fixture.network.sent.map((sent) => sent.tos)).toEqual([...expected, ...expected]);
  });

  it("has one source port for all packets of a flow and spreads flows over all sockets", () => {
    const fixture = hostWith({ sockets: 8 });
    addEntry(fixture);
    const flows = Array.from({ length: 100 }, (_, i) => frame4({ sourcePort: 1000 + i }));
    fixture.host.send(fixture.device, ...flows);
    const first = fixture.network.sent.map(({ sourcePort }) => sourcePort);
    fixture.host.send(fixture.device, ...flows);
    const second = fixture.network.sent.slice(100).map(({ sourcePort }) => sourcePort);
    expect(second).toEqual(first);
    expect(new Set(first)).toEqual(new Set([0, 1, 2, 3, 4, 5, 6, 7].map((i) => 50_000 + i)));
  });

  it("goes alone when UDP segmentation is off for all, or for the remote", () => {
    const alone = (fixture: Fixture) => {
      fixture.host.send(fixture.device, frame4());
      return fixture.host.batch.sends[SEND_FLAGS];
    };
    const off = hostWith({ udpSegment: false });
    addEntry(off);
    expect(alone(off)).toBe(SEND_NO_GSO);
    const on = hostWith();
    const row = addEntry(on);
    expect(alone(on)).toBe(0);
    on.host.remotes.setFlags(row, REMOTE_FLAG_NO_GSO);
    expect(alone(on)).toBe(SEND_NO_GSO);
  });
});

describe("run", () => {
  it("says EAGAIN when there is nothing, and reads no more than it may", () => {
    const { egress, device, host } = hostWith();
    expect(egress.run(16, 0)).toBe(-11);
    device.toRead.push(frame4(), frame4(), frame4());
    expect(egress.run(2, 0)).toBe(2);
    expect(device.toRead).toHaveLength(1);
    expect(host.counts(0)).toEqual({ l2miss: 2 });
  });
});
