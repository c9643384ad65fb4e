// IPIP egress on memory devices: outer destination, outer header, and the ICMP error for packets
// that are too big.

import { describe, expect, it } from "vitest";
import {
  FRAME_GSO_SIZE,
  FRAME_GSO_TYPE,
  FRAME_L3,
  FRAME_L4,
  FRAME_PAYLOAD,
  FRAME_WORDS,
  GSO_UDP_L4,
  SEND_BYTES,
  SEND_RESULT,
} from "#abi";
import { MemoryDevice } from "../../../src/device/memory-device.js";
import type { EgressBatch } from "../../../src/packet/egress-batch.js";
import { MemoryNetwork } from "../../../src/underlay/memory-underlay.js";
import type { UnderlaySender } from "../../../src/underlay/underlay.js";
import { icmpNextHopMtu, parseIcmp } from "../../../src/wire/icmp.js";
import { formatIpv4 } from "../../../src/wire/ip-address.js";
import { parseIpv4 } from "../../../src/wire/ipv4.js";
import { ipv4Udp, ipv6Udp, v4 } from "./frames.js";
import { HOST_A, HOST_B, HOST_C, type IpipOptions, MemoryHost } from "./memory-host.js";

function hostWith(options: IpipOptions = {}) {
  const network = new MemoryNetwork();
  const host = new MemoryHost(network, HOST_A);
  const side = host.ipip(options);
  const route = (prefix: string, length: number, gateway?: string) =>
    host.route(side, prefix, length, gateway);
  const outers = () => network.sent.map(({ bytes }) => parseIpv4(bytes, 0, bytes.length));
  const destinations = () => outers().map((outer) => formatIpv4(outer?.destination ?? 0));
  return { network, host, route, outers, destinations, ...side };
}

/** A device whose packets are superpackets of 100-byte segments. */
class SuperpacketDevice extends MemoryDevice {
  gsoType = GSO_UDP_L4;

  override readBatch(batch: EgressBatch, limit: number): number {
    const count = super.readBatch(batch, limit);
    for (let row = 0; row < count; row++) {
      batch.frames[row * FRAME_WORDS + FRAME_GSO_TYPE] = this.gsoType;
      batch.frames[row * FRAME_WORDS + FRAME_GSO_SIZE] = 100;
    }
    return count;
  }
}

describe("outer destination", () => {
  it("is the gateway of the longest matching route", () => {
    const { host, device, route, destinations, network } = hostWith();
    route("0.0.0.0", 0, "10.57.4.99");
    route("192.168.0.0", 16, HOST_C);
    const row = route("192.168.11.0", 24, HOST_B);
    const packets = ["192.168.11.10", "192.168.12.10", "172.16.0.1"].map((destination) =>
      ipv4Udp({ destination }),
    );
    host.send(device, ...packets);
    expect(destinations()).toEqual([HOST_B, HOST_C, "10.57.4.99"]);
    expect(network.sent.map(({ bytes }) => bytes.slice(20))).toEqual(packets);
    expect(host.counts(0)).toEqual({ egressPackets: 3, egressBytes: 3 * 58 });
    expect(host.counters.remote(row)).toMatchObject({ egressPackets: 1, egressBytes: 58 });
  });

  it("is the inner destination where the route has no gateway", () => {
    const { host, device, route, destinations } = hostWith();
    route("10.57.4.0", 24);
    host.send(device, ipv4Udp({ destination: HOST_C }));
    expect(destinations()).toEqual([HOST_C]);
    expect(host.counts(0)).toEqual({ egressPackets: 1, egressBytes: 58 });
  });

  it("is the remote of a point-to-point tunnel, whatever the routes say", () => {
    const { host, device, route, destinations, tunnel } = hostWith({ remote: HOST_B });
    route("192.168.11.0", 24, HOST_C);
    host.send(device, ipv4Udp(), ipv4Udp({ destination: "8.8.8.8" }));
    expect(destinations()).toEqual([HOST_B, HOST_B]);
    expect(host.counters.remote(tunnel.remoteRow).egressPackets).toBe(2);
  });

  it("that is the tunnel's own address is a routing loop", () => {
    const { host, device, route, network } = hostWith();
    route("10.57.4.0", 24);
    route("192.168.11.0", 24, HOST_A);
    host.send(device, ipv4Udp({ destination: HOST_A }), ipv4Udp());
    expect(network.sent).toEqual([]);
    expect(host.counts(0)).toEqual({ "routing-loop": 2 });
  });

  it("that is the tunnel's own address is one too where addresses have their top bit set", () => {
    const host = new MemoryHost(new MemoryNetwork(), "198.51.100.20");
    const side = host.ipip();
    host.route(side, "192.168.11.0", 24, "198.51.100.20");
    host.send(side.device, ipv4Udp());
    expect(host.counts(0)).toEqual({ "routing-loop": 1 });
  });

  it("that nobody knows is no-route", () => {
    const { host, device, route } = hostWith();
    route("192.168.11.0", 24, HOST_B);
    host.send(device, ipv4Udp({ destination: "192.168.12.1" }));
    expect(host.counts(0)).toEqual({ "no-route": 1 });
  });

  it("works for addresses in the upper half of the number range", () => {
    const { host, device, route, destinations } = hostWith();
    route("203.0.113.0", 24, "198.51.100.1");
    host.send(device, ipv4Udp({ destination: "203.0.113.200" }));
    expect(destinations()).toEqual(["198.51.100.1"]);
  });
});

describe("outer header", () => {
  const outerOf = (options: IpipOptions, packet: Uint8Array) => {
    const { host, device, outers } = hostWith({ remote: HOST_B, ...options });
    host.send(device, packet);
    return outers()[0];
  };

  it("is an IPv4 header of protocol 4 from the tunnel's local address", () => {
    const { network, host, device } = hostWith({ remote: HOST_B });
    host.send(device, ipv4Udp());
    const expected = [0x45, 0, 0, 78, 0, 0, 0, 0, 64, 4, 0x5e, 0x12];
    const addresses = [10, 57, 4, 20, 10, 57, 4, 21];
    expect([...network.sent[0].bytes.slice(0, 20)]).toEqual([...expected, ...addresses]);
  });

  it("has the configured TTL, or the inner one where that is 0", () => {
    expect(outerOf({ ttl: 7 }, ipv4Udp({ ttl: 1 }))?.ttl).toBe(7);
    expect(outerOf({ ttl: 0 }, ipv4Udp({ ttl: 1 }))?.ttl).toBe(1);
  });

  it("copies DF", () => {
    expect(outerOf({}, ipv4Udp({ dontFragment: true }))?.dontFragment).toBe(true);
    expect(outerOf({}, ipv4Udp())?.dontFragment).toBe(false);
  });

  it("copies the ECN field and no DSCP", () => {
    const tos = [0, 1, 2, 3, 0xb8, 0xbb].map((value) => outerOf({}, ipv4Udp({ tos: value }))?.tos);
    expect(tos).toEqual([0, 1, 2, 3, 0, 3]);
  });
});

describe("packets that are dropped", () => {
  it("as not-ip: IPv6", () => {
    const { host, device } = hostWith({ remote: HOST_B });
    host.send(device, ipv6Udp());
    expect(host.counts(0)).toEqual({ "not-ip": 1 });
  });

  it("as malformed: empty, of no IP version, cut short", () => {
    const { host, device } = hostWith({ remote: HOST_B });
    const other = Uint8Array.from(ipv4Udp(), (byte, at) => (at === 0 ? 0x55 : byte));
    host.send(device, new Uint8Array(0), other, ipv4Udp().slice(0, -1), ipv6Udp().slice(0, 39));
    expect(host.counts(0)).toEqual({ malformed: 4 });
  });

  it("as ttl-expired: TTL 0, also where the outer TTL is fixed", () => {
    const { host, device, network } = hostWith({ remote: HOST_B, ttl: 64 });
    host.send(device, ipv4Udp({ ttl: 0 }));
    expect(network.sent).toEqual([]);
    expect(host.counts(0)).toEqual({ "ttl-expired": 1 });
  });
});

describe("too big", () => {
  const OPTIONS = { remote: HOST_B, underlayMtu_bytes: 1400 };

  it("is more than the underlay's MTU less the outer header", () => {
    const { host, device } = hostWith(OPTIONS);
    const fits = ipv4Udp({ dontFragment: true, payload_bytes: 1380 - 28 });
    host.send(device, fits, ipv4Udp({ dontFragment: true, payload_bytes: 1381 - 28 }));
    expect(host.counts(0)).toMatchObject({ egressPackets: 1, "too-big": 1, icmpErrors: 1 });
  });

  it("with DF is answered by fragmentation needed from its destination, quoting the packet", () => {
    const { host, device } = hostWith(OPTIONS);
    const packet = ipv4Udp({ dontFragment: true, payload_bytes: 1400 });
    host.send(device, packet);
    expect(host.counts(0)).toEqual({ "too-big": 1, icmpErrors: 1 });
    const [answer] = device.written;
    expect(answer).toHaveLength(576);
    expect(parseIpv4(answer, 0, answer.length)).toMatchObject({
      ...{ source: v4("192.168.11.10"), destination: v4("192.168.10.10"), protocol: 1 },
    });
    const icmp = parseIcmp(answer, 20, answer.length);
    expect([icmp?.type, icmp?.code, icmpNextHopMtu(answer, 20)]).toEqual([3, 4, 1380]);
    expect(icmp?.data).toEqual(packet.slice(0, 548));
  });

  it("without DF is dropped without an answer", () => {
    const { host, device } = hostWith(OPTIONS);
    host.send(device, ipv4Udp({ payload_bytes: 1400 }));
    expect(host.counts(0)).toEqual({ "too-big": 1 });
    expect(device.written).toEqual([]);
  });

  it("to a multicast group, or from nobody, is dropped without an answer", () => {
    const { host, device } = hostWith(OPTIONS);
    const big = { dontFragment: true, payload_bytes: 1400 };
    const group = ipv4Udp({ ...big, destination: "224.0.0.5" });
    host.send(device, group, ipv4Udp({ ...big, source: "0.0.0.0" }));
    expect(host.counts(0)).toEqual({ "too-big": 2 });
    expect(device.written).toEqual([]);
  });

  it("is answered for every packet of a full batch", () => {
    const { host, device } = hostWith(OPTIONS);
    const big = { dontFragment: true, payload_bytes: 1400 };
    host.send(device, ...Array.from({ length: 256 }, (_, i) => ipv4Udp({ ...big, ttl: i || 1 })));
    expect(host.counts(0)).toEqual({ "too-big": 256, icmpErrors: 256 });
    const quoted = device.written.map((answer) => answer[28 + 8]);
    expect(quoted).toEqual(Array.from({ length: 256 }, (_, i) => i || 1));
  });

  it("for the path (EMSGSIZE) is answered too", () => {
    const { host, device, network } = hostWith({ remote: HOST_B });
    network.onSend = () => -90;
    host.send(device, ipv4Udp({ dontFragment: true }), ipv4Udp());
    expect(host.counts(0)).toEqual({ "too-big": 2, icmpErrors: 1 });
    expect(icmpNextHopMtu(device.written[0], 20)).toBe(1480);
  });
});

describe("superpackets", () => {
  const sender: UnderlaySender = {
    socketCount: 1,
    fragments: true,
    pathMtu_bytes: () => -1,
    sendBatch({ sends }) {
      sends[SEND_RESULT] = 14;
      sends[SEND_BYTES] = 14 * (20 + 28) + 1400;
      return 0;
    },
  };

  it("tell the segmenter where headers end, and are as big as one of their segments", () => {
    const device = new SuperpacketDevice(0, "tun");
    const { host } = hostWith({ remote: HOST_B, device, sender, underlayMtu_bytes: 148 });
    host.send(device, ipv4Udp({ payload_bytes: 1400, dontFragment: true }));
    const { frames } = host.batch;
    expect([frames[FRAME_L3], frames[FRAME_L4], frames[FRAME_PAYLOAD]]).toEqual([0, 20, 28]);
    expect(host.counts(0)).toEqual({
      ...{ egressSuperpackets: 1, egressPackets: 14 },
      egressBytes: 14 * 28 + 1400,
    });
  });

  it("whose segments are too big are answered", () => {
    const device = new SuperpacketDevice(0, "tun");
    const { host } = hostWith({ remote: HOST_B, device, sender, underlayMtu_bytes: 147 });
    host.send(device, ipv4Udp({ payload_bytes: 1400, dontFragment: true }));
    expect(host.counts(0)).toEqual({ egressSuperpackets: 1, "too-big": 14, icmpErrors: 1 });
    expect(icmpNextHopMtu(device.written[0], 20)).toBe(127);
  });

  it("that cannot be cut are gso-unsupported", () => {
    const device = new SuperpacketDevice(0, "tun");
    const { host } = hostWith({ remote: HOST_B, device, sender });
    device.gsoType = 3;
    host.send(device, ipv4Udp());
    expect(host.counts(0)).toEqual({ "gso-unsupported": 1 });
  });
});

describe("a send that fails", () => {
  it("with EIO, to a destination that is no remote, is an underlay-error and no crash", () => {
    const { host, device, route, network } = hostWith();
    route("10.57.4.0", 24);
    network.onSend = () => -5;
    host.send(device, ipv4Udp({ destination: HOST_C }));
    expect(host.counts(0)).toEqual({ "underlay-error": 1 });
  });

  it("with ENOBUFS is underlay-busy", () => {
    const { host, device, network } = hostWith({ remote: HOST_B });
    network.onSend = () => -105;
    host.send(device, ipv4Udp());
    expect(host.counts(0)).toEqual({ "underlay-busy": 1 });
  });
});
