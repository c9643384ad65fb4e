// The workloads that move as much as they can: TCP with one stream, four, both directions at once;
// UDP by size of datagram. All by iperf3.

import { TestbedError } from "../../testbed/error.js";
import {
  parseTcp,
  parseUdp,
  runIperfClient,
  startIperfServer,
  udpArguments,
} from "../../testbed/iperf.js";
import { hasCommand } from "../../testbed/process.js";
import { GIB_BYTES } from "../metrics.js";
import type { ClientOptions, Workload, WorkloadResult } from "../workload.js";

/** TCP; `extra` are arguments of iperf3's client. */
export function tcpWorkload(id: string, extra: readonly string[]): Workload {
  return bulkWorkload(id, async (options) => tcpResult(await runIperfClient(options, extra)));
}

/** Datagrams of `payload_bytes`, as fast as iperf3 sends them. */
export function udpWorkload(id: string, payload_bytes: number): Workload {
  return bulkWorkload(id, async (options) =>
    udpResult(await runIperfClient(options, udpArguments(payload_bytes)), payload_bytes),
  );
}

function bulkWorkload(
  id: string,
  run: (options: ClientOptions) => Promise<WorkloadResult>,
): Workload {
  return {
    id,
    run,
    unsupported: () =>
      hasCommand("iperf3") ? undefined : "iperf3 is not installed (`npm run setup` does it)",
    serve: async (at, port, seconds) => ({
      port,
      ...(await startIperfServer(at, port, seconds)),
    }),
  };
}

/** Reads the client's JSON. Throws TestbedError when nothing arrived. */
export function tcpResult(output: string): WorkloadResult {
  const { bits_per_s, bytes, retransmits, cpu_s } = parseTcp(output);
  somethingArrived(bytes);
  return {
    values: {
      throughput_bits_per_s: bits_per_s,
      retransmits_per_gib: retransmits / (bytes / GIB_BYTES),
    },
    payload_bytes: bytes,
    generatorCpu_s: cpu_s,
  };
}

/** Reads the client's JSON. Throws TestbedError when nothing arrived. */
export function udpResult(output: string, payload_bytes: number): WorkloadResult {
  const { delivered_per_s, sent_per_s, loss, bits_per_s, bytes, cpu_s } = parseUdp(
    output,
    payload_bytes,
  );
  somethingArrived(bytes);
  return {
    values: {
      delivered_per_s,
      throughput_bits_per_s: bits_per_s,
      sent_per_s,
      loss_ratio: loss,
    },
    payload_bytes: bytes,
    datagram_bytes: payload_bytes,
    generatorCpu_s: cpu_s,
  };
}

function somethingArrived(bytes: number): void {
  if (bytes > 0) return;
  throw new TestbedError(
    "iperf3 sent, and nothing arrived",
    "see whether both ends have one MTU, and `culvert counters` for what was dropped",
  );
}
