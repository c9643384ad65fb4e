// Server halves of traffic generators: a process that is ready when it says so or when it owns its
// port, and that does not outlive its time when nobody stops it.

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { TestbedError } from "./error.js";
import type { PlacedProcess } from "./place.js";
import { waitUntil } from "./process.js";

const readyTimeout_ms = 5_000;
const shownOutput_chars = 500;

/** A server half that is ready for its client. */
export interface ServerProcess {
  stop(): Promise<void>;
}

/**
 * Waits until `child` is ready and limits its life. Throws TestbedError with its output when it
 * ends instead, or is not ready within 5 s.
 */
export async function serverReady(
  child: PlacedProcess,
  name: string,
  ready: () => boolean,
  life_ms: number,
): Promise<ServerProcess> {
  await waitUntil(() => child.result !== undefined || ready(), readyTimeout_ms);
  if (child.result !== undefined || !ready()) {
    await child.stop();
    const said = (child.stderr + child.stdout).trim().slice(-shownOutput_chars);
    throw new TestbedError(`${name} did not start: ${said || "it said nothing"}`);
  }
  const timer = setTimeout(() => void child.stop(), life_ms);
  timer.unref();
  return {
    stop: async () => {
      clearTimeout(timer);
      await child.stop();
    },
  };
}

/** `st` of /proc/net/tcp and udp (proc_net_tcp): a TCP listener, an unconnected UDP socket. */
const states = { tcp: "0A", udp: "07" } as const;

/**
 * True when the process `pid` itself owns a socket on local `port` that takes clients. A socket of
 * somebody else on that port does not count: a process is in our namespaces for the moment before
 * ip(8) has entered its own.
 */
export function ownsPort(pid: number, port: number, protocol: "tcp" | "udp"): boolean {
  const inodes = [protocol, `${protocol}6`].flatMap((table) => {
    try {
      return socketsOnPort(readFileSync(`/proc/${pid}/net/${table}`, "latin1"), port, protocol);
    } catch {
      return [];
    }
  });
  if (inodes.length === 0) return false;
  try {
    const folder = `/proc/${pid}/fd`;
    return readdirSync(folder).some((fd) => {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`${folder}/${fd}`))?.[1];
      return inode !== undefined && inodes.includes(inode);
    });
  } catch {
    return false;
  }
}

/** Inodes of the sockets on local `port` in a table of /proc/net. */
export function socketsOnPort(table: string, port: number, protocol: "tcp" | "udp"): string[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return table
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => columns[1]?.endsWith(suffix) && columns[3] === states[protocol])
    .map((columns) => columns[9]!);
}
