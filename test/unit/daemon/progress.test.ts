// Progress of a long start: nothing for a short one, a line per second for a long one.

import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { Progress } from "../../../src/daemon/progress.js";

describe("Progress", () => {
  it("is told once a second, from the first second on", () => {
    const lines: string[] = [];
    const log = pino(
      { base: null, timestamp: false },
      { write: (line: string) => lines.push(line) },
    );
    let now_ms = 5000;
    const progress = new Progress(log, () => now_ms);
    for (let done = 1; done <= 250; done++) {
      now_ms += 10;
      progress.report("devices opened", done, 250);
    }
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { level: 30, done: 100, total: 250, msg: "starting: devices opened" },
      { level: 30, done: 200, total: 250, msg: "starting: devices opened" },
    ]);
  });
});
