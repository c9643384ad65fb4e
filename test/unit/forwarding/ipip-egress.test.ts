// IPIP egress on memory devices: outer destination, loops, what is dropped, superpackets. The outer
// header is ipip-outer.test.ts, what is too long ipip-too-big.test.ts.

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
import { icmpNextHopMtu } from "../../../src/wire/icmp.js";
import { formatIp, formatIpv4 } from "../../../src/wire/ip-address.js";
import { parseIpv4 } from "../../../src/wire/ipv4.js";
import { emitIpv6 } from "../../../src/wire/ipv6.js";
import { ip, ipip, ipv4Udp, ipv6Udp, join, type OuterOptions } from "./frames.js";
import { HOST_A, HOST_B, HOST_C, type IpipOptions, MemoryHost } from "./memory-host.js";

const SIT: IpipOptions = { carries4: false, carries6: true };
const IP6IP6: IpipOptions = { ...SIT, family: 6, local: "fd57::20" };

/** A packet behind an IPv6 header to fd57::21. */
function outer6(inner: Uint8Array, nextHeader: number, source: string): Uint8Array {
  const header = new Uint8Array(40);
  const addresses = { source: ip(source), destination: ip("fd57::21") };
  const fields = { trafficClass: 0, flowLabel: 0, hopLimit: 64, nextHeader };
  emitIpv6({ ...fields, ...addresses, payload_bytes: inner.length }, header, 0);
  return join(header, inner);
}

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

  it("is the next hop of an IPv6 route, over IPv6 and over IPv4", () => {
    for (const via of ["fd57::21", HOST_B]) {
      const { host, device, route, network } = hostWith(via === HOST_B ? SIT : IP6IP6);
      route("fd99::", 16, via);
      host.send(device, ipv6Udp({ destination: "fd99::1" }), ipv6Udp({ destination: "fd98::1" }));
      expect(network.sent.map(({ destination }) => destination)).toEqual([ip(via)]);
      expect(host.counts(0)).toMatchObject({ egressPackets: 1, "no-route": 1 });
    }
  });

  it("stays with one next hop of several for a flow, and all of them are used", () => {
    const { host, device, routes, tunnel, destinations } = hostWith();
    const hops = [HOST_B, HOST_C].map((via) => ({
      remote: host.remote(tunnel.index, via, 0, 0),
      weight: 1,
    }));
    routes.set({ prefix: { ip: ip("192.168.11.0"), family: 4, length: 24 }, hops });
    const flows = Array.from({ length: 32 }, (_, i) => ipv4Udp({ sourcePort: 1000 + i }));
    host.send(device, ...flows, ...flows);
    expect(new Set(destinations())).toEqual(new Set([HOST_B, HOST_C]));
    expect(destinations().slice(32)).toEqual(destinations().slice(0, 32));
  });

  it("works for addresses in the upper half of the number range", () => {
    const { host, device, route, destinations } = hostWith();
    route("203.0.113.0", 24, "198.51.100.1");
    host.send(device, ipv4Udp({ destination: "203.0.113.200" }));
    expect(destinations()).toEqual(["198.51.100.1"]);
  });
});

describe("without next hop", () => {
  const sentFor = (options: IpipOptions, ...destinations: string[]) => {
    const { host, device, route, network } = hostWith(options);
    route("::", 0);
    route("0.0.0.0", 0);
    const packet = (to: string) =>
      to.includes(":") ? ipv6Udp({ destination: to }) : ipv4Udp({ destination: to });
    host.send(device, ...destinations.map(packet));
    const sent = network.sent.map(({ destination: { w0, w1, w2, w3 } }) =>
      formatIp(w0, w1, w2, w3),
    );
    return { sent, counts: host.counts(0) };
  };

  it.each([
    ["ip6ip6", IP6IP6, "fd57::21", "fd57::21"],
    ["any over IPv4", { carries6: true }, HOST_C, HOST_C],
    ["sit, 6to4", SIT, "2002:c633:6407:1::9", "198.51.100.7"],
    ["sit, IPv4-compatible", SIT, "::198.51.100.7", "198.51.100.7"],
  ] as const)("%s: %# takes the inner destination %s", (_, options, inner, outer) => {
    expect(sentFor(options, inner).sent).toEqual([outer]);
  });

  it.each([
    ["a destination without IPv4 address in it", SIT, "2001:db8::1"],
    ["loopback", SIT, "::1"],
    ["6to4 of this network", SIT, "2002:0001:0203::1"],
    ["6to4 of loopback", SIT, "2002:7f00:0001::1"],
    ["6to4 of a group", SIT, "2002:e000:0005::1"],
    ["an IPv4 group", {}, "224.0.0.5"],
    ["an IPv6 group", IP6IP6, "ff02::2"],
    ["an address of one link", IP6IP6, "fe80::1"],
    ["IPv6 loopback", IP6IP6, "::1"],
    ["no address", IP6IP6, "::"],
    ["an IPv4-compatible address over IPv6", IP6IP6, "::198.51.100.7"],
    ["an IPv4-mapped address over IPv6", IP6IP6, "::ffff:198.51.100.7"],
    ["the other family", { ...IP6IP6, carries4: true }, HOST_B],
  ] as const)("%s is no-route", (_, options, inner) => {
    expect(sentFor(options, inner)).toEqual({ sent: [], counts: { "no-route": 1 } });
  });
});

describe("the tunnel's own packets", () => {
  const outer4 = (options: OuterOptions) => ipip(ipv4Udp(), { source: HOST_A, ...options });

  it.each([
    ["to its remote", { destination: HOST_B }],
    ["to anybody", { destination: HOST_C }],
    ["that carry IPv6", { destination: HOST_B, protocol: 41 }],
  ])("%s are a routing loop", (_, options) => {
    const { host, device, network } = hostWith({ remote: HOST_B });
    host.send(device, outer4(options));
    expect(network.sent).toEqual([]);
    expect(host.counts(0)).toEqual({ "routing-loop": 1 });
  });

  it("are one where the tunnel carries IPv6 only", () => {
    const { host, device } = hostWith({ ...SIT, remote: HOST_B });
    host.send(device, outer4({ destination: HOST_B, protocol: 41 }));
    expect(host.counts(0)).toEqual({ "routing-loop": 1 });
  });

  it("are known by their destination where the source is the route's", () => {
    const { host, device } = hostWith({ local: "0.0.0.0", remote: HOST_B });
    host.send(device, outer4({ destination: HOST_B }), outer4({ destination: HOST_C }));
    expect(host.counts(0)).toMatchObject({ "routing-loop": 1, egressPackets: 1 });
  });

  it("are a routing loop over IPv6 as well", () => {
    const { host, device, network } = hostWith({ ...IP6IP6, carries4: true, remote: "fd57::21" });
    const nested = (nextHeader: number, source: string) => outer6(ipv6Udp(), nextHeader, source);
    host.send(device, nested(41, "fd57::20"), nested(4, "fd57::20"), nested(41, "fd57::19"));
    expect(host.counts(0)).toMatchObject({ "routing-loop": 2, egressPackets: 1 });
    expect(network.sent).toHaveLength(1);
  });

  it("are not those of another tunnel inside, nor anything else from its address", () => {
    const { host, device } = hostWith({ remote: HOST_B });
    const other = ipip(ipv4Udp(), { source: "10.60.0.1", destination: "10.60.0.2" });
    host.send(device, other, ipv4Udp({ source: HOST_A, destination: HOST_B }));
    expect(host.counts(0)).toMatchObject({ egressPackets: 2 });
  });
});

describe("packets that are dropped", () => {
  it.each([
    ["IPv6 from a tunnel for IPv4", {}, ipv6Udp()],
    ["IPv4 from a tunnel for IPv6", { carries4: false, carries6: true }, ipv4Udp()],
  ])("as not-ip: %s", (_, options, packet) => {
    const { host, device } = hostWith({ remote: HOST_B, ...options });
    host.send(device, packet);
    expect(host.counts(0)).toEqual({ "not-ip": 1 });
  });

  it("as malformed: empty, of no IP version, cut short", () => {
    const { host, device } = hostWith({ remote: HOST_B });
    const other = Uint8Array.from(ipv4Udp(), (byte, at) => (at === 0 ? 0x55 : byte));
    host.send(device, new Uint8Array(0), other, ipv4Udp().slice(0, -1), ipv6Udp().slice(0, 39));
    expect(host.counts(0)).toEqual({ malformed: 4 });
  });

  it("as ttl-expired: TTL or hop limit 0, also where the outer TTL is fixed", () => {
    const { host, device, network } = hostWith({ remote: HOST_B, ttl: 64, carries6: true });
    host.send(device, ipv4Udp({ ttl: 0 }), ipv6Udp({ ttl: 0 }));
    expect(network.sent).toEqual([]);
    expect(host.counts(0)).toEqual({ "ttl-expired": 2 });
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
