// Keepalives that arrive: who gets an answer and what it says, which answers count, and that a
// tunnel's traffic, FDB and device see nothing of it.

import { describe, expect, it } from "vitest";
import { MAX_KEEPALIVE_REPLIES_PER_S } from "../../../src/remotes/keepalive-rows.js";
import { MemoryNetwork } from "../../../src/underlay/memory-underlay.js";
import {
  emitKeepalive,
  KEEPALIVE_BYTES,
  KEEPALIVE_REPLY,
  KEEPALIVE_REQUEST,
  type KeepaliveRepr,
  parseKeepalive,
} from "../../../src/wire/keepalive.js";
import { frame4, join, MAC_A, vxlanHeader } from "./frames.js";
import {
  HOST_A,
  HOST_B,
  HOST_C,
  MemoryHost,
  NOW_S,
  VNI,
  type VxlanOptions,
} from "./memory-host.js";

const PEER_PORT = 4790;
const PEER_VNI = 7;

function hostWith(options: VxlanOptions = {}) {
  const host = new MemoryHost(new MemoryNetwork(), HOST_A);
  return { host, ...host.vxlan(options), row: host.remote(0, HOST_B) };
}

function keepalive(changes: Partial<KeepaliveRepr> = {}): Uint8Array {
  const bytes = new Uint8Array(KEEPALIVE_BYTES);
  const who = { vni: VNI, kind: KEEPALIVE_REQUEST, replyPort: PEER_PORT, replyVni: PEER_VNI };
  const question = { nonce: 11, sequence: 12, token: 13, time_us: 14 };
  const counts = { instance: 15, sent: 16, arrived: 17 };
  emitKeepalive({ ...who, ...question, ...counts, ...changes }, bytes, 0);
  return bytes;
}

const replies = (host: MemoryHost) =>
  host.network.sent.map(({ bytes }) => parseKeepalive(bytes, 0, bytes.length));

describe("a request", () => {
  it("is answered to the port and VNI that it names, with our counts of that remote", () => {
    const { host, device } = hostWith();
    for (const sourcePort of [1, 2, 3]) {
      host.receiveUdp(join(vxlanHeader(VNI), frame4({ sourcePort })));
    }
    device.written.length = 0;
    host.receiveUdp(keepalive());
    expect(host.network.sent).toMatchObject([
      { destination: { w3: 0x0a390415 }, destinationPort: PEER_PORT },
    ]);
    expect(replies(host)).toEqual([
      {
        ...{ vni: PEER_VNI, kind: KEEPALIVE_REPLY, replyPort: PEER_PORT, replyVni: PEER_VNI },
        ...{ nonce: 11, sequence: 12, token: 13, time_us: 14 },
        ...{ instance: host.keepalives.instance, sent: 0, arrived: 3 },
      },
    ]);
    expect(device.written).toEqual([]);
  });

  it("tells what was sent with the port and VNI that the requester listens with", () => {
    const { host, device, tunnel } = hostWith();
    tunnel.flood.append(host.remote(0, HOST_B, PEER_PORT, PEER_VNI));
    host.send(device, frame4({ sourcePort: 1 }), frame4({ sourcePort: 2 }));
    host.receiveUdp(keepalive());
    expect(replies(host).at(-1)).toMatchObject({ sent: 2, arrived: 0 });
  });

  it("counts what arrived and was dropped here as arrived", () => {
    const { host } = hostWith({ gbpId: 1, gbpAllow: [1] });
    host.receiveUdp(join(vxlanHeader(VNI), frame4()));
    host.receiveUdp(keepalive());
    expect(replies(host)).toMatchObject([{ arrived: 1 }]);
  });

  it("is no traffic: counted apart, its sender seen", () => {
    const { host, row, tunnel } = hostWith();
    host.receiveUdp(keepalive(), { now_s: 777 });
    expect(host.counts(0)).toEqual({ keepalivesReceived: 1, keepalivesSent: 1 });
    expect(host.remotes.get(row)?.lastSeen_s).toBe(777);
    expect(tunnel.fdb.count).toBe(0);
  });

  it("from a source that may not send, or for no tunnel, gets no answer", () => {
    const { host } = hostWith();
    host.receiveUdp(keepalive(), { from: HOST_C });
    host.receiveUdp(keepalive({ vni: 999 }));
    expect(host.network.sent).toEqual([]);
    expect(host.counts(0)).toEqual({ "foreign-source": 1 });
    expect(host.strayCounts()).toEqual({ "unknown-vni": 1 });
  });

  it("that is malformed gets none, nor one that asks for an answer to port 0", () => {
    const { host } = hostWith();
    host.receiveUdp(keepalive().slice(0, KEEPALIVE_BYTES - 1));
    host.receiveUdp(join(keepalive(), new Uint8Array(1)));
    host.receiveUdp(keepalive({ replyPort: 0 }));
    expect(host.network.sent).toEqual([]);
    expect(host.counts(0)).toEqual({ "keepalive-ignored": 3 });
  });

  it("is answered so many times a second, for each remote", () => {
    const { host } = hostWith();
    host.remote(0, HOST_C);
    const many = MAX_KEEPALIVE_REPLIES_PER_S + 5;
    for (let i = 0; i < many; i++) host.receiveUdp(keepalive());
    expect(host.counts(0)).toMatchObject({ "keepalive-ignored": 5 });
    host.receiveUdp(keepalive(), { from: HOST_C });
    host.receiveUdp(keepalive(), { now_s: NOW_S + 1 });
    expect(host.network.sent).toHaveLength(MAX_KEEPALIVE_REPLIES_PER_S + 2);
  });
});

describe("an answer", () => {
  const answer = (token: number, changes: Partial<KeepaliveRepr> = {}) =>
    keepalive({ kind: KEEPALIVE_REPLY, token, nonce: 0xfffffff0, sequence: 5, ...changes });

  it("to the open question is noted once", () => {
    const { host, row } = hostWith();
    host.keepalives.ask(row, 0xfffffff0, 5);
    host.receiveUdp(join(vxlanHeader(VNI), frame4({}, MAC_A)));
    host.receiveUdp(answer(row));
    host.receiveUdp(answer(row));
    const noted = host.keepalives.answerTo(row, 5);
    const expected = { sequence: 5, instance: 15, peerSent: 16, peerArrived: 17, ownArrived: 1 };
    expect(noted).toMatchObject(expected);
    expect(noted?.rtt_us).toBeGreaterThan(0);
    expect(host.counts(0)).toMatchObject({ keepalivesReceived: 1, "keepalive-ignored": 1 });
    expect(host.network.sent).toEqual([]);
  });

  it("for a remote with a port of its own comes from its base row", () => {
    const { host } = hostWith();
    const other = host.remote(0, HOST_B, PEER_PORT, VNI);
    host.keepalives.ask(other, 0xfffffff0, 5);
    host.receiveUdp(answer(other));
    expect(host.keepalives.answerTo(other, 5)).toBeDefined();
  });

  it.each([
    ["another nonce", { nonce: 1 }, HOST_B],
    ["another sequence number", { sequence: 4 }, HOST_B],
    ["a row that does not exist", { token: 0xffffffff }, HOST_B],
    ["another sender", {}, HOST_C],
  ])("with %s is not", (_, changes, from) => {
    const { host, row } = hostWith();
    host.remote(0, HOST_C);
    host.keepalives.ask(row, 0xfffffff0, 5);
    host.receiveUdp(answer(row, changes), { from });
    expect(host.keepalives.answerTo(row, 5)).toBeUndefined();
    expect(host.counts(0)).toEqual({ "keepalive-ignored": 1 });
  });

  it("to a question that was replaced by the next one is not", () => {
    const { host, row } = hostWith();
    host.keepalives.ask(row, 0xfffffff0, 5);
    host.keepalives.ask(row, 0xfffffff0, 6);
    host.receiveUdp(answer(row));
    expect(host.counts(0)).toEqual({ "keepalive-ignored": 1 });
  });
});
