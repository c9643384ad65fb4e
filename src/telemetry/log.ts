// Logging of the control plane. The data path never logs: it counts (drop-reasons.ts).
//
// JSON lines for programs, priorities for the journal, short lines for a person at a terminal.
// Everything goes to stderr: stdout belongs to the commands.

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
