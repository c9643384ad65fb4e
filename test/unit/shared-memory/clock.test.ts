// The clock of the tables.
import { Worker } from "node:worker_threads";
import { expect, it } from "vitest";
import { monotonicSeconds } from "../../../src/shared-memory/clock.js";

it("counts whole seconds, never 0, on the same scale in every thread", async () => {
  const before = monotonicSeconds();
  const code = "require('node:worker_threads').parentPort.postMessage(process.hrtime()[0])";
  const worker = new Worker(code, { eval: true });
  const inWorker = await new Promise((resolve) => worker.once("message", resolve));
  const after = monotonicSeconds();
  expect(Number.isInteger(before)).toBe(true);
  expect(before).toBeGreaterThanOrEqual(1);
  expect(inWorker).toBeGreaterThanOrEqual(before - 1);
  expect(inWorker).toBeLessThanOrEqual(after);
});
