// IPIP packets that are longer than their path: who is told what by ICMP, what leaves in fragments,
// and what is learned when the kernel refuses a send.

import { describe, expect, it } from "vitest";
import { MemoryNetwork } from "../../../src/underlay/memory-underlay.js";
import { icmpNextHopMtu, parseIcmp } from "../../../src/wire/icmp.js";
import { icmpv6Mtu } from "../../../src/wire/icmpv6.js";
import { parseIpv4 } from "../../../src/wire/ipv4.js";
import { parseIpv6 } from "../../../src/wire/ipv6.js";
import { ip, ipv4Udp, ipv6Udp, v4 } from "./frames.js";
import { HOST_A, HOST_B, HOST_C, type IpipOptions, MemoryHost } from "./memory-host.js";

const EMSGSIZE = -90;
/** Whole packets of `length` bytes. */
const packet4 = (length: number, dontFragment = false) =>
  ipv4Udp({ dontFragment, payload_bytes: length - 28 });
const packet6 = (length: number, destination = "fd99::1") =>
  ipv6Udp({ destination, payload_bytes: length - 48 });
const withDf = (length: number) => packet4(length, true);

function hostWith(options: IpipOptions = {}) {
  const network = new MemoryNetwork();
  const host = new MemoryHost(network, HOST_A);
  const side = host.ipip({ remote: HOST_B, carries6: true, ...options });
  return { network, host, ...side };
}

const OVER4: IpipOptions = { underlayMtu_bytes: 1400 };
const OVER6: IpipOptions = {
  ...{ family: 6, local: "fd57::20", remote: "fd57::21", underlayMtu_bytes: 1420 },
};

describe.each([
  ["over IPv4", OVER4],
  ["over IPv6", OVER6],
])("what fits %s", (_, options) => {
  it("is the underlay's MTU less the outer header, while the path's is not known", () => {
    const { host, device, network } = hostWith(options);
    host.send(device, withDf(1380), withDf(1381), packet6(1380), packet6(1381));
    expect(host.counts(0)).toMatchObject({ egressPackets: 2, "too-big": 2, icmpErrors: 2 });
    expect(network.sent.map(({ fragments }) => fragments)).toEqual([false, false]);
    const [v4Answer, v6Answer] = device.written;
    expect([icmpNextHopMtu(v4Answer, 20), icmpv6Mtu(v6Answer, 40)]).toEqual([1380, 1380]);
  });

  it("is the path's MTU less the outer header, once that is known", () => {
    const { host, device, network, tunnel } = hostWith(options);
    const header_bytes = tunnel.family === 4 ? 20 : 40;
    network.pathMtu_bytes = () => 1350 + header_bytes;
    network.onSend = ({ bytes }) => (bytes.length > 1350 + header_bytes ? EMSGSIZE : 0);
    host.send(device, withDf(1360));
    expect(host.remotes.pathMtu(tunnel.remoteRow)).toBe(1350 + header_bytes);
    network.onSend = () => 0;
    host.send(device, withDf(1350), withDf(1351));
    expect(network.sent).toHaveLength(1);
    expect(host.counts(0)).toMatchObject({ egressPackets: 1, "too-big": 2, icmpErrors: 2 });
    expect(device.written.map((answer) => icmpNextHopMtu(answer, 20))).toEqual([1350, 1350]);
    expect(host.counters.remote(tunnel.remoteRow)).toMatchObject({ egressPackets: 1 });
  });
});

describe("the answer", () => {
  it("to IPv4 comes from its destination and quotes the packet", () => {
    const { host, device } = hostWith(OVER4);
    const packet = withDf(1428);
    host.send(device, packet);
    expect(host.counts(0)).toEqual({ "too-big": 1, icmpErrors: 1 });
    const [answer] = device.written;
    expect(answer).toHaveLength(576);
    expect(parseIpv4(answer, 0, answer.length)).toMatchObject({
      ...{ source: v4("192.168.11.10"), destination: v4("192.168.10.10"), protocol: 1 },
    });
    const icmp = parseIcmp(answer, 20, answer.length);
    expect([icmp?.type, icmp?.code]).toEqual([3, 4]);
    expect(icmp?.data).toEqual(packet.slice(0, 548));
  });

  it("to IPv6 comes from its destination, quotes the packet and says no less than 1280", () => {
    const { host, device } = hostWith({ underlayMtu_bytes: 1290 });
    const packet = packet6(1281);
    host.send(device, packet);
    const [answer] = device.written;
    expect(answer).toHaveLength(1280);
    expect(parseIpv6(answer, 0, answer.length)).toMatchObject({
      ...{ source: ip("fd99::1"), destination: ip("fd00::10"), nextHeader: 58 },
    });
    expect([answer[40], icmpv6Mtu(answer, 40)]).toEqual([2, 1280]);
    expect(answer.slice(48)).toEqual(packet.slice(0, 1232));
  });

  it("is for every packet of a full batch, and bounded per second", () => {
    const { host, device } = hostWith(OVER4);
    const batch = Array.from({ length: 256 }, (_, i) =>
      ipv4Udp({ dontFragment: true, payload_bytes: 1400, ttl: i || 1 }),
    );
    host.send(device, ...batch);
    expect(host.counts(0)).toEqual({ "too-big": 256, icmpErrors: 256 });
    const quoted = device.written.map((answer) => answer[28 + 8]);
    expect(quoted).toEqual(Array.from({ length: 256 }, (_, i) => i || 1));
    for (let i = 0; i < 40; i++) host.send(device, ...batch);
    const { icmpErrors } = host.counts(0);
    expect(icmpErrors).toBeGreaterThanOrEqual(1000);
    expect(icmpErrors).toBeLessThan(41 * 256); // the clock may have gone on meanwhile
  });

  it("is not given to nobody", () => {
    const { host, device } = hostWith(OVER4);
    host.send(device, ipv4Udp({ dontFragment: true, payload_bytes: 1400, source: "0.0.0.0" }));
    expect(host.counts(0)).toEqual({ "too-big": 1 });
    expect(device.written).toEqual([]);
  });
});

describe("in fragments leaves", () => {
  it.each([
    ["IPv4 without DF", OVER4, packet4(1400)],
    ["IPv4 without DF, over IPv6", OVER6, packet4(1400)],
    ["IPv6 that every link carries", { underlayMtu_bytes: 1290 }, packet6(1280)],
    [
      "IPv6 that every link carries, over IPv6",
      { ...OVER6, underlayMtu_bytes: 1300 },
      packet6(1280),
    ],
    [
      "IPv4 to a group",
      OVER4,
      ipv4Udp({ dontFragment: true, payload_bytes: 1400, destination: "224.0.0.5" }),
    ],
    ["IPv6 to a group", OVER4, packet6(1400, "ff05::5")],
  ])("%s", (_, options, packet) => {
    for (const pmtudisc of [true, false]) {
      const { host, device, network } = hostWith({ ...options, pmtudisc });
      host.send(device, packet);
      const { length } = packet;
      expect(host.counts(0)).toEqual({ egressPackets: 1, egressBytes: length, fragmented: 1 });
      expect(network.sent.map(({ fragments }) => fragments)).toEqual([true]);
      expect(device.written).toEqual([]);
    }
  });
});

describe("a send that the kernel refuses (EMSGSIZE)", () => {
  const refusing = (options: IpipOptions, path_bytes: number) => {
    const fixture = hostWith(options);
    const { network } = fixture;
    network.pathMtu_bytes = () => path_bytes;
    network.onSend = ({ bytes, fragments }) =>
      !fragments && bytes.length > path_bytes ? EMSGSIZE : 0;
    return fixture;
  };

  it("is repeated in fragments where the packet may have them", () => {
    const { host, device, network } = refusing({}, 1290);
    host.send(device, packet4(1400), packet6(1280), packet4(100));
    // 100 bytes leave with the first try, the others with the second.
    expect(network.sent.map(({ fragments }) => fragments)).toEqual([false, true, true]);
    expect(host.counts(0)).toMatchObject({ egressPackets: 3, fragmented: 2 });
  });

  it("is repeated as it was where the kernel now says that it fits", () => {
    const { host, device, network } = hostWith();
    network.pathMtu_bytes = () => 1500;
    const verdicts = [EMSGSIZE, 0];
    network.onSend = () => verdicts.shift() ?? 0;
    host.send(device, withDf(1400));
    expect(network.sent.map(({ fragments }) => fragments)).toEqual([false]);
    expect(host.counts(0)).toEqual({ egressPackets: 1, egressBytes: 1400 });
  });

  it("is counted when it is refused again", () => {
    const { host, device, network } = hostWith();
    network.pathMtu_bytes = () => 1300;
    network.onSend = () => EMSGSIZE;
    host.send(device, packet4(1400), packet4(100));
    expect(host.counts(0)).toEqual({ "too-big": 2 });
  });

  it("is answered where the destination is no remote, by what the kernel knows of it", () => {
    const network = new MemoryNetwork();
    const host = new MemoryHost(network, HOST_A);
    const side = host.ipip();
    host.route(side, "10.57.4.0", 24);
    network.pathMtu_bytes = ({ w3 }) => (w3 === v4(HOST_C) ? 1320 : 576);
    network.onSend = () => EMSGSIZE;
    const packet = ipv4Udp({ dontFragment: true, destination: HOST_C, payload_bytes: 1400 });
    host.send(side.device, packet);
    expect(icmpNextHopMtu(side.device.written[0], 20)).toBe(1300);
    expect(host.counts(0)).toEqual({ "too-big": 1, icmpErrors: 1 });
  });
});
