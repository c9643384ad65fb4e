// The path MTU of remotes, one word of their rows. Workers and the main thread write it without a
// lock: each stores what the kernel says of the address, so the last one is right. Where the
// number comes from is their business.

import { REMOTE_ADDRESS, REMOTE_PMTU, REMOTE_STATE, REMOTE_WORDS } from "./remote-rows.js";

/** @param mtu_bytes of an outer packet; 0: not known */
export function setPathMtu(rows: Int32Array, row: number, mtu_bytes: number): void {
  Atomics.store(rows, row * REMOTE_WORDS + REMOTE_PMTU, mtu_bytes);
}

/** Has the used row at word `at` the address `w0`..`w3` (signed or unsigned bits)? */
function hasAddress(
  rows: Int32Array,
  at: number,
  w0: number,
  w1: number,
  w2: number,
  w3: number,
): boolean {
  return (
    rows[at + REMOTE_STATE] !== 0 &&
    rows[at + REMOTE_ADDRESS + 3] === (w3 | 0) &&
    rows[at + REMOTE_ADDRESS + 2] === (w2 | 0) &&
    rows[at + REMOTE_ADDRESS + 1] === (w1 | 0) &&
    rows[at + REMOTE_ADDRESS] === (w0 | 0)
  );
}

/**
 * The next row of an address: remotes of several tunnels, ports and VNIs may share one.
 * @param from row to begin with
 * @returns the row, or -1: there is none from there on
 */
export function nextRowOf(
  rows: Int32Array,
  from: number,
  w0: number,
  w1: number,
  w2: number,
  w3: number,
): number {
  for (let at = from * REMOTE_WORDS; at < rows.length; at += REMOTE_WORDS) {
    if (hasAddress(rows, at, w0, w1, w2, w3)) return at / REMOTE_WORDS;
  }
  return -1;
}

/** Sets the path MTU of all remotes with that address. */
export function setPathMtuOf(
  rows: Int32Array,
  w0: number,
  w1: number,
  w2: number,
  w3: number,
  mtu_bytes: number,
): void {
  let row = nextRowOf(rows, 0, w0, w1, w2, w3);
  for (; row >= 0; row = nextRowOf(rows, row + 1, w0, w1, w2, w3)) setPathMtu(rows, row, mtu_bytes);
}
