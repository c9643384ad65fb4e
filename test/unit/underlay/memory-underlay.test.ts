// The memory underlay keeps the contract of the real one: results per send, rows per datagram, its
// refusals.

import { describe, expect, it } from "vitest";
import {
  FRAME_FLAGS,
  FRAME_GSO_TYPE,
  FRAME_LENGTH,
  FRAME_NEEDS_CHECKSUM,
  FRAME_OFFSET,
  RECEIVE_SLOTS,
  RUN_ADDRESS,
  RUN_DEVICE,
  RUN_FAMILY,
  RUN_FLAGS,
  RUN_LENGTH,
  RUN_PORT,
  RUN_SEGMENTS,
  RUN_TOS,
  RUN_TRUNCATED,
  RUN_WORDS,
  SEND_BYTES,
  SEND_RESULT,
  SEND_WORDS,
} from "#abi";
import { EgressBatch } from "../../../src/packet/egress-batch.js";
import { IngressBatch } from "../../../src/packet/ingress-batch.js";
import { RemoteTable } from "../../../src/remotes/remote-table.js";
import { LOSE, MemoryNetwork, type Sent } from "../../../src/underlay/memory-underlay.js";
import { parseIpv4 } from "../../../src/wire/ipv4.js";
import { ip, ipip, ipv4Udp } from "../forwarding/frames.js";

const A = ip("fd00::a");
const B = ip("fd00::b");
const EINVAL = 22;

/**
 * A batch with one frame `1 2 3` at 20100, and a pool of two sockets that knows B:4789 as remote 0.
 */
function udp() {
  const network = new MemoryNetwork();
  const remotes = RemoteTable.create({ maxRemotes: 4, maxTunnels: 1 });
  remotes.defineTunnel(0, 4789, 1);
  remotes.acquire(0, B.w0, B.w1, B.w2, B.w3, 4789, 1, 0);
  const batch = new EgressBatch();
  batch.frames[FRAME_OFFSET] = 20_100;
  batch.frames[FRAME_LENGTH] = 3;
  batch.arena.set([7, 8, 1, 2, 3], 20_098);
  return { network, batch, sender: network.udpSender(A, [50_000, 50_001], remotes.rows) };
}

const results = ({ sends, sendCount }: EgressBatch, column = SEND_RESULT) =>
  Array.from({ length: sendCount }, (_, row) => sends[row * SEND_WORDS + column]);

describe("UDP sender", () => {
  it("sends header and frame from the chosen port to the remote", () => {
    const { network, batch, sender } = udp();
    batch.addSend(0, 0, 1, 20_098, 2, 0xb8, 1, 37);
    expect(sender.sendBatch(batch)).toBe(0);
    expect(network.sent).toEqual([
      {
        ...{ source: A, sourcePort: 50_001, destination: B, destinationPort: 4789 },
        ...{ tos: 0xb8, ttl: 37, alone: true, bytes: Uint8Array.of(7, 8, 1, 2, 3) },
      },
    ]);
    expect([results(batch), results(batch, SEND_BYTES)]).toEqual([[1], [5]]);
  });

  it("refuses superpackets and unfinished checksums: it has no offloads", () => {
    const { network, batch, sender } = udp();
    batch.addSend(0, 0, 0, 20_098, 2, 0, 0);
    batch.frames[FRAME_GSO_TYPE] = 1;
    expect(sender.sendBatch(batch)).toBe(1);
    expect(results(batch)).toEqual([-EINVAL]);
    batch.frames[FRAME_GSO_TYPE] = 0;
    batch.frames[FRAME_FLAGS] = FRAME_NEEDS_CHECKSUM;
    expect(sender.sendBatch(batch)).toBe(1);
    expect(network.sent).toEqual([]);
  });

  it("refuses impossible rows and sends the others", () => {
    const { network, batch, sender } = udp();
    batch.addSend(0, 9, 0, 20_098, 2, 0, 0);
    batch.addSend(0, -1, 0, 20_098, 2, 0, 0);
    batch.addSend(0, 0, 2, 20_098, 2, 0, 0);
    batch.addSend(0, 0, 0, -8, 2, 0, 0);
    batch.addSend(0, 0, 0, 20_098, 2, 0, 0);
    expect(sender.sendBatch(batch)).toBe(4);
    expect(results(batch)).toEqual([-EINVAL, -EINVAL, -EINVAL, -EINVAL, 1]);
    expect(network.sent).toHaveLength(1);
  });

  it("fails, loses or delivers as the test says", () => {
    const { network, batch, sender } = udp();
    const receiver = network.udpReceiver(B, 4789);
    const verdicts = [-5, LOSE, 0];
    network.onSend = () => verdicts.shift() ?? 0;
    for (let i = 0; i < 3; i++) batch.addSend(0, 0, 0, 20_098, 2, 0, 0);
    expect(sender.sendBatch(batch)).toBe(1);
    expect(results(batch)).toEqual([-5, 1, 1]);
    expect([network.sent.length, receiver.queue.length]).toEqual([2, 1]);
  });
});

describe("raw sender", () => {
  it("completes length and checksum of the outer header and finds the destination in it", () => {
    const network = new MemoryNetwork();
    const receiver = network.rawReceiver(ip("10.57.4.20"), 4);
    const batch = new EgressBatch();
    const packet = ipip(ipv4Udp(), { tos: 2 });
    packet.fill(0, 2, 4);
    packet.fill(0, 10, 12);
    batch.arena.set(packet, 20_080);
    batch.frames[FRAME_OFFSET] = 20_100;
    batch.frames[FRAME_LENGTH] = packet.length - 20;
    batch.addSend(0, -1, 0, 20_080, 20, 0, 0);
    expect(network.rawSender().sendBatch(batch)).toBe(0);
    const [{ bytes, tos, source }] = receiver.queue;
    expect(parseIpv4(bytes, 0, bytes.length)?.payload_bytes).toBe(58);
    expect([tos, source]).toEqual([2, ip("10.57.4.21")]);
  });

  it("refuses a header that is no IPv4 header", () => {
    const network = new MemoryNetwork();
    const batch = new EgressBatch();
    batch.addSend(0, -1, 0, 20_080, 8, 0, 0);
    expect(network.rawSender().sendBatch(batch)).toBe(1);
    expect(network.sent).toEqual([]);
  });
});

describe("receiver", () => {
  const arrival = (bytes: Uint8Array, source = A): Sent => ({
    ...{ source, sourcePort: 50_000, destination: B, destinationPort: 4789 },
    ...{ tos: 3, ttl: 0, alone: false, bytes },
  });

  it("gives one clean row per datagram, no more than asked for and than there are slots", () => {
    const network = new MemoryNetwork();
    const receiver = network.udpReceiver(B, 4789);
    const batch = new IngressBatch();
    batch.runs.fill(7);
    expect(receiver.receiveBatch(batch, 32)).toBe(-11);
    expect(batch.runCount).toBe(0);
    for (let i = 0; i < 40; i++)
      network.send(arrival(Uint8Array.of(i), i % 2 ? A : ip("10.0.0.1")));
    expect(receiver.receiveBatch(batch, 2)).toBe(2);
    const column = (run: number, word: number) => batch.runs[run * RUN_WORDS + word] >>> 0;
    const words = [RUN_FAMILY, RUN_PORT, RUN_TOS, RUN_LENGTH, RUN_SEGMENTS, RUN_FLAGS];
    expect(words.map((word) => column(0, word))).toEqual([4, 50_000, 3, 1, 1, 0]);
    expect(words.map((word) => column(1, word))).toEqual([6, 50_000, 3, 1, 1, 0]);
    const address = (run: number) => [0, 1, 2, 3].map((i) => column(run, RUN_ADDRESS + i));
    expect([address(0), address(1)]).toEqual([
      [0, 0, 0xffff, 0x0a000001],
      [0xfd000000, 0, 0, 0xa],
    ]);
    expect(batch.runs[RUN_DEVICE]).toBe(-1);
    expect(receiver.receiveBatch(batch, 1000)).toBe(RECEIVE_SLOTS);
    expect(receiver.queue).toHaveLength(6);
  });

  it("cuts what is longer than a slot, and says so", () => {
    const network = new MemoryNetwork();
    const receiver = network.udpReceiver(B, 4789);
    const batch = new IngressBatch();
    network.send(arrival(new Uint8Array(65_601)));
    receiver.receiveBatch(batch, 1);
    expect([batch.runs[RUN_LENGTH], batch.runs[RUN_FLAGS]]).toEqual([65_600, RUN_TRUNCATED]);
  });
});
