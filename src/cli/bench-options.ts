// The options of `culvert bench`: their words, their ranges, what goes together, and what they ask
// for. Opens and measures nothing.

import { type Command, Option } from "commander";
import type { LocalOptions, LocalSetting } from "../bench/measure-local.js";
import { WORKLOADS } from "../bench/metrics.js";
import { DEFAULT_SOCKET_PATH } from "../control/paths.js";
import { type VariantName, variantNames } from "../testbed/tunnels.js";
import { type OffloadMode, offloadModes } from "../testbed/two-hosts.js";
import { listOption, numberOption, parseNumber } from "./option-values.js";
import { usageError } from "./usage-error.js";

const workloadNames = WORKLOADS.map(({ id }) => id);
const offloadNames = Object.keys(offloadModes) as OffloadMode[];

/** What the goals are set in, short enough for a coffee break. */
const usualWorkloads = ["tcp-1", "udp-64", "udp-1400", "latency"];
const fullMtus_bytes = [1500, 9000];
const fullOffloads: readonly OffloadMode[] = ["default", "nic"];

/** The kernel takes no larger MTU for a veth; below 576 IPv4 itself gets no whole packet. */
const smallestMtu_bytes = 576;
const largestMtu_bytes = 65_535;

/** Between --listen and --remote, TCP. */
export const DEFAULT_PORT = 9480;

export interface Via {
  readonly name: string;
  readonly address: string;
}

/** As commander gives them. */
export interface BenchOptions {
  readonly socket: string;
  readonly rounds: number;
  readonly seconds: number;
  readonly variants?: readonly VariantName[];
  readonly workloads?: readonly string[];
  readonly mtu?: readonly number[];
  readonly offloads?: readonly OffloadMode[];
  readonly full?: true;
  /** A file, or true for standard output. */
  readonly json?: string | true;
  readonly markdown?: string | true;
  readonly html?: string;
  readonly compare?: string;
  readonly listen?: true;
  readonly bind?: string;
  readonly remote?: string;
  readonly port?: number;
  readonly via?: readonly Via[];
}

const local = ["variants", "mtu", "offloads"];
const measuring = ["workloads", "full", "json", "markdown", "html", "compare", "via"];

/** Adds them all, in the order of the help. */
export function addBenchOptions(command: Command): Command {
  const options = [
    numberOption("--rounds <n>", "rounds; variants take turns within each", 1, 1000).default(5),
    numberOption("--seconds <n>", "length of each transfer", 1, 3600).default(2),
    listOption("--variants <list>", "what is compared (default: all)", variantNames),
    listOption(
      "--workloads <list>",
      `what is measured (default: ${usualWorkloads.join(",")})`,
      workloadNames,
    ),
    new Option("--mtu <list>", "MTUs of the underlay, bytes (default: 1500)").argParser(parseMtus),
    listOption("--offloads <list>", "offloads of the underlay (default: default)", offloadNames),
    new Option(
      "--full",
      `MTU ${fullMtus_bytes.join(",")}, offloads ${fullOffloads.join(",")}, all workloads`,
    ),
    new Option("-j, --json [file]", "the report as JSON, into a file or instead of the table"),
    new Option("--markdown [file]", "the report as Markdown, likewise"),
    new Option("--html <file>", "the report as a page with charts, which needs no network"),
    new Option("--compare <file>", "an earlier report (JSON): tell what moved beyond the noise"),
    new Option("--listen", "be the far end for another host's --remote").conflicts([
      "remote",
      ...local,
      ...measuring,
    ]),
    new Option("--bind <address>", "with --listen: the address to listen on (default: all)"),
    new Option(
      "--remote <host>",
      "measure the way to a host with --listen, over the running tunnels",
    ).conflicts(local),
    new Option(
      "--via <name=address>",
      "with --remote: a way more, by an address of the other host; repeatable",
    ).argParser(collectVia),
    numberOption(
      "--port <n>",
      `TCP port between --listen and --remote; traffic takes the next one (default: ${DEFAULT_PORT})`,
      1,
      65_535,
    ),
    new Option("--socket <path>", `control socket of the daemon (default: ${DEFAULT_SOCKET_PATH})`),
  ];
  for (const option of options) command.addOption(option);
  return command;
}

function parseMtus(text: string): number[] {
  const numbers = text.split(",").map((word) => {
    return parseNumber("--mtu", word.trim(), smallestMtu_bytes, largestMtu_bytes);
  });
  return [...new Set(numbers)];
}

function collectVia(text: string, earlier: readonly Via[] = []): Via[] {
  const [, name, address] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (name === undefined || address === undefined) {
    throw usageError(
      `--via: "${text}" is not NAME=ADDRESS`,
      "name a way and the other host's address over it: --via kernel-vxlan=192.168.11.1",
    );
  }
  if (earlier.some((via) => via.name === name)) {
    throw usageError(`--via: "${name}" is given twice`, "give each way a name of its own");
  }
  return [...earlier, { name, address }];
}

/** The options of `command`; throws CULVERT_USAGE when one is given that means nothing here. */
export function readBenchOptions(command: Command): BenchOptions {
  const given: BenchOptions = {
    socket: DEFAULT_SOCKET_PATH,
    ...command.optsWithGlobals<Omit<BenchOptions, "socket">>(),
    // `culvert -j bench -j FILE`: the nearer one counts.
    ...command.opts<Pick<BenchOptions, "json">>(),
  };
  const needs = (option: keyof BenchOptions, ...modes: readonly ("listen" | "remote")[]): void => {
    if (given[option] === undefined || modes.some((mode) => given[mode] !== undefined)) return;
    const words = modes.map((mode) => `--${mode}`).join(" or ");
    throw usageError(`--${option} goes with ${words} only`, "see `culvert bench --help`");
  };
  needs("bind", "listen");
  needs("via", "remote");
  needs("port", "listen", "remote");
  if (given.json === true && given.markdown === true) {
    throw usageError(
      "--json and --markdown cannot both be written to standard output",
      "give one of them a file: --json FILE",
    );
  }
  return given;
}

/** What is measured, in the order of metrics.ts. */
export function wantedWorkloads({ workloads, full }: BenchOptions): readonly string[] {
  return workloads ?? (full ? workloadNames : usualWorkloads);
}

/** What the options ask of this machine alone. */
export function localOptions(options: BenchOptions): LocalOptions {
  const { rounds, seconds, full } = options;
  const mtus_bytes = options.mtu ?? (full ? fullMtus_bytes : [1500]);
  const offloads = options.offloads ?? (full ? fullOffloads : ["default" as const]);
  const settings: LocalSetting[] = mtus_bytes.flatMap((mtu_bytes) =>
    offloads.map((mode) => ({ mtu_bytes, offloads: mode })),
  );
  return {
    ...{ settings, rounds, seconds },
    variants: options.variants ?? variantNames,
    workloads: wantedWorkloads(options),
  };
}
