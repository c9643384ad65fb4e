// Operating errors: what went wrong outside the program (config, permission, kernel, peer process)
// and what to do about it. Packet faults are counted, never thrown; programmer errors are
// assertions. Every `code` is listed in docs/errors.md and never changes its meaning.

/** Process exit status of a culvert command (interface contract). */
export const ExitStatus = { done: 0, failed: 1, usage: 2, noDaemon: 3 } as const;
export type ExitStatus = (typeof ExitStatus)[keyof typeof ExitStatus];

export interface CulvertErrorOptions {
  /** One sentence that names the cure. */
  hint?: string;
  /** Exit status when a command ends with this error; `failed` (1) unless given. */
  exit?: ExitStatus;
  cause?: unknown;
}

/**
 * An operating error with a stable machine-readable code and a cure for the person who reads it.
 */
export class CulvertError extends Error {
  /** Stable, upper case, starts with `CULVERT_`: `CULVERT_PORT_IN_USE`. */
  readonly code: string;
  readonly hint: string | undefined;
  readonly exit: ExitStatus;

  constructor(code: `CULVERT_${string}`, message: string, options: CulvertErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "CulvertError";
    this.code = code;
    this.hint = options.hint;
    this.exit = options.exit ?? ExitStatus.failed;
  }
}
