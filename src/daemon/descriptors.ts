// The descriptors that the daemon has open, closed together at the end. Closing the last queue of a
// device removes the device with its addresses and routes, so this is also what undoes everything
// that a tunnel made.

import { native } from "#native";

export class Descriptors {
  readonly #open = new Set<number>();

  /** Takes over a descriptor. @returns it */
  own(fd: number): number {
    this.#open.add(fd);
    return fd;
  }

  closeAll(): void {
    for (const fd of this.#open) native.descriptorClose(fd);
    this.#open.clear();
  }
}
