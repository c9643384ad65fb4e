// `culvert neigh`: the words of `ip neigh`, ip-neighbour(8), on the table that answers ARP and
// neighbour solicitations; output in ip's line and JSON formats.

import type { Command } from "commander";
import type { NeighChange, NeighEntry } from "../control/target.js";
import { daemonClient, daemonOptions, operationsCommand } from "./command.js";
import { type CliIo, writeJson } from "./io.js";
import { type Grammar, parseWords } from "./keyword-args.js";
import { usageError } from "./usage-error.js";

const SHOW = {
  usage: "culvert neigh show [dev NAME] [to IP]",
  values: { dev: "device", to: "ip" },
  bare: "to",
} as const satisfies Grammar;

const SET_VALUES = { to: "ip", lladdr: "mac", dev: "device", nud: "nud" } as const;

const setGrammar = (op: NeighChange["op"]) =>
  ({
    usage:
      op === "del"
        ? "culvert neigh del IP dev NAME"
        : `culvert neigh ${op} IP lladdr MAC dev NAME [nud permanent]`,
    values: SET_VALUES,
    bare: "to",
    required: op === "del" ? ["to", "dev"] : ["to", "lladdr", "dev"],
    refused: { proxy: "set `proxy: true` in the config to answer for every entry" },
  }) as const satisfies Grammar;

const FLUSH = {
  usage: "culvert neigh flush dev NAME [to IP] [nud permanent|all]",
  values: { dev: "device", to: "ip", nud: "nud" },
  bare: "to",
  required: ["dev"],
} as const satisfies Grammar;

const EXAMPLES = `
Examples:
  culvert neigh show dev vxlan100
  culvert neigh add 192.168.11.1 lladdr 02:00:00:00:00:0b dev vxlan100
  culvert neigh del 192.168.11.1 dev vxlan100
  culvert neigh flush dev vxlan100 nud all`;

/** The `neigh` command. */
export function neighCommand(io: CliIo): Command {
  const change = (op: NeighChange["op"], summary: string, alias?: string) => ({
    name: op,
    ...(alias === undefined ? {} : { alias }),
    summary,
    words: setGrammar(op).usage.replace(`culvert neigh ${op} `, ""),
    grammar: setGrammar(op),
    run: async (words: string[], command: Command) => {
      const { values } = parseWords(words, setGrammar(op));
      if (values.nud === "all") {
        throw usageError('an entry\'s state is "permanent"', `usage: ${setGrammar(op).usage}`);
      }
      await daemonClient(daemonOptions(command)).neighChange({
        op,
        ip: values.to as string,
        dev: values.dev as string,
        mac: values.lladdr,
      });
    },
  });
  return operationsCommand(
    "neigh",
    "show and change neighbours: which MAC address an overlay IP address has",
    [
      {
        name: "show",
        alias: "list",
        summary: "print entries",
        words: "[dev NAME] [IP]",
        grammar: SHOW,
        run: (words, command) => show(io, words, command),
      },
      change("add", "add an entry; an existing one is an error"),
      change("replace", "add an entry, or change the one that exists"),
      change("del", "remove an entry", "delete"),
      {
        name: "flush",
        summary: "remove every entry that matches; permanent ones only with nud",
        words: "dev NAME [IP] [nud permanent|all]",
        grammar: FLUSH,
        run: (words, command) => flush(io, words, command),
      },
    ],
    EXAMPLES,
  );
}

async function show(io: CliIo, words: string[], command: Command): Promise<void> {
  const { values } = parseWords(words, SHOW);
  const options = daemonOptions(command);
  const entries = await daemonClient(options).neighShow({ dev: values.dev, ip: values.to });
  if (options.json) writeJson(io, entries.map(neighJson));
  else io.out(entries.map((entry) => neighLine(entry, values.dev === undefined)).join(""));
}

/** A line as `ip neigh show` prints it; ip leaves the device out when it was asked for. */
function neighLine(entry: NeighEntry, withDev: boolean): string {
  const words = [entry.ip];
  if (withDev) words.push("dev", entry.dev);
  if (entry.mac !== undefined) words.push("lladdr", entry.mac);
  words.push(entry.state);
  return `${words.join(" ")}\n`;
}

/** An object as `ip -j neigh show` prints it. */
function neighJson(entry: NeighEntry): object {
  return {
    dst: entry.ip,
    dev: entry.dev,
    ...(entry.mac === undefined ? {} : { lladdr: entry.mac }),
    state: [entry.state],
  };
}

/** `ip neigh flush` leaves permanent entries alone unless `nud` names them, ip-neighbour(8). */
async function flush(io: CliIo, words: string[], command: Command): Promise<void> {
  const { values } = parseWords(words, FLUSH);
  const permanent = values.nud === "all" ? undefined : values.nud === "permanent";
  const options = daemonOptions(command);
  const result = await daemonClient(options).neighFlush({
    dev: values.dev as string,
    ip: values.to,
    permanent,
  });
  if (options.json) {
    writeJson(io, result);
    return;
  }
  const advice =
    result.removed === 0 && permanent === false
      ? " (permanent entries stay; `nud all` removes them too)"
      : "";
  io.out(`${result.removed} ${result.removed === 1 ? "entry" : "entries"} removed${advice}\n`);
}
