// `npm run bench -- [--rounds N] [--seconds S] [--variants a,b] [--offloads MODE] [--mtu N]
// [--reverse] [--json FILE]`: what encapsulation costs, pod to pod between two namespaces. Variants
// take turns within each round; a table gives medians with their spread and the ratio to kernel
// vxlan in the same round. A program: it runs when loaded. Numbers depend on the machine and its
// load: this prints them, it judges nothing.

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { Cleanup } from "../testbed/cleanup.js";
import { describeError, TestbedError } from "../testbed/error.js";
import { withTunnel } from "../testbed/tunnel.js";
import { createTunnel, type VariantName, variantNames } from "../testbed/tunnels.js";
import {
  createTwoHosts,
  type OffloadMode,
  offloadModes,
  type TwoHosts,
} from "../testbed/two-hosts.js";
import { readEnvironment } from "./environment.js";
import { type Measurement, measure } from "./measure.js";
import { formatResults, type Rounds } from "./report.js";

interface Options {
  rounds: number;
  seconds: number;
  variants: VariantName[];
  offloads: OffloadMode;
  mtu_bytes: number;
  reverse: boolean;
  json: string | undefined;
}

function positive(option: string, text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new TestbedError(`--${option} ${text}: a positive number is expected`);
}

function oneOf<T extends string>(option: string, text: string, allowed: readonly T[]): T {
  const found = allowed.find((word) => word === text);
  if (found !== undefined) return found;
  throw new TestbedError(`--${option} ${text}: expected one of ${allowed.join(", ")}`);
}

const defaultVariants = "kernel-vxlan,culvert-vxlan,culvert-ipip,plain,kernel-ipip,ovs-netdev";

const usage = `npm run bench -- [OPTION...]

  --rounds N        rounds; variants take turns within each (5)
  --seconds S       length of each transfer (3)
  --variants A,B    of ${variantNames.join(", ")}
  --offloads MODE   of the underlay: ${Object.keys(offloadModes).join(", ")} (default)
  --mtu N           of the underlay, bytes (1500)
  --reverse         TCP in the other direction as well
  --json FILE       every round, for machines

Example: npm run bench -- --rounds 3 --variants kernel-vxlan,culvert-vxlan`;

function readValues() {
  try {
    return parseArgs({
      options: {
        rounds: { type: "string", default: "5" },
        seconds: { type: "string", default: "3" },
        variants: { type: "string", default: defaultVariants },
        offloads: { type: "string", default: "default" },
        mtu: { type: "string", default: "1500" },
        reverse: { type: "boolean", default: false },
        json: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    }).values;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new TestbedError(`${text}; see --help`);
  }
}

/** Undefined: help was asked for, and is all that is wanted. */
function readOptions(): Options | undefined {
  const values = readValues();
  if (values.help) return undefined;
  const modes = Object.keys(offloadModes) as OffloadMode[];
  return {
    rounds: Math.round(positive("rounds", values.rounds)),
    seconds: Math.ceil(positive("seconds", values.seconds)),
    variants: values.variants.split(",").map((name) => oneOf("variants", name, variantNames)),
    offloads: oneOf("offloads", values.offloads, modes),
    mtu_bytes: positive("mtu", values.mtu),
    reverse: values.reverse,
    json: values.json,
  };
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Leaves out what this machine cannot have, with a line that says why. */
function supportedVariants(options: Options, hosts: TwoHosts, cleanup: Cleanup): VariantName[] {
  return options.variants.filter((name) => {
    const reason = createTunnel(name, hosts, cleanup).unsupported();
    if (reason !== undefined) say(`${name}: left out, ${reason}`);
    return reason === undefined;
  });
}

function describe(name: string, round: number, result: Measurement): string {
  return [
    `round ${round + 1} ${name}:`,
    `TCP ${(result.tcp_bits_per_s / 1e9).toFixed(2)} Gb/s,`,
    `64-byte UDP ${(result.udp64_delivered_per_s / 1e3).toFixed(0)} kpps,`,
    `1400-byte UDP ${(result.udp1400_bits_per_s / 1e9).toFixed(2)} Gb/s,`,
    `RTT ${result.rtt_us} us`,
  ].join(" ");
}

async function runRounds(
  options: Options,
  variants: readonly VariantName[],
  hosts: TwoHosts,
  cleanup: Cleanup,
): Promise<Rounds> {
  const rounds: Rounds = new Map(variants.map((name) => [name, []]));
  for (let round = 0; round < options.rounds; round++) {
    // Another variant goes first each time, so that none always runs on a machine warmed up by the
    // same one.
    const first = round % variants.length;
    for (const name of [...variants.slice(first), ...variants.slice(0, first)]) {
      const tunnel = createTunnel(name, hosts, cleanup);
      try {
        const result = await withTunnel(tunnel, () => measure(tunnel, hosts, options));
        rounds.get(name)![round] = result;
        say(describe(name, round, result));
      } catch (error) {
        process.exitCode = 1;
        rounds.get(name)![round] = undefined;
        say(`round ${round + 1} ${name}: FAILED, ${describeError(error)}`);
      }
    }
  }
  return rounds;
}

async function run(cleanup: Cleanup): Promise<void> {
  const options = readOptions();
  if (options === undefined) return say(usage);
  const environment = readEnvironment();
  const { kernel, cpu, cpuCount, node, commit } = environment;
  say(`Linux ${kernel}, ${cpuCount} x ${cpu}, Node.js ${node}, commit ${commit}`);
  say(`underlay: veth, MTU ${options.mtu_bytes}, offloads ${options.offloads}`);
  const hosts = createTwoHosts(cleanup, {
    underlayMtu_bytes: options.mtu_bytes,
    offloads: options.offloads,
  });
  const variants = supportedVariants(options, hosts, cleanup);
  const rounds = await runRounds(options, variants, hosts, cleanup);
  say(`\n${formatResults(rounds)}`);
  if (options.json === undefined) return;
  mkdirSync(dirname(options.json), { recursive: true });
  const content = { environment, options, rounds: Object.fromEntries(rounds) };
  writeFileSync(options.json, `${JSON.stringify(content, null, 2)}\n`);
  say(`every round: ${options.json}`);
}

const cleanup = new Cleanup();
try {
  await run(cleanup);
} catch (error) {
  process.exitCode = 1;
  process.stderr.write(`bench: ${describeError(error)}\n`);
} finally {
  cleanup.run();
}
