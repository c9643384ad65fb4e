// IPIP ingress on memory devices: which packet reaches which tunnel, and why the others are
// dropped.

import { describe, expect, it } from "vitest";
import { RUN_GSO_SIZE, RUN_LENGTH, RUN_STRIP } from "#abi";
import { MemoryNetwork } from "../../../src/underlay/memory-underlay.js";
import { ipip, ipv4Tcp, ipv4Udp, ipv6Udp, join, type OuterOptions } from "./frames.js";
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

describe("what the kernel's receive offload merged", () => {
  it("goes on with the payload size that the MTU allows", () => {
    const { host, device } = hostWith({ remote: HOST_B, mtu_bytes: 1480 });
    const merged = ipv4Tcp({ payload_bytes: 16_000 });
    host.receiveRaw(ipip(merged, { source: HOST_B }));
    expect(device.written).toEqual([merged]);
    expect(host.ingressBatch.runs[RUN_GSO_SIZE]).toBe(1480 - 40);
  });

  it("stays whole when it is UDP: nobody knows which datagrams it was", () => {
    const { host, device } = hostWith({ remote: HOST_B, mtu_bytes: 1480 });
    const merged = ipv4Udp({ payload_bytes: 16_000 });
    host.receiveRaw(ipip(merged, { source: HOST_B }));
    expect(device.written).toEqual([merged]);
    expect(host.ingressBatch.runs[RUN_GSO_SIZE]).toBe(0);
  });

  it("is left alone when it fits", () => {
    const { host } = hostWith({ remote: HOST_B, mtu_bytes: 1480 });
    host.receiveRaw(ipip(ipv4Udp({ payload_bytes: 1452 }), { source: HOST_B }));
    expect(host.ingressBatch.runs[RUN_GSO_SIZE]).toBe(0);
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
