// Descriptors on the event loop, and netlink datagrams taken without waiting.

import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { afterEach, describe, expect, it } from "vitest";
import { native, type WatchHandle } from "#native";
import { Descriptors } from "./batches.js";

const EEXIST = -17;
const EAGAIN = 11;

const descriptors = new Descriptors();
afterEach(() => descriptors.closeAll());

const makeWake = (): number => descriptors.take(native.wakeCreate(), "wakeCreate");

function watchOf(fd: number, callback: () => void): WatchHandle {
  const watch = native.descriptorWatch(fd, callback);
  if (typeof watch === "number") throw new Error(`descriptorWatch: ${watch}`);
  return watch;
}

describe("a watch", () => {
  it("calls back as long as there is something to read, and no more when it has ended", async () => {
    const wake = makeWake();
    let calls = 0;
    const called = new Promise<void>((resolve) => {
      const watch = watchOf(wake, () => {
        calls++;
        if (calls < 3) return;
        native.descriptorUnwatch(watch);
        expect(native.descriptorUnwatch(watch)).toBe(0);
        resolve();
      });
    });
    await sleep(5);
    expect(calls).toBe(0);
    native.wakeSignal(wake);
    await called;
    await sleep(20);
    expect(calls).toBe(3);
  });

  it("is the only one of its descriptor", () => {
    const wake = makeWake();
    const watch = watchOf(wake, () => {});
    expect(native.descriptorWatch(wake, () => {})).toBe(EEXIST);
    native.descriptorUnwatch(watch);
  });

  it("whose callback throws is an uncaught exception, and goes on", async () => {
    const addon = new URL("../../native-bindings/dist/index.js", import.meta.url).href;
    const worker = new Worker(
      `import(${JSON.stringify(addon)}).then(({ native }) => {
        const { parentPort } = require("node:worker_threads");
        const fd = native.wakeCreate();
        let calls = 0;
        const thrown = [];
        process.on("uncaughtException", ({ message }) => thrown.push(message));
        const watch = native.descriptorWatch(fd, () => {
          if (++calls < 3) throw new Error("call " + calls);
          native.descriptorUnwatch(watch);
          queueMicrotask(() => parentPort.postMessage(thrown));
        });
        native.wakeSignal(fd);
      });`,
      { eval: true },
    );
    const [thrown] = await once(worker, "message");
    expect(thrown).toEqual(["call 1", "call 2"]);
    expect(await once(worker, "exit")).toEqual([0]);
  });

  it("ends with its thread, in the middle of its callback, and when nobody holds it", async () => {
    const addon = new URL("../../native-bindings/dist/index.js", import.meta.url).href;
    for (let round = 0; round < 5; round++) {
      const worker = new Worker(
        `import(${JSON.stringify(addon)}).then(({ native }) => {
          const { parentPort } = require("node:worker_threads");
          for (let n = 0; n < 20; n++) {
            const fd = native.wakeCreate();
            native.wakeSignal(fd);
            native.descriptorWatch(fd, () => parentPort.postMessage(n));
          }
          const gone = native.wakeCreate();
          native.descriptorUnwatch(native.descriptorWatch(gone, () => {}));
          native.descriptorClose(gone);
        });`,
        { eval: true },
      );
      await once(worker, "message");
      expect(await worker.terminate()).toBe(1);
    }
  });

  it("ends with its thread", async () => {
    const addon = new URL("../../native-bindings/dist/index.js", import.meta.url).href;
    const worker = new Worker(
      `import(${JSON.stringify(addon)}).then(({ native }) => {
        const fd = native.wakeCreate();
        native.descriptorWatch(fd, () => process.exit(3));
        native.wakeSignal(fd);
      });`,
      { eval: true },
    );
    expect(await once(worker, "exit")).toEqual([3]);
  });
});

describe("netlink datagrams", () => {
  it("are taken as many as there are, as long as there is room for the longest", () => {
    const fd = descriptors.take(native.netlinkOpen(0), "netlinkOpen");
    expect(native.netlinkReserve(fd, 1 << 20)).toBe(0);
    // RTM_GETLINK of the loopback device (index 1), answered by one datagram each.
    const request = Buffer.alloc(32);
    request.writeUInt32LE(32, 0);
    request.writeUInt16LE(18, 4);
    request.writeUInt16LE(1, 6);
    request.writeInt32LE(1, 20);
    const room_bytes = 16_384;
    const end = new Int32Array(1);
    const one = new Uint8Array(room_bytes);
    const ask = () => expect(native.netlinkSend(fd, request, request.length, 0)).toBe(32);
    ask();
    const length = native.netlinkDrain(fd, one, room_bytes, end);
    expect([length > 100, end[0]]).toEqual([true, 0]);
    expect(native.netlinkDrain(fd, one, room_bytes, end)).toBe(0);
    expect(end[0]).toBe(EAGAIN);
    for (let n = 0; n < 3; n++) ask();
    const all = new Uint8Array(room_bytes + 4 * length);
    expect(native.netlinkDrain(fd, all, room_bytes, end)).toBe(3 * length);
    expect(end[0]).toBe(EAGAIN);
    for (let n = 0; n < 3; n++) ask();
    const two = new Uint8Array(room_bytes + length);
    expect(native.netlinkDrain(fd, two, room_bytes, end)).toBe(2 * length);
    expect(end[0]).toBe(0);
    expect(native.netlinkDrain(fd, two, room_bytes, end)).toBe(length);
  });
});
