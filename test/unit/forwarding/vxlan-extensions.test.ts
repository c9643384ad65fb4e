// The bits of the VXLAN header that extensions use: policy groups (GBP) on the way out and in,
// remote checksum offload (RCO) on the way in, and that both are reserved bits for a tunnel without
// them.

import { describe, expect, it } from "vitest";
import { setRemoteGroup } from "../../../src/remotes/remote-rows.js";
import { REMOTE_DROP_REASONS } from "../../../src/telemetry/drop-reasons.js";
import { MemoryNetwork } from "../../../src/underlay/memory-underlay.js";
import { BROADCAST, frame4, frame6, join, MAC_A, mac, tagged, vxlanHeader } from "./frames.js";
import { HOST_A, HOST_B, HOST_C, MemoryHost, VNI, type VxlanOptions } from "./memory-host.js";

const GROUP_FLAG = 0x80;
const DONT_LEARN = 0x40;
const POLICY_APPLIED = 0x08;
const REMOTE_CHECKSUM = 0x20;
const UDP_FIELD = 0x80;
/** Ethernet and IPv4 header. */
const L4_START = 34;

function hostWith(options: VxlanOptions) {
  const host = new MemoryHost(new MemoryNetwork(), HOST_A);
  const side = host.vxlan(options);
  const row = host.remote(0, HOST_B);
  const drops = () => {
    const counted = host.counters.remoteDrops(row).map((n, i) => [REMOTE_DROP_REASONS[i].name, n]);
    return Object.fromEntries(counted.filter(([, n]) => n !== 0));
  };
  const learned = () => tunnelKnows(side.tunnel, MAC_A);
  return { host, row, drops, learned, ...side };
}

function tunnelKnows({ fdb }: ReturnType<MemoryHost["vxlan"]>["tunnel"], text: string): boolean {
  const { hi, lo } = mac(text);
  return fdb.get(hi, lo) !== undefined;
}

interface Bits {
  first?: number;
  second?: number;
  group?: number;
  last?: number;
}

/** A frame behind a header with more bits than the I flag. */
function datagram({ first = 0, second = 0, group = 0, last = 0 }: Bits, frame = frame4()) {
  const header = vxlanHeader(VNI);
  header[0] |= first;
  header.set([second, group >> 8, group & 0xff], 1);
  header[7] = last;
  return join(header, frame);
}

describe("policy groups of frames that arrive", () => {
  const allowed = { gbpId: 7, gbpAllow: [0x1234, 9] };

  it("lets allowed groups in and drops the others, counted for tunnel and remote", () => {
    const { host, device, drops } = hostWith(allowed);
    for (const group of [0x1234, 9, 7, 0xffff]) {
      host.receiveUdp(datagram({ first: GROUP_FLAG, group }));
    }
    expect(device.written).toHaveLength(2);
    expect(host.counts(0)).toMatchObject({ ingressPackets: 2, "gbp-denied": 2 });
    expect(drops()).toEqual({ "gbp-denied": 2 });
  });

  it("takes a frame without G for group 0, whatever the other bytes say", () => {
    const closed = hostWith(allowed);
    closed.host.receiveUdp(datagram({ group: 9 }));
    expect(closed.drops()).toEqual({ "gbp-denied": 1 });
    const open = hostWith({ gbpId: 7, gbpAllow: [0] });
    open.host.receiveUdp(datagram({ group: 9 }));
    expect(open.device.written).toHaveLength(1);
  });

  it("does not learn from a frame that it drops, nor from one with the D bit", () => {
    const { host, device, learned } = hostWith(allowed);
    host.receiveUdp(datagram({ first: GROUP_FLAG, group: 1 }));
    host.receiveUdp(datagram({ first: GROUP_FLAG, second: DONT_LEARN, group: 9 }));
    expect([device.written.length, learned()]).toEqual([1, false]);
    host.receiveUdp(datagram({ first: GROUP_FLAG, group: 9 }));
    expect(learned()).toBe(true);
  });

  it("applies no policy where the A bit says that it was applied", () => {
    const { host, device } = hostWith(allowed);
    host.receiveUdp(datagram({ first: GROUP_FLAG, second: POLICY_APPLIED, group: 1 }));
    expect(device.written).toHaveLength(1);
    // Without G there is no extension, so no A bit either.
    host.receiveUdp(datagram({ second: POLICY_APPLIED }));
    expect(host.counts(0)).toMatchObject({ "gbp-denied": 1 });
  });

  it("lets every group in without a list", () => {
    const { host, device } = hostWith({ gbpId: 7 });
    for (const group of [0, 1, 0xffff]) host.receiveUdp(datagram({ first: GROUP_FLAG, group }));
    expect(device.written).toHaveLength(3);
  });

  it("are reserved bits for a tunnel without groups: ignored, or refused when it is strict", () => {
    const bits = { first: GROUP_FLAG, second: DONT_LEARN, group: 5 };
    const lenient = hostWith({});
    lenient.host.receiveUdp(datagram(bits));
    expect([lenient.device.written.length, lenient.learned()]).toEqual([1, true]);
    const strict = hostWith({ strictReserved: true });
    strict.host.receiveUdp(datagram(bits));
    expect(strict.host.counts(0)).toEqual({ "bad-flags": 1 });
    const both = hostWith({ strictReserved: true, gbpId: 7 });
    both.host.receiveUdp(datagram(bits));
    expect(both.device.written).toHaveLength(1);
  });
});

describe("policy groups of frames that leave", () => {
  const headers = (host: MemoryHost) =>
    host.network.sent.map(({ bytes }) => [...bytes.slice(0, 8)]);

  it("are the tunnel's, or the remote's own, also of flooded frames", () => {
    const { host, tunnel, device, row } = hostWith({ gbpId: 0x1234 });
    const other = host.remote(0, HOST_C);
    setRemoteGroup(host.remotes.rows, other, 0xabc);
    for (const member of [row, other]) tunnel.flood.append(member);
    host.send(device, frame4({}, BROADCAST));
    expect(headers(host)).toEqual([
      [0x88, 0, 0x12, 0x34, 0, 0, 100, 0],
      [0x88, 0, 0x0a, 0xbc, 0, 0, 100, 0],
    ]);
  });

  it("are not written for group 0, as by the kernel, nor without gbp", () => {
    for (const options of [{ gbpId: 0 }, {}]) {
      const { host, tunnel, device, row } = hostWith(options);
      setRemoteGroup(host.remotes.rows, row, options.gbpId === undefined ? 5 : -1);
      tunnel.flood.append(row);
      host.send(device, frame4());
      expect(headers(host)).toEqual([[0x08, 0, 0, 0, 0, 0, 100, 0]]);
    }
  });
});

describe("a checksum that the sender left to us (RCO)", () => {
  const udp = { second: REMOTE_CHECKSUM, last: UDP_FIELD | (L4_START / 2) };

  it("passes where it is that of the inner TCP or UDP header", () => {
    const { host, device } = hostWith({ remcsumRx: true });
    const frame = frame4();
    host.receiveUdp(datagram(udp, frame));
    host.receiveUdp(datagram({ second: REMOTE_CHECKSUM, last: UDP_FIELD | 27 }, frame6()));
    host.receiveUdp(datagram({ second: REMOTE_CHECKSUM, last: UDP_FIELD | 19 }, tagged(frame, 5)));
    expect(device.written).toHaveLength(3);
  });

  it.each([
    ["at another start", udp.last + 1, frame4()],
    ["before the frame's headers", UDP_FIELD, frame4()],
    ["for TCP in a UDP packet", udp.last & ~UDP_FIELD, frame4()],
    ["in a frame that is cut off", udp.last, frame4().slice(0, 30)],
  ])("is refused %s", (_, last, frame) => {
    const { host, device, drops } = hostWith({ remcsumRx: true });
    host.receiveUdp(datagram({ ...udp, last }, frame));
    expect(device.written).toEqual([]);
    expect(drops()).toEqual({ "bad-remcsum": 1 });
  });

  it("is a reserved bit for a tunnel without remcsum_rx", () => {
    const wrong = { ...udp, last: 1 };
    const lenient = hostWith({});
    lenient.host.receiveUdp(datagram(wrong));
    expect(lenient.device.written).toHaveLength(1);
    const strict = hostWith({ strictReserved: true });
    strict.host.receiveUdp(datagram(udp));
    expect(strict.host.counts(0)).toEqual({ "bad-flags": 1 });
    const both = hostWith({ strictReserved: true, remcsumRx: true });
    both.host.receiveUdp(datagram(udp));
    expect(both.device.written).toHaveLength(1);
  });
});
