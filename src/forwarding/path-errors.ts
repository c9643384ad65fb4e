// What the network says of datagrams that were sent: a path that takes less than was thought, a
// peer that cannot be reached or has no socket. Both are remembered with the remote, the second is
// counted as an event too; nothing is sent again, and no packet is lost by it. Whoever knows a
// source port may send such messages, and to find their remote costs a look through all of them: so
// much is done for LOOKED_UP_PER_S of them only.

import {
  ERROR_ADDRESS,
  ERROR_CODE,
  ERROR_ERRNO,
  ERROR_FAMILY,
  ERROR_OFFENDER,
  ERROR_PORT,
  ERROR_TYPE,
  ERROR_VNI,
  ERROR_WORDS,
  MAX_ERRORS,
  QUOTE_BYTES,
} from "#abi";
import { EMSGSIZE } from "../packet/errno.js";
import { nextRowOf, setPathMtuOf } from "../remotes/path-mtu.js";
import { REMOTE_TUNNEL, REMOTE_WORDS } from "../remotes/remote-rows.js";
import type { RemoteTable } from "../remotes/remote-table.js";
import { REACHABLE, type UnreachableRows } from "../remotes/unreachable-rows.js";
import { NO_TUNNEL, type WorkerCounters } from "../telemetry/counters.js";
import { DropReasons } from "../telemetry/drop-reasons.js";
import type { UnderlayErrors } from "../underlay/underlay.js";
import { PerSecond } from "./per-second.js";
import { unreachableKind } from "./tunnel-errors.js";

/** Errors of one worker whose remote is looked for, per second: some 50 us each with all rows. */
export const LOOKED_UP_PER_S = 1000;

const PEER_UNREACHABLE = DropReasons.peerUnreachable.id;

export class PathErrors {
  readonly #remotes: RemoteTable;
  readonly #unreachable: UnreachableRows;
  readonly #counters: WorkerCounters;
  readonly #rows = new Int32Array(MAX_ERRORS * ERROR_WORDS);
  readonly #quotes = new Uint8Array(MAX_ERRORS * QUOTE_BYTES);
  readonly #lookUps = new PerSecond(LOOKED_UP_PER_S);

  constructor(remotes: RemoteTable, unreachable: UnreachableRows, counters: WorkerCounters) {
    this.#remotes = remotes;
    this.#unreachable = unreachable;
    this.#counters = counters;
  }

  /**
   * Takes at most MAX_ERRORS errors. Beyond LOOKED_UP_PER_S paths are not learned, and peers are
   * counted for no tunnel.
   * @returns how many there were, or -errno
   */
  drain(source: UnderlayErrors, now_s: number): number {
    const rows = this.#rows;
    const count = source.take(rows, this.#quotes);
    for (let at = 0; at < count * ERROR_WORDS; at += ERROR_WORDS) {
      const lookUp = this.#lookUps.take(now_s);
      if (rows[at + ERROR_ERRNO] !== EMSGSIZE) this.#noteUnreachable(at, lookUp, now_s);
      else if (lookUp) this.#learn(source, at);
    }
    return count;
  }

  /**
   * The kernel has judged the message (its source, net.ipv4.route.min_pmtu): what it holds now
   * counts, not what the message said.
   */
  #learn(source: UnderlayErrors, at: number): void {
    const rows = this.#rows;
    const w0 = rows[at + ERROR_ADDRESS];
    const w1 = rows[at + ERROR_ADDRESS + 1];
    const w2 = rows[at + ERROR_ADDRESS + 2];
    const w3 = rows[at + ERROR_ADDRESS + 3];
    const remotes = this.#remotes.rows;
    if (nextRowOf(remotes, 0, w0, w1, w2, w3) < 0) return;
    const path_bytes = source.pathMtu_bytes(w0, w1, w2, w3);
    if (path_bytes > 0) setPathMtuOf(remotes, w0, w1, w2, w3, path_bytes);
  }

  /** @param lookUp false: for no tunnel, and with no remote */
  #noteUnreachable(at: number, lookUp: boolean, now_s: number): void {
    const found = lookUp ? this.#find(at) : -1;
    const { rows } = this.#remotes;
    const tunnel = found < 0 ? NO_TUNNEL : rows[found * REMOTE_WORDS + REMOTE_TUNNEL];
    this.#counters.drop(tunnel, PEER_UNREACHABLE, 1);
    if (found < 0) return;
    const errors = this.#rows;
    const type = errors[at + ERROR_TYPE];
    const kind = unreachableKind(errors[at + ERROR_FAMILY], type, errors[at + ERROR_CODE]);
    if (kind === REACHABLE) return;
    this.#unreachable.note(found, kind, false, now_s, errors, at + ERROR_OFFENDER);
  }

  /** The remote with that port and VNI; where none was quoted, the first with that address. */
  #find(at: number): number {
    const errors = this.#rows;
    const w0 = errors[at + ERROR_ADDRESS];
    const w1 = errors[at + ERROR_ADDRESS + 1];
    const w2 = errors[at + ERROR_ADDRESS + 2];
    const w3 = errors[at + ERROR_ADDRESS + 3];
    const vni = errors[at + ERROR_VNI];
    const remotes = this.#remotes;
    const first = nextRowOf(remotes.rows, 0, w0, w1, w2, w3);
    for (let row = first; row >= 0; row = nextRowOf(remotes.rows, row + 1, w0, w1, w2, w3)) {
      if (remotes.port(row) !== errors[at + ERROR_PORT]) continue;
      if (vni < 0 || remotes.vni(row) === vni) return row;
    }
    return first;
  }
}
