// `culvert fdb show`: asks for entries in pages and prints them as they come, in bridge's line and
// JSON formats, so that scripts written for one read the other.

import type { FdbEntry, FdbPage, FdbQuery } from "../control/target.js";
import type { CliIo } from "./io.js";

export interface FdbStyle {
  /** bridge leaves the device out when it was asked for. */
  readonly withDev: boolean;
  readonly withTimes: boolean;
}

export type FdbPages = (query: FdbQuery & { from?: number | undefined }) => Promise<FdbPage>;

export async function printLines(
  io: CliIo,
  query: FdbQuery,
  pages: FdbPages,
  style: FdbStyle,
): Promise<void> {
  await eachPage(query, pages, (entries) => {
    if (entries.length > 0) io.out(entries.map((entry) => fdbLine(entry, style)).join(""));
  });
}

/** One array, whatever number of pages; indented for people on a terminal. */
export async function printJson(
  io: CliIo,
  query: FdbQuery,
  pages: FdbPages,
  style: FdbStyle,
): Promise<void> {
  const indent = io.isTerminal ? 2 : undefined;
  let separator = "[";
  await eachPage(query, pages, (entries) => {
    const texts = entries.map((entry) => JSON.stringify(fdbJson(entry, style), undefined, indent));
    if (texts.length === 0) return;
    io.out(separator + texts.join(","));
    separator = ",";
  });
  io.out(separator === "[" ? "[]\n" : "]\n");
}

async function eachPage(
  query: FdbQuery,
  pages: FdbPages,
  print: (entries: readonly FdbEntry[]) => void,
): Promise<void> {
  let from: number | undefined;
  do {
    const page: FdbPage = await pages({ ...query, from });
    print(page.entries);
    from = page.next;
  } while (from !== undefined);
}

/** A line as `bridge fdb show` prints it (bridge/fdb.c of iproute2 6.1). */
function fdbLine(entry: FdbEntry, style: FdbStyle): string {
  const words = [entry.mac];
  if (style.withDev) words.push("dev", entry.dev);
  words.push("dst", entry.dst);
  if (entry.port !== undefined) words.push("port", String(entry.port));
  if (entry.vni !== undefined) words.push("vni", String(entry.vni));
  if (entry.via !== undefined) words.push("via", entry.via);
  if (style.withTimes) words.push("used", `${entry.used_s}/${entry.updated_s}`);
  words.push(...bridgeFlags(entry), bridgeState(entry));
  return `${words.join(" ")}\n`;
}

/** An object as `bridge -j fdb show` prints it. */
function fdbJson(entry: FdbEntry, style: FdbStyle): object {
  return {
    mac: entry.mac,
    ...(style.withDev ? { ifname: entry.dev } : {}),
    dst: entry.dst,
    ...(entry.port === undefined ? {} : { port: entry.port }),
    ...(entry.vni === undefined ? {} : { vni: entry.vni }),
    ...(entry.via === undefined ? {} : { viaIf: entry.via }),
    ...(style.withTimes ? { used: entry.used_s, updated: entry.updated_s } : {}),
    flags: bridgeFlags(entry),
    state: bridgeState(entry),
  };
}

/** In bridge's order. */
function bridgeFlags(entry: FdbEntry): string[] {
  const flags = ["self"];
  if (entry.router === true) flags.push("router");
  if (entry.extern_learn === true) flags.push("extern_learn");
  return flags;
}

/** bridge prints nothing for a dynamic (NUD_REACHABLE) entry. */
function bridgeState(entry: FdbEntry): string {
  return entry.state === "dynamic" ? "" : entry.state;
}
