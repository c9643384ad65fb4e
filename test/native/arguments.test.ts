// Every exported function with arguments that are missing, of the wrong type or too short: -EINVAL
// (or the errno of a descriptor that is not open), never an exception, never a crash.

import { afterAll, describe, expect, it } from "vitest";
import {
  EGRESS_ARENA_BYTES,
  ERROR_WORDS,
  FRAME_WORDS,
  INGRESS_ARENA_BYTES,
  MAX_ERRORS,
  MAX_FRAMES,
  MAX_RUNS,
  MAX_SENDS,
  MAX_SOCKETS,
  native,
  QUOTE_BYTES,
  RAW_SOCKETS,
  READY_WORDS,
  RECEIVE_SLOTS,
  RUN_WORDS,
  SEND_WORDS,
} from "#native";
import { Descriptors, Receiver, Sender } from "./batches.js";

const EBADF = -9;
const EINVAL = -22;
const ENODEV = -19;
const ENOENT = -2;

const functions = Object.entries(
  native as unknown as Record<string, (...args: unknown[]) => unknown>,
);
const descriptors = new Descriptors();
const sender = new Sender();
const receiver = new Receiver();
afterAll(() => descriptors.closeAll());

const watch = native.descriptorWatch(descriptors.take(native.wakeCreate(), "wakeCreate"), () => {});

/** Good arguments of every function that takes any; descriptors are -1, which is never open. */
const bytes = new Uint8Array(64);
const address = new Int32Array(4);
const good: Record<string, unknown[]> = {
  egressCreate: [sender.batch.arena, sender.batch.frames, sender.batch.sends, sender.remotes],
  deviceReadBatch: [sender.handle, -1, 1],
  encapSendUdp: [sender.handle, Int32Array.of(-1), 0, 0],
  encapSendRaw: [sender.handle, Int32Array.of(-1, -1, -1), 0],
  ingressCreate: [receiver.batch.arena, receiver.batch.runs],
  receiveBatch: [receiver.handle, -1, 1, 0],
  decapWriteBatch: [receiver.handle, -1, 1, 2, 0, 0, 0],
  deviceWrite: [-1, bytes, 0, 1],
  tuntapOpen: ["", 2, 0, 1],
  tuntapSetOffload: [-1, 0],
  descriptorClose: [-1],
  interfaceGet: ["no-such-device", 0],
  interfaceSetMtu: ["no-such-device", 1500],
  interfaceSetUp: ["no-such-device", 1],
  interfaceMac: ["no-such-device", new Uint8Array(6), 0],
  interfaceAddress: ["no-such-device", new Uint8Array(4), 24],
  interfaceFeature: ["no-such-device", "rx-gro"],
  udpOpen: [4, address, 0, "no-such-device", 0, 4096],
  rawOpen: [4, 4, address, "no-such-device", 0, 4096],
  udpProbe: [0],
  socketShare: [-1],
  socketPort: [-1],
  socketConfigure: [-1, 4, 0],
  socketErrors: [
    ...[-1, new Int32Array(MAX_ERRORS * ERROR_WORDS)],
    new Uint8Array(MAX_ERRORS * QUOTE_BYTES),
  ],
  groupJoin: [-1, 4, address, 1],
  groupSend: [-1, 4, 1, 1],
  pathMtu: [4, address, "no-such-device"],
  datagramSend: [-1, 4, address, 0, 9, bytes, 64],
  pollAdd: [-1, -1, 0],
  pollRemove: [-1, -1],
  pollWait: [-1, new Int32Array(READY_WORDS), 0, 0],
  wakeSignal: [-1],
  wakeDrain: [-1],
  threadSetSlice: [0],
  memoryMapFrom: [1 << 20],
  netlinkOpen: [0],
  netlinkSend: [-1, bytes, 1, 0],
  netlinkReceive: [-1, bytes],
  netlinkClose: [-1],
  netlinkReserve: [-1, 4096],
  netlinkDrain: [-1, bytes, 32, new Int32Array(1)],
  descriptorWatch: [-1, () => {}],
  descriptorUnwatch: [watch],
  checksumBytes: [bytes, 0],
  echoOpen: [0, 0],
  echoServe: [-1, 0, 0],
  pingPong: ["127.0.0.1", 9, 0, new Int32Array(1), new Int32Array(1)],
  shortConnections: ["127.0.0.1", 9, 0],
};
const withoutArguments = ["pollCreate", "wakeCreate"];

const strange: unknown[] = [
  undefined,
  null,
  true,
  Symbol("x"),
  10n,
  {},
  [],
  () => 0,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  new Uint8Array(0),
  new Int32Array(0),
  new Float64Array(8),
  new DataView(new ArrayBuffer(8)),
  new ArrayBuffer(8),
  "x".repeat(200),
];

/** True for another value of a type that the function takes: not what is looked for here. */
function sameKind(a: unknown, b: unknown): boolean {
  if (typeof a !== "object" || a === null) return typeof a === typeof b;
  return Object.getPrototypeOf(a) === Object.getPrototypeOf(b);
}

describe("arguments", () => {
  it("are known here for every function", () => {
    expect(functions.map(([name]) => name).sort()).toEqual(
      [...Object.keys(good), ...withoutArguments].sort(),
    );
  });

  it("that are missing give EINVAL", () => {
    for (const [name, call] of functions) {
      if (withoutArguments.includes(name)) continue;
      for (let count = 0; count < good[name].length; count++) {
        expect(call(...good[name].slice(0, count)), `${name} with ${count}`).toBe(EINVAL);
      }
    }
  });

  it("of the wrong type give EINVAL, each of them", () => {
    for (const [name, call] of functions) {
      for (const [index, value] of (good[name] ?? []).entries()) {
        for (const wrong of strange) {
          if (typeof wrong !== "number" && sameKind(wrong, value)) continue;
          const args = good[name].with(index, wrong);
          expect(call(...args), `${name}, argument ${index}: ${String(wrong)}`).toBe(EINVAL);
        }
      }
    }
  });

  it("that are no whole numbers of 32 bits give EINVAL", () => {
    for (const value of [0.5, -0.5, 2 ** 31, -(2 ** 31) - 1, 2 ** 32, 1e300, Number.NaN]) {
      expect(native.descriptorClose(value), `${value}`).toBe(EINVAL);
      expect(native.pollAdd(-1, -1, value), `${value}`).toBe(EINVAL);
    }
    expect(native.descriptorClose(2 ** 31 - 1)).toBe(EBADF);
  });
});

describe("handles", () => {
  it("of the other kind are refused", () => {
    const egress = sender.handle as never;
    const ingress = receiver.handle as never;
    expect(native.encapSendUdp(ingress, Int32Array.of(-1), 0, 0)).toBe(EINVAL);
    expect(native.encapSendRaw(ingress, Int32Array.of(-1, -1, -1), 0)).toBe(EINVAL);
    expect(native.deviceReadBatch(ingress, -1, 1)).toBe(EINVAL);
    expect(native.receiveBatch(egress, -1, 1, 0)).toBe(EINVAL);
    expect(native.decapWriteBatch(egress, -1, 1, 2, 0, 0, 0)).toBe(EINVAL);
  });

  it("are made only of arrays that are large enough", () => {
    const arena = new Uint8Array(EGRESS_ARENA_BYTES);
    const frames = new Int32Array(MAX_FRAMES * FRAME_WORDS);
    const sends = new Int32Array(MAX_SENDS * SEND_WORDS);
    const remotes = new Int32Array(16);
    expect(native.egressCreate(arena.subarray(1), frames, sends, remotes)).toBe(EINVAL);
    expect(native.egressCreate(arena, frames.subarray(1), sends, remotes)).toBe(EINVAL);
    expect(native.egressCreate(arena, frames, sends.subarray(1), remotes)).toBe(EINVAL);
    expect(typeof native.egressCreate(arena, frames, sends, remotes)).toBe("object");
    const slots = new Uint8Array(INGRESS_ARENA_BYTES);
    const runs = new Int32Array(MAX_RUNS * RUN_WORDS);
    expect(native.ingressCreate(slots.subarray(1), runs)).toBe(EINVAL);
    expect(native.ingressCreate(slots, runs.subarray(1))).toBe(EINVAL);
    expect(typeof native.ingressCreate(slots, runs)).toBe("object");
  });
});

describe("counts and offsets", () => {
  const extremes = [-1, -(2 ** 31), 2 ** 31 - 1];

  it("beyond a batch's limits are refused", () => {
    const sockets = Int32Array.of(-1);
    for (const count of [MAX_SENDS + 1, ...extremes]) {
      expect(native.encapSendUdp(sender.handle, sockets, count, 0)).toBe(EINVAL);
      expect(native.encapSendRaw(sender.handle, new Int32Array(RAW_SOCKETS), count)).toBe(EINVAL);
    }
    for (const sockets of [0, RAW_SOCKETS - 1, RAW_SOCKETS + 1]) {
      expect(native.encapSendRaw(sender.handle, new Int32Array(sockets), 0)).toBe(EINVAL);
    }
    expect(native.encapSendUdp(sender.handle, new Int32Array(0), 0, 0)).toBe(EINVAL);
    const tooMany = new Int32Array(MAX_SOCKETS + 1);
    expect(native.encapSendUdp(sender.handle, tooMany, 0, 0)).toBe(EINVAL);
    for (const label of [-1, 0x10_0000]) {
      expect(native.encapSendUdp(sender.handle, Int32Array.of(-1), 0, label)).toBe(EINVAL);
    }
    for (const limit of [0, MAX_FRAMES + 1, ...extremes]) {
      expect(native.deviceReadBatch(sender.handle, -1, limit)).toBe(EINVAL);
    }
    for (const limit of [0, RECEIVE_SLOTS + 1, ...extremes]) {
      expect(native.receiveBatch(receiver.handle, -1, limit, 0)).toBe(EINVAL);
    }
    const ranges = [
      [0, MAX_RUNS + 1],
      [MAX_RUNS, 1],
      [MAX_RUNS + 1, 0],
      [2 ** 31 - 1, 2 ** 31 - 1],
    ];
    for (const [first, count] of [...ranges, ...extremes.slice(0, 2).map((n) => [n, 1])]) {
      expect(native.decapWriteBatch(receiver.handle, -1, 1, 2, 0, first, count)).toBe(EINVAL);
    }
    expect(native.decapWriteBatch(receiver.handle, -1, 1, 2, 0, MAX_RUNS, 0)).toBe(0);
  });

  it("outside of a frame's bytes are refused", () => {
    for (const [offset, length] of [
      [-1, 1],
      [0, 0],
      [0, 65],
      [64, 1],
      [1, 2 ** 31 - 1],
    ]) {
      expect(native.deviceWrite(-1, bytes, offset, length)).toBe(EINVAL);
    }
    expect(native.deviceWrite(-1, bytes, 0, 64)).toBe(EBADF);
    expect(native.netlinkSend(-1, bytes, 65, 0)).toBe(EINVAL);
    expect(native.netlinkSend(-1, bytes, -1, 0)).toBe(EINVAL);
  });
});

describe("values that no socket or device has", () => {
  it("are refused", () => {
    const open = (family: number, words: Int32Array, port: number, device = "") =>
      native.udpOpen(family, words, port, device, 0, 4096);
    expect(open(5, address, 0)).toBe(EINVAL);
    expect(open(4, new Int32Array(3), 0)).toBe(EINVAL);
    for (const port of [-1, 65_536, 2 ** 31 - 1]) expect(open(4, address, port)).toBe(EINVAL);
    expect(open(4, address, 0, "x".repeat(16))).toBe(EINVAL);
    expect(open(4, address, 0, "no-such-device")).toBe(ENODEV);
    for (const family of [0, 5]) expect(native.socketConfigure(-1, family, 0)).toBe(EINVAL);
    expect(native.interfaceGet("lo", 3)).toBe(EINVAL);
    expect(native.interfaceGet("lo", -1)).toBe(EINVAL);
    expect(native.interfaceGet("no-such-device", 0)).toBe(ENODEV);
    expect(native.interfaceFeature("no-such-device", "rx-gro")).toBe(ENODEV);
    expect(native.interfaceFeature("lo", "no-such-feature")).toBe(ENOENT);
    expect(native.interfaceFeature("lo", "x".repeat(33))).toBe(EINVAL);
    expect(native.interfaceMac("lo", new Uint8Array(5), 0)).toBe(EINVAL);
    expect(native.interfaceAddress("lo", new Uint8Array(5), 8)).toBe(EINVAL);
    expect(native.interfaceAddress("lo", new Uint8Array(16), -1)).toBe(EINVAL);
    for (const prefix of [-2, 33]) {
      expect(native.interfaceAddress("no-such-device", new Uint8Array(4), prefix)).toBe(EINVAL);
    }
    expect(native.interfaceAddress("no-such-device", new Uint8Array(16), 129)).toBe(EINVAL);
  });
});

describe("sockets", () => {
  it("take and tell their options", () => {
    const one = descriptors.udp();
    expect(native.socketPort(one.fd)).toBe(one.port);
    expect(native.udpOpen(4, Int32Array.of(0, 0, 0, 0x7f000001), one.port, "", 0, 4096)).toBe(-98);
    expect(native.socketShare(one.fd)).toBe(0);
    for (const flags of [0, 8, 16, 32]) expect(native.socketConfigure(one.fd, 4, flags)).toBe(0);
    expect([native.udpProbe(0), native.udpProbe(1)]).toEqual([0, 0]);
  });
});
