// Which lines of a trie's memory are free: the writer's own knowledge. What lies in them is
// trie-layout.ts.
//
// Theory of operation. There is a list of free stretches for each size of a node, and what was never
// used behind all. A stretch may be cut, never joined with another. What is given back can be had
// again after `reclaim`: readers may still look at it until then.

export class NodeMemory {
  readonly #capacity: number;
  /** Free stretches by their lines. */
  readonly #free: number[][];
  readonly #given: (readonly [line: number, lines: number])[] = [];
  #used = 0;

  /** @param lines of the memory. @param maxLines of a node */
  constructor(lines: number, maxLines: number) {
    this.#capacity = lines;
    this.#free = Array.from({ length: maxLines + 1 }, () => []);
  }

  /** Are so many lines in one piece certain? */
  hasRoom(lines: number): boolean {
    return this.#capacity - this.#used >= lines;
  }

  /** @returns the first of these lines, -1: there is no room */
  take(lines: number): number {
    const fitting = this.#free[lines].pop();
    if (fitting !== undefined) return fitting;
    if (this.hasRoom(lines)) {
      this.#used += lines;
      return this.#used - lines;
    }
    for (let larger = lines + 1; larger < this.#free.length; larger++) {
      const line = this.#free[larger].pop();
      if (line === undefined) continue;
      this.#free[larger - lines].push(line + lines);
      return line;
    }
    return -1;
  }

  giveBack(line: number, lines: number): void {
    this.#given.push([line, lines]);
  }

  reclaim(): void {
    for (const [line, lines] of this.#given) this.#free[lines].push(line);
    this.#given.length = 0;
  }
}
