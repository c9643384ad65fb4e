// What the kernel's receive offload merged before a raw socket saw it: the size that native code is
// told to cut TCP into, and UDP that cannot be cut.

import { describe, expect, it } from "vitest";
import { RUN_GSO_SIZE } from "#abi";
import { MemoryNetwork } from "../../../src/underlay/memory-underlay.js";
import { TCP_FLAG_ACK, TCP_FLAG_PSH } from "../../../src/wire/tcp.js";
import { ip6ip, ipip, ipv4Tcp, ipv4Udp, ipv6Tcp, ipv6Udp, type PacketOptions } from "./frames.js";
import { HOST_A, HOST_B, type IpipOptions, MemoryHost, NOW_S } from "./memory-host.js";

const PSH = TCP_FLAG_ACK | TCP_FLAG_PSH;

const KINDS = [
  { name: "IPv4 in IPv4", family: 4, inner: 4, mtu_bytes: 1480, headers_bytes: 40 },
  { name: "IPv6 in IPv4", family: 4, inner: 6, mtu_bytes: 1480, headers_bytes: 60 },
  { name: "IPv4 in IPv6", family: 6, inner: 4, mtu_bytes: 1460, headers_bytes: 40 },
  { name: "IPv6 in IPv6", family: 6, inner: 6, mtu_bytes: 1460, headers_bytes: 60 },
] as const;

function hostFor({ family, inner, mtu_bytes }: (typeof KINDS)[number], more: IpipOptions = {}) {
  const ends = family === 4 ? { remote: HOST_B } : { local: "fd57::20", remote: "fd57::21" };
  const host = new MemoryHost(new MemoryNetwork(), HOST_A);
  const carries = { carries4: inner === 4, carries6: inner === 6 };
  const { device } = host.ipip({ ...ends, ...carries, family, mtu_bytes, ...more });
  const protocol = inner === 4 ? 4 : 41;
  /** @returns the size that native code is told */
  const receive = (packet: Uint8Array, now_s = NOW_S): number => {
    host.receiveRaw((family === 4 ? ipip : ip6ip)(packet, { protocol }), { protocol, now_s });
    expect(Buffer.compare(packet, device.written.at(-1) ?? packet.slice(1))).toBe(0);
    return host.ingressBatch.runs[RUN_GSO_SIZE];
  };
  const tcp = (payload_bytes: number, options: PacketOptions = {}) =>
    (inner === 4 ? ipv4Tcp : ipv6Tcp)({ payload_bytes, ...options });
  const udp = (payload_bytes: number, options: PacketOptions = {}) =>
    (inner === 4 ? ipv4Udp : ipv6Udp)({ payload_bytes, ...options });
  const refuse = (packet: Uint8Array): Record<string, number> => {
    host.receiveRaw((family === 4 ? ipip : ip6ip)(packet, { protocol }), { protocol });
    expect(device.written).toEqual([]);
    return host.counts(0);
  };
  return { host, device, receive, refuse, tcp, udp };
}

describe.each(KINDS)("merged TCP, $name", (kind) => {
  const fits_bytes = kind.mtu_bytes - kind.headers_bytes;

  it("is cut as the MTU allows while nothing is known of the flow", () => {
    const { receive, tcp } = hostFor(kind);
    expect(receive(tcp(6000, { partial: true }))).toBe(fits_bytes);
  });

  it("is cut as the sender's own segments are, which came alone", () => {
    const { receive, tcp } = hostFor(kind);
    expect(receive(tcp(1340))).toBe(0);
    expect(receive(tcp(6000, { partial: true }))).toBe(1340);
    expect(receive(tcp(6000, { partial: true, sourcePort: 4001 }))).toBe(fits_bytes);
  });

  it("is never cut longer than the MTU allows", () => {
    const { receive, tcp } = hostFor(kind);
    // From outer fragments: longer than the tunnel's own packets may be.
    receive(tcp(3000));
    expect(receive(tcp(6000, { partial: true }))).toBe(fits_bytes);
  });

  it("gets through to a link behind us that takes less, after one loss", () => {
    // The receiver's link takes 1,340 bytes of payload. Its sender knows that and its segments are
    // merged from the first on: we cut them too long, they are lost. The sender repeats the first
    // one, alone.
    const { receive, tcp } = hostFor(kind);
    expect(receive(tcp(5360, { partial: true }), NOW_S)).toBe(fits_bytes);
    expect(receive(tcp(1340), NOW_S + 1)).toBe(0);
    for (const later_s of [1, 2, 60]) {
      expect(receive(tcp(5360, { partial: true }), NOW_S + later_s)).toBe(1340);
    }
  });

  it("becomes shorter within two seconds when the sender learns of a smaller path", () => {
    const { receive, tcp } = hostFor(kind);
    receive(tcp(1400), NOW_S);
    receive(tcp(1200), NOW_S + 1);
    receive(tcp(1200), NOW_S + 2);
    expect(receive(tcp(6000, { partial: true }), NOW_S + 2)).toBe(1200);
  });

  it("is cut like what fits and was left to an offload, where nothing came complete", () => {
    const { receive, tcp } = hostFor(kind);
    expect(receive(tcp(1340, { partial: true }))).toBe(1340);
    expect(receive(tcp(6000, { partial: true }))).toBe(1340);
  });

  it("learns nothing from the ends of messages and from segments without payload", () => {
    const { receive, tcp } = hostFor(kind);
    expect(receive(tcp(700, { flags: PSH }))).toBe(0);
    expect(receive(tcp(700, { flags: PSH, partial: true }))).toBe(fits_bytes);
    expect(receive(tcp(0))).toBe(0);
    expect(receive(tcp(0, { partial: true }))).toBe(0);
    expect(receive(tcp(6000, { partial: true }))).toBe(fits_bytes);
  });

  it("is no long segment with a complete checksum, which came in fragments", () => {
    const { receive, tcp } = hostFor(kind);
    expect(receive(tcp(6000))).toBe(0);
  });
});

describe.each(KINDS)("merged UDP, $name", (kind) => {
  const header_bytes = kind.headers_bytes - 12;
  const underlay_bytes = 1500 - (kind.family === 4 ? 20 : 40);

  it("is dropped: nobody knows which datagrams it was", () => {
    const { refuse, udp } = hostFor(kind);
    expect(refuse(udp(6000, { partial: true }))).toEqual({ "merged-udp": 1 });
  });

  it("is told from a long datagram that came in fragments: its checksum is complete", () => {
    const { receive, udp } = hostFor(kind);
    expect(receive(udp(6000))).toBe(0);
    expect(receive(udp(underlay_bytes - header_bytes + 1))).toBe(0);
  });

  it("is told from one that fits the path, whose checksum a peer on this machine left out", () => {
    const smaller = hostFor(kind, { mtu_bytes: 1280 });
    expect(smaller.receive(smaller.udp(underlay_bytes - header_bytes, { partial: true }))).toBe(0);
    const longer = hostFor(kind, { mtu_bytes: 1280 });
    const one = longer.udp(underlay_bytes - header_bytes + 1, { partial: true });
    expect(longer.refuse(one)).toEqual({ "merged-udp": 1 });
  });

  it("is told from one whose complete checksum happens to be the pseudo-header sum", () => {
    const { receive, udp } = hostFor(kind);
    const packet = udp(6000, { partial: true });
    const l4 = kind.headers_bytes - 20;
    // Two bytes of payload that make it right: with the pseudo header, whose sum it is, all is 0.
    const rest = sumOf([...packet.subarray(l4), ...packet.subarray(l4 + 6, l4 + 8)], 8);
    packet.set([(~rest >> 8) & 0xff, ~rest & 0xff], l4 + 8);
    expect(receive(packet)).toBe(0);
  });
});

/** One's complement sum of 16-bit words, without the one at an offset. */
function sumOf(bytes: readonly number[], without: number): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) {
    if (at !== without) sum += (bytes[at]! << 8) | (bytes[at + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

it("other protocols and fragments are never cut", () => {
  const { receive } = hostFor(KINDS[0]);
  const sctp = ipv4Tcp({ payload_bytes: 6000, partial: true });
  sctp[9] = 132;
  expect(receive(sctp)).toBe(0);
  const fragment = ipv4Tcp({ payload_bytes: 6000, partial: true });
  fragment[6] = 0x20;
  expect(receive(fragment)).toBe(0);
});
