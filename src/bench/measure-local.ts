// `culvert bench` on one machine: for each setting a pair of hosts made of network namespaces, on
// which all variants and workloads take their turns. What this machine lacks is told and written
// into the report. Leaves nothing behind when `cleanup` has run.

import { Cleanup } from "../testbed/cleanup.js";
import { TestbedError } from "../testbed/error.js";
import { checkMachine } from "../testbed/machine.js";
import { staleNamespaces } from "../testbed/namespace.js";
import { culvertEntry } from "../testbed/project.js";
import { type VariantName, variants } from "../testbed/tunnels.js";
import { createTwoHosts, type OffloadMode, underlayDevice } from "../testbed/two-hosts.js";
import { describeEnvironment, readEnvironment } from "./environment.js";
import { type LocalBed, LocalVariant } from "./local-variant.js";
import { describeExtent, type Extent, Progress } from "./progress.js";
import {
  type BenchReport,
  type Failure,
  REPORT_VERSION,
  type ReportVariant,
  type Sample,
  type Setting,
} from "./report-model.js";
import { inForceText } from "./report-view.js";
import { DAEMON_WORKLOAD, runRounds } from "./rounds.js";
import { createWorkload } from "./workloads/all-workloads.js";

/** What everything is compared with. */
export const LOCAL_REFERENCE: VariantName = "kernel-vxlan";

export interface LocalSetting {
  readonly mtu_bytes: number;
  readonly offloads: OffloadMode;
}

export interface LocalOptions {
  readonly settings: readonly LocalSetting[];
  readonly variants: readonly VariantName[];
  /** Ids of metrics.ts. */
  readonly workloads: readonly string[];
  readonly rounds: number;
  readonly seconds: number;
}

/** Gets lines for people while it goes on. */
export type Say = (line: string) => void;

/**
 * Throws TestbedError, before anything is made, when this machine cannot do it at all. What fails
 * later is in `failures` of the report.
 */
export async function measureLocal(
  options: LocalOptions,
  say: Say,
  cleanup: Cleanup,
): Promise<BenchReport> {
  checkMachine("culvert bench", "culvert bench");
  culvertEntry();
  checkWorkloads(options.workloads);
  const environment = readEnvironment();
  say(describeEnvironment(environment));
  sayStale(say);
  const probing = async (bed: LocalBed) => findVariants(options, bed);
  const shown = await inBed(options.settings[0], cleanup, probing);
  for (const { title, missing } of shown) {
    if (missing !== undefined) say(`${title}: missing, ${missing}`);
  }
  const present = shown.filter(({ missing }) => missing === undefined);
  if (!present.some(({ name }) => name === LOCAL_REFERENCE)) {
    say(`no ratios: they are to ${variants[LOCAL_REFERENCE].title}, which is not measured`);
  }
  if (present.length === 0) throw new TestbedError("this machine has none of these variants");
  const run = new LocalRun(
    options,
    present.map(({ name }) => name as VariantName),
    say,
  );
  await run.all(cleanup);
  return {
    ...{ format: "culvert-bench", version: REPORT_VERSION, environment },
    ...{ reference: LOCAL_REFERENCE, rounds: options.rounds, seconds: options.seconds },
    ...{ workloads: options.workloads, settings: run.settings, variants: shown },
    ...{ samples: run.samples, failures: run.failures },
  };
}

function checkWorkloads(ids: readonly string[]): void {
  for (const id of ids) {
    if (id === DAEMON_WORKLOAD) continue;
    const reason = createWorkload(id).unsupported();
    if (reason !== undefined) throw new TestbedError(`${id} cannot be measured: ${reason}`);
  }
}

function sayStale(say: Say): void {
  const stale = staleNamespaces();
  if (stale.length === 0) return;
  say(`left over from a killed run: ${stale.join(" ")} (remove: ip netns del NAME)`);
}

function findVariants({ variants: names }: LocalOptions, bed: LocalBed): ReportVariant[] {
  return names.map((name) => {
    const missing = new LocalVariant(name, bed).unsupported();
    const { title } = variants[name];
    return { name, title, ...(missing !== undefined && { missing }) };
  });
}

/** Two hosts that exist while `body` runs. */
async function inBed<T>(
  { mtu_bytes, offloads }: LocalSetting,
  whole: Cleanup,
  body: (bed: LocalBed) => Promise<T>,
): Promise<T> {
  const cleanup = new Cleanup(whole);
  try {
    const hosts = createTwoHosts(cleanup, { underlayMtu_bytes: mtu_bytes, offloads });
    return await body({ hosts, cleanup, finishedPackets: offloads !== "default" });
  } finally {
    cleanup.run();
  }
}

/** The offloads that a report names, in the words of ethtool(8) -K. */
const toldFeatures: Readonly<Record<string, string>> = {
  tx: "tx-checksumming",
  tso: "tcp-segmentation-offload",
  gso: "generic-segmentation-offload",
  gro: "generic-receive-offload",
};

/** What is in force on the underlay device of `bed`. */
function readOffloads({ hosts }: LocalBed): Record<string, boolean> {
  const output = hosts.left.host.run("ethtool", "-k", underlayDevice);
  const isOn = (feature: string): boolean => new RegExp(`^${feature}: on`, "m").test(output);
  return Object.fromEntries(
    Object.entries(toldFeatures).map(([word, feature]) => [word, isOn(feature)]),
  );
}

/** All settings one after the other, and what they gave. */
class LocalRun {
  readonly settings: Setting[] = [];
  readonly samples: Sample[] = [];
  readonly failures: Failure[] = [];
  readonly #options: LocalOptions;
  readonly #variants: readonly VariantName[];
  readonly #say: Say;
  readonly #extent: Extent;

  constructor(options: LocalOptions, names: readonly VariantName[], say: Say) {
    this.#options = options;
    this.#variants = names;
    this.#say = say;
    const { settings, rounds, workloads, seconds } = options;
    this.#extent = {
      ...{ settings: settings.length, variants: names.length },
      ...{ rounds, workloads, seconds },
    };
  }

  async all(cleanup: Cleanup): Promise<void> {
    for (const line of describeExtent(this.#extent)) this.#say(line);
    const progress = new Progress(this.#extent);
    for (const setting of this.#options.settings) {
      await inBed(setting, cleanup, (bed) => this.#measure(setting, bed, progress));
    }
  }

  async #measure(setting: LocalSetting, bed: LocalBed, progress: Progress): Promise<void> {
    const offloadsInForce = readOffloads(bed);
    this.#say(
      `underlay: veth, MTU ${setting.mtu_bytes}, offloads ${setting.offloads} (${inForceText(offloadsInForce)})`,
    );
    const { rounds, workloads, seconds } = this.#options;
    const turns = runRounds({
      ...{ setting: this.settings.length, rounds, workloads, seconds },
      variants: this.#variants.map((name) => new LocalVariant(name, bed)),
    });
    this.settings.push({ ...setting, offloadsInForce });
    for await (const turn of turns) {
      this.samples.push(...turn.samples);
      this.failures.push(...turn.failures);
      this.#say(progress.line(turn));
    }
  }
}
