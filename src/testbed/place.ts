// Where processes of a measurement run: a namespace of this machine, or this machine itself.

import type { Cleanup } from "./cleanup.js";
import { Child, type ExitResult } from "./process.js";

/** A process that was started at a place. */
export interface PlacedProcess {
  readonly stdout: string;
  readonly stderr: string;
  /** Set once it has ended and its output is complete. */
  readonly result: ExitResult | undefined;
  /** Waits for the natural end, at most `timeout_ms`; then kills it and throws TestbedError. */
  wait(timeout_ms: number): Promise<ExitResult>;
  stop(): Promise<ExitResult>;
  readonly pid: number;
}

export interface Place {
  spawn(argv: readonly string[]): PlacedProcess;
}

/** This machine, outside of all namespaces that we made. What it starts ends with `cleanup`. */
export function thisMachine(cleanup: Cleanup): Place {
  return { spawn: (argv) => new Child(cleanup, argv) };
}
