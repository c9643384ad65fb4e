// Frames that a soak begins with before it damages them: what a host sends, what hosts behind other
// VTEPs send, and both as superpackets.

import { GSO_ECN, GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4 } from "#abi";
import { ETHERTYPE_IPV4 } from "../../../src/wire/ethernet.js";
import {
  arpFrame,
  BROADCAST,
  ethernet,
  frame4,
  frame6,
  ip6ip,
  ipip,
  ipv4Tcp,
  ipv4Udp,
  ipv6Tcp,
  ipv6Udp,
  MAC_A,
  MAC_B,
  solicitationFrame,
  tagged,
} from "../../unit/forwarding/frames.js";

export interface CorpusFrame {
  readonly bytes: Uint8Array;
  /** GSO_NONE, or the kind of superpacket that it is. */
  readonly gso: number;
}

const plain = (bytes: Uint8Array): CorpusFrame => ({ bytes, gso: GSO_NONE });
const tcp = (payload_bytes: number): Uint8Array =>
  ethernet(MAC_B, MAC_A, ETHERTYPE_IPV4, ipv4Tcp({ payload_bytes }));

/** Between the two hosts of test/unit/forwarding/frames.ts. */
export const CORPUS: readonly CorpusFrame[] = [
  plain(frame4()),
  plain(frame4({ tos: 3 })),
  plain(frame4({ dontFragment: true, payload_bytes: 1600 })),
  plain(frame4({ payload_bytes: 1400 })),
  plain(frame4({}, BROADCAST)),
  plain(frame4({}, "01:00:5e:00:00:05")),
  plain(frame4({}, "02:00:00:00:00:77")),
  plain(frame4({}, MAC_B, "02:00:00:00:00:01")),
  plain(frame4({}, MAC_B, "01:00:00:00:00:01")),
  plain(frame6()),
  plain(frame6({ payload_bytes: 1600, tos: 2 })),
  plain(tagged(frame4(), 5)),
  plain(tagged(tagged(frame6(), 5), 6)),
  plain(tcp(600)),
  plain(arpFrame(1, "192.168.10.10", "192.168.11.10")),
  plain(arpFrame(1, "192.168.10.10", "192.168.11.99")),
  plain(arpFrame(2, "192.168.10.10", "192.168.11.10")),
  plain(solicitationFrame("fd00::a", "fd00::b")),
  plain(solicitationFrame("::", "fd00::b")),
  plain(solicitationFrame("fd00::a", "fd00::99")),
  { bytes: tcp(9000), gso: GSO_TCPV4 },
  { bytes: tcp(40_000), gso: GSO_TCPV4 | GSO_ECN },
  { bytes: frame4({ payload_bytes: 7000 }), gso: GSO_UDP_L4 },
  { bytes: frame6({ payload_bytes: 7000 }), gso: GSO_UDP_L4 },
  // Kinds that contradict the frame.
  { bytes: frame6({ payload_bytes: 3000 }), gso: GSO_TCPV6 },
  { bytes: frame4(), gso: GSO_TCPV6 },
];

const icmp = (type: number): Uint8Array => {
  const bytes = ipv4Udp();
  bytes[9] = 1;
  bytes[20] = type;
  return bytes;
};

/** The same without Ethernet, for IPIP tunnels, and packets that carry packets. */
export const IP_CORPUS: readonly CorpusFrame[] = [
  plain(ipv4Udp()),
  plain(ipv4Udp({ tos: 3, ttl: 1 })),
  plain(ipv4Udp({ ttl: 0 })),
  plain(ipv4Udp({ payload_bytes: 1500 })),
  plain(ipv4Udp({ payload_bytes: 1440, dontFragment: true })),
  plain(ipv4Udp({ payload_bytes: 1600, dontFragment: true, partial: true })),
  plain(ipv4Udp({ destination: "224.0.0.5" })),
  plain(ipv4Udp({ destination: "10.57.4.22" })),
  plain(ipv4Tcp({ payload_bytes: 600, partial: true })),
  plain(icmp(3)),
  plain(icmp(8)),
  plain(ipv6Udp()),
  plain(ipv6Udp({ tos: 2, ttl: 0 })),
  plain(ipv6Udp({ payload_bytes: 1600, tos: 2 })),
  plain(ipv6Udp({ payload_bytes: 1600, destination: "ff05::2" })),
  plain(ipv6Udp({ destination: "2002:c633:6407::1" })),
  plain(ipv6Udp({ destination: "fd57::22" })),
  plain(ipv6Tcp({ payload_bytes: 1300 })),
  plain(ipip(ipv4Udp(), { source: "10.57.4.20", destination: "10.57.4.21" })),
  plain(ip6ip(ipv6Udp())),
  { bytes: ipv4Tcp({ payload_bytes: 9000 }), gso: GSO_TCPV4 },
  { bytes: ipv4Tcp({ payload_bytes: 40_000, dontFragment: true }), gso: GSO_TCPV4 | GSO_ECN },
  { bytes: ipv4Udp({ payload_bytes: 7000 }), gso: GSO_UDP_L4 },
  { bytes: ipv6Udp({ payload_bytes: 7000 }), gso: GSO_UDP_L4 },
  { bytes: ipv6Tcp({ payload_bytes: 20_000 }), gso: GSO_TCPV6 },
  { bytes: ipv6Udp({ payload_bytes: 3000 }), gso: GSO_TCPV6 },
  { bytes: ipv4Udp(), gso: GSO_TCPV6 },
];
