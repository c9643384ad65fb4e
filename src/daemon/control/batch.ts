// Many changes in one request: made one after the other, each with all that it does alone.

import type { Batch, BatchFailure, BatchResult } from "../../control/target.js";
import { CulvertError } from "../../errors.js";

/** @param make makes one change; a CulvertError from it is the change's own, others are a bug */
export function runBatch<Change>(
  { changes, force }: Batch<Change>,
  make: (change: Change) => void,
): BatchResult {
  const failures: BatchFailure[] = [];
  let done = 0;
  for (const [index, change] of changes.entries()) {
    try {
      make(change);
      done++;
    } catch (error) {
      if (!(error instanceof CulvertError)) throw error;
      const { code, message, hint } = error;
      failures.push({ index, code, message, hint });
      if (force !== true) break;
    }
  }
  return { done, failures };
}
