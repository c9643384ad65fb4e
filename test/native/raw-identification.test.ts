// IPv4 identifications of what several workers send through raw sockets of one tunnel: fragments of
// one datagram never bear that of another [RFC 6864 § 4.2], whoever made the header.

import { readFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import {
  EGRESS_ARENA_BYTES,
  type EgressHandle,
  FRAME_LENGTH,
  FRAME_OFFSET,
  FRAME_WORDS,
  HEADROOM_BYTES,
  MAX_FRAMES,
  MAX_SENDS,
  native,
  RAW_FRAGMENTS_IPV4,
  RAW_HEADER_INCLUDED,
  REMOTE_WORDS,
  RUN_OFFSET,
  RUN_WORDS,
  SEND_FRAME,
  SEND_HEADER,
  SEND_HEADER_BYTES,
  SEND_RESULT,
  SEND_SOCKET,
  SEND_WORDS,
  SOCKET_HEADER_INCLUDED,
  SOCKET_SEND_ONLY,
} from "#native";
import { IngressBatch } from "../../src/packet/ingress-batch.js";
import { IPV4_MAPPED } from "../../src/wire/ip-address.js";
import {
  IPV4_HEADER_BYTES,
  ipv4Identification,
  ipv4Source,
  writeIpv4Header,
} from "../../src/wire/ipv4.js";
import { Descriptors } from "./batches.js";

/** For experiments [RFC 3692]: nobody else sends it. */
const PROTOCOL = 253;
const LOCAL = 0x7f00_0003;
const PEER = 0x7f00_0002;
const ROUTES_OWN = 0x7f00_0001;
const PACKET_BYTES = 64;
const BUFFER_BYTES = 65_536;

const descriptors = new Descriptors();
afterAll(() => descriptors.closeAll());

const open = (address: number, protocol: number, flags: number): number => {
  const words = Int32Array.of(0, 0, IPV4_MAPPED, address);
  return descriptors.take(native.rawOpen(4, protocol, words, "lo", flags, BUFFER_BYTES), "rawOpen");
};

/** What one worker sends by. */
class RawWorker {
  readonly #arena = new Uint8Array(EGRESS_ARENA_BYTES);
  readonly #frames = new Int32Array(MAX_FRAMES * FRAME_WORDS);
  readonly #sends = new Int32Array(MAX_SENDS * SEND_WORDS);
  readonly #egress: EgressHandle;
  readonly #sockets: Int32Array;

  constructor(local: number) {
    const remotes = new Int32Array(REMOTE_WORDS);
    const egress = native.egressCreate(this.#arena, this.#frames, this.#sends, remotes);
    if (typeof egress === "number") throw new Error(`egressCreate: ${egress}`);
    this.#egress = egress;
    this.#sockets = Int32Array.of(
      open(local, 255, SOCKET_SEND_ONLY | SOCKET_HEADER_INCLUDED),
      open(local, PROTOCOL, SOCKET_SEND_ONLY),
      -1,
    );
  }

  send(socket: number, source: number): void {
    this.#frames[FRAME_OFFSET] = HEADROOM_BYTES;
    this.#frames[FRAME_LENGTH] = PACKET_BYTES;
    const header = HEADROOM_BYTES - IPV4_HEADER_BYTES;
    const more = [PACKET_BYTES, false, 64, PROTOCOL, source, PEER] as const;
    writeIpv4Header(this.#arena, header, 0, ...more);
    this.#sends[SEND_FRAME] = 0;
    this.#sends[SEND_SOCKET] = socket;
    this.#sends[SEND_HEADER] = header;
    this.#sends[SEND_HEADER_BYTES] = IPV4_HEADER_BYTES;
    native.encapSendRaw(this.#egress, this.#sockets, 1);
    expect(this.#sends[SEND_RESULT]).toBe(1);
  }
}

/** Source and identification of each packet that arrived. */
function arrived(fd: number): { source: number; identification: number }[] {
  const { arena, runs } = new IngressBatch();
  const ingress = native.ingressCreate(arena, runs);
  if (typeof ingress === "number") throw new Error(`ingressCreate: ${ingress}`);
  const count = native.receiveBatch(ingress, fd, 32, 1);
  return Array.from({ length: Math.max(0, count) }, (_, run) => {
    const at = runs[run * RUN_WORDS + RUN_OFFSET]!;
    return { source: ipv4Source(arena, at), identification: ipv4Identification(arena, at) };
  });
}

/** Packets that were offered to the sockets of this protocol that send, by address. */
function offered(): Map<number, number> {
  const lines = readFileSync("/proc/net/raw", "utf8").trim().split("\n").slice(1);
  const sockets = new Map<number, number>();
  for (const line of lines) {
    const columns = line.trim().split(/\s+/);
    const [address, protocol] = columns[1]!.split(":").map((text) => Number.parseInt(text, 16));
    if (protocol !== PROTOCOL) continue;
    const local = Buffer.alloc(4);
    local.writeUInt32LE(address!);
    sockets.set(local.readUInt32BE(), Number(columns.at(-1)));
  }
  return sockets;
}

describe.runIf(process.getuid?.() === 0)("raw IPv4 sockets", () => {
  it("of two workers number the packets to one peer together", () => {
    const receiver = open(PEER, PROTOCOL, 0);
    const workers = [new RawWorker(LOCAL), new RawWorker(LOCAL)] as const;
    for (let n = 0; n < 8; n++) {
      for (const worker of workers) {
        worker.send(RAW_FRAGMENTS_IPV4, LOCAL);
        worker.send(RAW_HEADER_INCLUDED, LOCAL);
      }
    }
    const packets = arrived(receiver);
    expect(packets.map(({ source }) => source)).toEqual(Array(32).fill(LOCAL));
    // The kernel leaves out some as time goes by (ip_idents_reserve).
    for (const [n, { identification }] of packets.entries()) {
      if (n === 0) continue;
      const step = (identification - packets[n - 1]!.identification) & 0xffff;
      expect(step).toBeGreaterThan(0);
      expect(step).toBeLessThan(0x4000);
    }
  });

  it("that only send get no copy of what arrives, also without an address of their own", () => {
    const receiver = open(PEER, PROTOCOL, 0);
    const worker = new RawWorker(0);
    worker.send(RAW_FRAGMENTS_IPV4, 0);
    expect(arrived(receiver).map(({ source }) => source)).toEqual([ROUTES_OWN]);
    expect(offered().get(ROUTES_OWN)).toBe(0);
    expect(offered().has(0)).toBe(false);
  });
});
