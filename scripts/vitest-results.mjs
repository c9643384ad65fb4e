// Reporter for vitest: writes what scripts/test.mjs has to know of a run to the file that
// CULVERT_TEST_RESULTS names: counts, failures, and every skipped test with its reason. Prints
// nothing.

import { writeFileSync } from "node:fs";

export class ResultsReporter {
  onTestRunEnd(testModules, unhandledErrors) {
    const results = { passed: 0, failures: [], skipped: [] };
    for (const error of unhandledErrors) results.failures.push(`unhandled: ${error.message}`);
    for (const testModule of testModules) {
      // A file that does not load and a hook that throws leave tests unrun: each is a failure of
      // its own.
      for (const part of [testModule, ...testModule.children.allSuites()]) {
        for (const error of part.errors()) {
          results.failures.push(`${testModule.relativeModuleId}: ${error.message}`);
        }
      }
      for (const test of testModule.children.allTests()) this.#count(results, test);
    }
    writeFileSync(process.env.CULVERT_TEST_RESULTS, JSON.stringify(results));
  }

  #count(results, test) {
    const name = `${test.module.relativeModuleId} > ${test.fullName}`;
    const { state, note } = test.result();
    if (state === "passed") results.passed += 1;
    else if (state === "failed") results.failures.push(name);
    else results.skipped.push({ name, reason: note ?? "no reason given" });
  }
}

export default ResultsReporter;
