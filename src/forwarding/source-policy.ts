// Which outer sources may send to a tunnel (`allow` in the config). Anyone who can reach the port
// could otherwise inject frames into the overlay. Hot: no allocation.

import { REMOTE_FLAG_ALLOWED } from "../remotes/remote-rows.js";
import type { RemoteTable } from "../remotes/remote-table.js";

/** An outer source prefix as words and masks, most significant first. */
export interface SourcePrefix {
  readonly words: readonly [number, number, number, number];
  readonly masks: readonly [number, number, number, number];
}

/**
 * `known`: configured remotes. `any`: everybody. Prefixes: everybody within, and configured
 * remotes.
 */
export type AllowedSources = "known" | "any" | readonly SourcePrefix[];

/** `admit`: the source may not send to us. */
export const SOURCE_REFUSED = -1;

export class SourcePolicy {
  readonly #tunnel: number;
  readonly #allow: AllowedSources;
  readonly #remotes: RemoteTable;

  constructor(tunnel: number, allow: AllowedSources, remotes: RemoteTable) {
    this.#tunnel = tunnel;
    this.#allow = allow;
    this.#remotes = remotes;
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
    if (allow === "known") return false;
    if (allow === "any") return true;
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
}
