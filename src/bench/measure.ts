// One measurement of one variant: TCP, small and large UDP datagrams, round-trip time, CPU, memory.
// The tunnel is up and the pods reach each other when this is called.

import { residentMemory_bytes, startCpuMeter } from "../testbed/cpu.js";
import { TestbedError } from "../testbed/error.js";
import { iperfTcp, iperfUdp } from "../testbed/iperf.js";
import { ping, pingUntilAnswered } from "../testbed/ping.js";
import type { Tunnel } from "../testbed/tunnel.js";
import type { TwoHosts } from "../testbed/two-hosts.js";

const memorySample_ms = 100;
const pingCount = 100;
const pingInterval_ms = 10;

/**
 * Numbers of one variant in one round. Memory is that of the larger daemon; undefined without
 * daemons.
 */
export interface Measurement {
  tcp_bits_per_s: number;
  /** The other direction; only when asked for. */
  tcpReverse_bits_per_s: number | undefined;
  /** CPU seconds of the whole machine (traffic generator included) per GB of the TCP transfer. */
  tcpCpu_s_per_gb: number;
  udp64_delivered_per_s: number;
  udp64_sent_per_s: number;
  udp1400_bits_per_s: number;
  rtt_us: number;
  ready_ms: number | undefined;
  rssBefore_bytes: number | undefined;
  rssPeak_bytes: number | undefined;
  rssAfter_bytes: number | undefined;
}

export interface MeasureOptions {
  seconds: number;
  reverse: boolean;
}

function largestMemory_bytes(pids: readonly number[]): number | undefined {
  return pids.length === 0 ? undefined : Math.max(...pids.map(residentMemory_bytes));
}

/**
 * Samples the daemons' memory until the returned function is called, which gives the highest value
 * seen.
 */
function watchMemory(pids: readonly number[]): () => number | undefined {
  let peak_bytes = largestMemory_bytes(pids);
  const sample = (): void => {
    const now_bytes = largestMemory_bytes(pids);
    if (now_bytes !== undefined) peak_bytes = Math.max(peak_bytes ?? 0, now_bytes);
  };
  const timer = setInterval(sample, memorySample_ms);
  return () => {
    clearInterval(timer);
    sample();
    return peak_bytes;
  };
}

/**
 * Takes about 3 times `seconds` (4 with `reverse`). Throws TestbedError when nothing gets through.
 */
export async function measure(
  tunnel: Tunnel,
  { left, right }: TwoHosts,
  { seconds, reverse }: MeasureOptions,
): Promise<Measurement> {
  if (!(await pingUntilAnswered(left.pod, right.podIp))) {
    throw new TestbedError(`no answer from ${right.podIp} to five pings`);
  }
  const rssBefore_bytes = largestMemory_bytes(tunnel.pids);
  const path = { client: left.pod, server: right.pod, address: right.podIp, seconds };
  const echo = await ping({
    from: left.pod,
    to: right.podIp,
    count: pingCount,
    interval_ms: pingInterval_ms,
  });
  const memory = watchMemory(tunnel.pids);
  try {
    const cpu = startCpuMeter(tunnel.pids);
    const tcp = await iperfTcp(path);
    const used = cpu();
    const back = reverse ? await iperfTcp({ ...path, reverse: true }) : undefined;
    const small = await iperfUdp({ ...path, payload_bytes: 64 });
    const large = await iperfUdp({ ...path, payload_bytes: 1400 });
    return {
      tcp_bits_per_s: tcp.bits_per_s,
      tcpReverse_bits_per_s: back?.bits_per_s,
      tcpCpu_s_per_gb: used.machine_s / (tcp.bytes / 1e9),
      udp64_delivered_per_s: small.delivered_per_s,
      udp64_sent_per_s: small.sent_per_s,
      udp1400_bits_per_s: large.bits_per_s,
      rtt_us: echo.median_us,
      ready_ms: tunnel.ready_ms,
      rssBefore_bytes,
      rssPeak_bytes: memory(),
      rssAfter_bytes: largestMemory_bytes(tunnel.pids),
    };
  } finally {
    memory();
  }
}
