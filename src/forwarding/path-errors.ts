// What the network says of datagrams that were sent: a path that takes less than was thought, a
// peer that cannot be reached or has no socket. The first is remembered with the remote, the second
// counted as an event; nothing is sent again, and no packet is lost by it.

import { ERROR_ADDRESS, ERROR_ERRNO, ERROR_PORT, ERROR_VNI, ERROR_WORDS, MAX_ERRORS } from "#abi";
import { EMSGSIZE } from "../packet/errno.js";
import { nextRowOf, setPathMtu } from "../remotes/path-mtu.js";
import { REMOTE_TUNNEL, REMOTE_WORDS } from "../remotes/remote-rows.js";
import type { RemoteTable } from "../remotes/remote-table.js";
import { NO_TUNNEL, type WorkerCounters } from "../telemetry/counters.js";
import { DropReasons } from "../telemetry/drop-reasons.js";
import type { UnderlayErrors } from "../underlay/underlay.js";

const PEER_UNREACHABLE = DropReasons.peerUnreachable.id;

export class PathErrors {
  readonly #remotes: RemoteTable;
  readonly #counters: WorkerCounters;
  readonly #rows = new Int32Array(MAX_ERRORS * ERROR_WORDS);

  constructor(remotes: RemoteTable, counters: WorkerCounters) {
    this.#remotes = remotes;
    this.#counters = counters;
  }

  /** Takes at most MAX_ERRORS errors. @returns how many there were, or -errno */
  drain(source: UnderlayErrors): number {
    const rows = this.#rows;
    const count = source.take(rows);
    for (let at = 0; at < count * ERROR_WORDS; at += ERROR_WORDS) {
      if (rows[at + ERROR_ERRNO] === EMSGSIZE) this.#learn(source, at);
      else this.#countUnreachable(at);
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
    let row = nextRowOf(remotes, 0, w0, w1, w2, w3);
    if (row < 0) return;
    const path_bytes = source.pathMtu_bytes(w0, w1, w2, w3);
    if (path_bytes <= 0) return;
    for (; row >= 0; row = nextRowOf(remotes, row + 1, w0, w1, w2, w3)) {
      setPathMtu(remotes, row, path_bytes);
    }
  }

  /** For the remote with that port and VNI; where none was quoted, the first with that address. */
  #countUnreachable(at: number): void {
    const errors = this.#rows;
    const w0 = errors[at + ERROR_ADDRESS];
    const w1 = errors[at + ERROR_ADDRESS + 1];
    const w2 = errors[at + ERROR_ADDRESS + 2];
    const w3 = errors[at + ERROR_ADDRESS + 3];
    const remotes = this.#remotes;
    const first = nextRowOf(remotes.rows, 0, w0, w1, w2, w3);
    let found = first;
    for (let row = first; row >= 0; row = nextRowOf(remotes.rows, row + 1, w0, w1, w2, w3)) {
      const vni = errors[at + ERROR_VNI];
      if (remotes.port(row) !== errors[at + ERROR_PORT]) continue;
      if (vni >= 0 && remotes.vni(row) !== vni) continue;
      found = row;
      break;
    }
    const known = found >= 0;
    const tunnel = known ? remotes.rows[found * REMOTE_WORDS + REMOTE_TUNNEL] : NO_TUNNEL;
    this.#counters.drop(tunnel, PEER_UNREACHABLE, 1);
  }
}
