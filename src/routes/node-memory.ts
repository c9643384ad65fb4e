// Which memory of a trie is free, in units of half a line: the writer's own knowledge. What lies in
// them is trie-layout.ts.
//
// Theory of operation. There is a list of free stretches for each size of a node, and what was
// never used behind all. Sizes are one unit, or whole lines, which begin at a line. A stretch may
// be cut, never joined with another. What is given back can be had again after `reclaim`: readers
// may still look at it until then.

export class NodeMemory {
  readonly #capacity: number;
  /** Free stretches by their size. */
  readonly #free: number[][];
  readonly #given: (readonly [unit: number, units: number])[] = [];
  #used = 0;

  /** @param units of the memory. @param maxUnits of a node */
  constructor(units: number, maxUnits: number) {
    this.#capacity = units;
    this.#free = Array.from({ length: maxUnits + 1 }, () => []);
  }

  /** Are so many units in one piece certain? */
  hasRoom(units: number): boolean {
    return this.#capacity - this.#used >= units;
  }

  /** @param units 1 or even. @returns the first of these units, -1: there is no room */
  take(units: number): number {
    const fitting = this.#free[units].pop();
    if (fitting !== undefined) return fitting;
    if (units === 1) {
      const line = this.take(2);
      if (line >= 0) this.#free[1].push(line + 1);
      return line;
    }
    if (this.hasRoom(units)) {
      this.#used += units;
      return this.#used - units;
    }
    for (let larger = units + 2; larger < this.#free.length; larger += 2) {
      const unit = this.#free[larger].pop();
      if (unit === undefined) continue;
      this.#free[larger - units].push(unit + units);
      return unit;
    }
    return -1;
  }

  giveBack(unit: number, units: number): void {
    this.#given.push([unit, units]);
  }

  reclaim(): void {
    for (const [unit, units] of this.#given) this.#free[units].push(unit);
    this.#given.length = 0;
  }
}
