// 10 million random and damaged frames from the device and as many datagrams from the underlay
// through whole data planes (test/property/soak): no crash, nothing uncounted, memory flat. The
// native half, on a real TAP and real sockets under AddressSanitizer, is test/native/fuzz.test.ts.

import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { type SoakTotals, soak } from "../../test/property/soak/soak.js";
import { countOption, type Row, type Scale } from "./harness.js";

const MAX_FRAMES = 1_000_000_000;
/** After this share of the frames memory must not grow any more. */
const WARM_UP = 0.2;
const GROWTH_LIMIT_MIB = 48;
const REPORTS = 20;

/** Resident memory of this process after a full garbage collection, MiB. */
function settledMib(collect: () => void): number {
  collect();
  return process.memoryUsage.rss() / (1 << 20);
}

function exposedGc(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}

export const scale: Scale = {
  usage: "fuzz [--frames N] [--seed N]      random frames both ways; every one is counted",
  async run(args: readonly string[]): Promise<readonly Row[]> {
    const { values } = parseArgs({
      args: [...args],
      options: { frames: { type: "string" }, seed: { type: "string" } },
    });
    const frames = countOption(values.frames, 10_000_000, MAX_FRAMES);
    const seed = countOption(values.seed, (Date.now() % 0xffff_ffff) + 1, 0xffff_ffff);
    process.stdout.write(`seed ${seed}, ${frames} frames each way\n`);
    const collect = exposedGc();
    const started_ms = performance.now();
    const memory: number[] = [];
    let next = 0;
    const onProgress = (totals: SoakTotals): void => {
      if (totals.frames < next) return;
      next += frames / REPORTS;
      const now_mib = settledMib(collect);
      if (totals.frames >= frames * WARM_UP) memory.push(now_mib);
      process.stderr.write(`${totals.frames} frames, ${now_mib.toFixed(0)} MiB\n`);
    };
    const totals = soak({ seed, frames, onProgress });
    const seconds = (performance.now() - started_ms) / 1000;
    const growth_mib = memory.length > 0 ? memory[memory.length - 1] - memory[0] : 0;
    if (growth_mib > GROWTH_LIMIT_MIB) {
      throw new Error(`memory grew by ${growth_mib.toFixed(0)} MiB: seed ${seed}`);
    }
    return [
      { what: "frames from the device", value: totals.frames, unit: "" },
      { what: "datagrams from the underlay", value: totals.datagrams, unit: "" },
      { what: "packets out: sent", value: totals.sent, unit: "" },
      { what: "packets in: written", value: totals.written, unit: "" },
      { what: "answered by the proxy", value: totals.answered, unit: "" },
      { what: "ICMP errors of IPIP tunnels", value: totals.icmpErrors, unit: "" },
      { what: "data planes, each with other options", value: totals.hosts, unit: "" },
      ...Object.entries(totals.drops)
        .sort()
        .map(([reason, count]) => ({ what: `dropped: ${reason}`, value: count, unit: "" })),
      { what: "memory growth after the first fifth", value: growth_mib, unit: "MiB" },
      { what: "time", value: seconds, unit: "s" },
    ];
  },
};
