// `culvert fdb`: the words of `bridge fdb`, bridge(8), on culvert's own table. What is printed is
// fdb-show.ts.

import type { Command } from "commander";
import type { FdbChange, FdbFlush, FdbStateWord } from "../control/target.js";
import type { ExitStatus } from "../errors.js";
import { type BatchOptions, runBatchFile, withBatchOptions } from "./batch.js";
import { type DaemonOptions, daemonClient, daemonOptions, operationsCommand } from "./command.js";
import { printJson, printLines } from "./fdb-show.js";
import { type CliIo, writeJson } from "./io.js";
import { type Grammar, parseWords } from "./keyword-args.js";
import { usageError } from "./usage-error.js";

const REFUSED = {
  master: "culvert's entries belong to the tunnel itself (self)",
  nhid: "give dst IP; append adds more remotes",
  via: "the outer interface follows from the route to dst",
  src_vni: "a tunnel has one VNI; give vni for the remote's",
  vlan: "culvert's FDB is keyed by MAC address alone",
  sticky: "entries of a vxlan device do not roam between ports; static ones are not moved",
};

const SHOW = {
  usage: "culvert fdb show [dev NAME] [dst IP] [MAC] [state STATE] [dynamic]",
  values: { dev: "device", dst: "ip", mac: "mac", brport: "device", state: "state" },
  bare: "mac",
  flags: ["self", "dynamic"],
  refused: { br: "a tunnel is not a bridge; give dev NAME", ...REFUSED },
} as const satisfies Grammar;

const CHANGE_VALUES = { mac: "mac", dev: "device", dst: "ip", vni: "vni", port: "port" } as const;
const STATES = ["permanent", "local", "static", "dynamic"] as const;

const changeGrammar = (op: FdbChange["op"]) =>
  ({
    usage:
      op === "del"
        ? "culvert fdb del MAC dev NAME [dst IP] [vni N] [port P]"
        : `culvert fdb ${op} MAC dev NAME dst IP [vni N] [port P] ` +
          "[permanent|static|dynamic] [router] [extern_learn]",
    values: CHANGE_VALUES,
    bare: "mac",
    flags: ["self", ...STATES, "router", "extern_learn", "use"],
    required: op === "del" ? ["mac", "dev"] : ["mac", "dev", "dst"],
    refused: REFUSED,
  }) as const satisfies Grammar;

const GRAMMARS = {
  add: changeGrammar("add"),
  append: changeGrammar("append"),
  replace: changeGrammar("replace"),
  del: changeGrammar("del"),
} as const;

const FLUSH_FLAGS = [
  ...["permanent", "nopermanent", "static", "nostatic", "dynamic", "nodynamic"],
  ...["router", "norouter", "extern_learn", "noextern_learn"],
] as const;

const FLUSH = {
  usage:
    "culvert fdb flush dev NAME [dst IP] [port P] [vni N] [MAC] " +
    "[[no]permanent] [[no]static] [[no]dynamic] [[no]router] [[no]extern_learn]",
  values: CHANGE_VALUES,
  bare: "mac",
  flags: ["self", ...FLUSH_FLAGS],
  required: ["dev"],
  refused: REFUSED,
} as const satisfies Grammar;

const EXAMPLES = `
Examples:
  culvert fdb show dev vxlan100
  culvert fdb add 02:00:00:00:00:0b dev vxlan100 dst 10.57.4.21
  culvert fdb append 00:00:00:00:00:00 dev vxlan100 dst 10.57.4.22   (one more member of the flood list)
  culvert fdb append 01:00:5e:01:02:03 dev vxlan100 dst 10.57.4.22   (this group goes to its own list)
  culvert fdb del 02:00:00:00:00:0b dev vxlan100
  culvert fdb flush dev vxlan100 dynamic
  culvert fdb -b entries.txt                                         (many changes, one on a line)`;

/** The `fdb` command. */
export function fdbCommand(io: CliIo, finish: (status: ExitStatus) => void): Command {
  const change = (op: FdbChange["op"], summary: string, alias?: string) => ({
    name: op,
    ...(alias === undefined ? {} : { alias }),
    summary,
    words: GRAMMARS[op].usage.replace(`culvert fdb ${op} `, ""),
    grammar: GRAMMARS[op],
    run: async (words: string[], command: Command) => {
      await daemonClient(daemonOptions(command)).fdbChange(changeOf(op, words));
    },
  });
  const command = operationsCommand(
    "fdb",
    "show and change forwarding entries: which MAC address is behind which remote",
    [
      {
        name: "show",
        alias: "list",
        summary: "print entries",
        words: SHOW.usage.replace("culvert fdb show ", ""),
        grammar: SHOW,
        run: (words, command) => show(io, words, command),
        extend: withStatistics,
      },
      change("add", "add an entry; an existing one is an error"),
      change("append", "add one more remote to an all-zero or multicast MAC"),
      change("replace", "add a unicast entry, or change the one that exists"),
      change("del", "remove an entry, or with dst one of its remotes", "delete"),
      {
        name: "flush",
        summary: "remove every entry that matches",
        words: FLUSH.usage.replace("culvert fdb flush ", ""),
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
  withStatistics(command);
  return withBatchOptions(command);
}

/** Before and after the operation, as -j. */
function withStatistics(command: Command): void {
  command.option("-s, --statistics", "(show) also print seconds since use and update");
}

function changeOf(op: FdbChange["op"], words: readonly string[]): FdbChange {
  const { values, flags } = parseWords(words, GRAMMARS[op]);
  const { mac, dev, ...rest } = values;
  return {
    op,
    mac: mac as string,
    dev: dev as string,
    ...rest,
    ...(op === "del" ? {} : stateOf(flags)),
    ...(flags.has("router") ? { router: true } : {}),
    ...(flags.has("extern_learn") ? { extern_learn: true } : {}),
  };
}

/** Of several words the strongest, as with bridge(8), where each sets or clears bits. */
function stateOf(flags: ReadonlySet<string>): { state?: FdbStateWord } {
  if (flags.has("permanent") || flags.has("local")) return {};
  if (flags.has("dynamic")) return { state: "dynamic" };
  return flags.has("static") ? { state: "static" } : {};
}

function batch(io: CliIo, options: BatchOptions): Promise<ExitStatus> {
  const client = daemonClient(options);
  return runBatchFile<FdbChange>(io, options, {
    object: "fdb",
    send: (changes) => client.fdbBatch(changes),
    parse: ([word, ...words]) => {
      const op = word === "delete" ? "del" : word;
      if (Object.hasOwn(GRAMMARS, op)) return changeOf(op as FdbChange["op"], words);
      if (op === "flush") {
        const wanted = flushOf(words);
        return async () => void (await client.fdbFlush(wanted));
      }
      const operations = [...Object.keys(GRAMMARS), "flush"].join(", ");
      throw usageError(`"${word}" is nothing that a batch can do`, `operations: ${operations}`);
    },
  });
}

async function show(io: CliIo, words: string[], command: Command): Promise<void> {
  const { values, flags } = parseWords(words, SHOW);
  if (values.dev !== undefined && values.brport !== undefined) {
    throw usageError('"dev" and "brport" mean the same', `usage: ${SHOW.usage}`);
  }
  const dev = values.dev ?? values.brport;
  const options = daemonOptions<{ statistics?: true }>(command);
  const { fdbPage } = daemonClient(options);
  const word = flags.has("dynamic") ? "dynamic" : values.state;
  const states = word === undefined ? undefined : shownStates(word);
  const query = { dev, dst: values.dst, mac: values.mac, states };
  const style = { withDev: dev === undefined, withTimes: options.statistics === true };
  if (options.json) await printJson(io, query, fdbPage, style);
  else await printLines(io, query, fdbPage, style);
}

/**
 * The entries that bridge shows for `state WORD`: those with the word's bit. A permanent entry has
 * NUD_PERMANENT and NUD_NOARP, a static one NUD_NOARP and NUD_REACHABLE, a dynamic one
 * NUD_REACHABLE.
 */
function shownStates(word: string): FdbStateWord[] | undefined {
  if (word === "permanent") return ["permanent"];
  if (word === "static") return ["permanent", "static"];
  return word === "all" ? undefined : ["static", "dynamic"];
}

const PERMANENT = 2;
const NOARP = 1;
/** The bits of a state that `bridge fdb flush` looks at. */
const STATE_BITS: Readonly<Record<FdbStateWord, number>> = {
  permanent: PERMANENT | NOARP,
  static: NOARP,
  dynamic: 0,
};

/** Each word sets, clears and looks at bits, the later word after the earlier (bridge/fdb.c). */
const FLUSH_BITS: Readonly<Record<string, { set: number; clear: number; mask: number }>> = {
  permanent: { set: PERMANENT, clear: 0, mask: PERMANENT },
  nopermanent: { set: 0, clear: PERMANENT, mask: PERMANENT },
  static: { set: NOARP, clear: 0, mask: PERMANENT | NOARP },
  nostatic: { set: 0, clear: NOARP, mask: NOARP },
  dynamic: { set: 0, clear: PERMANENT | NOARP, mask: PERMANENT | NOARP },
  nodynamic: { set: NOARP, clear: 0, mask: NOARP },
};

function flushedStates(flags: ReadonlySet<string>): FdbStateWord[] | undefined {
  let bits = 0;
  let looked = 0;
  for (const flag of flags) {
    const word = FLUSH_BITS[flag];
    if (word === undefined) continue;
    bits = (bits & ~word.clear) | word.set;
    looked |= word.mask;
  }
  if (looked === 0) return undefined;
  const words = Object.keys(STATE_BITS) as FdbStateWord[];
  const states = words.filter((word) => (STATE_BITS[word] & looked) === bits);
  if (states.length > 0) return states;
  throw usageError("these words together match no entry", `usage: ${FLUSH.usage}`);
}

function flushOf(words: readonly string[]): FdbFlush {
  const { values, flags } = parseWords(words, FLUSH);
  const either = (word: string): boolean | undefined => {
    if (flags.has(word) && flags.has(`no${word}`)) {
      throw usageError("these words together match no entry", `usage: ${FLUSH.usage}`);
    }
    return flags.has(word) ? true : flags.has(`no${word}`) ? false : undefined;
  };
  return {
    ...values,
    dev: values.dev as string,
    states: flushedStates(flags),
    router: either("router"),
    extern_learn: either("extern_learn"),
  };
}

async function flush(io: CliIo, words: string[], command: Command): Promise<void> {
  const options: DaemonOptions = daemonOptions(command);
  const result = await daemonClient(options).fdbFlush(flushOf(words));
  if (options.json) writeJson(io, result);
  else io.out(`${result.removed} ${result.removed === 1 ? "entry" : "entries"} removed\n`);
}
