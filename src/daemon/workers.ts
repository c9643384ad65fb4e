// The data-plane worker threads, seen from the main thread: start with a plan each, stop, report
// failure. A worker runs one synchronous loop, so it is told things through a message port and
// woken by its eventfd.

import { once } from "node:events";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { native } from "#native";
import { CulvertError } from "../errors.js";
import type { Logger } from "../telemetry/log.js";
import { errnoName } from "./errno-error.js";
import type { WorkerMessage, WorkerPlan } from "./worker-plan.js";

/** How long a worker may take to leave its loop before its thread is ended: milliseconds. */
const STOP_PATIENCE_MS = 3000;
/**
 * JavaScript heap of a worker, MiB: packets live outside of it, so it needs next to nothing, and
 * some 10 KiB for the forwarding objects of each tunnel.
 */
const HEAP_MIB = 64;
const HEAP_KIB_PER_TUNNEL = 32;
/** Cores for one worker with `workers: auto`: the kernel's own work for a tunnel takes the rest. */
const CORES_PER_WORKER = 4;
const MAX_AUTO_WORKERS = 4;

/** The number of workers that `workers: auto` stands for on this machine. */
export function autoWorkers(cores: number = availableParallelism()): number {
  return Math.min(MAX_AUTO_WORKERS, Math.max(1, Math.floor(cores / CORES_PER_WORKER)));
}

function heap_mib({ vxlan, ipip }: WorkerPlan): number {
  return HEAP_MIB + Math.ceil(((vxlan.length + ipip.length) * HEAP_KIB_PER_TUNNEL) / 1024);
}

function startError(cause: Error): CulvertError {
  return new CulvertError("CULVERT_WORKER", `a worker could not start: ${cause.message}`, {
    hint: "see the limits on open files and memory (`ulimit -n`, `ulimit -v`); lower `workers`",
    cause,
  });
}

export class Workers {
  readonly #threads: { worker: Worker; wakeFd: number; done: Promise<unknown> }[] = [];
  readonly #log: Logger;
  readonly #onFailure: (error: Error) => void;
  /** Names of devices and sockets that no longer work. */
  readonly #lost = new Set<string>();
  #sources = 0;
  #stopping = false;

  /** @param onFailure told when a worker ends although nobody asked it to, or loses a device */
  constructor(log: Logger, onFailure: (error: Error) => void) {
    this.#log = log;
    this.#onFailure = onFailure;
  }

  /** Starts one thread per plan; resolves when all of them are in their loops. */
  async start(plans: readonly WorkerPlan[]): Promise<void> {
    this.#sources = (plans[0]?.vxlan.length ?? 0) + (plans[0]?.ipip.length ?? 0);
    await Promise.all(plans.map((plan) => this.#startOne(plan)));
  }

  /** Tells all workers to stop and waits until they have. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(
      this.#threads.map(async ({ worker, wakeFd, done }) => {
        worker.postMessage("stop");
        native.wakeSignal(wakeFd);
        const patience = setTimeout(() => void worker.terminate(), STOP_PATIENCE_MS);
        await done;
        clearTimeout(patience);
      }),
    );
    this.#threads.length = 0;
  }

  async #startOne(plan: WorkerPlan): Promise<void> {
    const worker = new Worker(new URL("./worker.js", import.meta.url), {
      workerData: plan,
      name: `culvert-${plan.worker}`,
      resourceLimits: { maxOldGenerationSizeMb: heap_mib(plan) },
    });
    const done = once(worker, "exit").catch(() => undefined);
    this.#threads.push({ worker, wakeFd: plan.wakeFd, done });
    await new Promise<void>((resolve, reject) => {
      let running = false;
      const fail = (error: Error) => {
        if (!running) reject(startError(error));
        else if (!this.#stopping) this.#onFailure(error);
      };
      worker.on("error", fail);
      worker.on("exit", (code) => {
        if (!this.#stopping) fail(new Error(`worker ${plan.worker} ended with status ${code}`));
      });
      worker.on("message", (message: WorkerMessage) => {
        if (message.kind === "ready") {
          running = true;
          resolve();
        }
        if (message.kind === "source-lost") this.#sourceLost(message.name, message.errno);
      });
    });
  }

  /** One tunnel without its device ends that tunnel; without any device there is nothing to do. */
  #sourceLost(name: string, errno: number): void {
    if (this.#lost.has(name)) return; // another worker's queue of the same device
    this.#lost.add(name);
    const reason = errnoName(-errno);
    const what = `${name} is gone (${reason}): was it deleted? Restart the daemon to have it back`;
    this.#log.error({ source: name, errno: reason }, what);
    if (this.#lost.size >= this.#sources) this.#onFailure(new Error("no tunnel is left"));
  }
}
