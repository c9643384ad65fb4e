// What a thread asks of the scheduler: its time slice, as the kernel shows it in
// /proc/thread-self/sched (since 6.12).

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { native } from "#native";

/** Undefined: this kernel does not show it. */
function slice_ns(): number | undefined {
  const line = /^se\.slice\s*:\s*(\d+)$/m.exec(readFileSync("/proc/thread-self/sched", "utf8"));
  return line === null ? undefined : Number(line[1]);
}

describe("threadSetSlice", () => {
  it("changes the slice of the calling thread and nothing else", (context) => {
    const before_ns = slice_ns();
    if (before_ns === undefined) return context.skip("this kernel shows no slice");
    const policy = /^policy\s*:.*$/m;
    const policyBefore = policy.exec(readFileSync("/proc/thread-self/sched", "utf8"))?.[0];
    expect(native.threadSetSlice(7_000)).toBe(0);
    expect(slice_ns()).toBe(7_000_000);
    expect(policy.exec(readFileSync("/proc/thread-self/sched", "utf8"))?.[0]).toBe(policyBefore);
    expect(native.threadSetSlice(before_ns / 1000)).toBe(0);
    expect(slice_ns()).toBe(before_ns);
  });

  it("refuses what is no slice", () => {
    expect(native.threadSetSlice(0)).toBe(-22);
    expect(native.threadSetSlice(-1)).toBe(-22);
  });
});
