// Undo stack: everything the testbed makes registers here how to remove it. Steps run in reverse
// order, each exactly once, and a failing step does not stop the others. Steps are synchronous on
// purpose: they must also finish inside a signal handler and an "exit" listener, where no promise
// is ever continued.

import { TestbedError } from "./error.js";

const fatalSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

interface Step {
  label: string;
  undo: () => void;
}

/** A stack of undo steps that also runs on Ctrl-C, SIGTERM, SIGHUP and process exit. */
export class Cleanup {
  readonly #steps: Step[] = [];
  readonly #onExit = (): void => {
    this.#runAll();
  };
  readonly #onSignal = (signal: NodeJS.Signals): void => {
    const failures = this.#runAll();
    this.#detach();
    const outcome = failures.length === 0 ? "removed everything" : failures.join("\n");
    process.stderr.write(`\n${signal}: ${outcome}\n`);
    // The default action of the signal ends the process, so that the caller sees the true cause.
    process.kill(process.pid, signal);
  };
  readonly #parent: Cleanup | undefined;
  /** This stack as a step of its parent's. */
  readonly #asStep: Step = { label: "a part of it", undo: () => this.run() };
  #attached = false;

  /** With a `parent`, a part of its stack that may also be run earlier, on its own. */
  constructor(parent?: Cleanup) {
    this.#parent = parent;
  }

  /**
   * Registers an undo step; returns a function that runs it now (and never again).
   * `label` names the thing in error messages.
   */
  defer(label: string, undo: () => void): () => void {
    const step = { label, undo };
    this.#push(step);
    return () => {
      if (this.#drop(step)) undo();
    };
  }

  /** Number of steps that are still to run. */
  get size(): number {
    return this.#steps.length;
  }

  /** Undoes everything, newest first. Throws one TestbedError that lists every step that failed. */
  run(): void {
    const failures = this.#runAll();
    this.#detach();
    if (failures.length > 0) {
      throw new TestbedError(`could not remove everything: ${failures.join("; ")}`);
    }
  }

  #push(step: Step): void {
    this.#attach();
    this.#steps.push(step);
  }

  /** False when the step is not there any more. */
  #drop(step: Step): boolean {
    const index = this.#steps.indexOf(step);
    if (index < 0) return false;
    this.#steps.splice(index, 1);
    if (this.#steps.length === 0) this.#detach();
    return true;
  }

  #runAll(): string[] {
    const failures: string[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        step.undo();
      } catch (error) {
        failures.push(`${step.label}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    return failures;
  }

  #attach(): void {
    if (this.#attached) return;
    this.#attached = true;
    if (this.#parent !== undefined) {
      this.#parent.#push(this.#asStep);
      return;
    }
    process.on("exit", this.#onExit);
    for (const signal of fatalSignals) process.on(signal, this.#onSignal);
  }

  #detach(): void {
    this.#attached = false;
    if (this.#parent !== undefined) {
      this.#parent.#drop(this.#asStep);
      return;
    }
    process.off("exit", this.#onExit);
    for (const signal of fatalSignals) process.off(signal, this.#onSignal);
  }
}
