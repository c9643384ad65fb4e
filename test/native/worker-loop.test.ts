// The worker's loop with a backlog: it does not sleep while something is pending, takes turns with
// what is ready, and sleeps again afterwards.

import { afterEach, describe, expect, it } from "vitest";
import { native } from "#native";
import { type Backlog, WorkerLoop } from "../../src/forwarding/worker-loop.js";
import { Descriptors } from "./batches.js";

const descriptors = new Descriptors();
afterEach(() => descriptors.closeAll());

const makeWake = (): number => descriptors.take(native.wakeCreate(), "wakeCreate");

/** `steps` steps of work, then a wake-up that ends the loop. */
function backlogOf(steps: number, wakeFd: number, order: string[]): Backlog {
  let left = steps;
  return {
    get pending() {
      return left > 0;
    },
    step: () => {
      order.push("step");
      if (--left === 0) native.wakeSignal(wakeFd);
      return 1;
    },
  };
}

function loopWith(backlog: Backlog, wakeFd: number): WorkerLoop {
  const onSourceLost = (name: string) => {
    throw new Error(`${name} was lost`);
  };
  return new WorkerLoop({
    ...{ busyPoll_us: 0, wakeFd, onSourceLost, backlog },
    onWake: () => undefined,
  });
}

describe("the worker's loop", () => {
  it("goes through a backlog without sleeping when nothing else is ready", () => {
    const wakeFd = makeWake();
    const order: string[] = [];
    loopWith(backlogOf(5, wakeFd, order), wakeFd).run(() => true);
    expect(order).toEqual(Array(5).fill("step"));
  });

  it("gives what is ready its turn between two steps", () => {
    const wakeFd = makeWake();
    const order: string[] = [];
    const loop = loopWith(backlogOf(3, wakeFd, order), wakeFd);
    const fd = makeWake();
    native.wakeSignal(fd);
    const times: [number, number][] = [];
    loop.add({
      fd,
      name: "always ready",
      run: (now_s, now_ms) => {
        order.push("source");
        times.push([now_s, now_ms]);
        return 1;
      },
    });
    let stops = 0;
    loop.run(() => ++stops === 1);
    expect(order.slice(0, 6)).toEqual(["source", "step", "source", "step", "source", "step"]);
    for (const [now_s, now_ms] of times) expect(now_s).toBe(Math.max(1, Math.floor(now_ms / 1000)));
  });
});
