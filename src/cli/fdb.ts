// `culvert fdb`: the words of `bridge fdb`, bridge(8), on culvert's own table; output in bridge's
// line and JSON formats, so that scripts written for one read the other.

import type { Command } from "commander";
import type { FdbChange, FdbEntry } from "../control/target.js";
import { type DaemonOptions, daemonClient, daemonOptions, operationsCommand } from "./command.js";
import { type CliIo, writeJson } from "./io.js";
import { type Grammar, parseWords } from "./keyword-args.js";
import { usageError } from "./usage-error.js";

const REFUSED = {
  master: "culvert's entries belong to the tunnel itself (self)",
  dynamic: "entries made by hand are permanent; learned ones age by themselves",
  nhid: "give dst IP; append adds more remotes",
  via: "the outer interface follows from the route to dst",
  src_vni: "a tunnel has one VNI; give vni for the remote's",
  vlan: "culvert's FDB is keyed by MAC address alone",
};

const SHOW = {
  usage: "culvert fdb show [dev NAME] [dst IP] [MAC]",
  values: { dev: "device", dst: "ip", mac: "mac", brport: "device" },
  bare: "mac",
  flags: ["self"],
  refused: { br: "a tunnel is not a bridge; give dev NAME", ...REFUSED },
} as const satisfies Grammar;

const CHANGE_VALUES = { mac: "mac", dev: "device", dst: "ip", vni: "vni", port: "port" } as const;

const changeGrammar = (op: FdbChange["op"]) =>
  ({
    usage: `culvert fdb ${op} MAC dev NAME ${op === "del" ? "[dst IP]" : "dst IP"} [vni N] [port P]`,
    values: CHANGE_VALUES,
    bare: "mac",
    flags: ["self", "permanent", "static", "local"],
    required: op === "del" ? ["mac", "dev"] : ["mac", "dev", "dst"],
    refused: REFUSED,
  }) as const satisfies Grammar;

const FLUSH = {
  usage: "culvert fdb flush dev NAME [dst IP] [MAC] [permanent|nopermanent|dynamic|nodynamic]",
  values: { dev: "device", dst: "ip", mac: "mac" },
  bare: "mac",
  flags: ["self", "permanent", "nopermanent", "dynamic", "nodynamic"],
  required: ["dev"],
  refused: { ...REFUSED, static: "say permanent for entries that do not age" },
} as const satisfies Grammar;

const EXAMPLES = `
Examples:
  culvert fdb show dev vxlan100
  culvert fdb add 02:00:00:00:00:0b dev vxlan100 dst 10.57.4.21
  culvert fdb append 00:00:00:00:00:00 dev vxlan100 dst 10.57.4.22   (one more member of the flood list)
  culvert fdb del 02:00:00:00:00:0b dev vxlan100
  culvert fdb flush dev vxlan100 dynamic`;

/** The `fdb` command. */
export function fdbCommand(io: CliIo): Command {
  const change = (op: FdbChange["op"], summary: string, alias?: string) => ({
    name: op,
    ...(alias === undefined ? {} : { alias }),
    summary,
    words: changeGrammar(op).usage.replace(`culvert fdb ${op} `, ""),
    grammar: changeGrammar(op),
    run: async (words: string[], command: Command) => {
      const { values } = parseWords(words, changeGrammar(op));
      const { mac, dev, ...rest } = values;
      await daemonClient(daemonOptions(command)).fdbChange({
        op,
        mac: mac as string,
        dev: dev as string,
        ...rest,
      });
    },
  });
  return operationsCommand(
    "fdb",
    "show and change forwarding entries: which MAC address is behind which remote",
    [
      {
        name: "show",
        alias: "list",
        summary: "print entries",
        words: "[dev NAME] [dst IP] [MAC]",
        grammar: SHOW,
        run: (words, command) => show(io, words, command),
        extend: (command) =>
          command.option("-s, --statistics", "also print seconds since use and update"),
      },
      change("add", "add an entry; an existing one is an error"),
      change("append", "add one more remote to the all-zero MAC (flood list)"),
      change("replace", "add an entry, or change the one that exists"),
      change("del", "remove an entry, or with dst one of its remotes", "delete"),
      {
        name: "flush",
        summary: "remove every entry that matches",
        words: "dev NAME [dst IP] [MAC] [permanent|dynamic]",
        grammar: FLUSH,
        run: (words, command) => flush(io, words, command),
      },
    ],
    EXAMPLES,
  );
}

async function show(io: CliIo, words: string[], command: Command): Promise<void> {
  const { values } = parseWords(words, SHOW);
  if (values.dev !== undefined && values.brport !== undefined) {
    throw usageError('"dev" and "brport" mean the same', `usage: ${SHOW.usage}`);
  }
  const dev = values.dev ?? values.brport;
  const options = daemonOptions<{ statistics?: true }>(command);
  const entries = await daemonClient(options).fdbShow({ dev, dst: values.dst, mac: values.mac });
  const style = { withDev: dev === undefined, withTimes: options.statistics === true };
  if (options.json)
    writeJson(
      io,
      entries.map((entry) => fdbJson(entry, style)),
    );
  else io.out(entries.map((entry) => fdbLine(entry, style)).join(""));
}

interface FdbStyle {
  /** bridge leaves the device out when it was asked for. */
  withDev: boolean;
  withTimes: boolean;
}

/** A line as `bridge fdb show` prints it (bridge/fdb.c of iproute2 6.1). */
function fdbLine(entry: FdbEntry, style: FdbStyle): string {
  const words = [entry.mac];
  if (style.withDev) words.push("dev", entry.dev);
  words.push("dst", entry.dst);
  if (entry.port !== undefined) words.push("port", String(entry.port));
  if (entry.vni !== undefined) words.push("vni", String(entry.vni));
  if (style.withTimes) words.push("used", `${entry.used_s}/${entry.updated_s}`);
  words.push("self", bridgeState(entry));
  return `${words.join(" ")}\n`;
}

/** An object as `bridge -j fdb show` prints it. */
function fdbJson(entry: FdbEntry, style: FdbStyle): object {
  return {
    mac: entry.mac,
    ...(style.withDev ? { ifname: entry.dev } : {}),
    dst: entry.dst,
    ...(entry.port === undefined ? {} : { port: entry.port }),
    ...(entry.vni === undefined ? {} : { vni: entry.vni }),
    ...(style.withTimes ? { used: entry.used_s, updated: entry.updated_s } : {}),
    flags: ["self"],
    state: bridgeState(entry),
  };
}

/** bridge prints nothing for a learned (NUD_REACHABLE) entry. */
function bridgeState(entry: FdbEntry): string {
  return entry.state === "permanent" ? "permanent" : "";
}

async function flush(io: CliIo, words: string[], command: Command): Promise<void> {
  const { values, flags } = parseWords(words, FLUSH);
  const wantPermanent = flags.has("permanent") || flags.has("nodynamic");
  const wantDynamic = flags.has("dynamic") || flags.has("nopermanent");
  if (wantPermanent && wantDynamic) {
    throw usageError("these words together match no entry", `usage: ${FLUSH.usage}`);
  }
  const options: DaemonOptions = daemonOptions(command);
  const result = await daemonClient(options).fdbFlush({
    dev: values.dev as string,
    dst: values.dst,
    mac: values.mac,
    permanent: wantPermanent === wantDynamic ? undefined : wantPermanent,
  });
  if (options.json) writeJson(io, result);
  else io.out(`${result.removed} ${result.removed === 1 ? "entry" : "entries"} removed\n`);
}
