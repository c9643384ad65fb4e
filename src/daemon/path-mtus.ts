// The path MTU of every remote, asked of the kernel in turn: so the MTU of a route is known before
// the first packet, and what was learned from ICMP is forgotten when the kernel forgets it
// (net.ipv4.route.mtu_expires). Workers learn on their own when a packet meets a smaller path; this
// is for everything that nobody tells. It asks, it sends nothing.

import { native } from "#native";
import { setPathMtu } from "../remotes/path-mtu.js";
import type { RemoteTable } from "../remotes/remote-table.js";
import type { TunnelRuntime } from "./tunnel.js";

const INTERVAL_MS = 1000;
/** Remotes asked about per second: four system calls each. */
export const PATH_MTU_QUERIES_PER_S = 256;

/** What the kernel holds for the path MTU towards an address, bytes; a negative number: unknown. */
export type PathMtuQuery = (family: number, address: Int32Array, dev: string) => number;

export class PathMtus {
  readonly #tunnels: readonly TunnelRuntime[];
  readonly #remotes: RemoteTable;
  readonly #query: PathMtuQuery;
  readonly #address = new Int32Array(4);
  #next = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    tunnels: readonly TunnelRuntime[],
    remotes: RemoteTable,
    query: PathMtuQuery = native.pathMtu,
  ) {
    this.#tunnels = tunnels;
    this.#remotes = remotes;
    this.#query = query;
  }

  start(): void {
    this.#timer = setInterval(() => this.run(), INTERVAL_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Asks about the next PATH_MTU_QUERIES_PER_S remotes, each at most once. */
  run(): void {
    const { maxRemotes } = this.#remotes;
    let asked = 0;
    for (let step = 0; step < maxRemotes && asked < PATH_MTU_QUERIES_PER_S; step++) {
      if (this.#ask(this.#next)) asked++;
      this.#next = (this.#next + 1) % maxRemotes;
    }
  }

  /** @returns whether there is such a remote */
  #ask(row: number): boolean {
    const entry = this.#remotes.get(row);
    const tunnel = entry === undefined ? undefined : this.#tunnels[entry.tunnel];
    if (entry === undefined || tunnel === undefined) return false;
    this.#address.set(entry.address);
    const path_bytes = this.#query(entry.family, this.#address, tunnel.config.dev ?? "");
    setPathMtu(this.#remotes.rows, row, Math.max(0, path_bytes));
    return true;
  }
}
