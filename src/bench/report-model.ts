// What a benchmark found out, as data: the one form between measuring and showing. `--json` writes
// it as it is, tables and pages are made of it, `--compare` reads it back. Flat samples, one value
// each; nothing derived is kept, so medians and ratios are the same wherever they are shown.

import type { Environment } from "./environment.js";

/** Raised when a reader of older files could no longer make sense of them. */
export const REPORT_VERSION = 1;

/** One combination of underlay settings; the kernel's vxlan is measured in each as well. */
export interface Setting {
  /** MTU of the underlay, bytes; undefined between two real hosts, where it is not ours to set. */
  readonly mtu_bytes?: number;
  /** Name of an offload mode of the underlay: `default`, `nic`, `off`. */
  readonly offloads?: string;
  /** What is on in that mode, in the words of ethtool(8) -K: `{ tso: true }`. */
  readonly offloadsInForce?: Readonly<Record<string, boolean>>;
}

/** A way from pod to pod (or from host to host). */
export interface ReportVariant {
  /** Stable name for machines: `kernel-vxlan`. */
  readonly name: string;
  /** For people: `kernel vxlan`. */
  readonly title: string;
  /** Why it was not measured: what this machine lacks. Absent when it was. */
  readonly missing?: string;
}

/** One value that was measured. */
export interface Sample {
  /** Index into `settings`. */
  readonly setting: number;
  /** Name of the variant. */
  readonly variant: string;
  /** From 0. Samples of one setting and round were taken close in time: ratios are made of these. */
  readonly round: number;
  /** Id of the workload: `tcp-1`. */
  readonly workload: string;
  /** Id of the metric: `throughput_bits_per_s`. */
  readonly metric: string;
  /** In the metric's unit; finite. */
  readonly value: number;
}

/** A workload that gave no values. */
export interface Failure {
  readonly setting: number;
  readonly variant: string;
  readonly round: number;
  readonly workload: string;
  readonly reason: string;
}

export interface BenchReport {
  readonly format: "culvert-bench";
  readonly version: typeof REPORT_VERSION;
  readonly environment: Environment;
  /** What the ratios are relative to: `kernel-vxlan`, or `underlay` between real hosts. */
  readonly reference: string;
  readonly rounds: number;
  /** Length of each transfer. */
  readonly seconds: number;
  /** Ids in the order in which they are shown. */
  readonly workloads: readonly string[];
  readonly settings: readonly Setting[];
  readonly variants: readonly ReportVariant[];
  readonly samples: readonly Sample[];
  readonly failures: readonly Failure[];
}
