// When a worker looks for more before it sleeps.

import { describe, expect, it } from "vitest";
import { BusyPoll } from "../../../src/forwarding/busy-poll.js";

/** After `wakeUps` short waits for one packet each. */
function afterRequests(wakeUps: number, limit_us = 60): BusyPoll {
  const busyPoll = new BusyPoll(limit_us);
  for (let n = 0; n < wakeUps; n++) busyPoll.learn(59, 1);
  return busyPoll;
}

describe("busy polling", () => {
  it("begins after two short waits in a row that brought little", () => {
    expect(afterRequests(1).next_us()).toBe(0);
    expect(afterRequests(2).next_us()).toBe(60);
    expect(afterRequests(1000).next_us()).toBe(60);
  });

  it("ends with the third long wait, so it looks in vain three times at most", () => {
    const busyPoll = afterRequests(1000);
    for (let n = 0; n < 2; n++) {
      busyPoll.learn(60, 1);
      expect(busyPoll.next_us()).toBe(60);
    }
    busyPoll.learn(60, 1);
    expect(busyPoll.next_us()).toBe(0);
  });

  it("ends at once with a whole batch", () => {
    const busyPoll = afterRequests(1000);
    busyPoll.learn(3, 5);
    expect(busyPoll.next_us()).toBe(0);
    busyPoll.learn(3, 1);
    expect(busyPoll.next_us()).toBe(0);
  });

  it("does not take the acknowledgements of a stream for requests", () => {
    const busyPoll = afterRequests(0);
    for (let n = 0; n < 100; n++) {
      busyPoll.learn(10, n % 2 === 0 ? 45 : 1);
      expect(busyPoll.next_us()).toBe(0);
    }
  });

  it("never, when it is turned off", () => {
    const busyPoll = new BusyPoll(0);
    for (let n = 0; n < 20; n++) busyPoll.learn(0, 1);
    expect(busyPoll.next_us()).toBe(0);
  });
});
