import { defineConfig } from "vitest/config";

/** How the files of a suite run: one after the other, two at a time, or so and sharing processes. */
const serial = { fileParallelism: false };
const parallel = {};
/** Unit files keep no state between them: half the time of one process for each. */
const shared = { isolate: false };

const suite = (name: string, include: string[], timeout_ms: number, how: object) => ({
  test: { name, include, testTimeout: timeout_ms, hookTimeout: timeout_ms, ...how },
});

export default defineConfig({
  test: {
    // Also where there are two cores only: most tests wait more than they compute.
    maxWorkers: 2,
    projects: [
      suite(
        "unit",
        ["test/unit/**/*.test.ts", "test/vectors/**/*.test.ts", "test/property/**/*.test.ts"],
        10_000,
        shared,
      ),
      suite("native", ["test/native/**/*.test.ts"], 60_000, serial),
      suite("netns", ["test/netns/**/*.test.ts"], 120_000, parallel),
      suite("interop", ["test/interop/**/*.test.ts"], 120_000, serial),
      suite("conformance", ["test/conformance/**/*.test.ts"], 60_000, serial),
    ],
  },
});
