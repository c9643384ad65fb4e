// `culvert counters`: packets and bytes per tunnel and per peer, drops per reason; with --watch
// once a second with rates until Ctrl-C.

import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import type { CountersReport } from "../control/target.js";
import { type DaemonOptions, daemonClient, daemonOptions, withDaemonOptions } from "./command.js";
import { formatCounters } from "./counters-text.js";
import { type CliIo, writeJson } from "./io.js";

const EXAMPLES = `
Examples:
  culvert counters
  culvert counters --watch
  culvert counters -j | jq '.tunnels[].drops[] | select(.count > 0)'

egress is device -> underlay, ingress is underlay -> device; bytes are those of the inner packets.
With --watch -j, one report per line and second.`;

const WATCH_INTERVAL_MS = 1000;
/** Cursor home, then clear to the end: without the flicker of clearing first. */
const HOME = "\x1b[H";
const CLEAR_LINE_END = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";
const CLEAR_SCREEN = "\x1b[2J";

interface CountersOptions extends DaemonOptions {
  all?: true;
  watch?: true;
}

/** The `counters` command. */
export function countersCommand(io: CliIo): Command {
  return withDaemonOptions(new Command("counters"))
    .description("show packets, bytes and drops, per tunnel, per peer, per drop reason")
    .option("-a, --all", "also drop reasons and events that never happened")
    .option("-w, --watch", "refresh every second, with rates, until Ctrl-C")
    .addHelpText("after", EXAMPLES)
    .action(async (_options, command: Command) => {
      const options = daemonOptions<Omit<CountersOptions, keyof DaemonOptions>>(command);
      if (options.watch) return watch(io, options);
      const report = await daemonClient(options).counters();
      if (options.json) writeJson(io, report);
      else io.out(formatCounters(report, { all: options.all === true }));
    });
}

async function watch(io: CliIo, options: CountersOptions): Promise<void> {
  const client = daemonClient(options);
  const interrupted = io.interrupted();
  let earlier: { report: CountersReport; at_ms: number } | undefined;
  if (io.isTerminal && !options.json) io.out(CLEAR_SCREEN);
  while (!interrupted.aborted) {
    const report = await client.counters();
    const at_ms = performance.now();
    if (options.json) {
      io.out(`${JSON.stringify(report)}\n`);
    } else {
      const elapsed_s = earlier === undefined ? 1 : (at_ms - earlier.at_ms) / 1000;
      const text = formatCounters(report, {
        all: options.all === true,
        earlier: { report: earlier?.report ?? EMPTY, elapsed_s },
      });
      io.out(io.isTerminal ? repaint(text) : `${text}\n`);
    }
    earlier = { report, at_ms };
    await sleep(WATCH_INTERVAL_MS, undefined, { signal: interrupted }).catch(() => undefined);
  }
}

/** Before the first interval has passed there is nothing to compare with: every rate reads "-". */
const EMPTY: CountersReport = { tunnels: [], drops: [] };

function repaint(text: string): string {
  return HOME + text.replaceAll("\n", `${CLEAR_LINE_END}\n`) + CLEAR_BELOW;
}
