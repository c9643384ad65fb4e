// Errors of the testbed: a missing tool or privilege, a command that failed, a name already taken.
// The message says what failed, the hint what to do about it.

import { CulvertError } from "../errors.js";

/** Something outside the testbed is wrong; `hint` names the cure in one sentence. */
export class TestbedError extends CulvertError {
  constructor(message: string, hint?: string) {
    super("CULVERT_TESTBED", message, hint === undefined ? {} : { hint });
    this.name = "TestbedError";
  }
}

/** Message and hint of anything thrown, for a terminal; a stack only for programmer errors. */
export function describeError(error: unknown): string {
  if (error instanceof CulvertError) {
    return error.hint === undefined ? error.message : `${error.message}\n  -> ${error.hint}`;
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
