// ping(8) with its replies turned into numbers. Root may ping at any interval, so the default is a
// short burst.

import { TestbedError } from "./error.js";
import type { Namespace } from "./namespace.js";

export interface PingOptions {
  from: Namespace;
  to: string;
  /** Number of requests; 20 unless given. */
  count?: number;
  interval_ms?: number;
  /** ICMP payload; 56 unless given. */
  size_bytes?: number;
  /** Extra words for ping(8), such as `-M do`. */
  extra?: readonly string[];
}

export interface PingResult {
  sent: number;
  received: number;
  /** 0 ... 1 */
  loss: number;
  /** Round-trip times; NaN when nothing came back. */
  min_us: number;
  avg_us: number;
  median_us: number;
  max_us: number;
  mdev_us: number;
}

/**
 * Reads the output of `ping -n`. Throws TestbedError when it has no summary (ping itself failed).
 */
export function parsePing(output: string): PingResult {
  const summary = /(\d+) packets transmitted, (\d+) received/.exec(output);
  if (summary === null) throw new TestbedError(`ping gave no summary:\n${output.trim()}`);
  const sent = Number(summary[1]);
  const received = Number(summary[2]);
  const rtt = /= ([\d.]+)\/([\d.]+)\/([\d.]+)\/([\d.]+) ms/.exec(output);
  const microseconds = (text: string | undefined): number => Math.round(Number(text) * 1000);
  const times_us = Array.from(output.matchAll(/ time=([\d.]+) ms/g), (match) =>
    microseconds(match[1]),
  ).sort((a, b) => a - b);
  return {
    sent,
    received,
    loss: sent === 0 ? 1 : 1 - received / sent,
    min_us: microseconds(rtt?.[1]),
    avg_us: microseconds(rtt?.[2]),
    median_us: times_us[times_us.length >> 1] ?? Number.NaN,
    max_us: microseconds(rtt?.[3]),
    mdev_us: microseconds(rtt?.[4]),
  };
}

/** Pings; loss is a result, not an error. */
export async function ping(options: PingOptions): Promise<PingResult> {
  const count = options.count ?? 20;
  const interval_ms = options.interval_ms ?? 20;
  const child = options.from.spawn([
    ...["ping", "-n", "-c", String(count), "-i", String(interval_ms / 1000), "-W", "1"],
    ...["-s", String(options.size_bytes ?? 56), ...(options.extra ?? []), options.to],
  ]);
  const { stdout, stderr } = await child.wait(count * interval_ms + 10_000);
  return parsePing(stdout + stderr);
}

/**
 * One request at a time until one is answered, at most `attempts` (a fresh tunnel resolves
 * addresses first).
 */
export async function pingUntilAnswered(
  from: Namespace,
  to: string,
  attempts = 5,
): Promise<boolean> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    if ((await ping({ from, to, count: 1 })).received > 0) return true;
  }
  return false;
}
