// `npm run demo`: two hosts, a pod behind each, and the traffic of pod to pod over every kind of
// tunnel in turn. Prints what it does while it does it and one table at the end. Leaves nothing
// behind, also when interrupted. A program, not a module: it runs when loaded.

import { formatTable, namesAndNumbers } from "../text-table.js";
import { Cleanup } from "./cleanup.js";
import { startCpuMeter } from "./cpu.js";
import { describeError, TestbedError } from "./error.js";
import { iperfTcp } from "./iperf.js";
import { checkMachine } from "./machine.js";
import { staleNamespaces } from "./namespace.js";
import { ping, pingUntilAnswered } from "./ping.js";
import { culvertEntry } from "./project.js";
import { type Tunnel, withTunnel } from "./tunnel.js";
import { createTunnel, type VariantName, variants } from "./tunnels.js";
import { createTwoHosts, type TwoHosts } from "./two-hosts.js";

const transfer_s = 4;
const compared: readonly VariantName[] = [
  "routes",
  "kernel-vxlan",
  "culvert-vxlan",
  "culvert-ipip",
  "kernel-ipip",
];

interface Measured {
  title: string;
  bits_per_s: number;
  rtt_us: number;
  loss: number;
  machine_s_per_gb: number;
  daemons_s_per_gb: number | undefined;
}

const started_ms = performance.now();

function say(text: string): void {
  const elapsed_s = ((performance.now() - started_ms) / 1000).toFixed(1).padStart(5);
  process.stdout.write(`[${elapsed_s} s] ${text}\n`);
}

/** Everything the demo needs, checked before anything is made. */
function checkDemo(): void {
  checkMachine("the demo", "npm run demo");
  culvertEntry();
  const stale = staleNamespaces();
  if (stale.length > 0) {
    say(`left over from a killed run: ${stale.join(" ")} (remove: ip netns del NAME)`);
  }
}

async function measure(title: string, tunnel: Tunnel, hosts: TwoHosts): Promise<Measured> {
  const { left, right } = hosts;
  if (!(await pingUntilAnswered(left.pod, right.podIp))) {
    throw new TestbedError(`no answer from ${right.podIp} to five pings from ${left.podIp}`);
  }
  const echo = await ping({ from: left.pod, to: right.podIp });
  const cpu = startCpuMeter(tunnel.pids);
  const transfer = await iperfTcp({
    client: left.pod,
    server: right.pod,
    address: right.podIp,
    seconds: transfer_s,
  });
  const used = cpu();
  if (transfer.bytes === 0) throw new TestbedError("iperf3 transferred nothing");
  const gigabytes = transfer.bytes / 1e9;
  return {
    title,
    bits_per_s: transfer.bits_per_s,
    rtt_us: echo.avg_us,
    loss: echo.loss,
    machine_s_per_gb: used.machine_s / gigabytes,
    daemons_s_per_gb: tunnel.pids.length === 0 ? undefined : used.processes_s / gigabytes,
  };
}

function runVariant(title: string, tunnel: Tunnel, hosts: TwoHosts): Promise<Measured> {
  return withTunnel(tunnel, async () => {
    if (tunnel.ready_ms !== undefined) {
      say(`${title}: two daemons ready, the slower in ${tunnel.ready_ms.toFixed(0)} ms`);
    }
    say(`${title}: ping and ${transfer_s} s of iperf3, pod to pod`);
    const measured = await measure(title, tunnel, hosts);
    const status = await tunnel.status?.();
    if (status !== undefined) {
      say(`${title}: what \`culvert status\` says on 10.57.4.20 now`);
      process.stdout.write(`${status.trimEnd().replaceAll(/^/gm, "            ")}\n`);
    }
    return measured;
  });
}

function tableOf(rows: readonly Measured[]): string {
  const number = (value: number | undefined, digits: number): string =>
    value === undefined ? "-" : value.toFixed(digits);
  const head = ["pod to pod over", "Gb/s", "RTT ms", "ping loss %", "CPU s/GB", "of it daemons"];
  return formatTable(
    [
      head,
      ...rows.map((row) => [
        row.title,
        number(row.bits_per_s / 1e9, 2),
        number(row.rtt_us / 1000, 3),
        number(row.loss * 100, 0),
        number(row.machine_s_per_gb, 2),
        number(row.daemons_s_per_gb, 2),
      ]),
    ],
    namesAndNumbers(head.length),
    { heads: 1 },
  );
}

/** Runs all variants and prints the table; false when a ping or a transfer failed. */
async function runAll(cleanup: Cleanup): Promise<boolean> {
  const hosts = createTwoHosts(cleanup);
  say("two hosts (10.57.4.20, 10.57.4.21) with a pod each (192.168.10.10, 192.168.11.10)");
  const rows: Measured[] = [];
  const remarks: string[] = [];
  let passed = true;
  for (const name of compared) {
    const { title } = variants[name];
    const tunnel = createTunnel(name, hosts, cleanup);
    const reason = tunnel.unsupported();
    if (reason !== undefined) {
      remarks.push(`${title}: not measured, ${reason}`);
      continue;
    }
    try {
      const row = await runVariant(title, tunnel, hosts);
      rows.push(row);
      if (row.loss > 0) {
        passed = false;
        remarks.push(`${title}: FAILED, pings were lost`);
      }
    } catch (error) {
      passed = false;
      remarks.push(`${title}: FAILED, ${describeError(error)}`);
    }
  }
  process.stdout.write(`\n${tableOf(rows)}\n`);
  process.stdout.write(
    "CPU s/GB: seconds of both cores and all processes, iperf3 included, per GB of payload;\n" +
      "of it daemons: the part that the two culvert daemons took.\n",
  );
  for (const remark of remarks) process.stdout.write(`${remark}\n`);
  return passed;
}

async function main(): Promise<void> {
  const cleanup = new Cleanup();
  let made = false;
  try {
    checkDemo();
    made = true;
    if (!(await runAll(cleanup))) process.exitCode = 1;
  } catch (error) {
    process.exitCode = 1;
    process.stderr.write(`demo: ${describeError(error)}\n`);
  } finally {
    cleanup.run();
  }
  if (made) say('removed everything; next: README.md, "Between two real hosts"');
}

await main();
