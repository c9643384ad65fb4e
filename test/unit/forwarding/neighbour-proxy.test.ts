// The ARP and neighbour-discovery proxy: what it answers, with which bytes, and what it keeps from
// being flooded.

import { describe, expect, it } from "vitest";
import { NEIGH_PERMANENT, NEIGH_ROUTER } from "../../../src/neigh/neigh.js";
import { MemoryNetwork } from "../../../src/underlay/memory-underlay.js";
import { parseArp } from "../../../src/wire/arp.js";
import { ETHERTYPE_ARP, ETHERTYPE_IPV6, parseEthernet } from "../../../src/wire/ethernet.js";
import { parseNeighbourAdvertisement } from "../../../src/wire/icmpv6.js";
import { ipv6HopLimit } from "../../../src/wire/ipv6.js";
import {
  arpFrame,
  BROADCAST,
  frame4,
  ip,
  MAC_A,
  MAC_B,
  mac,
  solicitationFrame,
  tagged,
  v4,
} from "./frames.js";
import { HOST_A, HOST_B, MemoryHost } from "./memory-host.js";

const ASKER = "192.168.10.10";
const KNOWN = "192.168.11.10";
const UNKNOWN = "192.168.11.99";

/** A host with one flood-list member that knows MAC_B as 192.168.11.10 and fd00::b. */
function hostWith(proxy = true, flags = NEIGH_PERMANENT) {
  const network = new MemoryNetwork();
  const host = new MemoryHost(network, HOST_A);
  const side = host.vxlan({ proxy });
  side.tunnel.flood.append(host.remote(0, HOST_B));
  for (const text of [KNOWN, "fd00::b"]) {
    const { w0, w1, w2, w3 } = ip(text);
    side.tunnel.neigh.add({ address: [w0, w1, w2, w3], ...mac(MAC_B), flags });
  }
  return { network, host, ...side };
}

describe("ARP", () => {
  it("request for a known neighbour is answered in its name and not flooded", () => {
    const { network, host, device } = hostWith();
    host.send(device, arpFrame(1, ASKER, KNOWN));
    expect(network.sent).toEqual([]);
    expect(host.counts(0)).toEqual({ arpReplies: 1 });
    const [answer] = device.written;
    expect(answer).toHaveLength(42);
    expect(parseEthernet(answer, 0, 42)).toEqual({
      ...{ destination: mac(MAC_A), source: mac(MAC_B), etherType: ETHERTYPE_ARP },
    });
    expect(parseArp(answer, 14, 42)).toEqual({
      ...{ operation: 2, senderMac: mac(MAC_B), senderIp: v4(KNOWN) },
      ...{ targetMac: mac(MAC_A), targetIp: v4(ASKER) },
    });
  });

  it("request with a VLAN tag is answered with the tag", () => {
    const { host, device } = hostWith();
    host.send(device, tagged(arpFrame(1, ASKER, KNOWN), 7));
    const [answer] = device.written;
    expect([...answer.slice(12, 18)]).toEqual([0x81, 0, 0, 7, 0x08, 0x06]);
    expect(parseArp(answer, 18, answer.length)).toMatchObject({ operation: 2 });
    expect(host.counts(0)).toEqual({ arpReplies: 1 });
  });

  it("probe (sender 0.0.0.0, RFC 5227) is answered: the address is taken", () => {
    const { host, device } = hostWith();
    host.send(device, arpFrame(1, "0.0.0.0", KNOWN));
    expect(parseArp(device.written[0], 14, 42)).toMatchObject({ senderIp: v4(KNOWN), targetIp: 0 });
    expect(host.counts(0)).toEqual({ arpReplies: 1 });
  });

  it.each([
    ["for an unknown neighbour", arpFrame(1, ASKER, UNKNOWN)],
    ["that is a reply", arpFrame(2, ASKER, KNOWN)],
    ["that is gratuitous", arpFrame(1, KNOWN, KNOWN)],
    ["for a multicast address", arpFrame(1, ASKER, "224.0.0.1")],
    ["that is truncated", arpFrame(1, ASKER, KNOWN).slice(0, -1)],
  ])("%s is consumed and counted as l3miss", (_, frame) => {
    const { network, host, device } = hostWith();
    host.send(device, frame);
    expect([network.sent, device.written]).toEqual([[], []]);
    expect(host.counts(0)).toEqual({ l3miss: 1 });
  });

  it("is answered as often as it is asked: a whole batch of requests", () => {
    const { host, device } = hostWith();
    const requests = Array.from({ length: 256 }, (_, i) => arpFrame(1, `10.0.0.${i}`, KNOWN));
    host.send(device, ...requests);
    expect(host.counts(0)).toEqual({ arpReplies: 256 });
    const askers = device.written.map((answer) => parseArp(answer, 14, 42)?.targetIp);
    expect(askers).toEqual(requests.map((_, i) => v4(`10.0.0.${i}`)));
  });

  it("answer that the device refuses is counted as that", () => {
    const { host, device } = hostWith();
    device.write = () => -5;
    host.send(device, arpFrame(1, ASKER, KNOWN));
    expect(host.counts(0)).toEqual({ "device-error": 1 });
  });
});

describe("neighbour solicitation", () => {
  it("for a known neighbour is answered: solicited, override, hop limit 255, checksum right", () => {
    const { network, host, device } = hostWith();
    host.send(device, solicitationFrame("fd00::a", "fd00::b"));
    expect(network.sent).toEqual([]);
    expect(host.counts(0)).toEqual({ ndReplies: 1 });
    const [answer] = device.written;
    expect(parseEthernet(answer, 0, answer.length)).toEqual({
      ...{ destination: mac(MAC_A), source: mac(MAC_B), etherType: ETHERTYPE_IPV6 },
    });
    expect(ipv6HopLimit(answer, 14)).toBe(255);
    // The parser refuses a wrong checksum.
    expect(parseNeighbourAdvertisement(answer, 14, answer.length)).toEqual({
      ...{ source: ip("fd00::b"), destination: ip("fd00::a"), target: ip("fd00::b") },
      ...{ targetMac: mac(MAC_B), router: false, solicited: true, override: true },
    });
  });

  it("from :: (duplicate address detection) is answered to all nodes, unsolicited", () => {
    const { host, device } = hostWith();
    host.send(device, solicitationFrame("::", "fd00::b"));
    const [answer] = device.written;
    expect(parseNeighbourAdvertisement(answer, 14, answer.length)).toMatchObject({
      ...{ source: ip("fd00::b"), destination: ip("ff02::1"), target: ip("fd00::b") },
      ...{ solicited: false, override: true },
    });
    expect(host.counts(0)).toEqual({ ndReplies: 1 });
  });

  it("for a router is answered with the R flag", () => {
    const { host, device } = hostWith(true, NEIGH_PERMANENT | NEIGH_ROUTER);
    host.send(device, solicitationFrame("fd00::a", "fd00::b"));
    const [answer] = device.written;
    expect(parseNeighbourAdvertisement(answer, 14, answer.length)?.router).toBe(true);
  });

  it("for an unknown neighbour, or with a wrong checksum, is consumed and counted as l3miss", () => {
    const { network, host, device } = hostWith();
    const broken = solicitationFrame("fd00::a", "fd00::b");
    broken[broken.length - 1] ^= 1;
    host.send(device, solicitationFrame("fd00::a", "fd00::99"), broken);
    expect([network.sent, device.written]).toEqual([[], []]);
    expect(host.counts(0)).toEqual({ l3miss: 2 });
  });
});

describe("everything else", () => {
  it("passes a proxy unchanged", () => {
    const { network, host, device } = hostWith();
    host.send(device, frame4({}, BROADCAST));
    expect(network.sent.map(({ bytes }) => bytes.slice(8))).toEqual([frame4({}, BROADCAST)]);
    expect(device.written).toEqual([]);
  });

  it("is flooded, questions too, where the tunnel is no proxy", () => {
    const { network, host, device } = hostWith(false);
    const questions = [arpFrame(1, ASKER, KNOWN), solicitationFrame("fd00::a", "fd00::b")];
    host.send(device, ...questions);
    expect(network.sent.map(({ bytes }) => bytes.slice(8))).toEqual(questions);
    expect(host.counts(0)).toMatchObject({ floods: 2, egressPackets: 2 });
    expect(device.written).toEqual([]);
  });
});
