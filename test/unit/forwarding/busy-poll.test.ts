// When a worker looks for more before it sleeps.

import { describe, expect, it } from "vitest";
import { BusyPoll } from "../../../src/forwarding/busy-poll.js";

describe("busy polling", () => {
  it("begins after a short wait that brought little", () => {
    const busyPoll = new BusyPoll(60);
    expect(busyPoll.next_us()).toBe(0);
    busyPoll.learn(59, 1);
    expect(busyPoll.next_us()).toBe(60);
  });

  it.each([
    ["a long wait", 60, 1],
    ["a whole batch", 3, 5],
  ])("ends with %s", (_, waited_us, moved) => {
    const busyPoll = new BusyPoll(60);
    busyPoll.learn(10, 1);
    busyPoll.learn(waited_us, moved);
    expect(busyPoll.next_us()).toBe(0);
  });

  it("looks in vain once", () => {
    const busyPoll = new BusyPoll(60);
    busyPoll.learn(10, 1);
    expect(busyPoll.next_us()).toBe(60);
    busyPoll.learn(5_000_000, 1);
    expect(busyPoll.next_us()).toBe(0);
  });

  it("never, when it is turned off", () => {
    const busyPoll = new BusyPoll(0);
    busyPoll.learn(0, 1);
    expect(busyPoll.next_us()).toBe(0);
  });
});
