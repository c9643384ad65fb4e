// Logging of the control plane. The data path never logs: it counts (drop-reasons.ts).
//
// Goals: JSON lines for programs, priorities for the journal, short lines for a person at a
// terminal, and no way for a peer or client to flood the log. Storage: one small record per
// rate-limited key, at most MAX_KEYS per logger. Everything goes to stderr: stdout belongs to the
// commands.

import { fstatSync } from "node:fs";
import { type DestinationStream, type Logger, pino } from "pino";

export type { Logger } from "pino";

/** Words of `log.level`. */
export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal";

/** How lines are written; see `detectLogFormat`. */
export type LogFormat = "json" | "journal" | "terminal";

export interface LoggerOptions {
  level: LogLevel;
  /** Detected from stderr and the environment unless given. */
  format?: LogFormat;
  /** Takes whole lines with their newline; stderr unless given. */
  write?: (line: string) => void;
}

/**
 * "terminal" when stderr is one; "journal" when systemd connected it to the journal, which
 * systemd.exec(5) says by JOURNAL_STREAM=device:inode of the stream; "json" for everything else.
 */
export function detectLogFormat(
  stream: { isTTY?: boolean; fd: number } = process.stderr,
  env: Readonly<Record<string, string | undefined>> = process.env,
): LogFormat {
  if (stream.isTTY === true) return "terminal";
  if (env.JOURNAL_STREAM === undefined) return "json";
  try {
    const { dev, ino } = fstatSync(stream.fd);
    return env.JOURNAL_STREAM === `${dev}:${ino}` ? "journal" : "json";
  } catch {
    return "json";
  }
}

/** A pino logger that writes whole lines, at once, in the format that suits where they go. */
export function createLogger(options: LoggerOptions): Logger {
  const write = options.write ?? ((line: string) => process.stderr.write(line));
  return pino(
    { level: options.level, base: null },
    destination(options.format ?? detectLogFormat(), write),
  );
}

interface LogRecord {
  level: number;
  time: number;
  msg?: string;
  err?: { code?: string; message?: string; stack?: string };
  [field: string]: unknown;
}

function destination(format: LogFormat, write: (line: string) => void): DestinationStream {
  if (format === "json") return { write };
  const rewrite = format === "journal" ? withPriority : forTerminal;
  return { write: (line) => write(rewrite(JSON.parse(line) as LogRecord, line)) };
}

/** sd-daemon(3): a line that starts with `<N>` has syslog priority N. */
function withPriority(record: LogRecord, line: string): string {
  return `<${syslogPriority(record.level)}>${line}`;
}

function syslogPriority(level: number): number {
  if (level >= 60) return 2;
  if (level >= 50) return 3;
  if (level >= 40) return 4;
  return level >= 30 ? 6 : 7;
}

const LEVEL_NAMES: Readonly<Record<number, string>> = {
  10: "TRACE",
  20: "DEBUG",
  30: "INFO",
  40: "WARN",
  50: "ERROR",
  60: "FATAL",
};

/** `12:34:56.789 INFO  ready tunnel=vxlan100`, with the stack of an unexpected error below. */
function forTerminal(record: LogRecord): string {
  const { level, time, msg, err, ...fields } = record;
  const words = [
    clockTime(time),
    (LEVEL_NAMES[level] ?? String(level)).padEnd(5),
    clean(msg ?? ""),
  ];
  for (const [name, value] of Object.entries(fields)) words.push(`${name}=${fieldText(value)}`);
  if (err === undefined) return `${words.join(" ")}\n`;
  words.push(`error=${fieldText(err.message)}`);
  if (err.code !== undefined) words.push(`code=${fieldText(err.code)}`);
  const expected = err.code?.startsWith("CULVERT_") === true;
  const stack =
    expected || err.stack === undefined ? "" : `${err.stack.split("\n").map(clean).join("\n")}\n`;
  return `${words.join(" ")}\n${stack}`;
}

/** Local time of day; the date is on the screen above or in the user's head. */
function clockTime(time_ms: number): string {
  const date = new Date(time_ms);
  const two = (value: number) => String(value).padStart(2, "0");
  const ms = String(date.getMilliseconds()).padStart(3, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${ms}`;
}

/** Plain words stay plain; everything else is JSON, which also escapes control characters. */
function fieldText(value: unknown): string {
  if (typeof value === "string" && /^[\w.:/@%+,-]+$/.test(value)) return value;
  return clean(JSON.stringify(value) ?? "undefined");
}

/** What came from a peer or a file must not move the cursor of a terminal. */
function clean(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are looked for.
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "?");
}

/** The methods of a logger that a rate limit makes sense for. */
export interface RateLimitedLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/**
 * Keys that a logger tells apart; further ones share one limit, so that invented keys cannot grow
 * the memory.
 */
const MAX_KEYS = 1024;
const OVERFLOW_KEY = "(others)";

interface Gate {
  open_ms: number;
  suppressed: number;
  limited: RateLimitedLog;
}

const gatesByLogger = new WeakMap<object, Map<string, Gate>>();

/**
 * A view of `log` that writes at most one line per `interval_s` seconds for all callers with the
 * same `key`. The first line passes at once; a later one carries `suppressed`, the number of lines
 * that were left out since the last. `now_ms` is any clock that never runs backwards.
 */
export function rateLimited(
  log: RateLimitedLog,
  key: string,
  interval_s: number,
  now_ms: () => number = () => performance.now(),
): RateLimitedLog {
  let gates = gatesByLogger.get(log);
  if (gates === undefined) {
    gates = new Map();
    gatesByLogger.set(log, gates);
  }
  const kept = gates.has(key) || gates.size < MAX_KEYS ? key : OVERFLOW_KEY;
  let gate = gates.get(kept);
  if (gate === undefined) {
    gate = makeGate(log, interval_s * 1000, now_ms);
    gates.set(kept, gate);
  }
  return gate.limited;
}

function makeGate(log: RateLimitedLog, interval_ms: number, now_ms: () => number): Gate {
  const pass = (level: keyof RateLimitedLog) => (fields: object, message: string) => {
    const time_ms = now_ms();
    if (time_ms < gate.open_ms) {
      gate.suppressed++;
      return;
    }
    const { suppressed } = gate;
    gate.open_ms = time_ms + interval_ms;
    gate.suppressed = 0;
    log[level](suppressed === 0 ? fields : { ...fields, suppressed }, message);
  };
  const gate: Gate = {
    open_ms: Number.NEGATIVE_INFINITY,
    suppressed: 0,
    limited: { info: pass("info"), warn: pass("warn"), error: pass("error") },
  };
  return gate;
}
