// The error for a command line that is wrong: exit status 2.

import { CulvertError, ExitStatus } from "../errors.js";

/** CULVERT_USAGE with exit status 2; `hint` shows the right words. */
export function usageError(message: string, hint: string): CulvertError {
  return new CulvertError("CULVERT_USAGE", message, { hint, exit: ExitStatus.usage });
}
