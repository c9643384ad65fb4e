// How workers wake the main thread for events: one shared word that says whether it sleeps. A
// worker that finds it awake does nothing more, so a stream of events costs one wake-up.
//
// Theory of operation. The reader stores ASLEEP and looks at the rings once more before it waits;
// a writer publishes its record and then looks at the word. Atomics are sequentially consistent, so
// one of the two sees the other: no event waits for the next one. The reader waits with
// Atomics.waitAsync, which blocks no thread and needs no timer.

const AWAKE = 0;
const ASLEEP = 1;

export interface EventSignalState {
  readonly word: SharedArrayBuffer;
}

export class EventSignal {
  readonly #word: Int32Array;

  private constructor(word: SharedArrayBuffer) {
    this.#word = new Int32Array(word);
  }

  static create(): EventSignal {
    return new EventSignal(new SharedArrayBuffer(4));
  }

  static attach(state: EventSignalState): EventSignal {
    return new EventSignal(state.word);
  }

  sharedState(): EventSignalState {
    return { word: this.#word.buffer as SharedArrayBuffer };
  }

  /** From any thread, after the record is published. */
  wake(): void {
    if (Atomics.load(this.#word, 0) === AWAKE) return;
    if (Atomics.compareExchange(this.#word, 0, ASLEEP, AWAKE) === ASLEEP) {
      Atomics.notify(this.#word, 0);
    }
  }

  /**
   * The reader only: calls `awake` at the next `wake`, or soon when `hasWork` says that something
   * came in between.
   */
  sleep(hasWork: () => boolean, awake: () => void): void {
    Atomics.store(this.#word, 0, ASLEEP);
    if (hasWork()) {
      Atomics.store(this.#word, 0, AWAKE);
      setImmediate(awake);
      return;
    }
    const wait = Atomics.waitAsync(this.#word, 0, ASLEEP);
    if (wait.async) void wait.value.then(awake);
    else setImmediate(awake);
  }
}
