// What is said at once, what is held back, and that nothing of it is lost.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RateLimiter } from "../../../src/telemetry/rate-limiter.js";

const LIMITS = { interval_ms: 1000, maxKeys: 2 };

describe("RateLimiter", () => {
  it("says the first at once, then once per interval with the sum", () => {
    const limiter = new RateLimiter(LIMITS);
    expect(limiter.take("a", "*", 2, 0)).toEqual({ key: "a", amount: 2 });
    expect(limiter.take("a", "*", 3, 10)).toBeUndefined();
    expect(limiter.take("a", "*", 4, 999)).toBeUndefined();
    expect(limiter.take("a", "*", 1, 1000)).toEqual({ key: "a", amount: 8 });
    expect(limiter.take("a", "*", 1, 1999)).toBeUndefined();
  });

  it("says what was held back of a key that has gone quiet, once", () => {
    const limiter = new RateLimiter(LIMITS);
    limiter.take("a", "*", 1, 0);
    limiter.take("a", "*", 5, 1);
    expect(limiter.due(999)).toEqual([]);
    expect(limiter.due(1000)).toEqual([{ key: "a", amount: 5 }]);
    expect(limiter.due(2000)).toEqual([]);
  });

  it("lets further keys share one until a remembered one has gone quiet", () => {
    const limiter = new RateLimiter(LIMITS);
    limiter.take("a", "*", 1, 0);
    limiter.take("b", "*", 1, 500);
    expect(limiter.take("c", "*", 1, 600)).toEqual({ key: "*", amount: 1 });
    expect(limiter.take("d", "*", 2, 700)).toBeUndefined();
    expect(limiter.take("e", "*", 3, 1700)).toEqual({ key: "e", amount: 3 });
    expect(limiter.due(1700)).toEqual([{ key: "*", amount: 2 }]);
  });

  it("loses nothing, and says no key twice within an interval", () => {
    const step = fc.record({
      key: fc.constantFrom("a", "b", "c", "d"),
      amount: fc.integer({ min: 1, max: 9 }),
      wait_ms: fc.integer({ min: 0, max: 700 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const limiter = new RateLimiter(LIMITS);
        const said = new Map<string, number>();
        let now_ms = 0;
        let given = 0;
        let told = 0;
        const tell = ({ key, amount }: { key: string; amount: number }) => {
          expect(now_ms - (said.get(key) ?? -Infinity)).toBeGreaterThanOrEqual(LIMITS.interval_ms);
          said.set(key, now_ms);
          told += amount;
        };
        for (const { key, amount, wait_ms } of steps) {
          now_ms += wait_ms;
          given += amount;
          const report = limiter.take(key, "*", amount, now_ms);
          if (report !== undefined) tell(report);
        }
        now_ms += LIMITS.interval_ms;
        for (const report of limiter.due(now_ms)) tell(report);
        expect(told).toBe(given);
      }),
    );
  });
});
