// Numbers with their units, as people read them.

import { describe, expect, it } from "vitest";
import {
  formatBitrate,
  formatBytes,
  formatCount,
  formatDuration,
  formatRtt,
  formatShare,
} from "../../../src/cli/units.js";

describe("units", () => {
  it.each([
    [0, "0"],
    [999, "999"],
    [1000, "1.00k"],
    [12_345, "12.3k"],
    [999_499, "999k"],
    [999_500, "1.00M"],
    [1e15, "1.00P"],
    [1e18, "1000P"],
  ])("count %d", (count, text) => expect(formatCount(count)).toBe(text));

  it.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.00 KiB"],
    [1024 * 1023.6, "1.00 MiB"],
    [3.2 * 1024 ** 3, "3.20 GiB"],
  ])("bytes %d", (count, text) => expect(formatBytes(count)).toBe(text));

  it("bit rates", () => {
    expect(formatBitrate(1.05e9)).toBe("8.40 Gb/s");
    expect(formatBitrate(1)).toBe("8 b/s");
  });

  it.each([
    [0.9, "0s"],
    [59, "59s"],
    [184, "3m04s"],
    [7500, "2h05m"],
    [273_600, "3d04h"],
  ])("duration %d s", (duration_s, text) => expect(formatDuration(duration_s)).toBe(text));
  it.each([
    [0, "0us"],
    [85.4, "85us"],
    [1254, "1.25ms"],
    [20_000, "20ms"],
    [2_100_000, "2.1s"],
  ])("round trip of %d us", (rtt_us, text) => expect(formatRtt(rtt_us)).toBe(text));
  it.each([
    [0, "0"],
    [0.000123, "0.012"],
    [0.015, "1.5"],
    [0.104, "10"],
    [1, "100"],
  ])("share %d", (share, text) => expect(formatShare(share)).toBe(text));
});
