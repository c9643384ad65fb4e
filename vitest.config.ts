import { defineConfig } from "vitest/config";

/**
 * Unit files keep no state between them, so they share processes: half the time of one process for
 * each.
 */
const suite = (name: string, include: string[], timeout_ms: number, serial: boolean) => ({
  test: {
    name,
    include,
    testTimeout: timeout_ms,
    hookTimeout: timeout_ms,
    ...(serial ? { fileParallelism: false } : { isolate: false }),
  },
});

export default defineConfig({
  test: {
    projects: [
      suite(
        "unit",
        ["test/unit/**/*.test.ts", "test/vectors/**/*.test.ts", "test/property/**/*.test.ts"],
        10_000,
        false,
      ),
      suite("native", ["test/native/**/*.test.ts"], 60_000, true),
      suite("netns", ["test/netns/**/*.test.ts"], 120_000, true),
      suite("interop", ["test/interop/**/*.test.ts"], 120_000, true),
      suite("conformance", ["test/conformance/**/*.test.ts"], 60_000, true),
    ],
  },
});
