// The table of RFC 6040 § 4.2 (figure 4), through VXLAN and IPIP ingress with inner IPv4 and IPv6.

import { describe, expect, it } from "vitest";
import { MemoryNetwork } from "../../../src/underlay/memory-underlay.js";
import { ipv4ChecksumValid, ipv4Tos } from "../../../src/wire/ipv4.js";
import { ipv6TrafficClass } from "../../../src/wire/ipv6.js";
import { arpFrame, frame4, frame6, ipip, ipv4Udp, join, tagged, vxlanHeader } from "./frames.js";
import { HOST_A, HOST_B, MemoryHost, VNI } from "./memory-host.js";

const [NOT_ECT, ECT1, ECT0, CE] = [0, 1, 2, 3];
const DROP = -1;
const DSCP = 0xb8;

/** [inner, outer, what leaves the tunnel]; the columns and rows of figure 4 in its order. */
const FIGURE_4 = [
  [NOT_ECT, NOT_ECT, NOT_ECT],
  [NOT_ECT, ECT0, NOT_ECT],
  [NOT_ECT, ECT1, NOT_ECT],
  [NOT_ECT, CE, DROP],
  [ECT0, NOT_ECT, ECT0],
  [ECT0, ECT0, ECT0],
  [ECT0, ECT1, ECT1],
  [ECT0, CE, CE],
  [ECT1, NOT_ECT, ECT1],
  [ECT1, ECT0, ECT1],
  [ECT1, ECT1, ECT1],
  [ECT1, CE, CE],
  [CE, NOT_ECT, CE],
  [CE, ECT0, CE],
  [CE, ECT1, CE],
  [CE, CE, CE],
];

function vxlanHost() {
  const host = new MemoryHost(new MemoryNetwork(), HOST_A);
  const side = host.vxlan({ learning: false });
  host.remote(0, HOST_B);
  const receive = (tos: number, bytes: Uint8Array, segment_bytes = bytes.length) => {
    side.device.written.length = 0;
    host.receiveUdp(bytes, { tos, segment_bytes });
    return side.device.written;
  };
  return { host, receive };
}

describe("VXLAN", () => {
  it.each(FIGURE_4)("inner %i behind outer %i leaves as %i", (inner, outer, result) => {
    const { host, receive } = vxlanHost();
    const frames = [frame4({ tos: DSCP | inner }), frame6({ tos: DSCP | inner })];
    const [four] = receive(outer, join(vxlanHeader(VNI), frames[0]));
    const tag = receive(outer, join(vxlanHeader(VNI), tagged(frames[0], 3)))[0];
    const [six] = receive(outer, join(vxlanHeader(VNI), frames[1]));
    if (result === DROP) {
      expect([four, tag, six]).toEqual([undefined, undefined, undefined]);
      expect(host.counts(0)).toEqual({ ecn: 3 });
      return;
    }
    expect(ipv4Tos(four, 14)).toBe(DSCP | result);
    expect(ipv4ChecksumValid(four, 14)).toBe(true);
    expect(ipv4Tos(tag, 18)).toBe(DSCP | result);
    expect(ipv6TrafficClass(six, 14)).toBe(DSCP | result);
    const changed = [four, six].map((frame, i) =>
      frame.filter((byte, at) => byte !== frames[i][at]),
    );
    expect(changed.every(({ length }) => length <= 3)).toBe(true);
  });

  it.each([CE, ECT1])("outer %i marks every segment of a run", (outer) => {
    const { host, receive } = vxlanHost();
    const segment = (port: number) => {
      const frame = frame4({ tos: ECT0, sourcePort: port });
      return join(vxlanHeader(VNI), frame);
    };
    const run = join(segment(1), segment(1), segment(1));
    const written = receive(outer, run, segment(1).length);
    expect(written.map((frame) => ipv4Tos(frame, 14))).toEqual([outer, outer, outer]);
    expect(written.every((frame) => ipv4ChecksumValid(frame, 14))).toBe(true);
    expect(host.counts(0)).toMatchObject({ ingressPackets: 3 });
  });

  it("outer CE lets frames pass that are not IP", () => {
    const { receive } = vxlanHost();
    const frame = arpFrame(1, "192.168.10.1", "192.168.10.2");
    expect(receive(CE, join(vxlanHeader(VNI), frame))).toEqual([frame]);
  });

  it("outer CE over an inner header that cannot be read is inner-malformed", () => {
    const { host, receive } = vxlanHost();
    expect(receive(CE, join(vxlanHeader(VNI), frame4().slice(0, -1)))).toEqual([]);
    expect(host.counts(0)).toEqual({ "inner-malformed": 1 });
  });
});

describe("IPIP", () => {
  it.each(FIGURE_4)("inner %i behind outer %i leaves as %i", (inner, outer, result) => {
    const host = new MemoryHost(new MemoryNetwork(), HOST_A);
    const { device } = host.ipip({ remote: HOST_B });
    const packet = ipv4Udp({ tos: DSCP | inner });
    host.receiveRaw(ipip(packet, { tos: outer }));
    if (result === DROP) {
      expect(device.written).toEqual([]);
      expect(host.counts(0)).toEqual({ ecn: 1 });
      return;
    }
    const [written] = device.written;
    expect(ipv4Tos(written, 0)).toBe(DSCP | result);
    expect(ipv4ChecksumValid(written, 0)).toBe(true);
    expect(written.slice(12)).toEqual(packet.slice(12));
  });
});
