// Remotes (VTEPs) of all tunnels of the daemon. FDB, flood lists and routes hold their row indices.
// It does not know who configured a remote, nor why.
//
// Theory of operation.
// - A row (remote-rows.ts) means the same remote for as long as it is referenced. An index
//   (SharedTable) finds it by (tunnel, address, port, VNI); its lock guards the rows as well.
// - Ingress knows a sender by tunnel and address only. So a remote with another port or VNI than
//   the tunnel's keeps alive a *base row* with the tunnel's own, and `findSender` looks for that.
// - Configured users (FDB entry, flood list, route) count references; at zero the row is freed. A
//   learned remote has no reference; it is freed by `age` when nothing was heard of it. FDB entries
//   that were learned from it have stamps that are never newer: age the FDB first, then nothing
//   points to the freed row.
// - Workers write two words of a used row without the lock: flags (atomically) and last seen.
// - After a dead writer, rows that the index does not know are freed; reference counts may be one
//   too high then.
import assert from "node:assert/strict";
import { MAX_REMOTES, MAX_TUNNELS } from "../shared-memory/limits.js";
import { SharedTable, type SharedTableState } from "../shared-memory/shared-table.js";
import { MacCounts } from "./mac-counts.js";
import {
  REMOTE_ADDRESS,
  REMOTE_BASE,
  REMOTE_FAMILY,
  REMOTE_FLAG_ALLOWED,
  REMOTE_FLAG_LEARNED,
  REMOTE_FLAGS,
  REMOTE_LAST_SEEN,
  REMOTE_PMTU,
  REMOTE_PORT,
  REMOTE_REFERENCES,
  REMOTE_TUNNEL,
  REMOTE_VNI,
  REMOTE_WORDS,
  type RemoteEntry,
  RemoteRows,
  type RemoteRowsState,
} from "./remote-rows.js";

/** `acquire`, `learn`: no free row (negated ENOSPC). */
export const REMOTE_TABLE_FULL = -28;
/** `learn`: another thread is writing; try again with the next packet (negated EBUSY). */
export const REMOTE_TABLE_BUSY = -16;

/** From 1 to MAX_REMOTES and MAX_TUNNELS, which they are unless given. */
export interface RemoteTableLimits {
  readonly maxRemotes?: number;
  readonly maxTunnels?: number;
}

export interface RemoteTableState {
  readonly rows: RemoteRowsState;
  readonly tunnels: SharedArrayBuffer;
  readonly index: SharedTableState;
  readonly learnedMacs: SharedArrayBuffer;
}

/** tunnel << 16 | port, VNI, four address words. */
const KEY_WORDS = 6;
const VALUE_WORDS = 1;

export class RemoteTable {
  /** Kept by the FDBs. */
  readonly macs: MacCounts;
  readonly #state: RemoteTableState;
  readonly #rows: RemoteRows;
  /** Per tunnel: its own port, its own VNI. */
  readonly #tunnels: Int32Array;
  readonly #index: SharedTable;

  private constructor(state: RemoteTableState) {
    this.#state = state;
    this.#rows = RemoteRows.attach(state.rows);
    this.#tunnels = new Int32Array(state.tunnels);
    this.#index = SharedTable.attach(state.index);
    this.macs = new MacCounts(this.#rows.words, state.learnedMacs);
  }

  static create({
    maxRemotes = MAX_REMOTES,
    maxTunnels = MAX_TUNNELS,
  }: RemoteTableLimits = {}): RemoteTable {
    assert(maxRemotes >= 1 && maxRemotes <= MAX_REMOTES);
    assert(maxTunnels >= 1 && maxTunnels <= MAX_TUNNELS);
    const limits = { keyWords: KEY_WORDS, valueWords: VALUE_WORDS, maxEntries: maxRemotes };
    return new RemoteTable({
      rows: RemoteRows.create(maxRemotes, maxTunnels).sharedState(),
      tunnels: new SharedArrayBuffer(maxTunnels * 2 * 4),
      index: SharedTable.create(limits).sharedState(),
      learnedMacs: new SharedArrayBuffer(maxRemotes * 4),
    });
  }

  static attach(state: RemoteTableState): RemoteTable {
    return new RemoteTable(state);
  }

  sharedState(): RemoteTableState {
    return this.#state;
  }

  /** Rows in use, base rows among them. */
  get count(): number {
    return this.#index.count;
  }

  get maxRemotes(): number {
    return this.#rows.count;
  }

  /** The rows themselves, for native code: row n starts at word n * REMOTE_WORDS. */
  get rows(): Int32Array {
    return this.#rows.words;
  }

  /** Sets a tunnel's own port and VNI (0 and 0, as at first, for IPIP), before its first remote. */
  defineTunnel(tunnel: number, port: number, vni: number): void {
    this.#assertTunnel(tunnel);
    assert(this.list(tunnel).length === 0, "a tunnel with remotes keeps its port and VNI");
    Atomics.store(this.#tunnels, tunnel * 2, port);
    Atomics.store(this.#tunnels, tunnel * 2 + 1, vni);
  }

  /** Hot. @returns the row of exactly this remote, or -1 */
  find(
    tunnel: number,
    w0: number,
    w1: number,
    w2: number,
    w3: number,
    port: number,
    vni: number,
  ): number {
    const { key, value } = this.#index;
    key[0] = (tunnel << 16) | port;
    key[1] = vni;
    key[2] = w0;
    key[3] = w1;
    key[4] = w2;
    key[5] = w3;
    return this.#index.find() < 0 ? -1 : value[0];
  }

  /** Hot. @returns the base row of a sender, whatever port and VNI we send to it with, or -1 */
  findSender(tunnel: number, w0: number, w1: number, w2: number, w3: number): number {
    const port = this.#tunnels[tunnel * 2];
    return this.find(tunnel, w0, w1, w2, w3, port, this.#tunnels[tunnel * 2 + 1]);
  }

  /**
   * Adds a remote, or one reference to it and the given flags, for a configured user. May sleep for
   * the lock: control.
   * @returns its row, or REMOTE_TABLE_FULL
   */
  acquire(
    tunnel: number,
    w0: number,
    w1: number,
    w2: number,
    w3: number,
    port: number,
    vni: number,
    flags: number,
  ): number {
    this.#assertTunnel(tunnel);
    const ownPort = this.#tunnels[tunnel * 2];
    const ownVni = this.#tunnels[tunnel * 2 + 1];
    this.#lock();
    try {
      let base = -1;
      if (port !== ownPort || vni !== ownVni) {
        base = this.#reference(tunnel, w0, w1, w2, w3, ownPort, ownVni, flags, -1);
        if (base < 0) return base;
      }
      const row = this.#reference(tunnel, w0, w1, w2, w3, port, vni, flags, base);
      if (row < 0 && base >= 0) this.#dropReference(base);
      return row;
    } finally {
      this.#index.unlock();
    }
  }

  /**
   * Adds a remote that a packet came from, without a reference, or marks it as seen. Never sleeps:
   * data path.
   * @returns its row, REMOTE_TABLE_FULL or REMOTE_TABLE_BUSY
   */
  learn(tunnel: number, w0: number, w1: number, w2: number, w3: number, now_s: number): number {
    const known = this.findSender(tunnel, w0, w1, w2, w3);
    if (known >= 0) {
      this.seen(known, now_s);
      return known;
    }
    if (this.count >= this.maxRemotes) return REMOTE_TABLE_FULL;
    if (!this.#index.tryLock()) return REMOTE_TABLE_BUSY;
    const port = this.#tunnels[tunnel * 2];
    const vni = this.#tunnels[tunnel * 2 + 1];
    let row = this.findSender(tunnel, w0, w1, w2, w3);
    if (row < 0) row = this.#insert(tunnel, w0, w1, w2, w3, port, vni, -1);
    if (row >= 0) {
      this.setFlags(row, REMOTE_FLAG_LEARNED);
      this.seen(row, now_s);
    }
    this.#index.unlock();
    return row;
  }

  /**
   * Gives a reference back; at the last one the row is freed, unless the remote was learned as
   * well.
   */
  release(row: number): void {
    this.#lock();
    try {
      const base = this.#rows.word(row, REMOTE_BASE);
      this.#dropReference(row);
      if (base >= 0) this.#dropReference(base);
    } finally {
      this.#index.unlock();
    }
  }

  /**
   * Frees learned remotes without a reference that were silent for `ageing_s` seconds.
   * @returns their rows, which may be somebody else's from now on
   */
  age(tunnel: number, now_s: number, ageing_s: number): number[] {
    const freed: number[] = [];
    this.#lock();
    try {
      for (const row of this.#rows.ofTunnel(tunnel)) {
        if (this.#rows.word(row, REMOTE_REFERENCES) !== 0) continue;
        if (((now_s - this.#rows.word(row, REMOTE_LAST_SEEN)) | 0) < ageing_s) continue;
        this.#free(row);
        freed.push(row);
      }
    } finally {
      this.#index.unlock();
    }
    return freed;
  }

  /** Hot. @returns REMOTE_FLAG_... bits of a row */
  flags(row: number): number {
    return this.#rows.word(row, REMOTE_FLAGS);
  }

  /** Sets flags of a used row, from any thread. */
  setFlags(row: number, flags: number): void {
    Atomics.or(this.#rows.words, row * REMOTE_WORDS + REMOTE_FLAGS, flags);
  }

  /** Clears flags of a used row, from any thread. */
  clearFlags(row: number, flags: number): void {
    Atomics.and(this.#rows.words, row * REMOTE_WORDS + REMOTE_FLAGS, ~flags);
  }

  /**
   * Notes that a packet came from the remote. Hot, from any thread: a word, stored once per second.
   */
  seen(row: number, now_s: number): void {
    const at = row * REMOTE_WORDS + REMOTE_LAST_SEEN;
    if (this.#rows.words[at] !== (now_s | 0)) this.#rows.words[at] = now_s;
  }

  /** Hot. @returns the base row of a remote that has another port or VNI than the tunnel */
  base(row: number): number {
    return this.macs.hostOf(row);
  }

  /** Hot. Is this row still a remote of the tunnel? For those who kept its number for a while. */
  belongsTo(row: number, tunnel: number): boolean {
    return this.#rows.isUsed(row) && this.#rows.word(row, REMOTE_TUNNEL) === tunnel;
  }

  /** @returns 4 or 6 */
  family(row: number): number {
    return this.#rows.word(row, REMOTE_FAMILY);
  }

  port(row: number): number {
    return this.#rows.word(row, REMOTE_PORT);
  }

  vni(row: number): number {
    return this.#rows.word(row, REMOTE_VNI);
  }

  /** Hot. @returns bytes of the longest outer packet that the path takes; 0: not known */
  pathMtu(row: number): number {
    return this.#rows.word(row, REMOTE_PMTU);
  }

  /** @param word 0..3, most significant first. @returns signed bits */
  addressWord(row: number, word: number): number {
    return this.#rows.word(row, REMOTE_ADDRESS + word);
  }

  /** @returns the remote for people, or undefined if the row is free */
  get(row: number): RemoteEntry | undefined {
    return this.#rows.entry(row);
  }

  /** The remotes of a tunnel in row order, base rows among them. */
  list(tunnel: number): RemoteEntry[] {
    const entries: RemoteEntry[] = [];
    this.#lock();
    try {
      for (const row of this.#rows.ofTunnel(tunnel)) {
        const entry = this.#rows.entry(row);
        if (entry !== undefined) entries.push(entry);
      }
    } finally {
      this.#index.unlock();
    }
    return entries;
  }

  #assertTunnel(tunnel: number): void {
    assert(Number.isInteger(tunnel) && tunnel >= 0 && tunnel < this.#tunnels.length / 2);
  }

  #reference(
    tunnel: number,
    w0: number,
    w1: number,
    w2: number,
    w3: number,
    port: number,
    vni: number,
    flags: number,
    base: number,
  ): number {
    let row = this.find(tunnel, w0, w1, w2, w3, port, vni);
    if (row < 0) row = this.#insert(tunnel, w0, w1, w2, w3, port, vni, base);
    if (row < 0) return row;
    Atomics.add(this.#rows.words, row * REMOTE_WORDS + REMOTE_REFERENCES, 1);
    this.setFlags(row, flags);
    return row;
  }

  #dropReference(row: number): void {
    const left = Atomics.sub(this.#rows.words, row * REMOTE_WORDS + REMOTE_REFERENCES, 1) - 1;
    assert(left >= 0, "a remote is released as often as it was acquired");
    if (left > 0) return;
    if ((this.flags(row) & REMOTE_FLAG_LEARNED) === 0) this.#free(row);
    else this.clearFlags(row, REMOTE_FLAG_ALLOWED);
  }

  /**
   * Fills a row and tells the index; the writer only, and only right after `find` said -1 to the
   * same key.
   */
  #insert(
    tunnel: number,
    w0: number,
    w1: number,
    w2: number,
    w3: number,
    port: number,
    vni: number,
    base: number,
  ): number {
    const row = this.#rows.fill(tunnel, w0, w1, w2, w3, port, vni, base);
    if (row < 0) return REMOTE_TABLE_FULL;
    this.#index.value[0] = row;
    this.#index.insert();
    return row;
  }

  #free(row: number): void {
    const slot = this.#slotOf(row);
    if (slot >= 0) this.#index.remove(slot);
    this.#rows.free(row);
  }

  /** @returns the slot of the row's key in the index, whose value is the row it points to */
  #slotOf(row: number): number {
    const key = this.#index.key;
    key[0] = (this.#rows.word(row, REMOTE_TUNNEL) << 16) | this.port(row);
    key[1] = this.vni(row);
    for (let word = 0; word < 4; word++) key[2 + word] = this.addressWord(row, word);
    return this.#index.find();
  }

  /** Takes the writer's lock; after a dead writer, rows that the index does not know are freed. */
  #lock(): void {
    if (!this.#index.lock()) return;
    for (let row = 0; row < this.maxRemotes; row++) {
      if (!this.#rows.isUsed(row)) continue;
      if (this.#slotOf(row) < 0 || this.#index.value[0] !== row) this.#rows.free(row);
    }
    this.#rows.chainAnew();
  }
}
