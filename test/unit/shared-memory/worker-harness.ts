// Starts worker threads from TypeScript: compiles the worker and what it imports into a temporary
// folder first, because Node.js 20 cannot load TypeScript in a worker.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import type { ChurnJob } from "./churn-worker.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const WORKER = "test/unit/shared-memory/churn-worker";

export interface Churn {
  readonly worker: Worker;
  /** Times that the worker did its step. */
  rounds(): number;
  /** Asks the worker to end and waits until it has. */
  stop(): Promise<void>;
  /** Resolves when the worker ends by itself. */
  readonly ended: Promise<void>;
}

export interface WorkerHarness {
  start(job: ChurnJob): Promise<Churn>;
  remove(): void;
}

export function compileWorkers(): WorkerHarness {
  const folder = mkdtempSync(join(tmpdir(), "culvert-workers-"));
  const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
  const module = ["--module", "nodenext", "--target", "es2022", "--types", "node"];
  const paths = ["--rootDir", ROOT, "--outDir", folder];
  execFileSync(
    process.execPath,
    [tsc, "--ignoreConfig", "--skipLibCheck", ...module, ...paths, join(ROOT, `${WORKER}.ts`)],
    { cwd: ROOT },
  );
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  return {
    start: async (job) => startChurn(join(folder, `${WORKER}.js`), job),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

async function startChurn(file: string, job: ChurnJob): Promise<Churn> {
  const control = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(file, { workerData: { ...job, control: control.buffer } });
  const ended = new Promise<void>((resolve, reject) => {
    worker.once("error", reject);
    worker.once("exit", () => resolve());
  });
  await Promise.race([new Promise((resolve) => worker.once("message", resolve)), ended]);
  return {
    worker,
    ended,
    rounds: () => Atomics.load(control, 1),
    stop: () => {
      Atomics.store(control, 0, 1);
      return ended;
    },
  };
}
