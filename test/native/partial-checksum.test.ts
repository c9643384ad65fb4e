// Inner checksums that are left to the peer (SEND_PARTIAL_CHECKSUM, remote checksum offload): in
// the field stands the sum of the pseudo header, of plain frames and of every segment.

import { afterAll, beforeEach, describe, expect, it } from "vitest";
import {
  FRAME_NEEDS_CHECKSUM,
  GSO_TCPV4,
  GSO_TCPV6,
  GSO_UDP_L4,
  SEND_PARTIAL_CHECKSUM,
} from "#native";
import { Descriptors, encapsulated, LOOPBACK, Receiver, Sender, segmentsOf } from "./batches.js";
import {
  buildPacket,
  checksumOffset,
  type PacketSpec,
  patternBytes,
  segmentSpecs,
  withPartialChecksum,
} from "./packets.js";

const descriptors = new Descriptors();
const sender = new Sender();
const receiver = new Receiver();
const target = descriptors.udp();
const { fd } = descriptors.udp();
sender.addRemote(LOOPBACK, target.port);
beforeEach(() => sender.begin());
afterAll(() => descriptors.closeAll());

function received(): Uint8Array[] {
  const runs = receiver.tryReceive(target.fd);
  return typeof runs === "number" ? [] : runs.flatMap(segmentsOf);
}

const specs: PacketSpec[] = ([4, 6] as const).flatMap((version) =>
  (["tcp", "udp"] as const).map((protocol) => ({ version, protocol, payload: patternBytes(2500) })),
);

function gsoType({ version, protocol }: PacketSpec): number {
  if (protocol === "udp") return GSO_UDP_L4;
  return version === 4 ? GSO_TCPV4 : GSO_TCPV6;
}

describe.each(specs)("$protocol over IPv$version", (spec) => {
  it("keeps the pseudo header's sum of each segment's own length", () => {
    const frame = sender.addSuperpacket(withPartialChecksum(spec), gsoType(spec), 1000);
    sender.addSend(frame, { flags: SEND_PARTIAL_CHECKSUM });
    expect(sender.flush([fd]).results).toEqual([3]);
    const expected = segmentSpecs(spec, 1000).map((segment) =>
      encapsulated(withPartialChecksum(segment).bytes),
    );
    expect(received()).toEqual(expected);
  });

  it("keeps that of a plain frame, and finishes it for a send that does not ask", () => {
    const { bytes, l4 } = withPartialChecksum(spec);
    const csum = { csumStart: l4, csumOffset: checksumOffset(spec) };
    const frame = sender.addFrame(bytes, 100, { flags: FRAME_NEEDS_CHECKSUM, ...csum });
    sender.addSend(frame, { flags: SEND_PARTIAL_CHECKSUM });
    expect(sender.flush([fd]).failed).toBe(0);
    expect(received()).toEqual([encapsulated(bytes)]);
    sender.addSend(sender.addFrame(bytes, 100, { flags: FRAME_NEEDS_CHECKSUM, ...csum }));
    expect(sender.flush([fd]).failed).toBe(0);
    expect(received()).toEqual([encapsulated(buildPacket(spec).bytes)]);
  });
});
