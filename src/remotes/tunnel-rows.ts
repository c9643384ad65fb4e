// Which rows of the remote table belong to which tunnel: a chain of rows per tunnel in shared
// memory, so that nobody has to look through the rows of all tunnels to find those of one. It takes
// no lock: whoever holds the table's lock writes and reads here, nobody else.

/** First row of each tunnel; next and previous row of each row. A row is stored as row + 1. */
export interface TunnelRowsState {
  readonly heads: SharedArrayBuffer;
  readonly links: SharedArrayBuffer;
}

const NONE = 0;
const LINK_WORDS = 2;
const NEXT = 0;
const PREVIOUS = 1;

export class TunnelRows {
  readonly #heads: Int32Array;
  readonly #links: Int32Array;

  private constructor(state: TunnelRowsState) {
    this.#heads = new Int32Array(state.heads);
    this.#links = new Int32Array(state.links);
  }

  static create(maxTunnels: number, maxRemotes: number): TunnelRows {
    return new TunnelRows({
      heads: new SharedArrayBuffer(maxTunnels * 4),
      links: new SharedArrayBuffer(maxRemotes * LINK_WORDS * 4),
    });
  }

  static attach(state: TunnelRowsState): TunnelRows {
    return new TunnelRows(state);
  }

  sharedState(): TunnelRowsState {
    return {
      heads: this.#heads.buffer as SharedArrayBuffer,
      links: this.#links.buffer as SharedArrayBuffer,
    };
  }

  /** Tells of a row that the tunnel did not have. */
  add(tunnel: number, row: number): void {
    const first = this.#heads[tunnel];
    this.#setLink(row, NEXT, first);
    this.#setLink(row, PREVIOUS, NONE);
    if (first !== NONE) this.#setLink(first - 1, PREVIOUS, row + 1);
    Atomics.store(this.#heads, tunnel, row + 1);
  }

  remove(tunnel: number, row: number): void {
    const next = this.#links[row * LINK_WORDS + NEXT];
    const previous = this.#links[row * LINK_WORDS + PREVIOUS];
    if (next !== NONE) this.#setLink(next - 1, PREVIOUS, previous);
    if (previous !== NONE) this.#setLink(previous - 1, NEXT, next);
    else Atomics.store(this.#heads, tunnel, next);
  }

  /** Forgets everything, to be told anew. */
  clear(): void {
    for (let tunnel = 0; tunnel < this.#heads.length; tunnel++) {
      Atomics.store(this.#heads, tunnel, NONE);
    }
  }

  /** The rows of a tunnel, ascending. */
  rows(tunnel: number): number[] {
    const rows: number[] = [];
    for (
      let at = this.#heads[tunnel];
      at !== NONE;
      at = this.#links[(at - 1) * LINK_WORDS + NEXT]
    ) {
      rows.push(at - 1);
    }
    return rows.sort((a, b) => a - b);
  }

  #setLink(row: number, link: number, value: number): void {
    Atomics.store(this.#links, row * LINK_WORDS + link, value);
  }
}
