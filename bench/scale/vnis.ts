// Thousands of VNIs on one port: time until ready, memory, idle CPU, and pings over a sample, to a
// second daemon with as many.

import { parseArgs } from "node:util";
import { Daemon } from "../../src/testbed/daemon.js";
import { pingUntilAnswered } from "../../src/testbed/ping.js";
import { sleep } from "../../src/testbed/process.js";
import {
  countOption,
  cpu_s,
  createPair,
  type Row,
  residentMib,
  type Scale,
  withCleanup,
} from "./harness.js";

const MAX_TUNNELS = 4096;
const SAMPLES = 20;
const IDLE_S = 10;

/** One subnet per VNI: 10.(64 + n / 256).(n % 256).0/24. */
const address = (n: number, host: number): string => `10.${64 + (n >> 8)}.${n & 0xff}.${host}`;

function config(count: number, side: number): string {
  const tunnels = Array.from({ length: count }, (_, n) => {
    const more = `addresses: [${address(n, side)}/24], max_entries: 64, remotes: [10.57.4.${side === 1 ? 21 : 20}]`;
    return `  - { name: vx${n}, type: vxlan, vni: ${1000 + n}, local: 10.57.4.${19 + side}, ${more} }\n`;
  });
  return `workers: 1\ntunnels:\n${tunnels.join("")}`;
}

async function measure(count: number): Promise<readonly Row[]> {
  return withCleanup(async (cleanup) => {
    const { host, peer } = createPair(cleanup);
    const daemon = await Daemon.start({ namespace: host, cleanup, config: config(count, 1) });
    const other = await Daemon.start({ namespace: peer, cleanup, config: config(count, 2) });
    let answered = 0;
    for (let i = 0; i < SAMPLES; i++) {
      const n = Math.floor((i * (count - 1)) / Math.max(1, SAMPLES - 1));
      if (await pingUntilAnswered(host, address(n, 2), 15)) answered++;
    }
    const before_s = cpu_s(daemon.pid);
    await sleep(IDLE_S * 1000);
    const idle_percent = ((cpu_s(daemon.pid) - before_s) / IDLE_S) * 100;
    const resident_mib = residentMib(daemon.pid);
    for (const each of [daemon, other]) {
      const { status } = await each.stop();
      if (status !== 0) throw new Error(`a daemon ended with ${status}: ${each.log.slice(-2000)}`);
    }
    if (answered < SAMPLES) throw new Error(`only ${answered} of ${SAMPLES} VNIs answer pings`);
    return [
      { what: "VNIs on one port", value: count, unit: "" },
      { what: "time to ready", value: daemon.ready_ms / 1000, unit: "s" },
      { what: "resident", value: resident_mib, unit: "MiB" },
      { what: "idle CPU", value: idle_percent, unit: "%" },
      { what: "pings answered, of a sample", value: answered, unit: "" },
    ];
  });
}

export const scale: Scale = {
  usage: "vnis [--tunnels N]      4,000 VNIs on one port: time to ready, memory, idle CPU, pings",
  async run(args: readonly string[]): Promise<readonly Row[]> {
    const options = { tunnels: { type: "string" } } as const;
    const { values } = parseArgs({ args: [...args], options });
    return measure(countOption(values.tunnels, 4000, MAX_TUNNELS));
  },
};
