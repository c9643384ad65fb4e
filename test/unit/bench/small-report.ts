// A report with figures that can be checked by hand, for tests of what the forms say exactly; and
// one whose every name tries to break out of its place.

import type { BenchReport, Sample } from "../../../src/bench/report-model.js";
import { sampleReport } from "./sample-report.js";

const gigabits: Record<string, readonly number[]> = {
  "kernel-vxlan": [10, 20, 12],
  "culvert-vxlan": [5, 11, 7.2],
};

function samples(metric: string, factor: number): Sample[] {
  return Object.entries(gigabits).flatMap(([variant, values]) =>
    values.map((value, round) => {
      return { setting: 0, variant, round, workload: "tcp-1", metric, value: value * factor };
    }),
  );
}

/** Three rounds of one workload: ratios 0.5, 0.55 and 0.6. */
export const smallReport: BenchReport = {
  ...sampleReport({ rounds: 1 }),
  rounds: 3,
  settings: [{ mtu_bytes: 1500, offloads: "nic" }],
  workloads: ["tcp-1"],
  variants: [
    { name: "kernel-vxlan", title: "kernel vxlan" },
    { name: "kernel-ipip", title: "kernel ipip", missing: "no such device" },
    { name: "culvert-vxlan", title: "culvert vxlan" },
    { name: "culvert-ipip", title: "culvert ipip" },
  ],
  samples: [...samples("throughput_bits_per_s", 1e9), ...samples("retransmits_per_gib", 1)],
  failures: [0, 1, 2].map((round) => {
    return { setting: 0, variant: "culvert-ipip", round, workload: "tcp-1", reason: "no answer" };
  }),
};

/** Markup of HTML, of Markdown, and for a terminal. */
export const hostile = `</title><script>alert(1)</script>&amp;"'|*_\`[x](y)\u001b[2J\u0000\u202e\ud800\n# z`;

/** The text in every place of a report that another host or a file can fill. */
export function hostileReport(text: string): BenchReport {
  const variant = `culvert-${text}`;
  const place = { setting: 0, variant, round: 0, workload: text };
  return {
    ...smallReport,
    environment: {
      kernel: text,
      cpu: text,
      cpuCount: 2,
      memory_bytes: 1,
      node: text,
      culvert: text,
      commit: text,
      iperf3: text,
      latencyTool: text,
      date: text,
    },
    reference: variant,
    rounds: 1,
    settings: [
      { offloads: text },
      { mtu_bytes: 1500, offloads: "nic", offloadsInForce: { [text]: true } },
    ],
    workloads: [text, "latency"],
    variants: [
      { name: variant, title: text },
      { name: "missing", title: text, missing: text },
    ],
    samples: [{ ...place, metric: text, value: 3 }],
    failures: [{ ...place, workload: "latency", reason: text }],
  };
}
