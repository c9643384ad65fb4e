// Runs every check and sums up. Prints nothing.

import { ALL_CHECKS } from "./checks/all-checks.js";
import type { Check, Finding, Level, Situation } from "./finding.js";

/** What was found, the worst first, and how many checks had nothing to say. */
export interface Examination {
  readonly findings: readonly Finding[];
  readonly passed: number;
}

const RANK: Readonly<Record<Level, number>> = { problem: 0, warning: 1, ok: 2 };

/** @param known what was found before, such as that no daemon answers */
export function examine(
  situation: Situation,
  known: readonly Finding[] = [],
  checks: readonly Check[] = ALL_CHECKS,
): Examination {
  const results = checks.map(({ run }) => run(situation));
  const findings = [...known, ...results.flat()];
  findings.sort((left, right) => RANK[left.level] - RANK[right.level]);
  return { findings, passed: results.filter(({ length }) => length === 0).length };
}
