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
  ipv4Tcp,
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
