// What a workload costs, metered around it: CPU time of the daemons and of the whole machine, bytes
// on the underlay. Also the merging of that with what the workload itself measured. Reads /proc and
// device counters; starts nothing.

import { machineCpu_s, processesCpu_s } from "../testbed/cpu.js";
import type { Namespace } from "../testbed/namespace.js";
import { GIB_BYTES } from "./metrics.js";
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
    ...(hosts.daemons && { daemonCpu_s: mapEnds(hosts.daemons, processesCpu_s) }),
    ...(hosts.wire && { wire: mapEnds(hosts.wire, (counters) => counters()) }),
  });
  const before = read();
  return () => subtract(read(), before);
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

const ethernetHeader_bytes = 14;

/**
 * A reader of what the veth `device` in `namespace` sent, for MeteredHosts.wire. A veth counts a
 * superpacket as one packet with one set of headers, so with segmentation offloads on (mode
 * `default`) its counters say nothing about a wire: leave `wire` out there. In the modes `nic` and
 * `off` the kernel segments before the device, and they count what a wire would carry, Ethernet
 * headers included (preamble, check sequence and gap not).
 */
export function wireCounters(namespace: Namespace, device: string): () => WireCounters {
  // With GRO its peer receives by NAPI, counts there what the sender sent, and has taken the
  // Ethernet header off by then (drivers/net/veth.c, veth_xdp_rcv; veth_get_stats64).
  const features = namespace.run("ethtool", "-k", device);
  const uncounted_bytes = /^generic-receive-offload: on/m.test(features) ? ethernetHeader_bytes : 0;
  return () => {
    const [link] = JSON.parse(namespace.ip("-s", "-j", "link", "show", "dev", device)) as [
      { stats64: { tx: WireCounters } },
    ];
    const { bytes, packets } = link.stats64.tx;
    return { bytes: bytes + packets * uncounted_bytes, packets };
  };
}

/**
 * Everything known of one workload: its own values, and CPU and wire figures relative to the
 * payload that arrived. Metric id (metrics.ts) -> finite value; what is not known is absent.
 *
 * CPU of a host is that of the generator and the daemon there: the kernel's own forwarding is
 * charged to whoever was interrupted, and on one machine belongs to neither host. The figure of
 * the whole machine has it.
 */
export function mergeMetrics(result: WorkloadResult, used: MeterResult): Record<string, number> {
  const { values, payload_bytes, generatorCpu_s: generator } = result;
  if (payload_bytes === undefined || payload_bytes <= 0) return { ...values };
  const gib = payload_bytes / GIB_BYTES;
  const daemon = used.daemonCpu_s ?? { client: 0, server: 0 };
  return {
    ...values,
    ...(generator && {
      sender_cpu_s_per_gib: (generator.client + daemon.client) / gib,
      receiver_cpu_s_per_gib: (generator.server + daemon.server) / gib,
    }),
    ...(used.daemonCpu_s && { daemon_cpu_s_per_gib: (daemon.client + daemon.server) / gib }),
    machine_cpu_s_per_gib: used.machineCpu_s / gib,
    ...(used.wire && wireOverhead(used.wire, payload_bytes, result.datagram_bytes)),
  };
}

/**
 * What the wire carried beyond the payload, per byte of payload. TCP: all bytes of both directions,
 * acknowledgements and retransmissions included. Datagrams: what the average one took on the wire,
 * whether it was received or not, since their loss is a figure of its own.
 */
function wireOverhead(
  { client, server }: BothEnds<WireCounters>,
  payload_bytes: number,
  datagram_bytes: number | undefined,
): Record<string, number> {
  if (datagram_bytes === undefined) {
    return { wire_overhead_ratio: (client.bytes + server.bytes) / payload_bytes - 1 };
  }
  if (client.packets === 0) return {};
  return { wire_overhead_ratio: client.bytes / (client.packets * datagram_bytes) - 1 };
}
