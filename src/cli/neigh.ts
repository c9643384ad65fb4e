// `culvert neigh`: the words of `ip neigh`, ip-neighbour(8), on the table that answers ARP and
// neighbour solicitations; output in ip's line and JSON formats.

import type { Command } from "commander";
import type { NeighChange, NeighEntry, NeighFlush } from "../control/target.js";
import type { ExitStatus } from "../errors.js";
import { type BatchOptions, runBatchFile, withBatchOptions } from "./batch.js";
import { daemonClient, daemonOptions, operationsCommand } from "./command.js";
import { type CliIo, writeJson } from "./io.js";
import { type Grammar, parseWords } from "./keyword-args.js";
import { usageError } from "./usage-error.js";

const SHOW = {
  usage: "culvert neigh show [dev NAME] [to IP] [nud permanent|noarp|all]",
  values: { dev: "device", to: "ip", nud: "nud" },
  bare: "to",
  refused: { proxy: "set `proxy: true` in the config to answer for every entry" },
} as const satisfies Grammar;

const SET_VALUES = { to: "ip", lladdr: "mac", dev: "device", nud: "lastingNud" } as const;
const FOREVER = "entries of culvert neither age nor are they asked for again";

const setGrammar = (op: NeighChange["op"]) =>
  ({
    usage:
      op === "del"
        ? "culvert neigh del IP dev NAME"
        : `culvert neigh ${op} IP lladdr MAC dev NAME [nud permanent|noarp] [router]`,
    values: SET_VALUES,
    bare: "to",
    flags: ["router"],
    required: op === "del" ? ["to", "dev"] : ["to", "lladdr", "dev"],
    refused: {
      proxy: "set `proxy: true` in the config to answer for every entry",
      ...{ use: FOREVER, managed: FOREVER },
      extern_learn: "entries of culvert are the user's own",
      protocol: "culvert keeps no origin of an entry",
    },
  }) as const satisfies Grammar;

const GRAMMARS = {
  add: setGrammar("add"),
  replace: setGrammar("replace"),
  del: setGrammar("del"),
} as const;

const FLUSH = {
  usage: "culvert neigh flush dev NAME [to IP] [nud permanent|noarp|all] [[no]router]",
  values: { dev: "device", to: "ip", nud: "nud" },
  bare: "to",
  flags: ["router", "norouter"],
  required: ["dev"],
  refused: SHOW.refused,
} as const satisfies Grammar;

const EXAMPLES = `
Examples:
  culvert neigh show dev vxlan100
  culvert neigh add 192.168.11.1 lladdr 02:00:00:00:00:0b dev vxlan100
  culvert neigh del 192.168.11.1 dev vxlan100
  culvert neigh flush dev vxlan100 nud all
  culvert neigh -b neighbours.txt             (many changes, one on a line)`;

/** The `neigh` command. */
export function neighCommand(io: CliIo, finish: (status: ExitStatus) => void): Command {
  const change = (op: NeighChange["op"], summary: string, alias?: string) => ({
    name: op,
    ...(alias === undefined ? {} : { alias }),
    summary,
    words: GRAMMARS[op].usage.replace(`culvert neigh ${op} `, ""),
    grammar: GRAMMARS[op],
    run: async (words: string[], command: Command) => {
      await daemonClient(daemonOptions(command)).neighChange(changeOf(op, words));
    },
  });
  const command = operationsCommand(
    "neigh",
    "show and change neighbours: which MAC address an overlay IP address has",
    [
      {
        name: "show",
        alias: "list",
        summary: "print entries",
        words: "[dev NAME] [IP] [nud STATE]",
        grammar: SHOW,
        run: (words, command) => show(io, words, command),
      },
      change("add", "add an entry; an existing one is an error"),
      change("replace", "add an entry, or change the one that exists"),
      change("del", "remove an entry", "delete"),
      {
        name: "flush",
        summary: "remove every entry that matches nud",
        words: "dev NAME [IP] [nud permanent|noarp|all] [[no]router]",
        grammar: FLUSH,
        run: (words, command) => flush(io, words, command),
      },
    ],
    EXAMPLES,
    async (self) => {
      const options = daemonOptions<BatchOptions>(self);
      if (options.batch !== undefined) finish(await batch(io, options));
      return options.batch !== undefined;
    },
  );
  return withBatchOptions(command);
}

function changeOf(op: NeighChange["op"], words: readonly string[]): NeighChange {
  const { values, flags } = parseWords(words, GRAMMARS[op]);
  const change = { op, ip: values.to as string, dev: values.dev as string, mac: values.lladdr };
  const state = values.nud === undefined ? {} : { state: values.nud };
  return { ...change, ...state, ...(flags.has("router") ? { router: true } : {}) };
}

function batch(io: CliIo, options: BatchOptions): Promise<ExitStatus> {
  const client = daemonClient(options);
  return runBatchFile<NeighChange>(io, options, {
    object: "neigh",
    send: (changes) => client.neighBatch(changes),
    parse: ([word, ...words]) => {
      const op = word === "delete" ? "del" : word;
      if (Object.hasOwn(GRAMMARS, op)) return changeOf(op as NeighChange["op"], words);
      if (op === "flush") {
        const wanted = flushOf(words);
        return async () => void (await client.neighFlush(wanted));
      }
      const operations = [...Object.keys(GRAMMARS), "flush"].join(", ");
      throw usageError(`"${word}" is nothing that a batch can do`, `operations: ${operations}`);
    },
  });
}

/** Entries that need no resolution are shown only on request, as by ip-neighbour(8). */
async function show(io: CliIo, words: string[], command: Command): Promise<void> {
  const { values } = parseWords(words, SHOW);
  const { dev, to: ip, nud = "permanent" } = values;
  const options = daemonOptions(command);
  const state = nud === "all" ? undefined : nud;
  const entries = await daemonClient(options).neighShow({ dev, ip, state });
  const withDev = dev === undefined;
  if (options.json)
    writeJson(
      io,
      entries.map((entry) => neighJson(entry, withDev)),
    );
  else io.out(entries.map((entry) => neighLine(entry, withDev)).join(""));
}

/** A line as `ip neigh show` prints it, blank at its end included (ip/ipneigh.c). */
function neighLine(entry: NeighEntry, withDev: boolean): string {
  const words = [entry.ip];
  if (withDev) words.push("dev", entry.dev);
  if (entry.mac !== undefined) words.push("lladdr", entry.mac);
  if (entry.router === true) words.push("router");
  words.push(entry.state);
  return `${words.join(" ")} \n`;
}

/** An object as `ip -j neigh show` prints it; ip leaves the device out when it was asked for. */
function neighJson(entry: NeighEntry, withDev: boolean): object {
  return {
    dst: entry.ip,
    ...(withDev ? { dev: entry.dev } : {}),
    ...(entry.mac === undefined ? {} : { lladdr: entry.mac }),
    ...(entry.router === true ? { router: null } : {}),
    state: [entry.state],
  };
}

/** `ip neigh flush` leaves entries that do not age alone unless `nud` names them. */
function flushOf(words: readonly string[]): NeighFlush {
  const { values, flags } = parseWords(words, FLUSH);
  const router = flags.has("router");
  if (router && flags.has("norouter")) {
    throw usageError("these words together match no entry", `usage: ${FLUSH.usage}`);
  }
  const states = values.nud === "all" ? undefined : values.nud === undefined ? [] : [values.nud];
  return {
    dev: values.dev as string,
    ip: values.to,
    states,
    router: router || flags.has("norouter") ? router : undefined,
  };
}

async function flush(io: CliIo, words: string[], command: Command): Promise<void> {
  const wanted = flushOf(words);
  const options = daemonOptions(command);
  const result = await daemonClient(options).neighFlush(wanted);
  if (options.json) {
    writeJson(io, result);
    return;
  }
  const advice =
    result.removed === 0 && wanted.states?.length === 0
      ? " (permanent entries stay; `nud all` removes them too)"
      : "";
  io.out(`${result.removed} ${result.removed === 1 ? "entry" : "entries"} removed${advice}\n`);
}
