// Who is measured when: variants take turns within a round, and another one goes first each round,
// so that none always runs on a machine that the same one warmed up. A variant is up only during
// its turn, in which all workloads run over it. What fails is written down and the run goes on.

import { describeError } from "../testbed/error.js";
import { watchDaemons } from "./daemon-meter.js";
import { measureWorkload } from "./measure-workload.js";
import type { Path, PathVariant } from "./path.js";
import type { Failure, Sample } from "./report-model.js";
import { createWorkload } from "./workloads/all-workloads.js";

/** The workload that is not run but watched, while the others run. */
export const DAEMON_WORKLOAD = "daemon";

export interface RoundsPlan {
  /** Index into the settings of the report. */
  readonly setting: number;
  readonly variants: readonly PathVariant[];
  /** Ids of metrics.ts, in the order in which they are measured. */
  readonly workloads: readonly string[];
  readonly rounds: number;
  /** Length of each transfer. */
  readonly seconds: number;
}

/** What one variant gave in one round. */
export interface Turn {
  readonly variant: PathVariant;
  readonly round: number;
  readonly samples: readonly Sample[];
  readonly failures: readonly Failure[];
}

/** The values of one workload over a path that is up. */
export type MeasureOne = (
  path: Path,
  workloadId: string,
  seconds: number,
) => Promise<Record<string, number>>;

const measureOne: MeasureOne = (path, workloadId, seconds) =>
  measureWorkload(path, createWorkload(workloadId), seconds);

/** `variants` beginning with another one each round. */
export function turnOrder<T>(variants: readonly T[], round: number): T[] {
  const first = round % variants.length;
  return [...variants.slice(first), ...variants.slice(0, first)];
}

/** Every turn of a setting, as it ends. Throws nothing of what a variant or workload throws. */
export async function* runRounds(
  plan: RoundsPlan,
  measure: MeasureOne = measureOne,
): AsyncGenerator<Turn> {
  for (let round = 0; round < plan.rounds; round++) {
    for (const variant of turnOrder(plan.variants, round)) {
      yield await new TurnRecord(plan, variant, round, measure).run();
    }
  }
}

class TurnRecord implements Turn {
  readonly variant: PathVariant;
  readonly round: number;
  readonly samples: Sample[] = [];
  readonly failures: Failure[] = [];
  readonly #plan: RoundsPlan;
  readonly #measure: MeasureOne;

  constructor(plan: RoundsPlan, variant: PathVariant, round: number, measure: MeasureOne) {
    this.#plan = plan;
    this.variant = variant;
    this.round = round;
    this.#measure = measure;
  }

  async run(): Promise<Turn> {
    const left = new Set(this.#plan.workloads);
    try {
      await this.variant.withPath((path) => this.#runWorkloads(path, left));
    } catch (error) {
      // It did not come up, or did not end well: then the last workload is to hold the reason.
      const concerned = left.size > 0 ? [...left] : this.#plan.workloads.slice(-1);
      for (const workload of concerned) this.#fail(workload, error);
    }
    return this;
  }

  /** Takes out of `left` what was measured or failed. */
  async #runWorkloads(path: Path, left: Set<string>): Promise<void> {
    const { daemons } = path;
    const watched = left.delete(DAEMON_WORKLOAD) && daemons !== undefined;
    const endWatch = watched ? await watchDaemons(daemons) : undefined;
    for (const workload of [...left]) {
      try {
        this.#record(workload, await this.#measure(path, workload, this.#plan.seconds));
      } catch (error) {
        this.#fail(workload, error);
      }
      left.delete(workload);
    }
    if (endWatch !== undefined) this.#record(DAEMON_WORKLOAD, endWatch());
  }

  #key(workload: string) {
    const { setting } = this.#plan;
    return { setting, variant: this.variant.name, round: this.round, workload };
  }

  #record(workload: string, values: Readonly<Record<string, number>>): void {
    for (const [metric, value] of Object.entries(values)) {
      this.samples.push({ ...this.#key(workload), metric, value });
    }
  }

  #fail(workload: string, error: unknown): void {
    this.failures.push({ ...this.#key(workload), reason: describeError(error) });
  }
}
