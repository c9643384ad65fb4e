// What becomes of sends that fail: repeated, answered, counted; never lost without a reason.

import { describe, expect, it } from "vitest";
import {
  FRAME_GSO_SIZE,
  FRAME_PAYLOAD,
  MAX_FRAMES,
  SEND_BYTES,
  SEND_PARTLY,
  SEND_RESULT,
  SEND_WORDS,
} from "#abi";
import { FDB_PERMANENT } from "../../../src/fdb/fdb.js";
import { FLOOD_AT_ONCE_MEMBERS } from "../../../src/forwarding/flooder.js";
import { REMOTE_FLAG_NO_GSO } from "../../../src/remotes/remote-rows.js";
import { LOSE, MemoryNetwork, type Sent } from "../../../src/underlay/memory-underlay.js";
import type { UnderlaySender } from "../../../src/underlay/underlay.js";
import { parseEthernet } from "../../../src/wire/ethernet.js";
import {
  ICMP_CODE_FRAGMENTATION_NEEDED,
  ICMP_DESTINATION_UNREACHABLE,
  icmpNextHopMtu,
  parseIcmp,
} from "../../../src/wire/icmp.js";
import {
  ICMPV6_PACKET_TOO_BIG,
  icmpv6ChecksumValid,
  icmpv6Mtu,
  icmpv6Type,
} from "../../../src/wire/icmpv6.js";
import { formatIp, formatIpv4 } from "../../../src/wire/ip-address.js";
import { ipv4DontFragment, parseIpv4 } from "../../../src/wire/ipv4.js";
import { parseIpv6 } from "../../../src/wire/ipv6.js";
import { BROADCAST, frame4, frame6, ip, MAC_A, MAC_B, mac, tagged } from "./frames.js";
import { HOST_A, HOST_B, HOST_C, MemoryHost, PORT, VNI } from "./memory-host.js";

const EIO = 5;
const EAGAIN = 11;
const EPERM = 1;
const EINVAL = 22;
const EMSGSIZE = 90;
const ENOBUFS = 105;

/**
 * A host with a permanent entry for MAC_B at HOST_B and a network that treats sends as `onSend`
 * says.
 */
function hostWith(onSend: (sent: Sent) => number, sender?: UnderlaySender) {
  const network = new MemoryNetwork();
  network.onSend = onSend;
  const host = new MemoryHost(network, HOST_A);
  const side = host.vxlan({ pathMtu_bytes: 1400, ...(sender === undefined ? {} : { sender }) });
  const row = host.remote(0, HOST_B);
  const { hi, lo } = mac(MAC_B);
  side.tunnel.fdb.add(hi, lo, row, FDB_PERMANENT, 0);
  return { network, host, row, ...side };
}

const sizes = (frames: readonly Uint8Array[]) =>
  frames.reduce((sum, { length }) => sum + length, 0);

describe("EIO", () => {
  it("turns segmentation off for that remote and repeats what failed, in order", () => {
    const tried: Sent[] = [];
    const fixture = hostWith((sent) => {
      tried.push(sent);
      return sent.alone ? 0 : -EIO;
    });
    const frames = [frame4({ sourcePort: 1 }), frame4({ sourcePort: 2 }), frame6()];
    fixture.host.send(fixture.device, ...frames);
    expect(fixture.host.remotes.flags(fixture.row) & REMOTE_FLAG_NO_GSO).not.toBe(0);
    expect(fixture.network.sent.map(({ bytes }) => bytes.slice(8))).toEqual(frames);
    expect(fixture.host.counts(0)).toEqual({ egressPackets: 3, egressBytes: sizes(frames) });
    expect(tried.map(({ alone }) => alone)).toEqual([false, false, false, true, true, true]);
    fixture.host.send(fixture.device, frame4());
    expect(tried.slice(6).map(({ alone }) => alone)).toEqual([true]);
  });

  it("that stays is counted as underlay-error once per frame", () => {
    const fixture = hostWith(() => -EIO);
    fixture.host.send(fixture.device, frame4(), frame4());
    expect(fixture.host.counts(0)).toEqual({ "underlay-error": 2 });
  });

  it("repeats only what failed: other remotes' frames leave once", () => {
    const fixture = hostWith(({ destination, alone }) =>
      destination.w3 === ip(HOST_B).w3 && !alone ? -EIO : 0,
    );
    const other = fixture.host.remote(0, HOST_C, PORT, 200);
    for (const row of [fixture.row, other]) fixture.tunnel.flood.append(row);
    const frame = frame4({}, BROADCAST);
    fixture.host.send(fixture.device, frame, frame);
    const sent = fixture.network.sent.map(
      ({ destination, bytes }) => `${formatIpv4(destination.w3)} ${bytes[6]}`,
    );
    const [b, c] = [`${HOST_B} ${VNI}`, `${HOST_C} 200`];
    expect(sent).toEqual([c, c, b, b]);
    expect(fixture.host.remotes.flags(other) & REMOTE_FLAG_NO_GSO).toBe(0);
    expect(fixture.host.counts(0)).toEqual({
      ...{ floods: 2, egressPackets: 4 },
      egressBytes: 4 * frame.length,
    });
  });
});

describe("EMSGSIZE", () => {
  it("of grouped frames repeats them alone", () => {
    const fixture = hostWith(({ alone }) => (alone ? 0 : -EMSGSIZE));
    const frames = [frame4({ dontFragment: true }), frame4({ sourcePort: 2 })];
    fixture.host.send(fixture.device, ...frames);
    expect(fixture.network.sent.map(({ bytes }) => bytes.slice(8))).toEqual(frames);
    expect(fixture.host.counts(0)).toEqual({ egressPackets: 2, egressBytes: sizes(frames) });
    expect(fixture.host.remotes.flags(fixture.row) & REMOTE_FLAG_NO_GSO).toBe(0);
    expect(fixture.device.written).toEqual([]);
  });

  it("of a single IPv4 frame with DF is answered by fragmentation needed from its destination", () => {
    const fixture = hostWith(() => -EMSGSIZE);
    const frame = tagged(frame4({ dontFragment: true, payload_bytes: 1420 }), 7);
    fixture.host.send(fixture.device, frame);
    expect(fixture.host.counts(0)).toEqual({ "too-big": 1, icmpErrors: 1 });
    const [answer] = fixture.device.written;
    const link = parseEthernet(answer, 0, answer.length);
    expect(link).toEqual({ destination: mac(MAC_A), source: mac(MAC_B), etherType: 0x8100 });
    expect([...answer.slice(12, 18)]).toEqual([...frame.slice(12, 18)]);
    const packet = parseIpv4(answer, 18, answer.length);
    expect(packet).toMatchObject({
      source: ip("192.168.11.10").w3,
      destination: ip("192.168.10.10").w3,
    });
    expect(icmpNextHopMtu(answer, 38)).toBe(1400 - 4); // the tag travels, too
    const icmp = parseIcmp(answer, 38, answer.length);
    expect(icmp?.type).toBe(ICMP_DESTINATION_UNREACHABLE);
    expect(icmp?.code).toBe(ICMP_CODE_FRAGMENTATION_NEEDED);
    expect(icmp?.data).toEqual(frame.slice(18, 18 + 548));
    expect(ipv4DontFragment(icmp?.data ?? answer, 0)).toBe(true);
  });

  it("of a single IPv6 frame is answered by packet too big", () => {
    const fixture = hostWith(() => -EMSGSIZE);
    const frame = frame6({ payload_bytes: 1420 });
    fixture.host.send(fixture.device, frame);
    expect(fixture.host.counts(0)).toEqual({ "too-big": 1, icmpErrors: 1 });
    const [answer] = fixture.device.written;
    expect(parseEthernet(answer, 0, answer.length)).toEqual({
      ...{ destination: mac(MAC_A), source: mac(MAC_B) },
      etherType: 0x86dd,
    });
    const packet = parseIpv6(answer, 14, answer.length);
    expect(packet).toMatchObject({ source: ip("fd00::11"), destination: ip("fd00::10") });
    expect(icmpv6Type(answer, 54)).toBe(ICMPV6_PACKET_TOO_BIG);
    expect(icmpv6Mtu(answer, 54)).toBe(1400);
    expect(icmpv6ChecksumValid(answer, 14, 54, answer.length)).toBe(true);
    expect(answer.slice(62)).toEqual(frame.slice(14, 14 + 1280 - 48));
  });

  it("never announces an IPv6 MTU below the minimum of 1280", () => {
    const network = new MemoryNetwork();
    network.onSend = () => -EMSGSIZE;
    const host = new MemoryHost(network, HOST_A);
    const side = host.vxlan({ pathMtu_bytes: 1000 });
    side.tunnel.flood.append(host.remote(0, HOST_B));
    host.send(side.device, frame6({ payload_bytes: 1300 }));
    expect(icmpv6Mtu(side.device.written[0], 54)).toBe(1280);
  });

  it("of IPv4 without DF, and of what is not IP, is dropped without an answer", () => {
    const fixture = hostWith(() => -EMSGSIZE);
    const bare = Uint8Array.from([...frame4().slice(0, 12), 0x88, 0xcc, ...new Uint8Array(60)]);
    fixture.host.send(fixture.device, frame4({ payload_bytes: 1420 }), bare);
    expect(fixture.host.counts(0)).toEqual({ "too-big": 2 });
    expect(fixture.device.written).toEqual([]);
  });

  it("answers every frame of a full batch", () => {
    const fixture = hostWith(() => -EMSGSIZE);
    const frames = Array.from({ length: 256 }, () => frame6({ payload_bytes: 1420 }));
    fixture.host.send(fixture.device, ...frames);
    expect(fixture.host.counts(0)).toEqual({ "too-big": 256, icmpErrors: 256 });
    expect(fixture.device.written).toHaveLength(256);
  });

  it("of a flooded frame is answered once, however many members it did not reach", () => {
    const fixture = hostWith(() => -EMSGSIZE);
    for (const address of [HOST_B, HOST_C]) {
      fixture.tunnel.flood.append(fixture.host.remote(0, address));
    }
    const unknown = "02:00:00:00:00:99";
    const big = frame6({ payload_bytes: 1420 }, unknown);
    fixture.host.send(fixture.device, big, big);
    expect(fixture.host.counts(0)).toEqual({ floods: 2, "too-big": 4, icmpErrors: 2 });
  });

  it("of a multicast frame is not answered: a multicast address is nobody's source", () => {
    const fixture = hostWith(() => -EMSGSIZE);
    fixture.tunnel.flood.append(fixture.row);
    const group = frame6({ destination: "ff02::fb" }, "33:33:00:00:00:fb");
    fixture.host.send(fixture.device, group, frame4({ dontFragment: true }, BROADCAST));
    expect(fixture.device.written).toEqual([]);
    expect(fixture.host.counts(0)).toEqual({ floods: 2, "too-big": 2 });
  });

  it("takes no room from later frames whose members have headers of their own", () => {
    const { network, host, device, tunnel } = hostWith(() => 0);
    // As many as are flooded at once, each with a VNI of its own: no header is shared.
    for (let n = 0; n < FLOOD_AT_ONCE_MEMBERS; n++) {
      tunnel.flood.append(host.remote(0, `10.60.0.${n}`, PORT, 200 + n));
    }
    const unknown = "02:00:00:00:00:99";
    const big = frame4({ dontFragment: true, payload_bytes: 1420 }, unknown);
    const batch = Array.from({ length: MAX_FRAMES - 1 }, () => big);
    host.send(device, ...batch, frame4({}, unknown));
    expect(network.sent.map(({ bytes }) => bytes[6])).toEqual(
      Array.from({ length: FLOOD_AT_ONCE_MEMBERS }, (_, n) => 200 + n),
    );
    expect(host.counts(0)).toMatchObject({
      "too-big": (MAX_FRAMES - 1) * FLOOD_AT_ONCE_MEMBERS,
      egressPackets: FLOOD_AT_ONCE_MEMBERS,
      icmpErrors: MAX_FRAMES - 1,
    });
  });

  it("is no ICMP error when the device does not take it", () => {
    const fixture = hostWith(() => -EMSGSIZE);
    fixture.device.write = () => -EIO;
    fixture.host.send(fixture.device, frame6({ payload_bytes: 1420 }));
    expect(fixture.host.counts(0)).toEqual({ "too-big": 1, "device-error": 1 });
  });

  it("is not answered when the frame would have fitted", () => {
    const fixture = hostWith(() => -EMSGSIZE);
    fixture.host.send(fixture.device, frame6(), frame4({ dontFragment: true }));
    expect(fixture.device.written).toEqual([]);
    expect(fixture.host.counts(0)).toEqual({ "too-big": 2 });
  });

  it("is answered with the path MTU that the kernel has learned, less what the tunnel adds", () => {
    const fixture = hostWith(() => -EMSGSIZE);
    fixture.network.pathMtu_bytes = () => 1300;
    fixture.host.send(fixture.device, frame4({ dontFragment: true, payload_bytes: 1300 }));
    const [answer] = fixture.device.written;
    expect(icmpNextHopMtu(answer, 34)).toBe(1300 - 50);
  });

  it("EINVAL is taken for it: kernels before 2025 said so", () => {
    const fixture = hostWith(({ alone }) => (alone ? 0 : -EINVAL));
    fixture.host.send(fixture.device, frame4());
    expect(fixture.host.counts(0)).toEqual({ egressPackets: 1, egressBytes: frame4().length });
  });
});

describe("other errors", () => {
  it("EAGAIN and ENOBUFS are underlay-busy", () => {
    const errors = [EAGAIN, ENOBUFS, ENOBUFS];
    const fixture = hostWith(() => -(errors.shift() ?? 0));
    fixture.host.send(fixture.device, frame4(), frame4(), frame4(), frame4());
    expect(fixture.network.sent).toHaveLength(1);
    expect(fixture.host.counts(0)).toEqual({
      ...{ "underlay-busy": 3, egressPackets: 1 },
      egressBytes: frame4().length,
    });
  });

  it("any other errno is underlay-error", () => {
    const fixture = hostWith(() => -EPERM);
    fixture.host.send(fixture.device, frame4());
    expect(fixture.host.counts(0)).toEqual({ "underlay-error": 1 });
  });

  it("what is lost on the way counts as sent", () => {
    const fixture = hostWith(() => LOSE);
    fixture.host.send(fixture.device, frame4());
    expect(fixture.host.counts(0)).toEqual({ egressPackets: 1, egressBytes: frame4().length });
  });
});

describe("counting", () => {
  it("counts what left of a superpacket that failed as sent, and only the rest as dropped", () => {
    const sender: UnderlaySender = {
      ...{ socketCount: 1, fragments: true, pathMtu_bytes: () => -1 },
      sendBatch({ sends, frames }) {
        frames[FRAME_GSO_SIZE] = 100;
        frames[FRAME_PAYLOAD] = 42;
        sends[SEND_RESULT] = -EAGAIN;
        sends[SEND_PARTLY] = 44;
        sends[SEND_BYTES] = 44 * (8 + 142);
        return 1;
      },
    };
    const fixture = hostWith(() => 0, sender);
    fixture.host.send(fixture.device, frame4({ payload_bytes: 4600 }));
    const sent = { egressPackets: 44, egressBytes: 44 * 142 };
    // Decided on as one frame, which exceeds the path.
    expect(fixture.host.counts(0)).toEqual({ ...sent, fragmented: 44, "underlay-busy": 2 });
    expect(fixture.host.counters.remote(fixture.row)).toMatchObject(sent);
  });

  it("counts a superpacket's segments as packets, without their encapsulation headers as bytes", () => {
    const sender: UnderlaySender = {
      socketCount: 1,
      fragments: true,
      pathMtu_bytes: () => -1,
      sendBatch({ sends, sendCount }) {
        for (let at = 0; at < sendCount * SEND_WORDS; at += SEND_WORDS) {
          sends[at + SEND_RESULT] = 3;
          sends[at + SEND_BYTES] = 3 * (8 + 100);
        }
        return 0;
      },
    };
    const fixture = hostWith(() => 0, sender);
    fixture.host.send(fixture.device, frame4());
    expect(fixture.host.counts(0)).toEqual({ egressPackets: 3, egressBytes: 300 });
    expect(fixture.host.counters.remote(fixture.row)).toMatchObject({
      ...{ egressPackets: 3, egressBytes: 300 },
    });
    expect(formatIp(...(fixture.host.remotes.get(fixture.row)?.address ?? [0, 0, 0, 0]))).toBe(
      HOST_B,
    );
  });
});
