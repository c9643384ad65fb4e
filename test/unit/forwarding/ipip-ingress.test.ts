// IPIP ingress on memory devices: which packet reaches which tunnel, and why the others are
// dropped.

import { describe, expect, it } from "vitest";
import { RUN_FLAGS, RUN_LENGTH, RUN_SET_CE, RUN_STRIP } from "#abi";
import { MemoryNetwork } from "../../../src/underlay/memory-underlay.js";
import { ip, ip6ip, ipip, ipv4Udp, ipv6Udp, join, type OuterOptions } from "./frames.js";
import { HOST_A, HOST_B, HOST_C, type IpipOptions, MemoryHost } from "./memory-host.js";

function hostWith(options: IpipOptions = { remote: HOST_B }) {
  const host = new MemoryHost(new MemoryNetwork(), HOST_A);
  return { host, ...host.ipip(options) };
}

const INNER = ipv4Udp({ source: "192.168.11.10", destination: "192.168.10.10" });
const from = (source: string, options: OuterOptions = {}) => ipip(INNER, { source, ...options });

describe("a packet from a known remote", () => {
  it("enters the device without its outer header; sender seen and counted", () => {
    const { host, device, tunnel } = hostWith();
    host.receiveRaw(from(HOST_B));
    expect(device.written).toEqual([INNER]);
    const counts = { ingressPackets: 1, ingressBytes: INNER.length };
    expect(host.counts(0)).toEqual(counts);
    expect(host.counters.remote(tunnel.remoteRow)).toMatchObject(counts);
    expect(host.remotes.get(tunnel.remoteRow)?.lastSeen_s).toBe(1000);
  });

  it("loses the outer header's options and what follows the outer packet", () => {
    const { host, device } = hostWith();
    const outer = from(HOST_B);
    outer[0] = 0x47;
    outer[3] += 8;
    const bytes = join(outer.slice(0, 20), new Uint8Array(8).fill(1), INNER, new Uint8Array(6));
    host.receiveRaw(bytes);
    expect(device.written).toEqual([INNER]);
    const { runs } = host.ingressBatch;
    expect([runs[RUN_STRIP], runs[RUN_LENGTH]]).toEqual([28, 28 + INNER.length]);
  });

  it("may come from the gateway of a route where the tunnel is one-to-many", () => {
    const side = hostWith({});
    side.host.route(side, "192.168.11.0", 24, HOST_C);
    side.host.receiveRaw(from(HOST_C));
    side.host.receiveRaw(from(HOST_B));
    expect(side.device.written).toEqual([INNER]);
    expect(side.host.counts(0)).toMatchObject({ ingressPackets: 1, "foreign-source": 1 });
  });
});

describe("lookup", () => {
  it("prefers the tunnel with that remote to the one without, in whichever order they were added", () => {
    for (const remotes of [
      [undefined, HOST_B],
      [HOST_B, undefined],
    ]) {
      const host = new MemoryHost(new MemoryNetwork(), HOST_A);
      const sides = remotes.map((remote) =>
        host.ipip({ allow: "any", ...(remote === undefined ? {} : { remote }) }),
      );
      host.receiveRaw(from(HOST_B));
      host.receiveRaw(from(HOST_C));
      host.receiveRaw(from(HOST_C));
      const written = sides.map(({ device }) => device.written.length);
      expect(written).toEqual(remotes.map((remote) => (remote === undefined ? 2 : 1)));
    }
  });

  it("finds no tunnel for another remote or another local address: no-tunnel", () => {
    const { host, device } = hostWith();
    host.receiveRaw(from(HOST_C));
    host.receiveRaw(from(HOST_B, { destination: "10.57.4.30" }));
    expect(device.written).toEqual([]);
    expect(host.strayCounts()).toEqual({ "no-tunnel": 2 });
    expect(host.counts(0)).toEqual({});
  });
});

describe("packets that are dropped", () => {
  it("as truncated: shorter than an outer header, longer than a slot", () => {
    const { host } = hostWith();
    host.receiveRaw(from(HOST_B).slice(0, 19));
    host.receiveRaw(join(from(HOST_B), new Uint8Array(65_600)));
    expect(host.strayCounts()).toEqual({ truncated: 2 });
  });

  it("as not-ipip: another version, protocol, or a length beyond the end", () => {
    const { host } = hostWith();
    const wrongVersion = from(HOST_B);
    wrongVersion[0] = 0x65;
    const wrongHeader = from(HOST_B);
    wrongHeader[0] = 0x44;
    host.receiveRaw(wrongVersion);
    host.receiveRaw(wrongHeader);
    host.receiveRaw(from(HOST_B, { protocol: 94 }));
    host.receiveRaw(from(HOST_B).slice(0, -1));
    expect(host.strayCounts()).toEqual({ "not-ipip": 4 });
  });

  it("as foreign-source: nobody configured the sender", () => {
    const { host, device } = hostWith({});
    host.receiveRaw(from(HOST_C));
    expect(device.written).toEqual([]);
    expect(host.counts(0)).toEqual({ "foreign-source": 1 });
  });

  it("as inner-not-ip, inner-malformed and ttl-zero", () => {
    const { host, device } = hostWith();
    const outer = { source: HOST_B };
    host.receiveRaw(ipip(ipv6Udp(), outer));
    host.receiveRaw(ipip(new Uint8Array(0), outer));
    host.receiveRaw(ipip(INNER.slice(0, -1), outer));
    host.receiveRaw(ipip(INNER.slice(0, 19), outer));
    host.receiveRaw(ipip(ipv4Udp({ ttl: 0 }), outer));
    expect(device.written).toEqual([]);
    expect(host.counts(0)).toEqual({ "inner-not-ip": 1, "inner-malformed": 3, "ttl-zero": 1 });
  });
});

const OVER6 = { family: 6, local: "fd57::20", remote: "fd57::21" } as const;
const OVER4 = { family: 4, local: HOST_A, remote: HOST_B } as const;
const wrap = { 4: ipip, 6: ip6ip } as const;

describe.each([
  { mode: "ipip", outer: OVER4, packet: ipv4Udp, other: ipv6Udp, protocol: 4 },
  { mode: "sit", outer: OVER4, packet: ipv6Udp, other: ipv4Udp, protocol: 41 },
  { mode: "ipip6", outer: OVER6, packet: ipv4Udp, other: ipv6Udp, protocol: 4 },
  { mode: "ip6ip6", outer: OVER6, packet: ipv6Udp, other: ipv4Udp, protocol: 41 },
] as const)("mode $mode", ({ outer, packet, other, protocol }) => {
  const carries = { carries4: protocol === 4, carries6: protocol === 41 };
  const tunnel = (more: IpipOptions = {}) => hostWith({ ...outer, ...carries, ...more });
  const header_bytes = outer.family === 4 ? 20 : 40;
  const receive = ({ host }: { host: MemoryHost }, inner: Uint8Array, more: OuterOptions = {}) =>
    host.receiveRaw(wrap[outer.family](inner, { protocol, ...more }), { protocol });

  it("delivers what the other end sends", () => {
    const side = tunnel();
    receive(side, packet());
    expect(side.device.written).toEqual([packet()]);
    expect(side.host.counts(0)).toMatchObject({ ingressPackets: 1 });
  });

  it("delivers nothing of a packet that is cut anywhere", () => {
    const side = tunnel();
    const whole = wrap[outer.family](packet(), { protocol });
    for (let length = header_bytes; length < whole.length; length++) {
      const cut = whole.slice(0, length);
      // The outer length is right: only the inner one lies.
      if (outer.family === 4) cut.set([length >> 8, length & 0xff], 2);
      side.host.receiveRaw(cut, { protocol });
    }
    expect(side.device.written).toEqual([]);
    const dropped = whole.length - header_bytes;
    expect(side.host.counts(0)).toEqual({ "inner-malformed": dropped });
    expect(side.host.strayCounts()).toEqual({});
  });

  it("takes no packet of the other version under its protocol number", () => {
    const side = tunnel();
    receive(side, other());
    receive(side, Uint8Array.of(0x50, 1, 2, 3));
    expect(side.device.written).toEqual([]);
    expect(side.host.counts(0)).toEqual({ "inner-not-ip": 2 });
  });

  it("drops a TTL of 0, nothing else by TTL", () => {
    const side = tunnel();
    receive(side, packet({ ttl: 0 }));
    receive(side, packet({ ttl: 1 }));
    expect(side.device.written).toEqual([packet({ ttl: 1 })]);
    expect(side.host.counts(0)).toMatchObject({ "ttl-zero": 1, ingressPackets: 1 });
  });

  it("combines the ECN fields [RFC 6040]", () => {
    const side = tunnel();
    for (const [tos, inner] of [
      [3, 0],
      [3, 1],
      [1, 2],
      [2, 0xb8],
    ]) {
      receive(side, packet({ tos: inner }), { tos: tos! });
    }
    // Of CE the frame on a memory device tells nothing: native code marks it.
    const marks = [packet({ tos: 1 }), packet({ tos: 1 }), packet({ tos: 0xb8 })];
    expect(side.device.written).toHaveLength(3);
    expect(side.device.written.slice(1)).toEqual(marks.slice(1));
    expect(side.host.counts(0)).toMatchObject({ ecn: 1, ingressPackets: 3 });
  });

  it("marks CE for native code to write", () => {
    const side = tunnel();
    receive(side, packet({ tos: 1 }), { tos: 3 });
    expect(side.host.ingressBatch.runs[RUN_FLAGS] & RUN_SET_CE).toBe(RUN_SET_CE);
    receive(side, packet({ tos: 1 }), { tos: 2 });
    expect(side.host.ingressBatch.runs[RUN_FLAGS] & RUN_SET_CE).toBe(0);
  });

  it("passes fragments, the first and later ones", () => {
    const side = tunnel();
    const [first, later] = fragments(packet({ payload_bytes: 64 }));
    receive(side, first!);
    receive(side, later!);
    expect(side.device.written).toEqual([first, later]);
  });
});

/** The packet in two, the first with 32 bytes behind the IP header. */
function fragments(packet: Uint8Array): Uint8Array[] {
  if (packet[0]! >>> 4 === 4) {
    const [first, later] = [packet.slice(0, 52), join(packet.slice(0, 20), packet.slice(52))];
    first.set([0, 52], 2);
    first.set([0x20, 0], 6);
    later.set([0, later.length], 2);
    later.set([0, 4], 6);
    return [first, later];
  }
  return [
    { more: 1, at: 0, part: packet.slice(40, 72) },
    { more: 0, at: 32, part: packet.slice(72) },
  ].map(({ more, at, part }) => {
    const header = packet.slice(0, 40);
    header.set([0, part.length + 8], 4);
    header[6] = 44;
    return join(header, Uint8Array.of(17, 0, 0, at | more, 1, 2, 3, 4), part);
  });
}

describe("an inner packet with more than a plain header", () => {
  it("passes with IPv4 options and with IPv6 extension headers", () => {
    const options = ipv4Udp();
    const long = join(options.slice(0, 20), Uint8Array.of(1, 1, 1, 0), options.slice(20));
    long[0] = 0x46;
    long[3] = long.length;
    const plain = ipv6Udp();
    const hop = Uint8Array.of(17, 0, 1, 4, 0, 0, 0, 0);
    const extended = join(plain.slice(0, 40), hop, plain.slice(40));
    extended[5]! += 8;
    extended[6] = 0;
    const { host, device } = hostWith({ remote: HOST_B, carries6: true });
    host.receiveRaw(ipip(long));
    host.receiveRaw(ipip(extended, { protocol: 41 }), { protocol: 41 });
    expect(device.written).toEqual([long, extended]);
  });

  it("is malformed when the options or extension headers do not fit it", () => {
    const short = ipv4Udp();
    short[0] = 0x44;
    const long = ipv4Udp();
    long[0] = 0x4f;
    long.set([0, 58], 2);
    const beyond = ipv6Udp();
    beyond[6] = 0;
    beyond[41] = 200;
    const { host, device } = hostWith({ remote: HOST_B, carries6: true });
    host.receiveRaw(ipip(short));
    host.receiveRaw(ipip(long));
    host.receiveRaw(ipip(beyond, { protocol: 41 }), { protocol: 41 });
    expect(device.written).toEqual([]);
    expect(host.counts(0)).toEqual({ "inner-malformed": 3 });
  });

  it("loses what follows it in the outer packet", () => {
    const { host, device } = hostWith({ remote: HOST_B });
    host.receiveRaw(ipip(join(INNER, new Uint8Array(9).fill(0xee))));
    expect(device.written).toEqual([INNER]);
  });
});

describe("an outer source that no peer has: martian-source", () => {
  it.each([
    ["multicast", "224.0.0.1"],
    ["broadcast", "255.255.255.255"],
    ["this network", "0.0.0.0"],
    ["this network", "0.1.2.3"],
    ["loopback", "127.0.0.1"],
    ["our own", HOST_A],
  ])("%s, %s", (_, source) => {
    const { host, device } = hostWith({ allow: "any" });
    host.receiveRaw(from(source));
    expect(device.written).toEqual([]);
    expect(host.counts(0)).toEqual({ "martian-source": 1 });
    expect(host.remotes.count).toBe(0);
  });

  it.each(["ff02::1", "::", "::1", "::ffff:10.57.4.21", "fd57::20"])("%s", (source) => {
    const { host, device } = hostWith({ family: 6, local: "fd57::20", allow: "any" });
    host.receiveRaw(ip6ip(INNER, { source }));
    expect(device.written).toEqual([]);
    expect(host.counts(0)).toEqual({ "martian-source": 1 });
  });

  it("does not keep tunnels on one host from each other", () => {
    const both = hostWith({ local: "127.0.0.1", remote: "127.0.0.2" });
    both.host.receiveRaw(from("127.0.0.2", { destination: "127.0.0.1" }));
    expect(both.device.written).toEqual([INNER]);
    const reserved = hostWith({ allow: "any" });
    reserved.host.receiveRaw(from("240.0.0.1"));
    expect(reserved.device.written).toEqual([INNER]);
  });
});

describe("allow: known", () => {
  it("lets in whom a route without next hop covers, as long as it does", () => {
    const side = hostWith({});
    const prefix = { ip: ip("10.57.4.16"), family: 4 as const, length: 28 };
    side.host.receiveRaw(from(HOST_C));
    side.routes.set({ prefix, hops: [] });
    side.host.receiveRaw(from(HOST_C));
    expect(side.device.written).toEqual([INNER]);
    expect(side.host.counts(0)).toMatchObject({ "foreign-source": 1, ingressPackets: 1 });
    side.routes.delete(prefix);
    side.host.receiveRaw(from(HOST_C));
    expect(side.host.counts(0)).toMatchObject({ "foreign-source": 2, ingressPackets: 1 });
  });

  it("is not widened by routes with a next hop, nor where outer and inner family differ", () => {
    const gateway = hostWith({});
    gateway.host.route(gateway, "10.57.4.0", 24, HOST_B);
    gateway.host.receiveRaw(from(HOST_C));
    expect(gateway.host.counts(0)).toEqual({ "foreign-source": 1 });
    const sit = hostWith({ carries4: false, carries6: true });
    sit.host.route(sit, "::", 0);
    sit.host.receiveRaw(ipip(ipv6Udp(), { source: HOST_C, protocol: 41 }), { protocol: 41 });
    expect(sit.host.counts(0)).toEqual({ "foreign-source": 1 });
  });

  it("is about the remote alone where one is given", () => {
    const side = hostWith({ remote: HOST_B });
    side.host.route(side, "0.0.0.0", 0);
    side.host.receiveRaw(from(HOST_C));
    expect(side.host.strayCounts()).toEqual({ "no-tunnel": 1 });
  });
});

describe("two hosts", () => {
  it("exchange packets through their tunnels", () => {
    const network = new MemoryNetwork();
    const a = new MemoryHost(network, HOST_A);
    const b = new MemoryHost(network, HOST_B);
    const left = a.ipip();
    const right = b.ipip({ remote: HOST_A });
    a.route(left, "192.168.11.0", 24, HOST_B);
    const there = ipv4Udp({ tos: 2 });
    a.send(left.device, there);
    b.pump();
    expect(right.device.written).toEqual([there]);
    b.send(right.device, INNER);
    a.pump();
    expect(left.device.written).toEqual([INNER]);
    expect(a.counts(0)).toMatchObject({ egressPackets: 1, ingressPackets: 1 });
  });
});
