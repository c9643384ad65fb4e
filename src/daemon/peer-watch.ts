// Which peers begin and cease to be heard, from the stamps that the data path leaves in the remote
// table. Looks only while somebody listens; what was so when it began is no news.

import type { PeerEvent } from "../control/monitor-events.js";
import type { RemoteTable } from "../remotes/remote-table.js";
import { formatIp } from "../wire/ip-address.js";
import type { TunnelRuntime } from "./tunnel.js";

/** A peer that nothing came from for so long is silent. */
export const SILENT_S = 60;

interface Known {
  /** Tunnel and address: a row may become another remote's. */
  readonly name: string;
  readonly heard: boolean;
}

export class PeerWatch {
  readonly #tunnels: readonly TunnelRuntime[];
  readonly #remotes: RemoteTable;
  /** By row; undefined while nobody listens. */
  #known: Map<number, Known> | undefined;

  constructor(tunnels: readonly TunnelRuntime[], remotes: RemoteTable) {
    this.#tunnels = tunnels;
    this.#remotes = remotes;
  }

  /** Nobody listens any more. */
  forget(): void {
    this.#known = undefined;
  }

  /** Somebody listens: notes what is so now, unless that has been done. */
  begin(now_s: number): void {
    if (this.#known === undefined) this.look(now_s);
  }

  /** @returns what is new since the last look; nothing at the first one */
  look(now_s: number): Omit<PeerEvent, "time_ms">[] {
    const before = this.#known;
    const known = new Map<number, Known>();
    const news: Omit<PeerEvent, "time_ms">[] = [];
    for (let row = 0; row < this.#remotes.maxRemotes; row++) {
      const remote = this.#remotes.get(row);
      // A remote with a port or VNI of its own is heard at its base row.
      if (remote === undefined || this.#remotes.base(row) !== row) continue;
      const { lastSeen_s } = remote;
      const address = formatIp(...remote.address);
      const name = `${remote.tunnel} ${address}`;
      const heard = lastSeen_s !== 0 && now_s - lastSeen_s < SILENT_S;
      known.set(row, { name, heard });
      const old = before?.get(row);
      const wasHeard = old?.name === name && old.heard;
      if (before === undefined || wasHeard === heard) continue;
      const dev = this.#tunnels[remote.tunnel].config.name;
      const base = { kind: "peer", dev, address } as const;
      if (heard) news.push({ ...base, change: "seen" });
      else news.push({ ...base, change: "silent", silent_s: now_s - lastSeen_s });
    }
    this.#known = known;
    return news;
  }
}
