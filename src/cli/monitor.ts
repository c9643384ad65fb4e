// `culvert monitor`: what happens in a daemon's tables and among its peers, line by line as it
// happens, until Ctrl-C.

import { Command } from "commander";
import { monitorDaemon } from "../control/monitor-client.js";
import { MONITOR_KINDS } from "../control/monitor-events.js";
import { type DaemonOptions, daemonOptions, withDaemonOptions, withGrammar } from "./command.js";
import type { CliIo } from "./io.js";
import { type Grammar, parseWords } from "./keyword-args.js";
import { formatEvent, type TimestampStyle } from "./monitor-text.js";

const GRAMMAR = {
  usage: "culvert monitor [fdb] [neigh] [miss] [peer] [dev NAME]",
  values: { dev: "device" },
  flags: [...MONITOR_KINDS, "all"],
} as const satisfies Grammar;

const EXAMPLES = `
Kinds (all of them unless some are named):
  fdb    entries learned, moved, aged, set and removed, as \`bridge monitor fdb\` prints them
  neigh  neighbours set and removed, as \`ip monitor neigh\` prints them
  miss   MACs without FDB entry and addresses without neighbour, of tunnels with l2miss or l3miss
  peer   peers seen for the first time or again, silent, refused; up and down where they are culvert

Examples:
  culvert monitor
  culvert monitor fdb dev vxlan100
  culvert monitor miss peer -ts
  culvert monitor -j | jq 'select(.kind == "fdb" and .from != null)'`;

interface MonitorOptions {
  timestamp?: true;
  tshort?: true;
}

/** The `monitor` command. */
export function monitorCommand(io: CliIo): Command {
  const command = withDaemonOptions(new Command("monitor"))
    .description("print changes of entries, misses and peers as they happen, until Ctrl-C")
    .usage("[fdb] [neigh] [miss] [peer] [dev NAME] [options]")
    .argument("[words...]", "kinds of events, and the device")
    .option("-t, --timestamp", "a line with the time before each event")
    .option("-s, --tshort", "the time on the event's line; -ts means the same")
    .addHelpText("after", EXAMPLES)
    .action((words: string[], _options, self: Command) => monitor(io, words, self));
  return withGrammar(command, GRAMMAR);
}

async function monitor(io: CliIo, words: string[], command: Command): Promise<void> {
  const { values, flags } = parseWords(words, GRAMMAR);
  const options: DaemonOptions & MonitorOptions = daemonOptions<MonitorOptions>(command);
  const named = MONITOR_KINDS.filter((kind) => flags.has(kind));
  const kinds = named.length === 0 || flags.has("all") ? undefined : named;
  const style = timestampStyle(options);
  await monitorDaemon({
    socketPath: options.socket,
    query: { kinds, dev: values.dev },
    signal: io.interrupted(),
    onLine: (line) => {
      if (options.json) io.out(`${JSON.stringify(line)}\n`);
      else if (line.kind === "lost") io.err(lostLine(line.count));
      else io.out(formatEvent(line, style));
    },
  });
}

function timestampStyle({ timestamp, tshort }: MonitorOptions): TimestampStyle {
  if (tshort) return "short";
  return timestamp ? "line" : "none";
}

const lostLine = (count: number): string =>
  `culvert: ${count} ${count === 1 ? "event was" : "events were"} lost: they came too fast\n`;
