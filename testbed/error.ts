// Errors of the testbed: a missing tool or privilege, a command that failed, a name already taken.
// The message says what failed, the hint what to do about it. Has no knowledge of the daemon's own
// error codes.

/** Something outside the testbed is wrong; `hint` names the cure in one sentence. */
export class TestbedError extends Error {
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.name = "TestbedError";
    this.hint = hint;
  }
}

/** Message and hint of anything thrown, for a terminal; a stack only for programmer errors. */
export function describeError(error: unknown): string {
  if (error instanceof TestbedError) {
    return error.hint === undefined ? error.message : `${error.message}\n  -> ${error.hint}`;
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
