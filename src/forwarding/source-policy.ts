// Which outer sources may send to a tunnel (`allow` in the config). Anyone who can reach the port
// could otherwise inject frames into the overlay. Hot: no allocation.

import { REMOTE_FLAG_ALLOWED } from "../remotes/remote-rows.js";
import type { RemoteTable } from "../remotes/remote-table.js";
import { ON_LINK, type RouteReader } from "../routes/route-table.js";
import { IPV4_MAPPED } from "../wire/ip-address.js";
import type { IpipSettings } from "./ipip-tunnel.js";

/** An outer source prefix as words and masks, most significant first. */
export interface SourcePrefix {
  readonly words: readonly [number, number, number, number];
  readonly masks: readonly [number, number, number, number];
}

/**
 * `known`: configured remotes, and whom a route without next hop makes a peer. `any`: everybody.
 * Prefixes: everybody within, and the known ones.
 */
export type AllowedSources = "known" | "any" | readonly SourcePrefix[];

/** `admit`: the source may not send to us. */
export const SOURCE_REFUSED = -1;

/**
 * The routes whose destinations are peers: where a route has no next hop, egress takes the inner
 * destination for the outer one, so whoever it covers may send to us as well. Not where a remote is
 * given, which gets everything, nor where inner and outer family differ.
 */
export function peerRoutes(
  { remote, family, carries4, carries6 }: IpipSettings,
  routes: RouteReader,
): RouteReader | undefined {
  const alike = family === 4 ? carries4 : carries6;
  return remote === undefined && alike ? routes : undefined;
}

export class SourcePolicy {
  readonly #tunnel: number;
  readonly #allow: AllowedSources;
  readonly #remotes: RemoteTable;
  readonly #peers: RouteReader | undefined;

  /** @param peers routes that make peers of whom they cover without next hop, see `peerRoutes` */
  constructor(
    tunnel: number,
    allow: AllowedSources,
    remotes: RemoteTable,
    peers: RouteReader | undefined = undefined,
  ) {
    this.#tunnel = tunnel;
    this.#allow = allow;
    this.#remotes = remotes;
    this.#peers = peers;
  }

  /**
   * The remote row of an outer source, address in `words` at `at`; it is marked as seen.
   * @returns row, SOURCE_REFUSED, or another negative number when it is welcome but there is no
   * room to remember it
   */
  admit(words: Int32Array, at: number, now_s: number): number {
    const w0 = words[at];
    const w1 = words[at + 1];
    const w2 = words[at + 2];
    const w3 = words[at + 3];
    const row = this.#remotes.findSender(this.#tunnel, w0, w1, w2, w3);
    if (row >= 0 && (this.#remotes.flags(row) & REMOTE_FLAG_ALLOWED) !== 0) {
      this.#remotes.seen(row, now_s);
      return row;
    }
    if (!this.#allowsStranger(w0, w1, w2, w3)) return SOURCE_REFUSED;
    return this.#remotes.learn(this.#tunnel, w0, w1, w2, w3, now_s);
  }

  #allowsStranger(w0: number, w1: number, w2: number, w3: number): boolean {
    const allow = this.#allow;
    if (allow === "any" || this.#isRoutedPeer(w0, w1, w2, w3)) return true;
    if (allow === "known") return false;
    for (let i = 0; i < allow.length; i++) {
      const { words, masks } = allow[i];
      const differs =
        ((w0 ^ words[0]) & masks[0]) |
        ((w1 ^ words[1]) & masks[1]) |
        ((w2 ^ words[2]) & masks[2]) |
        ((w3 ^ words[3]) & masks[3]);
      if (differs === 0) return true;
    }
    return false;
  }
  #isRoutedPeer(w0: number, w1: number, w2: number, w3: number): boolean {
    const peers = this.#peers;
    if (peers === undefined) return false;
    const mapped = w0 === 0 && w1 === 0 && w2 === IPV4_MAPPED;
    return (mapped ? peers.lookup4(w3) : peers.lookup6(w0, w1, w2, w3)) === ON_LINK;
  }
}
