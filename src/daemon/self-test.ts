// Does this kernel take superpackets written to a TUN device? Linux 6.1.103, 6.6.44 and 6.10.3
// answered EINVAL, and a tunnel then loses every coalesced segment. So two segments are coalesced
// and written while the device is still down: a kernel that reads the virtio header right refuses
// with EIO ("not up", drivers/net/tun.c), a broken one with EINVAL.

import {
  DEVICE_TAP,
  native,
  RUN_DEVICE_ERRNO,
  RUN_LENGTH,
  RUN_SEGMENT_BYTES,
  RUN_SEGMENTS,
  RUN_STRIP,
} from "#native";
import { EIO } from "../packet/errno.js";
import { IngressBatch } from "../packet/ingress-batch.js";
import { ETHERTYPE_IPV4, emitEthernet } from "../wire/ethernet.js";
import { PROTOCOL_TCP, PROTOCOL_UDP } from "../wire/ip-protocol.js";
import { emitIpv4, IPV4_HEADER_BYTES } from "../wire/ipv4.js";
import { emitTcp, TCP_HEADER_BYTES, writeTcpChecksum } from "../wire/tcp.js";
import { emitUdp, UDP_HEADER_BYTES, writeUdpChecksum } from "../wire/udp.js";
import { errnoName } from "./errno-error.js";
import { type Offloads, TSO, USO } from "./offloads.js";

const PAYLOAD_BYTES = 100;
const TCP_ACK = 0x10;
/** Addresses for documentation [RFC 5737]; the frames never leave the test. */
const SOURCE = 0xc0000201;
const DESTINATION = 0xc0000202;
const MAC = { hi: 0x0200, lo: 1 };

/** Withdraws TSO or USO when this kernel refuses such superpackets. The device must be down. */
export function selfTest(fd: number, kind: number, offloads: Offloads): void {
  const batch = new IngressBatch();
  const handle = native.ingressCreate(batch.arena, batch.runs);
  if (typeof handle === "number") throw new Error(`native batch refused: errno ${-handle}`);
  for (const [protocol, name, mask] of [
    [PROTOCOL_TCP, "tso", TSO],
    [PROTOCOL_UDP, "uso", USO],
  ] as const) {
    const { runs, arena } = batch;
    runs.fill(0);
    const first = emitSegment(arena, 0, kind === DEVICE_TAP, protocol, 0);
    const second = emitSegment(arena, first, kind === DEVICE_TAP, protocol, 1);
    runs[RUN_LENGTH] = first + second;
    runs[RUN_SEGMENT_BYTES] = first;
    runs[RUN_SEGMENTS] = 2;
    runs[RUN_STRIP] = 0;
    native.decapWriteBatch(handle, fd, 0, kind, mask, 0, 1);
    const errno = runs[RUN_DEVICE_ERRNO];
    // 0: somebody (udev, networkd) was quicker and brought the device up; the write was taken then.
    if (errno !== EIO && errno !== 0) {
      const reason = `the self-test got ${errnoName(-errno)} for a superpacket`;
      offloads.withdraw(mask, name, reason);
    }
  }
}

/** One segment with correct checksums, the `index`th of its flow. @returns its bytes */
function emitSegment(
  bytes: Uint8Array,
  at: number,
  ethernet: boolean,
  protocol: number,
  index: number,
): number {
  const tcp = protocol === PROTOCOL_TCP;
  let end = at;
  if (ethernet) {
    const frame = { destination: MAC, source: MAC, etherType: ETHERTYPE_IPV4 };
    end += emitEthernet(frame, bytes, at);
  }
  const ip = end;
  const l4 = ip + IPV4_HEADER_BYTES;
  const l4_bytes = (tcp ? TCP_HEADER_BYTES : UDP_HEADER_BYTES) + PAYLOAD_BYTES;
  emitIpv4(
    {
      tos: 0,
      identification: index,
      dontFragment: true,
      moreFragments: false,
      fragmentOffset_bytes: 0,
      ttl: 64,
      protocol,
      source: SOURCE,
      destination: DESTINATION,
      payload_bytes: l4_bytes,
    },
    bytes,
    ip,
  );
  bytes.fill(index, l4, l4 + l4_bytes);
  const ports = { sourcePort: 7, destinationPort: 9 };
  if (tcp) {
    const sequence = index * PAYLOAD_BYTES;
    const flags = TCP_ACK;
    const options = new Uint8Array();
    const rest = { sequence, acknowledgement: 0, flags, window: 1, urgent: 0, options };
    emitTcp({ ...ports, ...rest }, bytes, l4);
    writeTcpChecksum(bytes, ip, l4, l4 + l4_bytes);
  } else {
    emitUdp({ ...ports, payload_bytes: PAYLOAD_BYTES }, bytes, l4);
    writeUdpChecksum(bytes, ip, l4);
  }
  return l4 + l4_bytes - at;
}
