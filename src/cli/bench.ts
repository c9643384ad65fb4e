// `culvert bench`: what encapsulation costs, on this machine alone or between two hosts. Options
// are bench-options.ts; measuring lives in src/bench, of which only what is asked for is loaded.
// Needs no daemon.

import { readFileSync } from "node:fs";
import { Command } from "commander";
import type { BenchReport } from "../bench/report-model.js";
import { CulvertError, ExitStatus } from "../errors.js";
import { Cleanup } from "../testbed/cleanup.js";
import {
  addBenchOptions,
  type BenchOptions,
  DEFAULT_PORT,
  localOptions,
  readBenchOptions,
  wantedWorkloads,
} from "./bench-options.js";
import { type CliIo, printable, writeJson } from "./io.js";
import { OutputFile } from "./output-file.js";

const EXAMPLES = `
Examples:
  culvert bench
  culvert bench --rounds 3 --variants kernel-vxlan,culvert-vxlan --workloads tcp-1,latency
  culvert bench --full -j today.json --html today.html
  culvert bench --compare yesterday.json
  culvert bench --listen                        (on one host)
  culvert bench --remote 10.57.4.21             (on the other)

Without --listen or --remote it needs root, makes network namespaces that play two hosts, and removes them at the end
or at Ctrl-C; your network is not touched. As it stands it takes some minutes, with --full about an hour: it says
at the start how long about. Progress goes to standard error, the result to standard output. The numbers depend on
the machine and what else it does: the ratios, taken within each round, depend less on it.

What a variant, a workload and a metric is, stands in the manual page: man -l docs/culvert.8`;

/** The `bench` command; `finish` gets exit status 1 when something could not be measured. */
export function benchCommand(io: CliIo, finish: (status: ExitStatus) => void): Command {
  return addBenchOptions(new Command("bench"))
    .description("measure what encapsulation costs, against the kernel's own devices")
    .addHelpText("after", EXAMPLES)
    .action(async (_options, command: Command) => {
      const options = readBenchOptions(command);
      if (options.listen) return listen(options, io);
      const cleanup = new Cleanup();
      try {
        const report = await measureAndShow(options, io, cleanup);
        if (report.failures.length > 0) finish(ExitStatus.failed);
      } finally {
        cleanup.run();
      }
    });
}

const sayTo =
  (io: CliIo) =>
  (text: string): void => {
    const lines = text.split("\n").map(printable);
    io.err(`${lines.join("\n")}\n`);
  };

async function listen({ bind = "::", port, socket }: BenchOptions, io: CliIo): Promise<void> {
  const { runListener } = await import("../bench/listen.js");
  await runListener({
    ...{ bind, port: port ?? DEFAULT_PORT, socketPath: socket },
    ...{ signal: io.interrupted(), log: sayTo(io) },
  });
}

async function measureAndShow(
  options: BenchOptions,
  io: CliIo,
  cleanup: Cleanup,
): Promise<BenchReport> {
  const open = (where: string | true | undefined): OutputFile | undefined =>
    typeof where === "string" ? new OutputFile(where, cleanup) : undefined;
  const earlier = options.compare === undefined ? undefined : await readReport(options.compare);
  const files = {
    json: open(options.json),
    markdown: open(options.markdown),
    html: open(options.html),
  };
  const report = await measure(options, io, cleanup);
  await writeFiles(report, files, io);
  await showResult(report, options, io);
  if (earlier !== undefined) await showComparison(earlier, report, options, io);
  return report;
}

async function measure(options: BenchOptions, io: CliIo, cleanup: Cleanup): Promise<BenchReport> {
  const say = sayTo(io);
  if (options.remote === undefined) {
    const { measureLocal } = await import("../bench/measure-local.js");
    return measureLocal(localOptions(options), say, cleanup);
  }
  const { measureRemote } = await import("../bench/remote.js");
  const { remote, port = DEFAULT_PORT, socket, via = [], rounds, seconds } = options;
  const workloads = wantedWorkloads(options);
  return measureRemote(
    { host: remote, port, socketPath: socket, via, rounds, seconds, workloads, cleanup },
    say,
  );
}

interface Files {
  readonly json: OutputFile | undefined;
  readonly markdown: OutputFile | undefined;
  readonly html: OutputFile | undefined;
}

async function writeFiles(report: BenchReport, files: Files, io: CliIo): Promise<void> {
  if (files.json !== undefined) {
    const { formatReport } = await import("../bench/report-file.js");
    files.json.write(formatReport(report));
  }
  if (files.markdown !== undefined) {
    const { renderMarkdown } = await import("../bench/render-markdown.js");
    files.markdown.write(renderMarkdown(report));
  }
  if (files.html !== undefined) {
    const { renderHtml } = await import("../bench/render-html.js");
    files.html.write(renderHtml(report));
  }
  for (const file of Object.values(files) as Files[keyof Files][]) {
    if (file !== undefined) sayTo(io)(`written: ${file.path}`);
  }
}

async function showResult(report: BenchReport, options: BenchOptions, io: CliIo): Promise<void> {
  if (options.json === true) return writeJson(io, report);
  if (options.markdown === true) {
    const { renderMarkdown } = await import("../bench/render-markdown.js");
    return io.out(renderMarkdown(report));
  }
  const { renderTable } = await import("../bench/render-table.js");
  io.out(`\n${renderTable(report)}`);
}

/** On standard output, unless a program reads that. */
async function showComparison(
  earlier: BenchReport,
  report: BenchReport,
  { json, markdown }: BenchOptions,
  io: CliIo,
): Promise<void> {
  const [{ compareReports }, { renderComparison }] = await Promise.all([
    import("../bench/compare.js"),
    import("../bench/render-comparison.js"),
  ]);
  const text = `\n${renderComparison(compareReports(earlier, report))}`;
  if (json === true || markdown === true) io.err(text);
  else io.out(text);
}

async function readReport(path: string): Promise<BenchReport> {
  const { parseReport } = await import("../bench/report-file.js");
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new CulvertError(
      "CULVERT_BENCH_REPORT",
      `cannot read ${path}: ${(error as Error).message}`,
      {
        exit: ExitStatus.usage,
        hint: "name a file that `culvert bench --json FILE` wrote",
        cause: error,
      },
    );
  }
  return parseReport(text, path);
}
