// Bounds what one worker does in a second on somebody else's account. Time is passed in; a second
// begins with the clock's, so that two limits' worth may come in a row.

export class PerSecond {
  readonly #limit: number;
  #second_s = -1;
  #taken = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Hot. @returns false: the limit of this second is reached */
  take(now_s: number): boolean {
    if (now_s !== this.#second_s) this.#taken = 0;
    this.#second_s = now_s;
    if (this.#taken >= this.#limit) return false;
    this.#taken++;
    return true;
  }
}
