// Log lines in their three formats, and the limit that keeps a flood out of the log.

import { closeSync, fstatSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CulvertError } from "../../../src/errors.js";
import {
  createLogger,
  detectLogFormat,
  type LogFormat,
  type LogLevel,
} from "../../../src/telemetry/log.js";

function capture(format: LogFormat, level: LogLevel = "trace") {
  const lines: string[] = [];
  return { lines, log: createLogger({ level, format, write: (line) => lines.push(line) }) };
}

describe("formats", () => {
  it("json: one object per line, without pid and host", () => {
    const { lines, log } = capture("json");
    log.info({ tunnel: "vxlan100" }, "ready");
    expect(lines).toHaveLength(1);
    expect(lines[0].endsWith("\n")).toBe(true);
    const { time, ...rest } = JSON.parse(lines[0]);
    expect(rest).toEqual({ level: 30, tunnel: "vxlan100", msg: "ready" });
    expect(Math.abs(Date.now() - time)).toBeLessThan(5000);
  });

  it.each<[LogLevel, number]>([
    ["trace", 7],
    ["debug", 7],
    ["info", 6],
    ["warn", 4],
    ["error", 3],
    ["fatal", 2],
  ])("journal: %s has syslog priority %d", (level, priority) => {
    const { lines, log } = capture("journal");
    log[level]("text");
    expect(lines[0].startsWith(`<${priority}>{"level":`)).toBe(true);
    expect(JSON.parse(lines[0].slice(3)).msg).toBe("text");
  });

  it("terminal: time, level, message, fields", () => {
    const { lines, log } = capture("terminal");
    log.child({ tunnel: "vxlan100" }).warn({ mtu_bytes: 1450, why: "two words" }, "mtu changed");
    expect(lines[0]).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} WARN {2}mtu changed tunnel=vxlan100 mtu_bytes=1450 why="two words"\n$/,
    );
  });

  it("terminal: the stack of an unexpected error, the code of an expected one", () => {
    const { lines, log } = capture("terminal");
    log.error({ err: new TypeError("x is no function") }, "failed");
    log.error({ err: new CulvertError("CULVERT_PORT_IN_USE", "port 4789 is taken") }, "failed");
    expect(lines[0]).toMatch(/ ERROR failed error="x is no function"\nTypeError: .*\n {4}at /);
    expect(lines[1]).toMatch(
      / ERROR failed error="port 4789 is taken" code=CULVERT_PORT_IN_USE\n$/,
    );
  });

  it("terminal: control characters do not reach it", () => {
    const { lines, log } = capture("terminal");
    log.info({ name: "a\u001b[2Jb", more: { c: "\u009b1m" } }, "x\u0007\ny");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    expect(lines[0].slice(0, -1)).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
    expect(lines[0]).toContain("x??y");
  });

  it("leaves out lines below the level", () => {
    const { lines, log } = capture("json", "warn");
    log.info("no");
    log.warn("yes");
    expect(lines).toHaveLength(1);
  });
});

describe("detection", () => {
  it("knows terminals, the journal and everything else", () => {
    const directory = mkdtempSync(join(tmpdir(), "culvert-log-"));
    const fd = openSync(join(directory, "stderr"), "w");
    try {
      const { dev, ino } = fstatSync(fd);
      const stream = `${dev}:${ino}`;
      expect(detectLogFormat({ isTTY: true, fd }, { JOURNAL_STREAM: stream })).toBe("terminal");
      expect(detectLogFormat({ fd }, { JOURNAL_STREAM: stream })).toBe("journal");
      // Inherited by a process whose stderr goes elsewhere.
      expect(detectLogFormat({ fd }, { JOURNAL_STREAM: `${dev}:${ino + 1}` })).toBe("json");
      expect(detectLogFormat({ fd }, {})).toBe("json");
      expect(detectLogFormat({ fd: 9999 }, { JOURNAL_STREAM: stream })).toBe("json");
    } finally {
      closeSync(fd);
      rmSync(directory, { recursive: true });
    }
  });
});
