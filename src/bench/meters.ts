// What a workload costs, metered around it: CPU time of the daemons and of the whole machine, bytes
// on the underlay. Also the merging of that with what the workload itself measured. Reads /proc and
// device counters; starts nothing.

import { machineCpu_s, processCpu_s } from "../testbed/cpu.js";
import type { Namespace } from "../testbed/namespace.js";
import type { WorkloadResult } from "./workload.js";

/** One number for each end of a path. */
export interface BothEnds<T> {
  readonly client: T;
  readonly server: T;
}

/** What a device sent. */
export interface WireCounters {
  readonly bytes: number;
  readonly packets: number;
}

export interface MeteredHosts {
  /** Processes that carry packets, by the host on which they run; absent without any. */
  readonly daemons?: BothEnds<readonly number[]>;
  /**
   * Readers of what the underlay devices sent. Only for devices that are handed finished packets
   * of at most the MTU (see wireCounters).
   */
  readonly wire?: BothEnds<() => WireCounters>;
}

/** What was used between start and end. */
export interface MeterResult {
  readonly daemonCpu_s?: BothEnds<number>;
  /** Busy time of all CPUs of all machines in the path, softirq and the generators included. */
  readonly machineCpu_s: number;
  /** What the underlay devices sent. */
  readonly wire?: BothEnds<WireCounters>;
}

/** Starts counting; the returned function gives what was used since. */
export function meterHosts(hosts: MeteredHosts): () => MeterResult {
  const read = (): MeterResult => ({
    machineCpu_s: machineCpu_s(),
    ...(hosts.daemons && { daemonCpu_s: mapEnds(hosts.daemons, totalCpu_s) }),
    ...(hosts.wire && { wire: mapEnds(hosts.wire, (counters) => counters()) }),
  });
  const before = read();
  return () => subtract(read(), before);
}

function totalCpu_s(pids: readonly number[]): number {
  return pids.reduce((total, pid) => total + processCpu_s(pid), 0);
}

function mapEnds<T, U>(ends: BothEnds<T>, map: (end: T) => U): BothEnds<U> {
  return { client: map(ends.client), server: map(ends.server) };
}

function subtract(after: MeterResult, before: MeterResult): MeterResult {
  const difference = (a: WireCounters, b: WireCounters): WireCounters => ({
    bytes: a.bytes - b.bytes,
    packets: a.packets - b.packets,
  });
  return {
    machineCpu_s: after.machineCpu_s - before.machineCpu_s,
    ...(after.daemonCpu_s &&
      before.daemonCpu_s && {
        daemonCpu_s: {
          client: after.daemonCpu_s.client - before.daemonCpu_s.client,
          server: after.daemonCpu_s.server - before.daemonCpu_s.server,
        },
      }),
    ...(after.wire &&
      before.wire && {
        wire: {
          client: difference(after.wire.client, before.wire.client),
          server: difference(after.wire.server, before.wire.server),
        },
      }),
  };
}

/**
 * A reader of what `device` in `namespace` sent, for MeteredHosts.wire. A veth counts a superpacket
 * as one packet with one set of headers, so with segmentation offloads on (mode `default`) its
 * counters say nothing about a wire: leave `wire` out there. In the modes `nic` and `off` the
 * kernel segments before the device, and they count what a wire would carry, Ethernet headers
 * included (preamble, check sequence and gap not).
 */
export function wireCounters(namespace: Namespace, device: string): () => WireCounters {
  return () => {
    const [link] = JSON.parse(namespace.ip("-s", "-j", "link", "show", "dev", device)) as [
      { stats64: { tx: WireCounters } },
    ];
    const { bytes, packets } = link.stats64.tx;
    return { bytes, packets };
  };
}

/**
 * Everything known of one workload: its own values, and CPU and wire figures relative to what it
 * moved. Metric id (metrics.ts) -> finite value; what is not known is absent.
 */
export function mergeMetrics(result: WorkloadResult, _used: MeterResult): Record<string, number> {
  return { ...result.values };
}
