// What a tunnel's options make of the outer headers, and what becomes of frames that exceed the
// path of one remote; over the memory network.

import { describe, expect, it } from "vitest";
import {
  FRAME_CSUM_OFFSET,
  FRAME_CSUM_START,
  FRAME_FLAGS,
  FRAME_NEEDS_CHECKSUM,
  SEND_FLAGS,
  SEND_NO_GSO,
  SEND_PARTIAL_CHECKSUM,
} from "#abi";
import { MemoryDevice } from "../../../src/device/memory-device.js";
import { FDB_PERMANENT } from "../../../src/fdb/fdb.js";
import { TOO_BIG_ANSWERS_PER_S } from "../../../src/forwarding/too-big.js";
import { DF_INHERIT, DF_SET } from "../../../src/forwarding/vxlan-tunnel.js";
import type { EgressBatch } from "../../../src/packet/egress-batch.js";
import { setPathMtu } from "../../../src/remotes/path-mtu.js";
import { MemoryNetwork } from "../../../src/underlay/memory-underlay.js";
import { icmpNextHopMtu } from "../../../src/wire/icmp.js";
import { icmpv6Mtu } from "../../../src/wire/icmpv6.js";
import { arpFrame, BROADCAST, frame4, frame6, ip, MAC_B, mac } from "./frames.js";
import { HOST_A, HOST_B, HOST_C, MemoryHost, type VxlanOptions } from "./memory-host.js";

const EMSGSIZE = 90;

function hostWith(options: VxlanOptions = {}) {
  const network = new MemoryNetwork();
  const host = new MemoryHost(network, HOST_A);
  const side = host.vxlan(options);
  const row = host.remote(0, HOST_B);
  const { hi, lo } = mac(MAC_B);
  side.tunnel.fdb.add(hi, lo, row, FDB_PERMANENT, 0);
  const setPath = (mtu_bytes: number, of = row) => setPathMtu(host.remotes.rows, of, mtu_bytes);
  return { network, host, row, setPath, ...side };
}

/** Pools of two sockets: 50000 and 50001 without DF, 50002 and 50003 with it. */
function inheriting() {
  const network = new MemoryNetwork();
  const host = new MemoryHost(network, HOST_A);
  const ports = [50_000, 50_001, 50_002, 50_003];
  const sender = network.udpSender(ip(HOST_A), ports, host.remotes.rows, 2);
  const side = host.vxlan({ df: DF_INHERIT, sender });
  const row = host.remote(0, HOST_B);
  side.tunnel.flood.append(row);
  return { network, host, row, ...side };
}

describe("TTL and TOS", () => {
  const frames = [
    frame4({ tos: 0xb9, ttl: 9 }),
    frame6({ tos: 0xbb, ttl: 8 }),
    arpFrame(1, "192.168.10.1", "192.168.10.2"),
  ];
  const outer = (options: VxlanOptions) => {
    const fixture = hostWith(options);
    fixture.tunnel.flood.append(fixture.row);
    fixture.host.send(fixture.device, ...frames);
    return fixture.network.sent.map(({ ttl, tos }) => [ttl, tos]);
  };

  it("are the inner packet's with inherit; what is not IP has the route's TTL and TOS 0", () => {
    expect(outer({ ttl: -1, tos: -1 })).toEqual([
      [9, 0xb9],
      [8, 0xbb],
      [0, 0],
    ]);
  });

  it("are those configured, with the inner ECN", () => {
    expect(outer({ ttl: 5, tos: 0x48 })).toEqual([
      [5, 0x49],
      [5, 0x4b],
      [5, 0x48],
    ]);
  });
});

describe("df: inherit", () => {
  it("takes a socket with DF for IPv4 with DF and for IPv6", () => {
    const { network, host, device } = inheriting();
    const df = (frame: Uint8Array) => {
      host.send(device, frame);
      return network.sent[network.sent.length - 1]!.sourcePort >= 50_002;
    };
    for (let sourcePort = 1; sourcePort < 20; sourcePort++) {
      expect(df(frame4({ sourcePort, dontFragment: true }))).toBe(true);
      expect(df(frame4({ sourcePort, dontFragment: false }))).toBe(false);
      expect(df(frame6({ sourcePort }))).toBe(true);
    }
    expect(df(arpFrame(1, "192.168.10.1", "192.168.10.2"))).toBe(false);
  });
});

describe("a frame longer than its remote's path", () => {
  const big = { payload_bytes: 1350 };
  const told = (answer: Uint8Array) => icmpNextHopMtu(answer, 34);

  it("is dropped and its sender told when it may not be fragmented", () => {
    const { host, device, network, setPath } = hostWith();
    setPath(1400);
    host.send(device, frame4({ ...big, dontFragment: true }), frame6({ payload_bytes: 1330 }));
    expect(network.sent).toEqual([]);
    expect(host.counts(0)).toEqual({ "too-big": 2, icmpErrors: 2 });
    expect(told(device.written[0]!)).toBe(1350);
    expect(icmpv6Mtu(device.written[1]!, 54)).toBe(1350);
  });

  it("leaves in fragments, alone, when it may be", () => {
    const { host, device, network, setPath } = hostWith();
    setPath(1400);
    const small = frame4({ payload_bytes: 1350 - 28 });
    host.send(device, frame4(big), small);
    expect(network.sent.map(({ alone }) => alone)).toEqual([true, false]);
    expect(device.written).toEqual([]);
  });

  it("is dropped without an answer when only the outer DF forbids fragments", () => {
    const { host, device, network, setPath } = hostWith({ df: DF_SET });
    setPath(1400);
    host.send(device, frame4(big));
    expect(network.sent).toEqual([]);
    expect(host.counts(0)).toEqual({ "too-big": 1 });
    expect(device.written).toEqual([]);
  });

  it("of IPv6 that cannot be made shorter leaves in fragments: 1280 bytes always pass", () => {
    const { host, device, network, setPath } = hostWith();
    setPath(1280);
    host.send(device, frame6({ payload_bytes: 1280 - 48 }), frame6({ payload_bytes: 1281 - 48 }));
    expect(network.sent.map(({ alone }) => alone)).toEqual([true]);
    expect(icmpv6Mtu(device.written[0]!, 54)).toBe(1280);
  });

  it("to a group leaves in fragments: nobody could be told", () => {
    const { host, device, network, row, tunnel, setPath } = hostWith();
    tunnel.flood.append(row);
    setPath(1400);
    host.send(device, frame4({ ...big, dontFragment: true }, BROADCAST));
    expect(network.sent.map(({ alone }) => alone)).toEqual([true]);
    expect(device.written).toEqual([]);
  });

  it("is judged for each member of a flood list, and answered once", () => {
    const { host, device, network, tunnel, setPath } = hostWith();
    const members = [HOST_B, HOST_C, "10.57.4.23"].map((address) => host.remote(0, address));
    for (const member of members) tunnel.flood.append(member);
    setPath(1400, members[0]);
    setPath(1400, members[2]);
    host.send(device, frame4({ ...big, dontFragment: true }, "02:00:00:00:00:77"));
    expect(network.sent.map(({ destination }) => destination.w3)).toEqual([ip(HOST_C).w3]);
    expect(host.counts(0)).toMatchObject({ "too-big": 2, icmpErrors: 1 });
  });

  it("passes a path that takes more than the underlay's own device", () => {
    const { host, device, network, setPath } = hostWith({ pathMtu_bytes: 1000 });
    setPath(1500);
    host.send(device, frame4({ ...big, dontFragment: true }));
    expect(network.sent.map(({ alone }) => alone)).toEqual([false]);
  });

  it(`gets no more than ${TOO_BIG_ANSWERS_PER_S} answers in a second`, () => {
    const { host, device, setPath } = hostWith();
    setPath(1400);
    const frame = frame4({ ...big, dontFragment: true });
    const count = 3 * TOO_BIG_ANSWERS_PER_S;
    const seconds = () => Math.floor(performance.now() / 1000);
    const begin_s = seconds();
    for (let sent = 0; sent < count; sent += 200) {
      host.send(device, ...Array.from({ length: 200 }, () => frame));
    }
    const most = TOO_BIG_ANSWERS_PER_S * (seconds() - begin_s + 2);
    expect(host.counts(0)["too-big"]).toBe(count);
    expect(device.written.length).toBeGreaterThanOrEqual(TOO_BIG_ANSWERS_PER_S);
    expect(device.written.length).toBeLessThanOrEqual(most);
  });
});

describe("EMSGSIZE", () => {
  it("teaches the remote's path MTU: the next frame is judged before it is sent", () => {
    const { network, host, device, row } = hostWith();
    network.pathMtu_bytes = () => 1400;
    network.onSend = ({ bytes, alone }) => (bytes.length > 1372 && !alone ? -EMSGSIZE : 0);
    const frame = frame4({ payload_bytes: 1350, dontFragment: true });
    host.send(device, frame);
    expect(host.remotes.pathMtu(row)).toBe(1400);
    expect(host.remotes.get(row)?.pathMtu_bytes).toBe(1400);
    expect(host.counts(0)).toEqual({ "too-big": 1, icmpErrors: 1 });
    network.onSend = () => {
      throw new Error("nothing is sent");
    };
    host.send(device, frame);
    expect(host.counts(0)).toEqual({ "too-big": 2, icmpErrors: 2 });
  });

  it("repeats what may be fragmented, unless its socket sets DF", () => {
    for (const [options, sent] of [
      [{}, 1],
      [{ df: DF_SET }, 0],
    ] as const) {
      const { network, host, device } = hostWith(options);
      network.pathMtu_bytes = () => 1400;
      network.onSend = ({ alone }) => (alone ? 0 : -EMSGSIZE);
      host.send(device, frame4({ payload_bytes: 1350 }));
      expect(network.sent).toHaveLength(sent);
      expect(host.counts(0)["too-big"] ?? 0).toBe(1 - sent);
    }
  });
});

/** Gives its frames as a sender leaves them to an offload. */
class PartialDevice extends MemoryDevice {
  start = 34;
  offset = 6;

  override readBatch(batch: EgressBatch, limit: number): number {
    const count = super.readBatch(batch, limit);
    batch.frames[FRAME_FLAGS] = FRAME_NEEDS_CHECKSUM;
    batch.frames[FRAME_CSUM_START] = this.start;
    batch.frames[FRAME_CSUM_OFFSET] = this.offset;
    return count;
  }
}

describe("remcsum_tx", () => {
  const headerOf = (remcsumTx: boolean, start: number, offset: number) => {
    const device = new PartialDevice(0);
    const { host, network } = hostWith({ device, remcsumTx });
    Object.assign(device, { start, offset });
    host.send(device, frame4());
    const flags = host.batch.sends[SEND_FLAGS]! & ~SEND_NO_GSO;
    const [sent] = network.sent;
    return { flags, header: sent === undefined ? undefined : [...sent.bytes.slice(0, 8)] };
  };

  it.each([
    ["UDP", 34, 6, 17 | 0x80],
    ["TCP", 34, 16, 17],
    ["the last place there is", 254, 16, 127],
  ])("names the place of the checksum: %s", (_, start, offset, last) => {
    expect(headerOf(true, start, offset)).toEqual({
      flags: SEND_PARTIAL_CHECKSUM,
      header: [0x08, 0x20, 0, 0, 0, 0, 100, last],
    });
  });

  it.each([
    ["an odd place", 35, 6],
    ["too far in", 256, 6],
    ["neither TCP nor UDP", 34, 2],
  ])("leaves nothing to the peer: %s", (_, start, offset) => {
    expect(headerOf(true, start, offset).flags).toBe(0);
  });

  it("is off unless asked for, and says nothing of finished frames", () => {
    expect(headerOf(false, 34, 6).flags).toBe(0);
    const { host, device, network } = hostWith({ remcsumTx: true });
    host.send(device, frame4());
    expect([...network.sent[0]!.bytes.slice(0, 8)]).toEqual([0x08, 0, 0, 0, 0, 0, 100, 0]);
  });
});
